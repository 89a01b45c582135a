"""Which run does a log file describe?

Finds the columns for step, learning rate and loss under the names common programs give them,
or under the names given, converts them with a complaint that names the row, and builds a Run.
A Curve that hidim saved is read as itself, and the metrics of a hidim run with its validation loss.
Limits: rows are never reordered; a row is dropped only where its step or loss is blank (other
metrics logged in between) or where it repeats the row before, and the Run's notes say so.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.runs import Run
from hidim.fitting.logs.tables import Columns, header, read_columns
from hidim.support.checks import choice
from hidim.support.inputs import read_json

# Names under which programs log the three columns, the most specific first.
ALIASES: dict[str, tuple[str, ...]] = {
    "step": (
        *("step", "steps", "global_step", "train/global_step", "trainer/global_step"),
        *("optimizer_step", "iteration", "iterations", "iter", "update", "updates"),
        "_step",  # W&B counts its own calls, which need not be optimizer steps
    ),
    "loss": ("loss", "train_loss", "train/loss", "training_loss", "loss/train", "train/loss_step"),
    "lr": ("lr", "learning_rate", "train/learning_rate", "train/lr", "learning-rate"),
}
ROLES = tuple(ALIASES)
_ONE_RUN = "A diverged run has no law; end the file before that row."


def read_run(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    warmup_steps: float = 0.0,
    label: str | None = None,
    loss: str = "needed",
    lr: float | None = None,
) -> Run:
    """Read one training run from a log.

    Args:
        path: CSV, TSV, JSON lines, `trainer_state.json`, Parquet or TensorBoard file, a saved
            Curve (.json, .npz), or the folder of a run. Steps are optimizer steps; loss is in nats
            or any fixed unit.
        columns: names of the columns for "step", "loss" and "lr" where they differ from the
            usual ones; of a saved Curve "loss" alone.
        warmup_steps: linear warm-up from zero that the log leaves out, in optimizer steps.
        label: name of the run; default the file's name without suffix.
        loss: "needed", or "optional" for the schedule of a run still to come.
        lr: a constant learning rate, for a log that holds none.

    The loss of a hidim run is the validation loss unless `columns` names another; that of a saved
    Curve its risk, and `Run.of` says what its rate is.

    Returns:
        The run, with `notes` on what was dropped.

    Raises:
        ValueError: file, column, row and remedy, in one line.
        MissingExtra: Parquet without pyarrow.
    """
    choice("loss", loss, ("needed", "optional"))
    given = dict(columns or {})
    for role in given:
        choice("columns", role, ROLES)
    if len(set(given.values())) < len(given):
        raise ValueError(f"`columns` gives one column two roles: {given}.")
    source, stem = str(path), Path(path).stem or Path(path).name
    label = stem if label is None else label
    if _is_saved_curve(path):
        return _saved_curve(path, given, label, lr)
    table = read_columns(path, _wanted(path, given))
    if is_run(path):
        given = {"loss": "validation_loss"} | given
    found = {
        "step": find_column(table, "step", given, source),
        "lr": find_column(table, "lr", given, source, needed=lr is None),
        "loss": find_column(table, "loss", given, source, needed=loss == "needed"),
    }
    values = {role: numbers(table[name], name, source) for role, name in found.items() if name}
    if lr is not None:
        values["lr"] = np.full(len(values["step"]), lr)
    values, notes = _clean(values, source, partial=loss == "needed")
    if "step" not in given and "_step" in table and found["step"] != "_step":
        notes = (*notes, f"steps are column {found['step']!r}, not '_step'")
    early = int(np.count_nonzero(values["step"] < warmup_steps))
    if early:
        notes = (*notes, f"{early} rows before step {warmup_steps:g} follow the warm-up")
    return Run(values["step"], values["lr"], values.get("loss"), warmup_steps, label, notes)


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
    return Run.of(replace(Curve.load(path), label=label), lr=lr, loss=given.get("loss"))


def parse_columns(text: str, roles: Sequence[str] = ROLES) -> dict[str, str]:
    """Column names as `step=...,loss=...,lr=...`, or with other `roles`.

    >>> parse_columns("step=_step,loss=train/loss")
    {'step': '_step', 'loss': 'train/loss'}
    """
    pairs = {}
    for part in text.split(","):
        role, equals, name = part.partition("=")
        if not equals or not name.strip():
            form = ",".join(f"{role}=NAME" for role in roles)
            raise ValueError(f"`columns` must read {form}; got {text!r}.")
        role = choice("columns", role.strip(), roles)
        if role in pairs:
            raise ValueError(f"`columns` names {role!r} twice in {text!r}.")
        pairs[role] = name.strip()
    return pairs


def _wanted(path: str | os.PathLike[str], given: Mapping[str, str]) -> list[str] | None:
    if not Path(path).is_file() or "tfevents" in Path(path).name:
        return None
    if Path(path).suffix.lower() in (".parquet", ".jsonl", ".ndjson", ".json"):
        return None
    names = header(path)
    found = []
    for role in ROLES:
        name = given.get(role) or _alias(names, role)
        if name in names:
            found.append(name)
    return [str(name) for name in found]


def _alias(
    names: Sequence[str], role: str, aliases: Mapping[str, tuple[str, ...]] = ALIASES
) -> str | None:
    lower = {name.lower(): name for name in names}
    for alias in aliases[role]:
        if alias in lower:
            return lower[alias]
    if role == "step" or aliases is not ALIASES:
        return None
    # W&B exports name a column "run name - metric"; several runs in one file are ambiguous.
    ends = [
        name for name in names for alias in ALIASES[role] if name.lower().endswith(f" - {alias}")
    ]
    if len(ends) > 1:
        raise ValueError(
            f"several columns could be the {role}: {', '.join(ends)}. A file of several runs? "
            f"Choose one: --columns {role}=NAME."
        )
    return ends[0] if ends else None


def find_column(
    table: Columns,
    role: str,
    given: Mapping[str, str],
    source: str,
    *,
    needed: bool = True,
    aliases: Mapping[str, tuple[str, ...]] = ALIASES,
) -> str | None:
    """Name of the column that plays `role`, as given or under a usual name."""
    name = given.get(role)
    if name is not None and name not in table:
        raise ValueError(
            f"{source!r} has no column {name!r}; it has {', '.join(list(table)[:12])}."
        )
    if name is None:
        name = _alias(list(table), role, aliases)
    if name is None and needed:
        what = {"step": "optimizer step", "lr": "learning rate"}.get(role, role)
        raise ValueError(
            f"{source!r} has no column for the {what}; it has {', '.join(list(table)[:12])}. "
            f"Name it: --columns {role}=NAME."
        )
    return name


def numbers(cells: Any, name: str, source: str, *, remedy: str = _ONE_RUN) -> np.ndarray:
    """Cells as float64; blanks become NaN, and any NaN written out is refused with the remedy."""
    if isinstance(cells, np.ndarray):
        bad = np.flatnonzero(~np.isfinite(cells))
        if len(bad):
            raise ValueError(_not_finite(int(bad[0]), name, cells[bad[0]], source, remedy))
        return cells
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if cell is None:
            out[i] = np.nan
            continue
        try:
            out[i] = float(cell)
        except (TypeError, ValueError):
            raise ValueError(
                f"row {i + 2} of {source!r}: column {name!r} holds {cell!r}, not a number"
                + (": write decimals with a point." if "," in str(cell) else ".")
            ) from None
        if not math.isfinite(out[i]):
            raise ValueError(_not_finite(i, name, cell, source, remedy))
    return out


def _not_finite(index: int, name: str, cell: Any, source: str, remedy: str) -> str:
    return f"row {index + 2} of {source!r}: column {name!r} is {cell}. {remedy}"


def _clean(
    values: dict[str, np.ndarray], source: str, *, partial: bool
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Drop rows without step or loss, and exact repeats; complain about anything else missing."""
    notes = []
    rows = len(values["step"])
    if rows == 0:
        raise ValueError(f"{source!r} has a header and no rows.")
    blank = np.isnan(values["step"])
    if partial:
        blank |= np.isnan(values["loss"])
    elif "loss" in values and np.all(np.isnan(values["loss"])):
        values = {role: column for role, column in values.items() if role != "loss"}
    elif "loss" in values:
        blank |= np.isnan(values["loss"])
    if blank.all():
        raise ValueError(f"no row of {source!r} has both a step and a loss.")
    if blank.any():
        notes.append(f"{int(blank.sum())} of {rows} rows without step or loss left out")
        values = {role: column[~blank] for role, column in values.items()}
    for role, column in values.items():
        hole = np.flatnonzero(np.isnan(column))
        if len(hole):
            step = values["step"][hole[0]]
            raise ValueError(
                f"{source!r} has no {role} at step {step:g} ({len(hole)} such row(s)): fill the "
                "column, or leave those rows out."
            )
    stacked = np.stack([values[role] for role in sorted(values)])
    same = np.concatenate([[False], np.all(stacked[:, 1:] == stacked[:, :-1], axis=0)])
    if same.any():
        notes.append(f"{int(same.sum())} repeated rows left out")
        values = {role: column[~same] for role, column in values.items()}
    return values, tuple(notes)
