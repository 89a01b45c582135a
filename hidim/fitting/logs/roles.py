"""Which columns are the step, the loss and the learning rate, and of how many runs?

Names are found as programs give them (names.py), or as the caller gives them. A W&B export names
its columns "run - metric"; a file of several runs comes apart into one part per run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.logs.names import (
    ALIASES,
    VALIDATION,
    is_loss,
    is_perplexity,
    is_rate,
    normal,
    unsmoothed,
    without_unit,
)
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.splits import NAMES as SPLITS
from hidim.support.checks import choice

ROLES = ("step", "loss", "lr", "run")
NONE = "-"  # as a name: the log has no such column
_ONE_RUN = (
    "A diverged run has no law; end the file before that row, or leave isolated rows out: "
    "--drop-nan."
)
_SHORT = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([kKmMbBgGtT])\s*")
_POWERS = {"k": "e3", "m": "e6", "b": "e9", "g": "e9", "t": "e12"}
_BLANK = ("na", "n/a", "#n/a", "<na>", "null", "none", "nil", "-", "--", "—", ".", "?")
_OF = re.compile(r"\s*(\d+)\s*(?:/|of)\s*\d+\s*")  # 100/24000, a step of all


@dataclass(frozen=True)
class Part:
    """The columns of one run.

    Attributes:
        run: its name in the file, "" for the only one.
        names: role to column, without those that are not there.
        rows: which rows are its own, a mask (n,), or None for all.
    """

    run: str
    names: dict[str, str]
    rows: np.ndarray | None = None


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


def parts_of(
    columns: Columns, given: Mapping[str, str], source: str, known: Sequence[str] = ()
) -> list[Part]:
    """The runs of a file, with the columns of each; `known` are all names, for complaints.

    Raises:
        ValueError: a name that is not there.
    """
    names = list(columns)
    shared = {role: name for role in ROLES if (name := _named(names, role, given, source, known))}
    label = shared.pop("run", None)
    if label is not None and "run" not in given and len(_labels(columns[label])) < 2:
        label = None
    if label is not None:
        cells = ["" if cell is None else str(cell) for cell in columns[label]]
        masks = {one: np.array([cell == one for cell in cells]) for one in dict.fromkeys(cells)}
        return [Part(one, shared, mask) for one, mask in masks.items() if one]
    found = _prefixed(names, shared, given)
    if found and "loss" not in shared and given.get("loss") != NONE:
        return [Part(run, {**shared, **roles}) for run, roles in found.items()]
    if len(found) == 1:  # the rate of the one run in the file
        shared = {**next(iter(found.values())), **shared}
    return [Part("", shared)]


def wanted(names: Sequence[str], given: Mapping[str, str]) -> list[str]:
    """The columns of a table worth reading."""
    found = [*_prefixed(names, {}, {}).values()]
    keep = {name for roles in found for name in roles.values()}
    for role in ROLES:
        name = given.get(role) or _alias(names, role)
        if name is not None:
            keep.add(_spelled(names, name) or name)
    if {"value", "metricvalue"} & set(map(normal, names)):  # of one metric, or one value a row
        return list(names)
    if given.get("loss") is None and not any(_alias([name], "loss") for name in keep):
        return list(names)  # so that a complaint names them all
    splits = {name for name in names if normal(name) in SPLITS}
    if splits:  # which may part a column of losses in two
        keep |= splits | {name for name in names if f"val_{name}" == given.get("loss")}
    if _alias(names, "step") is None:
        keep |= {name for name in names if normal(name) == "epoch"}
    return [name for name in names if name in keep]


def _labels(cells: Any) -> set[str]:
    return {str(cell) for cell in cells if cell is not None}


def _named(
    names: list[str],
    role: str,
    given: Mapping[str, str],
    source: str,
    known: Sequence[str] = (),
) -> str | None:
    name = given.get(role)
    if name == NONE:
        return None
    if name is None:
        return _alias(names, role)
    found = _spelled(names, name)
    if found is None:
        every = ", ".join(list(known or names)[:12])
        raise ValueError(f"{source!r} has no column {name!r}; it has {every}.")
    return found


def _spelled(names: Sequence[str], name: str) -> str | None:
    """The column of this name, or the only one that differs from it in spelling alone."""
    if name in names:
        return name
    near = [one for one in names if normal(one) == normal(name)]
    return near[0] if len(near) == 1 else None


def _alias(
    names: Sequence[str], role: str, aliases: Mapping[str, tuple[str, ...]] = ALIASES
) -> str | None:
    if aliases is not ALIASES:
        usual = [normal(alias) for alias in aliases[role]]
        for spelling in (normal, without_unit):
            found = {spelling(name): name for name in reversed(names)}
            for alias in usual:
                if alias in found:
                    return found[alias]
        return None
    spelled = {normal(name): name for name in reversed(names) if " - " not in name}
    for alias in aliases[role]:
        if alias in spelled:
            return spelled[alias]
    return _resembling(spelled, role)


def _resembling(spelled: Mapping[str, str], role: str) -> str | None:
    """A column whose name ends as a loss's or a rate's does, where it is the only one."""
    if role == "loss":
        near = [name for name in spelled if is_loss(name)]
        if not near:
            near = [name for name in VALIDATION if name in spelled][:1]
        if not near:
            near = [name for name in spelled if is_loss(unsmoothed(name))]
        if not near:
            near = sorted(
                filter(is_perplexity, spelled), key=lambda n: bool(re.search("val|ev", n))
            )
            near = near[:1]
        return spelled[near[0]] if len(near) == 1 else None
    if role == "lr":
        groups = sorted(filter(is_rate, spelled))  # of the parameters of one optimizer: the first
        alike = len({re.sub(r"\d+$", "", name) for name in groups}) == 1
        return spelled[groups[0]] if groups and alike else None
    return None


def _prefixed(
    names: Sequence[str], shared: Mapping[str, str], given: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Run to role to column, of columns named "run - metric"."""
    runs: dict[str, dict[str, str]] = {}
    metrics: dict[str, list[str]] = {}
    for name in names:
        run, dash, metric = name.rpartition(" - ")
        if dash and not metric.endswith(("__MIN", "__MAX")):
            metrics.setdefault(run, []).append(metric)
    for run, own in metrics.items():
        found = {}
        for role in ("step", "loss", "lr"):
            if role in shared or role in given:
                continue
            known = _alias(own, role)
            if known is not None:
                found[role] = f"{run} - {known}"
        if set(found) - {"step"}:
            runs[run] = found
    return runs


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
    if name is not None and _spelled(list(table), name) is None:
        raise ValueError(
            f"{source!r} has no column {name!r}; it has {', '.join(list(table)[:12])}."
        )
    found = _alias(list(table), role, aliases) if name is None else _spelled(list(table), name)
    if found is None and needed:
        raise ValueError(missing(list(table), role, source))
    return found


