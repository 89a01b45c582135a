"""Which cell of a table is no number? Rows that people hand in, checked cell by cell.

A table is anything with rows and columns: arrays, lists of lists, data frames with named columns,
masked arrays. What is missing, infinite or text is refused with its row and its column. Rows and
columns without a name are counted from 0, as NumPy does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hidim.support import checks
from hidim.support.checks import is_number

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
        _refuse_shape(name, value, ndim)
        _refuse_cell(name, value, names)
        raise error from None
    _refuse_gaps(name, found)
    return found


def samples(X: Any, y: Any, *, copy: bool = False) -> tuple[Columns, np.ndarray]:
    """The features and the targets of the same rows, matched by their places.

    Args:
        X: (rows, d), an array or a data frame.
        y: (rows,) or (rows, outputs).
        copy: whether the features may be written to.

    Raises:
        ValueError: as `columns_of`, other numbers of rows, none at all, or data frames that name
            the same rows in another order.

    >>> table, y = samples([[1, 2], [3, 4]], [5, 6])
    >>> table.values.shape, y.shape
    ((2, 2), (2,))
    """
    table, targets = columns_of("X", X, copy=copy), columns_of("y", y, ndim=(1, 2)).values
    if len(table.values) != len(targets):
        raise ValueError(
            f"`X` and `y` must have one row per sample, got {table.values.shape} and "
            f"{targets.shape}."
        )
    if table.values.size == 0 or targets.size == 0:
        raise ValueError(
            f"`X` and `y` hold no data: their shapes are {table.values.shape} and {targets.shape}."
        )
    if _shuffled(getattr(X, "index", None), getattr(y, "index", None)):
        raise ValueError(
            "`X` and `y` have the same index in another order, and rows are matched by their "
            "places: give y.loc[X.index]."
        )
    return table, targets


def _shuffled(one: Any, other: Any) -> bool:
    """Whether both are indices of data frames, of the same names in another order."""
    if not (hasattr(one, "equals") and hasattr(other, "equals")) or one.equals(other):
        return False
    return bool(one.sort_values().equals(other.sort_values()))


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


def _refuse_shape(name: str, value: Any, ndim: int | tuple[int, ...]) -> None:
    """Say what to do with one row of numbers, and which row has another length."""
    try:
        shape = np.shape(value)
    except ValueError:
        lengths = [np.size(row) for row in value]
        odd = next((i for i, size in enumerate(lengths) if size != lengths[0]), None)
        if odd is not None:
            raise ValueError(
                f"`{name}` has {lengths[0]} numbers in row 0 and {lengths[odd]} in row {odd}: "
                "every row must have one number per column."
            ) from None
        return
    if ndim == 2 and len(shape) == 1 and shape[0]:
        raise ValueError(
            f"`{name}` must have rows and columns, got shape {shape}: give {name}[:, None] if it "
            f"is one column, {name}[None] if it is one row."
        )


def _refuse_cell(name: str, value: Any, names: list[str] | None) -> None:
    """Name the first cell that holds something else than a number, if that is what is wrong."""
    try:
        if np.asarray(value).dtype.kind in "cmM" and names is None:
            return  # all of them do
        cells = np.asarray(value, dtype=object)
    except ValueError:  # rows of different lengths
        return
    if cells.ndim not in (1, 2) or not cells.size:
        return
    table = Columns(cells.reshape(len(cells), -1), names)
    for column in range(table.values.shape[1]):
        for row, cell in enumerate(table.values[:, column]):
            if is_number(cell):
                continue
            where = f"row {row}" + (f", {table.called(column)}" if cells.ndim == 2 else "")
            if str(cell) in _MISSING:
                raise ValueError(
                    f"`{name}` has no number in {where}: {cell}. Fill it in, or leave the row out."
                )
            held = "text" if isinstance(cell, str) else f"a {type(cell).__name__}"
            raise ValueError(
                f"`{name}` holds {held} in {where}: {checks.shown(cell)}. Write that column as "
                "numbers, or leave it out."
            )
