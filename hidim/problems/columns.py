"""Which cell of a table is no number? Rows that people hand in, checked cell by cell.

A table is anything with rows and columns: arrays, lists of lists, data frames with named columns,
masked arrays. What is missing, infinite or text is refused with its row and its column. Rows and
columns without a name are counted from 0, as NumPy does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hidim.support import checks

# How what is missing prints: None, NaN, and the two marks of pandas.
_MISSING = ("None", "nan", "NaN", "<NA>", "NaT")


class Columns(NamedTuple):
    """The numbers of a table and what its columns are called."""

    values: np.ndarray  # (rows,) or (rows, columns)
    names: list[str] | None

    def called(self, column: int) -> str:
        """A column's name as a message quotes it, or its number.

        >>> Columns(np.zeros((1, 2)), ["age", "size"]).called(1), Columns(np.eye(2), None).called(1)
        ("column 'size'", 'column 1')
        """
        return f"column {column}" if self.names is None else f"column {self.names[column]!r}"


def columns_of(
    name: str, value: Any, *, ndim: int | tuple[int, ...] = 2, copy: bool = False
) -> Columns:
    """The finite numbers of the argument `name`, which may be a data frame; for writing if `copy`.

    Raises:
        ValueError: a cell that is missing, infinite or text, named; another number of dimensions.

    >>> columns_of("X", [[1, 2], [3, float("nan")]])
    Traceback (most recent call last):
    ValueError: `X` has no number in row 1, column 1: nan. Fill it in, or leave the row out.
    """
    names = [str(one) for one in value.columns] if hasattr(value, "columns") else None
    if hasattr(value, "toarray"):
        raise ValueError(f"`{name}` is sparse: give {name}.toarray().")
    if isinstance(value, np.ma.MaskedArray):  # NumPy would read what the mask hides
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        found = Columns(checks.real_array(name, value, ndim=ndim, copy=copy), names)
    except ValueError as error:
        _refuse_text(name, value, names)
        raise error from None
    _refuse_gaps(name, found)
    return found


def _refuse_gaps(name: str, found: Columns) -> None:
    """Name the first cell that is NaN or infinite."""
    finite = np.isfinite(found.values)
    if finite.all():
        return
    row, *column = np.argwhere(~finite)[0].tolist()
    cell = f"row {row}" + (f", {found.called(column[0])}" if column else "")
    number = found.values[(row, *column)]
    more = int(np.size(finite) - np.count_nonzero(finite)) - 1
    others = f" ({more:,} more such cells)" if more else ""
    what = "has no number in" if np.isnan(number) else "is infinite in"
    raise ValueError(f"`{name}` {what} {cell}: {number}{others}. Fill it in, or leave the row out.")


def _refuse_text(name: str, value: Any, names: list[str] | None) -> None:
    """Name the first column that holds something else than numbers, if that is what is wrong."""
    try:
        cells = np.asarray(value, dtype=object)
    except ValueError:  # rows of different lengths
        return
    if cells.ndim not in (1, 2) or not cells.size:
        return
    table = Columns(cells.reshape(len(cells), -1), names)
    for column in range(table.values.shape[1]):
        for row, cell in enumerate(table.values[:, column]):
            if _is_number(cell):
                continue
            where = f"row {row}" + (f", {table.called(column)}" if cells.ndim == 2 else "")
            if str(cell) in _MISSING:
                raise ValueError(
                    f"`{name}` has no number in {where}: {cell}. Fill it in, or leave the row out."
                )
            if isinstance(cell, str):
                raise ValueError(
                    f"`{name}` holds text in {where}: {checks.shown(cell)}. Write that column as "
                    "numbers, or leave it out."
                )
            return


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
