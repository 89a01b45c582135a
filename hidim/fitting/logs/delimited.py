"""Which columns does a table in text hold: commas, tabs, semicolons or blanks between them?

Lines that begin with "#" may come first; the last of them may name the columns. A file of numbers
alone is read in one pass, whatever its length.
"""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hidim.fitting.logs.names import ALIASES, is_loss, normal, without_unit
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.sources import Source
from hidim.support.checks import is_number
from hidim.support.delimited import Table, whole_rows

_DELIMITERS = (",", "\t", ";")
_VALUE_FIRST = re.compile(r"[-+]?\d[\d.]*(?:[eE][-+]?\d+)? +[A-Za-z]|\d+ +[\d.]+ +[A-Za-z]")
_TITLES = 20  # lines that may come before a header
_KNOWN = {*(name for role in ALIASES.values() for name in role), "params", "tokens", "flops", "n"}


class Head(NamedTuple):
    """What the first lines of a table say."""

    names: list[str]
    delimiter: str  # "" for blanks
    skipped: int  # lines before the first row


def looks_delimited(source: Source) -> bool:
    """Whether the first two lines have as many cells, with numbers in the second alone."""
    lines = [line for line in source.head.splitlines()[:200] if line.strip()]
    body = [line for line in lines if not line.lstrip().startswith("#")]
    if not body:
        return False
    body = body[_preamble(body) :]
    if _numeric(body[0]):
        return True
    if len(body) < 2:
        return _delimiter(body[0]) != "" and not _names_a_value(body[0])
    delimiter = _delimiter(body[0])
    names, cells = _cells(body[0], delimiter), _cells(body[1], delimiter)
    if len(names) < 2 or len(cells) != len(names) or any(map(is_number, names)):
        return False
    if not delimiter:
        return all(is_number(cell) or re.fullmatch(r"\d+(?::\d\d)+", cell) for cell in cells)
    return any(map(is_number, cells)) and not _names_a_value(body[0])


def _preamble(lines: Sequence[str]) -> int:
    """How many lines come before the header, such as a title, where the first is none.

    Args:
        lines: the first ones, without blank ones and comments.
    """
    if _numeric(lines[0]) or _heads(lines, 0):
        return 0
    later = range(1, min(len(lines) - 2, _TITLES))
    return next((i for i in later if _heads(lines, i) and _heads(lines, i, 2)), 0)


def _heads(lines: Sequence[str], i: int, after: int = 1) -> bool:
    """Whether a line names columns, one of them known, of a later line with numbers."""
    delimiter = _delimiter(lines[i])
    if not delimiter or i + after >= len(lines):
        return False
    names, cells = _cells(lines[i].rstrip(f"{delimiter} "), delimiter), lines[i + after]
    known = any(
        is_loss(normal(n)) or normal(n) in _KNOWN or without_unit(n) in _KNOWN for n in names
    )
    numbers = _cells(cells.rstrip(f"{delimiter} "), delimiter)
    return (
        known
        and all(names)
        and not any(map(is_number, names))
        and len(names) == len(numbers)
        and any(map(is_number, numbers))
    )


def _names_a_value(line: str) -> bool:
    """Whether a first line is no header, as it names a value: `iter 400: loss 9.2, time 3ms`."""
    return bool(re.search(r"(?:step|iter\w*|loss|lr)['\"]?(?:\s*[:=]\s*|\s+)\d", line, re.I))


def read_delimited(source: Source, wanted: Sequence[str] | None = None) -> Columns:
    """The columns of a table, or those `wanted`.

    Raises:
        ValueError: no header row, one name twice, a row cut short.
    """
    head = read_head(source)
    if not head.delimiter and len(head.names) > 1 and not looks_delimited(source):
        raise ValueError(
            f"{source} is neither a table nor a log whose lines name a step and a loss; its first "
            f"line is {source.head.strip().splitlines()[0][:60]!r}."
        )
    keep = [name for name in head.names if wanted is None or name in wanted] or head.names
    if wanted is not None:
        fast = _fast(source, head, [head.names.index(name) for name in keep])
        if fast is not None:
            return dict(zip(keep, fast, strict=True))
    columns: Columns = {name: [] for name in keep}
    with source.text() as stream:
        for _ in range(head.skipped):
            next(stream)
        rows: Any = None
        if head.delimiter:
            rows = csv.reader(stream, delimiter=head.delimiter, skipinitialspace=True)
        counted = _Counted(rows if rows is not None else map(str.split, stream), head.skipped)
        for row in whole_rows(source.path, Table(head.names, counted, head.delimiter, "")):
            if row[: len(head.names)] == head.names:  # the header again, of a resumed run
                continue
            for name, cell in zip(head.names, row, strict=True):
                if name in columns:
                    columns[name].append(cell.strip() or None)
    return columns


