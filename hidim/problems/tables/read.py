"""Which rows does a file hold? Features and targets, whoever saved them.

CSV with a header row, by commas, tabs or semicolons; Parquet; an .npy table, whose columns are
numbers; an .npz archive with X and y. Rows are counted from 0, as everywhere in hidim. Limits: the
table of numbers is in memory, once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hidim.problems.columns import columns_of
from hidim.problems.tables.choice import Choice, Data, choose, gap, not_numbers
from hidim.problems.tables.text import read_text_rows
from hidim.support.extras import require
from hidim.support.inputs import read_bytes, read_npz

_INDEX = re.compile(r"__index_level_\d+__")
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".npy", ".npz")


def read_rows(
    path: str | os.PathLike[str],
    target: str | int | Sequence[str | int] | None = None,
    *,
    drop: str | int | Sequence[str | int] = (),
) -> Data:
    """The rows of a file, ready for `Spectrum.from_data`.

    Args:
        path: .csv, .tsv or .txt with a header row, .parquet, .npy, or .npz with X and y.
        target: the column that is learned; several as a list or as "a,b". Columns of an .npy are
            numbers from 0, or from -1 backwards; an .npz has y and takes none.
        drop: columns to leave out, written alike.

    Returns:
        X of shape (rows, features), y of shape (rows,) or (rows, outputs), and their names.

    Raises:
        ValueError: no such file or column, or a cell that is missing, infinite or text, named.
        MissingExtra: Parquet without pyarrow.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "houses.csv"
    ...     _ = path.write_text("size;price;age\\n1.5;3;10\\n2.5;4;20\\n")
    ...     X, y, columns, targets = read_rows(path, "price")
    >>> X.tolist(), y.tolist(), columns, targets
    ([[1.5, 10.0], [2.5, 20.0]], [3.0, 4.0], ['size', 'age'], ['price'])
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"cannot read rows from {str(path)!r}: the name must end in .csv, .tsv, .txt, "
            ".parquet, .npy, or .npz with X (rows are samples) and y."
        )
    read_bytes(path, 1)  # refuses what is not there
    readers: dict[str, Callable[..., Data]] = {
        ".parquet": _parquet,
        ".npy": _array,
        ".npz": _archive,
    }
    return readers.get(suffix, read_text_rows)(path, target, drop)


def _archive(path: str | os.PathLike[str], target: Any, drop: Any) -> Data:
    for what, given in (("target", target), ("drop", drop)):
        if given not in (None, "", (), []):
            raise ValueError(
                f"{str(path)!r} has X and y, all of which are used: leave out `{what}`."
            )
    remedy = "an .npz with X (rows are samples) and y is wanted, as numpy.savez writes it"
    arrays = read_npz(path, ("X", "y"), remedy=remedy)
    try:
        X, y = columns_of("X", arrays["X"]).values, columns_of("y", arrays["y"], ndim=(1, 2)).values
    except ValueError as error:
        raise ValueError(f"cannot read rows from {str(path)!r}: {error}") from None
    outputs = range(y.size // max(len(y), 1))
    names = ["y"] if y.ndim == 1 else [f"y[{output}]" for output in outputs]
    return Data(X, y, [str(place) for place in range(X.shape[1])], names)


def _array(path: str | os.PathLike[str], target: Any, drop: Any) -> Data:
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        raise ValueError(
            f"{str(path)!r} is no table of numbers, as numpy.save writes one."
        ) from None
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.dtype.kind not in "biuf":
        shape = getattr(table, "shape", None)
        raise ValueError(
            f"{str(path)!r} must hold one table of real numbers, its shape is {shape}."
        )
    if not table.size:
        raise ValueError(f"{str(path)!r} holds no rows: its shape is {table.shape}.")
    wide = table.shape[1]
    names = [str(place) for place in range(wide)]
    choice = choose(path, names, _from_the_front(target, wide), _from_the_front(drop, wide))

    def column(place: int) -> np.ndarray:
        return np.asarray(table[:, place], dtype=np.float64)

    return _filled(path, names, choice, column, len(table))


def _from_the_front(asked: Any, wide: int) -> Any:
    """Numbers of columns as text, those from the end counted from 0."""
    if asked is None:
        return None
    parts = asked.split(",") if isinstance(asked, str) else np.atleast_1d(asked).tolist()
    counted = []
    for part in (str(one).strip() for one in parts):
        backwards = part.startswith("-") and part[1:].isdecimal() and 0 < int(part[1:]) <= wide
        counted.append(str(int(part) + wide) if backwards else part)
    return [part for part in counted if part]


def _filled(
    path: str | os.PathLike[str],
    names: Sequence[str],
    choice: Choice,
    column: Callable[[int], np.ndarray],
    rows: int,
) -> Data:
    """The data of a file that is read column by column."""
    parts = []
    for places in choice:
        part = np.empty((rows, len(places)))
        for index, place in enumerate(places):
            part[:, index] = values = column(place)
            bad = np.flatnonzero(~np.isfinite(values))
            if bad.size:
                raise gap(path, names[place], f"row {bad[0]}", str(values[bad[0]]))
        parts.append(part)
    return choice.of(parts[0], parts[1], names)


def _parquet(path: str | os.PathLike[str], target: Any, drop: Any) -> Data:
    parquet, arrow = require("pyarrow.parquet", "fit"), require("pyarrow", "fit")
    try:
        with parquet.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            choice = choose(path, schema.names, target, drop)
            # Numbers of rows, as pandas keeps them, are no feature.
            learned = [p for p in choice.features if not _INDEX.fullmatch(schema.names[p])]
            choice = choice._replace(features=learned)
            wrong = [place for place in choice.wanted if not _is_numeric(schema.field(place).type)]
            if wrong:
                held = f"{schema.field(wrong[0]).type}, no numbers"
                raise not_numbers(path, schema.names, wrong, choice, held)
            if not rows:
                raise ValueError(f"{str(path)!r} has columns and no rows.")

            def column(place: int) -> np.ndarray:
                cells = file.read(columns=[schema.names[place]]).column(0)
                return np.asarray(cells.to_numpy(), dtype=np.float64)  # a null becomes NaN

            return _filled(path, schema.names, choice, column, rows)
    except (arrow.ArrowException, OSError):
        raise ValueError(f"{str(path)!r} is not a readable Parquet file.") from None


def _is_numeric(kind: Any) -> bool:
    types = require("pyarrow.types", "fit")
    tests = ("is_integer", "is_floating", "is_boolean", "is_decimal", "is_null")
    return any(getattr(types, test)(kind) for test in tests)
