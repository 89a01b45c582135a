"""Which rows of a table of runs are meant, and which of them belong together?

A condition reads `column=value`, `column!=value`, `column<number` and so on with <=, >, >=; several
values of = are told apart by |. Numbers, 70M too, are compared as numbers, everything else as text.
A value that is the name of a column stands for it, row by row: `step=max_steps`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hidim.fitting.logs.cells import counted
from hidim.fitting.logs.names import ALIASES, normal

RUN_NAMES = (*ALIASES["run"], "id", "job", "job_id", "trial", "trial_id")
_NO_FAMILY = (*RUN_NAMES, "seed", "step", "steps", "date", "time", "")
_OWN = 0.5  # share of the spread of a column that its inputs do not explain
_CONDITION = re.compile(r"^\s*(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*$")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def matching(table: Mapping[str, Any], conditions: str | Sequence[str], source: str) -> np.ndarray:
    """Which rows fulfil every condition, or the only one, shape (n,).

    Raises:
        ValueError: no condition, no such column, a comparison of what is no number, or no row left.

    >>> matching({"set": ["a", "b", "a"], "lr": ["1", "2", "3"]}, ["set=a", "lr>=2"], "t.csv")
    array([False, False,  True])
    """
    count = len(next(iter(table.values()), ()))
    if not count:
        raise ValueError(f"{source!r} has a header and no rows.")
    keep = np.ones(count, dtype=bool)
    asked = [conditions] if isinstance(conditions, str) else list(conditions)
    for condition in asked:
        found = _CONDITION.match(condition)
        if not found or not found.group(3):
            raise ValueError(f"`where` must read column=value, or != < <= > >=; got {condition!r}.")
        name, sign, wanted = found.groups()
        cells = column_of(table, name, source)
        limits = [wanted] * count
        if wanted in table and wanted not in map(str, cells):
            limits = list(map(str, table[wanted]))
        holds = [_holds(c, sign, w, condition) for c, w in zip(cells, limits, strict=True)]
        left = keep & np.array(holds, dtype=bool)
        if not left.any():
            so_far = " and ".join(asked[: asked.index(condition) + 1])
            there = [cell for cell, kept in zip(cells, keep, strict=True) if kept]
            raise ValueError(f"no row of {source!r} has {so_far}; {_values(name, there)}.")
        keep = left
    return keep


def column_of(table: Mapping[str, Any], name: str, source: str) -> list[Any]:
    """The cells of a column, or a refusal that lists the columns."""
    if name not in table:
        raise ValueError(
            f"{source!r} has no column {name!r}; it has {', '.join(list(table)[:12])}."
        )
    return list(table[name])


def codes(cells: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Cells as numbers 0, 1, ... by first appearance, shape (n,), and what each stands for.

    >>> codes(["b", "a", "b"])
    (array([0, 1, 0]), ['b', 'a'])
    """
    names = list(dict.fromkeys(map(str, cells)))
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[str(cell)] for cell in cells], dtype=np.int64), names


def last_of_each(kinds: Sequence[Any], tokens: np.ndarray) -> np.ndarray:
    """Places of the row with the most tokens of each kind, in their order, shape (kinds,).

    >>> last_of_each(["a", "a", "b"], np.array([1.0, 2.0, 1.0]))
    array([1, 2])
    """
    which, names = codes(kinds)
    rows = [np.flatnonzero(which == i) for i in range(len(names))]
    return np.sort([one[np.argmax(tokens[one])] for one in rows])


def traits(table: Mapping[str, Any], used: Sequence[str | None]) -> dict[str, list[Any]]:
    """Columns of text, or of numbers of runs, beside those in use, that sort the rows into a few
    classes."""
    out = {}
    for name, cells in table.items():
        of_runs = normal(name) in RUN_NAMES
        if name in used or (_number(cells[0]) is not None and not of_runs):
            continue
        kinds = {str(cell) for cell in cells}
        if 2 <= len(kinds) <= len(cells) / (1.5 if of_runs else 4):
            out[name] = list(cells)
    return out


def dials(
    table: Mapping[str, Any], used: Sequence[str | None], inputs: tuple[np.ndarray, ...]
) -> dict[str, list[Any]]:
    """Columns of numbers that sort the rows into a few classes, such as the size of a vocabulary.

    What follows from the inputs, as tokens per parameter do and a rate tuned to the size, tells no
    families apart and is left out.

    Args:
        table: cells of each column, n of them.
        used: columns in use.
        inputs: parameters and tokens, or one quantity, shape (n,) each.
    """
    logs = [np.log(x) for x in inputs if np.all(x > 0)]
    squares = [a * b for i, a in enumerate(logs) for b in logs[i:]]
    smooth = np.column_stack([np.ones_like(inputs[0]), *logs, *squares])
    out = {}
    for name, cells in table.items():
        numbers = [_number(cell) for cell in cells]
        if name in used or normal(name) in _NO_FAMILY or None in numbers:
            continue
        values = np.array(numbers, dtype=np.float64)
        if not 2 <= len(np.unique(values)) <= len(values) / 4 or not np.all(np.isfinite(values)):
            continue
        values = np.log(values) if np.all(values > 0) else values
        left = values - smooth @ np.linalg.lstsq(smooth, values, rcond=None)[0]
        if np.var(left) > _OWN * np.var(values):
            out[name] = list(cells)
    return out


def _holds(cell: Any, sign: str, wanted: str, condition: str) -> bool:
    value = _number(cell)
    if sign in ("=", "!="):
        same = any(_same(cell, value, one.strip()) for one in wanted.split("|"))
        return same == (sign == "=")
    limit = _number(wanted)
    if limit is None:
        raise ValueError(
            f"`where` {condition!r} compares with {wanted!r}, which is neither a number, such as "
            "5e7 or 50M, nor a column."
        )
    return value is not None and _ORDER[sign](value, limit)


def _same(cell: Any, value: float | None, wanted: str) -> bool:
    number = _number(wanted)
    if value is not None and number is not None:
        return abs(value - number) <= 1e-9 * max(abs(value), abs(number))
    return str(cell) == wanted


def _number(cell: Any) -> float | None:
    """A number, also one that is written 70M, or None."""
    try:
        return counted(cell)
    except (TypeError, ValueError):
        return None


def _values(name: str, cells: Sequence[Any]) -> str:
    kinds = list(dict.fromkeys(map(str, cells)))
    more = ", ..." if len(kinds) > 8 else ""
    return f"{name} holds {', '.join(kinds[:8])}{more}"