def missing(names: Sequence[str], role: str, source: str) -> str:
    """What to say where no column plays a role."""
    what = {"step": "optimizer step", "lr": "learning rate"}.get(role, role)
    epoch = next((name for name in names if normal(name) == "epoch"), None)
    if role == "step" and epoch is not None:
        return (
            f"{source!r} has no column for the {what}; it has {', '.join(list(names)[:12])}. Name "
            f"it, or its epochs: --columns step={epoch} --step-scale STEPS-PER-EPOCH."
        )
    return (
        f"{source!r} has no column for the {what}; it has {', '.join(list(names)[:12])}. "
        f"Name it: --columns {role}=NAME."
    )


def numbers(
    cells: Any,
    name: str,
    source: str,
    *,
    remedy: str = _ONE_RUN,
    refused: list[int] | None = None,
    counts: bool = False,
    steps: bool = False,
) -> np.ndarray:
    """Cells as float64; blanks become NaN, and any NaN written out is refused with the remedy.

    Args:
        cells: text, numbers or None, or an array, masked where it is blank.
        name: of the column, and `source` of the file, in a complaint.
        remedy: what to do about NaN.
        refused: gets the rows that hold a written NaN or infinity, which are then blank.
        counts: whether 24k, 70M and 1.4T are numbers here, of steps, parameters or tokens.
        steps: whether these are steps, which may be written 100/24000.
    """
    if isinstance(cells, np.ndarray):
        blank = np.ma.getmaskarray(cells) if isinstance(cells, np.ma.MaskedArray) else None
        values = np.asarray(np.ma.getdata(cells), dtype=np.float64)
        bad = ~np.isfinite(values) if blank is None else ~np.isfinite(values) & ~blank
        for row in np.flatnonzero(bad):
            if refused is None:
                raise ValueError(_not_finite(int(row), name, values[row], source, remedy))
            refused.append(int(row))
        hole = bad if blank is None else bad | blank
        return np.where(hole, np.nan, values) if hole.any() else values
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.lower() in _BLANK):
            out[i] = np.nan
            continue
        if isinstance(cell, list) and len(set(map(str, cell))) == 1:
            cell = cell[0]  # of parameter groups alike
        try:
            out[i] = _counted(cell, steps) if counts or steps else float(cell)
        except (TypeError, ValueError):
            raise ValueError(
                f"row {i + 2} of {source!r}: column {name!r} holds {cell!r}, not a number"
                f"{_slip(cells, i, name)}."
            ) from None
        if not math.isfinite(out[i]):
            if refused is None:
                raise ValueError(_not_finite(i, name, cell, source, remedy))
            refused.append(i)
            out[i] = np.nan
    return out


def _counted(cell: Any, steps: bool) -> float:
    found = _SHORT.fullmatch(cell) if isinstance(cell, str) else None
    if steps and isinstance(cell, str) and (step := _OF.fullmatch(cell)):
        return float(step[1])
    # 1.4T is 1.4e12 to the bit, which a product is not.
    return float(found[1] + _POWERS[found[2].lower()]) if found else float(cell)


def _slip(cells: Any, row: int, name: str) -> str:
    """What a cell that is no number may be instead, to end a complaint with."""
    cell = str(cells[row]).strip()
    if normal(cell) == normal(name):
        return ": the header again, of a resumed run? Leave that line out (--resumed keep-last)"
    if re.fullmatch(r"\d{1,3}(['’ \u00a0\u202f]\d{3})+(\.\d+)?", cell):
        return ": write numbers without marks of thousands"
    if re.match(r"[-+.\de]+ ?(±|\+-|\+/-|\()", cell, re.I):
        return ": write the value alone, without its error"
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", cell):
        one = f", or {cell.replace(',', '.')} for a decimal" if cell.count(",") == 1 else ""
        return f": write {cell.replace(',', '')}{one}"
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+\.\d+", cell):
        return f": write {cell.replace(',', '')}"
    if "," in cell:
        return ": write decimals with a point"
    if _OF.fullmatch(cell):
        return ": one of how many? Write the number alone"
    if cell.endswith("%"):
        return ": write shares as numbers, 0.1 for 10%"
    if row == 0 and not any(c.isdigit() for c in cell):
        return ": a row of units? Leave it out"
    if re.match(r"[-+]?[\d.]+(e[-+]?\d+)? *[A-Za-z]", cell):
        return ": write it without its unit"
    return ""


def _not_finite(index: int, name: str, cell: Any, source: str, remedy: str) -> str:
    return f"row {index + 2} of {source!r}: column {name!r} is {cell}. {remedy}"
