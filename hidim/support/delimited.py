"""What columns does a delimited text file hold, whoever saved it?

UTF-8 with or without a byte-order mark, or UTF-16; commas, tabs or semicolons; quoted or not. The
first row names the columns. A decimal comma is refused: it could as well group thousands.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

import numpy as np

from hidim.support.checks import is_number
from hidim.support.inputs import check_names, encoding_of, read_bytes

_DELIMITERS = (",", "\t", ";")


class Table(NamedTuple):
    """A file's rows as text, under the names of the first."""

    names: list[str]
    rows: Any  # a csv.reader past the header
    delimiter: str
    encoding: str


def open_table(path: str | os.PathLike[str], example: str = "step,lr,loss") -> Table:
    """The names of the columns, and the rows still to be read; `example` is a header to advise.

    Raises:
        ValueError: no such file, no text, no header row, or one name twice.
    """
    data = read_bytes(path)
    encoding = encoding_of(path, data)
    stream = io.StringIO(data.decode(encoding), newline="")
    return _table(path, stream, encoding, example)


@contextmanager
def streamed_table(
    path: str | os.PathLike[str], example: str = "size,age,price"
) -> Iterator[Table]:
    """The same for a file of any size, a line at a time; a column may be called by a number.

    Raises:
        ValueError: as `open_table`, where the file turns out to be no text on the way too.
    """
    encoding = "utf-16" if read_bytes(path, 2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        with open(path, encoding=encoding, newline="") as stream:
            yield _table(path, stream, encoding, example, numbered=True)
    except UnicodeError:
        raise ValueError(
            f"{str(path)!r} is not a text file, or not one in UTF-8: save it as UTF-8."
        ) from None


def _table(
    path: str | os.PathLike[str],
    stream: TextIO,
    encoding: str,
    example: str,
    *,
    numbered: bool = False,
) -> Table:
    before = []
    for line in stream:
        before.append(line)
        if line.strip("\r\n"):
            break
    if not before or not before[-1].strip():
        raise ValueError(f"{str(path)!r} is empty: it needs a header row and data.")
    if "\0" in before[-1]:
        raise ValueError(f"{str(path)!r} is not a text file: it holds zero bytes.")
    delimiter = max(_DELIMITERS, key=before[-1].count)
    rows = csv.reader(itertools.chain(before, stream), delimiter=delimiter)
    names = [name.strip() for name in next(row for row in rows if row)]
    numbers = [is_number(name) for name in names]
    if any(numbers) and not (numbered and _may_be_names(names, numbers)):
        raise ValueError(
            f"{str(path)!r} has no header row: its first line holds numbers. Add one line that "
            f"names the columns, such as {example}."
        )
    if len(names) == 1 and re.search(r"[|\s]", names[0]):
        raise ValueError(
            f"{str(path)!r} has one column, {names[0][:60]!r}: columns must be parted by commas, "
            "tabs or semicolons."
        )
    while len(names) > 1 and not names[-1]:  # a comma at the end of the line
        names.pop()
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"column {name!r} appears twice in {str(path)!r}.")
    return Table(names, rows, delimiter, encoding)


def _may_be_names(names: list[str], numbers: list[bool]) -> bool:
    """Whether some of them are words, or all are counted from 0, as pandas calls its columns."""
    return not all(numbers) or names == [str(place) for place in range(len(names))]


def read_cells(
    path: str | os.PathLike[str],
    keep: Sequence[str] | None = None,
    example: str = "step,lr,loss",
) -> dict[str, list[str | None]]:
    """The columns as text under their names; a blank cell is None and blank rows are left out.

    Args:
        path: the file.
        keep: names worth reading; None reads all.
        example: a header to advise where there is none.

    Raises:
        ValueError: a row of another length than the header, or what `open_table` refuses.
    """
    table = open_table(path, example)
    names = table.names
    wanted = [name for name in names if keep is None or name in keep]
    columns: dict[str, list[str | None]] = {name: [] for name in wanted}
    for row in whole_rows(path, table):
        cells = dict(zip(names, row, strict=True))
        for name in wanted:
            columns[name].append(cells[name].strip() or None)
    return columns


def whole_rows(path: str | os.PathLike[str], table: Table) -> Iterator[list[str]]:
    """The rows of a table but for the blank ones, each with one cell per name.

    Raises:
        ValueError: a row of another length than the header, or what is no CSV.
    """
    names = table.names
    try:
        for row in table.rows:
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            while len(row) > len(names) and not row[-1].strip():
                row.pop()
            if len(row) != len(names):
                raise ValueError(
                    f"row {table.rows.line_num} of {str(path)!r} has {len(row)} cells, the header "
                    f"has {len(names)}: a truncated or damaged file?"
                )
            yield row
    except csv.Error as error:
        raise ValueError(f"row {table.rows.line_num} of {str(path)!r}: {error}.") from None


def read_numbers(
    path: str | os.PathLike[str], *, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The columns of a file that holds these and no others, as finite float64.

    Args:
        path: the file.
        required: names it must have.
        optional: names it may have.

    Raises:
        ValueError: another column, a missing one, no row, or a cell that is no finite number.
    """
    cells = read_cells(path, example=",".join(required))
    check_names(path, list(cells), required=required, optional=optional)
    if not cells[required[0]]:
        raise ValueError(f"{str(path)!r} has a header and no rows.")
    return {name: _numbers(path, name, column) for name, column in cells.items()}


def _numbers(path: str | os.PathLike[str], name: str, cells: Sequence[str | None]) -> np.ndarray:
    values = np.empty(len(cells))
    for index, cell in enumerate(cells):
        try:
            values[index] = float(cell or "")
        except ValueError:
            held = "a blank" if cell is None else repr(cell)
            hint = ": write decimals with a point." if "," in held else "."
            raise ValueError(
                f"{str(path)!r} holds {held} where its row {index + 1} needs a number for "
                f"{name!r}{hint}"
            ) from None
        if not math.isfinite(values[index]):
            raise ValueError(f"{str(path)!r} holds {cell} for {name!r} in its row {index + 1}.")
    return values