class _Counted:
    """Rows with the number of their line in the file, as a csv.reader has it."""

    def __init__(self, rows: Iterator[list[str]], skipped: int) -> None:
        self._rows, self._skipped, self._seen = rows, skipped, 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> list[str]:
        row = next(self._rows)
        self._seen += 1
        return [] if row and row[0].lstrip().startswith("#") else row  # a comment is a blank

    @property
    def line_num(self) -> int:
        return self._skipped + getattr(self._rows, "line_num", self._seen)


def read_head(source: Source) -> Head:
    """Names of the columns, and how they are parted."""
    comment, skipped = "", 0
    head = [line for line in source.head.splitlines()[:200] if line.strip()]
    titles = [line for line in head if not line.lstrip().startswith("#")]
    before = _preamble(titles) if titles else 0
    with source.text() as stream:
        line = ""
        for line in stream:
            skipped += 1
            if "\0" in line:
                raise ValueError(f"{source} is not a text file: it holds zero bytes.")
            if line.lstrip().startswith("#"):
                comment, line = line, ""
            elif line.strip() and before:
                before -= 1
            elif line.strip():
                break
        else:
            line = ""
    if not line.strip():
        raise ValueError(f"{source} is empty: it needs a header row and data.")
    delimiter = _delimiter(line)
    if _numeric(line):
        named = _cells(comment.strip().lstrip("#"), delimiter)
        if len(named) != len(_cells(line, delimiter)) or any(map(is_number, named)):
            raise ValueError(
                f"{source} has no header row: its first line holds numbers. Add one line that "
                "names the columns, such as step,lr,loss."
            )
        return Head(_checked(source, named), delimiter, skipped - 1)
    return Head(_checked(source, _cells(line, delimiter)), delimiter, skipped)


def _of_one_column(source: Source) -> bool:
    """Whether a name stands above numbers alone, one a line."""
    lines = [line for line in source.head.splitlines()[:200] if line.strip()]
    lines = [line for line in lines if not line.lstrip().startswith("#")]
    return len(lines) > 1 and not is_number(lines[0]) and all(map(is_number, lines[1:]))


def _checked(source: Source, names: list[str]) -> list[str]:
    if len(names) == 1 and not _of_one_column(source):
        raise ValueError(
            f"{source} has one column, {names[0][:60]!r}: columns must be parted by commas, tabs, "
            "semicolons or blanks."
        )
    if any(is_number(name) for name in names):
        raise ValueError(
            f"{source} has no header row: its first line holds numbers. Add one line that names "
            "the columns, such as step,lr,loss."
        )
    if all(_VALUE_FIRST.match(name) for name in names):
        raise ValueError(
            f"{source} has no header row, and lines whose values come before their names, as in "
            f"{names[-1][:40]!r}: write each name before its value, or a table with the columns "
            "step, lr and loss."
        )
    while len(names) > 1 and not names[-1]:  # a comma at the end of the line
        names = names[:-1]
    for name, count in Counter(names).items():
        if count > 1:
            if name == "&":
                raise ValueError(f"{source} is a table of LaTeX: put commas for & and no \\\\.")
            raise ValueError(f"column {name!r} appears twice in {source}: rename or drop one.")
    return names


def _fast(source: Source, head: Head, which: list[int]) -> np.ndarray | None:
    # One pass in C for files of numbers only; anything else goes the slow way, which complains.
    try:
        with source.named() as file, warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.loadtxt(
                file,
                delimiter=head.delimiter or None,
                skiprows=head.skipped,
                usecols=which,
                ndmin=2,
                encoding="utf-8-sig",
                comments=None,
                quotechar='"',
            )
    except (ValueError, UserWarning):
        return None
    return numbers.T


def _delimiter(line: str) -> str:
    best = max(_DELIMITERS, key=line.count)
    if line.count(best):
        return best
    # Bars also part lines of a log, and a drawn table.
    return "|" if re.fullmatch(r"[^|=:]+(?:\|[^|=:]+)+", line.strip()) else ""


def _cells(line: str, delimiter: str) -> list[str]:
    if not delimiter:
        return line.split()
    try:
        rows = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
        return [cell.strip() for cell in next(rows, [])]
    except csv.Error:  # a cell of a hundred thousand characters
        return [cell.strip() for cell in line.split(delimiter)]


def _numeric(line: str) -> bool:
    cells = [cell for cell in _cells(line, _delimiter(line)) if cell]
    return bool(cells) and all(map(is_number, cells))
