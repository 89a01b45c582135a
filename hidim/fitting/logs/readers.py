"""Which run does a log file describe?

Finds the columns for step, learning rate and loss under the names common programs give them,
or under the names given, converts them with a complaint that names the row, and builds a Run.
A Curve that hidim saved is read as itself, and the metrics of a hidim run with its validation loss.
Limits: rows are never reordered; what is mended (repairs.py, averages.py) is in the Run's notes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hidim.algorithms.schedules import Schedule
from hidim.curve import Curve
from hidim.fitting.logs.cells import numbers
from hidim.fitting.logs.how import How
from hidim.fitting.logs.names import ALIASES
from hidim.fitting.logs.readings import Reading, read_logs
from hidim.fitting.logs.roles import ROLES, find_column, parse_columns
from hidim.fitting.logs.runs import Run
from hidim.support.checks import file_path
from hidim.support.inputs import read_json

__all__ = [
    "ALIASES",
    "ROLES",
    "find_column",
    "is_run",
    "numbers",
    "parse_columns",
    "read_run",
    "read_runs",
    "readings",
]


def read_run(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    warmup_steps: float = 0.0,
    label: str | None = None,
    loss: str = "needed",
    lr: float | None = None,
    run: str | None = None,
    schedule: str | Schedule | None = None,
    resumed: str = "refuse",
    drop_nan: bool = False,
    averaged: str = "auto",
    step_scale: float | None = None,
    loss_scale: float = 1.0,
    vocabulary: float | None = None,
) -> Run:
    """Read one training run from a log.

    Args:
        path: CSV, TSV or another table, JSON lines, `trainer_state.json`, Parquet or TensorBoard
            file, what a program printed, each also compressed, a saved Curve (.json, .npz), or the
            folder of a run. Steps are optimizer steps; loss is in nats or any fixed unit.
        columns: names of the columns for "step", "loss", "lr" and "run" where they differ from the
            usual ones, "-" for one that does not count; of a saved Curve "loss" alone.
        warmup_steps: linear warm-up from zero that the log leaves out, in optimizer steps.
        label: name of the run; default the file's name without suffix.
        loss: "needed", or "optional" for the schedule of a run still to come.
        lr: a constant learning rate, for a log that holds none.
        run: which of several runs in the file.
        schedule: the learning rate of a log that holds none, or not all, in words
            (`hidim.read_schedule`) or as an object of the library.
        resumed: "refuse" steps that go back, or "keep-last" of what was logged twice.
        drop_nan: leave out isolated rows with NaN.
        averaged: how losses were averaged over steps: "auto" (as the program is known to), "no",
            "window", "window:N", "ema:0.9" over rows, or "ema:0.9/step".
        step_scale: optimizer steps per step of the log, such as 1/8 for micro-steps; of a log
            without steps, per row, which it has to be given for. Default 1.
        loss_scale: times the losses, such as 1/8 where they were summed over accumulation steps.
        vocabulary: number of tokens, to refuse losses above those of guessing.

    The loss of a hidim run is the validation loss unless `columns` names another; that of a saved
    Curve its risk, and `Run.of` says what its rate is.

    Returns:
        The run, with `notes` on what was mended.

    Raises:
        ValueError: file, column, row and remedy, in one line.
        MissingExtra: Parquet without pyarrow, zstd without zstandard.
    """
    file_path(path)
    how = How(
        dict(columns or {}),
        warmup_steps,
        loss,
        lr,
        schedule,
        resumed,
        drop_nan,
        averaged,
        step_scale,
        loss_scale,
        vocabulary,
    )
    stem = Path(path).stem or Path(path).name
    found = readings([path], how, labels=[stem if label is None else label])
    names = [one.run.label for one in found]
    if run is not None:
        found = [one for one in found if one.run.label in (run, f"{stem} {run}")]
        if not found:
            raise ValueError(f"{str(path)!r} has no run {run!r}; it has {', '.join(names)}.")
    if len(found) > 1:
        raise ValueError(
            f"{str(path)!r} holds several runs: {', '.join(names[:8])}. Read them all with "
            "`read_runs`, or one of them, run=NAME."
        )
    return found[0].run


def read_runs(paths: Any, **options: Any) -> list[Run]:
    """Every run of some logs: a file of several comes apart, losses and rates in two are joined.

    Args:
        paths: one path or several.
        options: as for `read_run`, without `label` and `run`.

    Raises:
        ValueError: as `read_run`.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return [one.run for one in readings(several, How(**options))]


def readings(
    paths: Sequence[str | os.PathLike[str]], how: How, labels: Sequence[str] | None = None
) -> list[Reading]:
    """The runs of logs, and of saved Curves, with what was understood of each."""
    for path in paths:
        file_path(path)
    if labels is None:
        labels = [Path(path).stem or Path(path).name for path in paths]
    found: list[Reading] = []
    logs: list[int] = []
    for index, path in enumerate(paths):
        if _is_saved_curve(path):
            run = _saved_curve(path, how.columns, labels[index], how.lr)
            line = f"{run.label}: saved curve, {len(run.steps):,} rows"
            mended = "; ".join(run.notes) or "nothing mended"
            loss = how.columns.get("loss", "risk")
            lines = (line, f"  loss {loss!r}; lr as the curve says", f"  {mended}")
            found.append(Reading(run, lines, True))
        else:
            logs.append(index)
    if logs:
        found += read_logs([paths[i] for i in logs], how, [labels[i] for i in logs])
    return found


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether this is the folder of a run of `hidim train` that has begun to log."""
    config = Path(path) / "config.json"
    if not config.is_file() or not (config.parent / "metrics.jsonl").is_file():
        return False
    try:
        told = read_json(config)
    except ValueError:
        return False
    return isinstance(told, dict) and "settings" in told


def _is_saved_curve(path: str | os.PathLike[str]) -> bool:
    suffix = Path(path).suffix.lower()
    if not Path(path).is_file() or suffix != ".json":
        return suffix == ".npz"
    try:
        table = read_json(path)
    except ValueError:
        return False  # of another kind, or damaged: the reader of tables says which
    return isinstance(table, dict) and {"steps", "risk", "batch_size"} <= set(table)


def _saved_curve(
    path: str | os.PathLike[str], given: Mapping[str, str], label: str, lr: float | None
) -> Run:
    if set(given) - {"loss"}:
        raise ValueError(
            f"{str(path)!r} is a saved curve, which knows its steps and rates: `columns` may name "
            "its loss alone."
        )
    try:
        curve = Curve.load(path)
    except ValueError as error:
        if Path(path).suffix.lower() != ".npz":
            raise
        raise ValueError(
            f"{str(error).rstrip('.')}: arrays of your own go into a table with columns step, lr "
            "and loss, or into fit((steps, lr, loss)) in Python."
        ) from None
    return Run.of(replace(curve, label=label), lr=lr, loss=given.get("loss"))
