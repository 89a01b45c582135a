"""Rows in a CSV with a header row, of any size: read into the table of its numbers and no other.

One pass in C where all columns are numbers; otherwise line by line, up to the first cell that is
none, which is refused by its row, counted from 0, its line in the file and its column.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.problems.tables.choice import Choice, Data, choose, gap, not_numbers
from hidim.support.checks import shown
from hidim.support.delimited import Table, streamed_table, whole_rows

_MISSING = ("", "na", "n/a", "nan", "null", "none", "nil", "?", ".", "-")


def read_text_rows(path: str | os.PathLike[str], target: Any, drop: Any) -> Data:
    """Features and targets of a delimited file; see `read_rows`."""
    with streamed_table(path) as table:
        choice = choose(path, table.names, target, drop)
        numbers = None
        if len(choice.wanted) == len(table.names):
            numbers = _fast_numbers(path, table)
        if numbers is None:
            numbers = _slow_numbers(path, table, choice)
        return choice.taken_from(numbers, table.names)


def _fast_numbers(path: str | os.PathLike[str], table: Table) -> np.ndarray | None:
    """All columns, (rows, columns), or None for a file that is not numbers throughout."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.loadtxt(
                path,
                delimiter=table.delimiter,
                skiprows=table.rows.line_num,
                ndmin=2,
                encoding=table.encoding,
                comments=None,
                quotechar='"',
            )
    except (ValueError, UserWarning):
        return None
    fits = numbers.shape[1] == len(table.names) and np.isfinite(numbers).all()
    return numbers if fits else None


def _slow_numbers(path: str | os.PathLike[str], table: Table, choice: Choice) -> np.ndarray:
    """The wanted columns, (rows, wanted)."""
    numbers, rows, wanted = array("d"), 0, choice.wanted
    for row in whole_rows(path, table):
        try:
            numbers.extend([_finite(row[place]) for place in wanted])
        except ValueError:
            where = f"row {rows} (line {table.rows.line_num})"
            raise _wrong(path, table.names, row, choice, where) from None
        rows += 1
    if not rows:
        raise ValueError(f"{str(path)!r} has a header and no rows.")
    return np.frombuffer(numbers).reshape(rows, len(wanted))


def _finite(cell: str) -> float:
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError
    return value


def _wrong(
    path: str | os.PathLike[str],
    names: Sequence[str],
    row: Sequence[str],
    choice: Choice,
    where: str,
) -> ValueError:
    """What is wrong with the first cell of a row that is no number, and what to do."""
    kinds = {place: _kind(row[place]) for place in choice.wanted}
    first = next(place for place, kind in kinds.items() if kind != "number")
    cell = row[first].strip()
    if kinds[first] == "gap":
        return gap(path, names[first], where, cell)
    if re.fullmatch(r"[-+]?\d+,\d+", cell):
        held = f"{str(path)!r} holds {cell!r} in {where}, column {names[first]!r}"
        return ValueError(f"{held}: write decimals with a point.")
    texts = [place for place, kind in kinds.items() if kind == "text"]
    return not_numbers(path, names, texts, choice, f"text, {shown(cell)} in {where}")


def _kind(cell: str) -> str:
    """Whether a cell is a "number", a "gap" (missing or infinite), or "text"."""
    if cell.strip().lower() in _MISSING:
        return "gap"
    try:
        return "number" if math.isfinite(float(cell)) else "gap"
    except ValueError:
        return "text"
