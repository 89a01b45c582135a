"""Which cells belong to which run, when runs share files and files share a run?

A file of several runs comes apart, and losses without a rate are joined to the rate of their run in
another file, by the run's name where it has one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from hidim.fitting.logs import repairs
from hidim.fitting.logs.cells import numbers
from hidim.fitting.logs.how import How
from hidim.fitting.logs.marks import plain_numbers
from hidim.fitting.logs.names import ALIASES, bare, counted_in, is_perplexity, logarithm_of, normal
from hidim.fitting.logs.repairs import Rows
from hidim.fitting.logs.roles import missing, of_sizes, parts_of, wanted
from hidim.fitting.logs.tables import Log, read_log

_COUNTS = {"tokens", "samples", "examples", "epoch"}  # what a log without steps may count
COUNTED = "(counted)"  # the column of steps that were counted


@dataclass
class Cells:
    """The cells of one run in one file."""

    label: str
    run: str
    log: Log
    names: dict[str, str]
    rows: Rows
    total: int


def cells_of(path: str | os.PathLike[str], label: str, how: How) -> list[Cells]:
    """The cells of each run in a file."""
    given = dict(how.columns)
    return cells_in(read_log(path, lambda names: wanted(names, given)), str(path), label, how)


def cells_in(log: Log, source: str, label: str, how: How) -> list[Cells]:
    """The cells of each run in a log that was read, from `source`."""
    given = dict(how.columns)
    if _own_metrics(log):
        given = {"loss": "validation_loss"} | given
    if "step" not in given and not any(bare(name) in ALIASES["step"] for name in log.columns):
        counted = _counted(log, how)
        if counted is not None:
            log.columns[COUNTED] = counted
            given = {"step": COUNTED} | given
    found = []
    parts = parts_of(log.columns, given, source, log.known)
    for part in parts:
        names = part.names
        if "step" not in names and log.no_step:
            raise ValueError(f"{source!r}: {log.no_step}.")
        if "step" not in names:
            text = missing(log.known, "step", source)
            if of_sizes(log.known):
                raise ValueError(text)
            other = next((name for name in log.known if _COUNTS & set(normal(name).split("_"))), "")
            also = f" Counted by {other!r}, --columns {quote('step=' + other)}." if other else ""
            raise ValueError(f"{text}{also} Rows logged every N steps: --step-scale N.")
        values, bad, marks = _values(log.columns, names, source, how)
        if names["step"] == COUNTED and values["step"][:1] == 1.0 and "loss" in values:
            # Rows, from one; epochs count from one half. Lines of validation, or of the whole
            # run, are no steps.
            values["step"] = np.cumsum(~np.isnan(values["loss"])).astype(np.float64)
        said = _as_they_count(values, names, source, scaled=how.scale != 1.0)
        rows = Rows(source, values["step"], values.get("loss"), values.get("lr"), said)
        total = len(rows.step)
        if total == 0:
            raise ValueError(f"{source!r} has a header and no rows.")
        rows.notes.extend((*log.repairs, *marks))
        if rows.loss is not None and is_perplexity(names["loss"]):
            with np.errstate(all="ignore"):
                rows.loss = np.where(rows.loss > 0, np.log(rows.loss), rows.loss)
            rows.notes.append(f"the loss is the logarithm of {names['loss']!r}")
        elif rows.loss is not None:
            bad += repairs.unknown_losses(rows, names["loss"], drop=how.drop_nan)
        repairs.without_nan(rows, bad, drop=how.drop_nan)
        if part.rows is not None:
            rows.keep(part.rows)
        name = label if len(parts) == 1 else f"{label} {part.run}" if label else part.run
        found.append(Cells(name, part.run, log, names, rows, total))
    return found


def _values(
    columns: Mapping[str, Any], names: dict[str, str], source: str, how: How
) -> tuple[dict[str, np.ndarray], list[int], tuple[str, ...]]:
    """The numbers of each role, rows with a written NaN, and what of the marks in them was mended.

    Raises:
        ValueError: a cell is no number, nor one with decimal commas or marks of thousands.
    """

    def read(found: Mapping[str, Any], bad: list[int]) -> dict[str, np.ndarray]:
        return {
            role: numbers(
                found[name],
                name,
                source,
                refused=bad if how.drop_nan and role != "step" else None,
                steps=role == "step",
            )
            for role, name in names.items()
            if role != "run"
        }

    bad: list[int] = []
    try:
        return read(columns, bad), bad, ()
    except ValueError:
        plain, said = plain_numbers({n: columns[n] for role, n in names.items() if role != "run"})
        if not said:
            raise
    bad.clear()
    return read(plain, bad), bad, said


def _as_they_count(
    values: dict[str, np.ndarray], names: dict[str, str], source: str, *, scaled: bool
) -> list[str]:
    """Make values that count in a power of ten, or are logarithms, what they are of; what was done.

    Raises:
        ValueError: logarithms of rates to a base that the name does not say.
    """
    said = []
    for role, name in names.items():
        if role not in values:
            continue
        log, factor = logarithm_of(name), counted_in(role, name)
        if log is not None and (log[0] or role == "lr"):
            base, of = log
            if not base:
                raise ValueError(
                    f"column {name!r} of {source!r} does not say its base: rename it log10_{of} or "
                    f"ln_{of}."
                )
            values[role] = np.asarray(base ** values[role])
            said.append(f"{name!r} is a logarithm, read as {of}")
        elif factor != 1.0 and role != "loss" and not (role == "step" and scaled):
            values[role] = values[role] * factor
            said.append(f"{name!r} counts in {factor:g}")
    return said


def _own_metrics(log: Log) -> bool:
    """Whether these are the metrics of `hidim train`, whose validation loss counts."""
    return {"step", "tokens", "train_loss", "validation_loss", "lr"} <= set(log.columns)


def _counted(log: Log, how: How) -> np.ndarray | None:
    """Steps of a log that has none: epochs one by one, or rows where a scale says what a row is."""
    if not log.columns or any(" - " in name for name in log.columns):
        return None
    count = len(next(iter(log.columns.values())))
    epoch = next((name for name in log.columns if normal(name) == "epoch"), None)
    if epoch is not None:
        try:
            values = np.array([float(cell) for cell in log.columns[epoch]])
        except (TypeError, ValueError):
            values = np.zeros(0)
        if len(values) > 1 and values[0] in (0.0, 1.0) and np.all(np.diff(values) == 1):
            return values + (0.5 - values[0])  # a mean over an epoch stands in its middle
    if how.step_scale is not None:
        return np.arange(1.0, count + 1.0)
    return None


def joined(parts: list[Cells], how: How) -> list[Cells]:
    """Losses without a rate get the rate of their run from another file that has rates alone; files
    of one run, one of which goes on where another ends, are one."""
    parts = _continued(parts)
    rates = [part for part in parts if part.rows.lr is not None and part.rows.loss is None]
    lone = [part for part in parts if part.rows.loss is not None and part.rows.lr is None]
    if not rates or not lone:
        return parts
    used: set[int] = set()
    for part in lone:
        own = [rate for rate in rates if rate.run and rate.run == part.run]
        if not own and len(lone) == len(rates) == 1:
            own = rates
        if len(own) != 1:
            known = ", ".join(rate.run or rate.label for rate in rates)
            raise ValueError(
                f"{part.rows.source!r} has losses of {part.run or part.label!r} and no rate, and "
                f"the other files have rates of {known}: which are its own cannot be told. Join "
                "the columns in one file."
            )
        used.add(id(own[0]))
        _add_rate(part, own[0], how)
    left = [rate for rate in rates if id(rate) not in used]
    if left and how.loss == "needed":
        raise ValueError(f"{left[0].rows.source!r} has rates and no loss, of no run given here.")
    return [part for part in parts if part.rows.loss is not None]


def _continued(parts: list[Cells]) -> list[Cells]:
    """Parts of one name, in several files, whose steps follow one another, put together."""
    out: list[Cells] = []
    for part in sorted(parts, key=lambda one: _first(one.rows.step)):
        before = next((one for one in out if _goes_on(one, part)), None)
        if before is None:
            out.append(part)
            continue
        for name in ("step", "loss", "lr"):
            own = getattr(before.rows, name)
            if own is not None:
                setattr(before.rows, name, np.concatenate([own, getattr(part.rows, name)]))
        before.total += part.total
        before.rows.notes.append(
            f"goes on in {Path(part.rows.source).name} from step {_first(part.rows.step):g} on"
        )
    return [part for part in parts if any(part is one for one in out)]


def _goes_on(before: Cells, part: Cells) -> bool:
    """Whether a part is what came after another, of the same run in another file."""
    if not part.run or before.run != part.run or before.rows.source == part.rows.source:
        return False
    one, two = before.rows, part.rows
    alike = (one.loss is None, one.lr is None) == (two.loss is None, two.lr is None)
    return alike and bool(np.nanmax(one.step, initial=-np.inf) < _first(two.step))


def _first(step: np.ndarray) -> float:
    return float(np.nanmin(step, initial=np.inf))


def _add_rate(part: Cells, rate: Cells, how: How) -> None:
    for one in (part, rate):
        repairs.without_blank_steps(one.rows)
        repairs.resumed(one.rows, how.resumed)
        if np.any(np.diff(one.rows.step) < 0):
            raise ValueError(
                f"{one.rows.source!r} goes back in step: a resumed run is joined to its rates with "
                "--resumed keep-last."
            )
    part.rows.notes.extend(note for note in rate.rows.notes if note not in part.rows.notes)
    loss, lr = part.rows.loss, rate.rows.lr
    assert loss is not None
    assert lr is not None
    step = np.concatenate([part.rows.step, rate.rows.step])
    order = np.argsort(step, kind="stable")
    part.rows.step = step[order]
    part.rows.loss = np.concatenate([loss, np.full(len(lr), np.nan)])[order]
    part.rows.lr = np.concatenate([np.full(len(loss), np.nan), lr])[order]
    part.names["lr"] = f"{rate.names['lr']} of {Path(rate.rows.source).name}"
    part.total = len(step)
