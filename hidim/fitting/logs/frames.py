"""Which columns hold a data frame, a mapping or a list of records?

What pandas, polars and trainers keep in memory is a log like any other: `log_of` gives it the
columns that a file would have, and the readers do the rest, by the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hidim.fitting.logs.names import ALIASES, bare
from hidim.fitting.logs.tables import Log

_TRAINER = {"loss", "learning_rate", "epoch", "step"}  # whose losses are means since the row before
_TAIL = 3  # rows with a rate and no loss, at the end, beyond which a run has diverged


def is_frame(value: Any) -> bool:
    """Whether this has named columns: a frame of pandas or polars, which is no Mapping."""
    return hasattr(value, "columns") and hasattr(value, "__getitem__")


def is_records(value: Any) -> bool:
    """Whether this is a list of rows, each a mapping to single values, as `state.log_history`."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(isinstance(row, Mapping) for row in value)
        and all(np.ndim(cell) == 0 for cell in value[0].values())
        and all(isinstance(cell, str | int | float | None) for cell in value[0].values())
    )


def log_of(value: Any) -> Log:
    """The log that a frame, a mapping of columns or records hold.

    >>> log_of([{"step": 1, "loss": 3.0}, {"step": 1, "lr": 0.1}]).columns
    {'step': [1, 1], 'loss': [3.0, None], 'lr': [None, 0.1]}
    """
    if is_records(value):
        names = dict.fromkeys(name for row in value for name in row)
        rows = {str(n): [row.get(n) for row in value] for n in names}
        trainer = names.keys() >= _TRAINER
        name = "log_history of a Hugging Face Trainer" if trainer else "records"
        return Log(rows, name, averaged=trainer)
    if isinstance(value, Mapping):
        return Log({str(n): _cells(c) for n, c in value.items() if np.ndim(c) == 1}, "mapping")
    columns: dict[str, Any] = {str(name): _cells(value[name]) for name in value.columns}
    index = getattr(value, "index", None)
    label = getattr(index, "name", None)
    if label is not None and bare(str(label)) in ALIASES["step"]:
        columns[str(label)] = np.asarray(index)
    return Log(_blanks(columns), "data frame")


def _cells(column: Any) -> Any:
    values = np.asarray(column)
    return values if values.dtype.kind in "fiu" else list(values)


def _blanks(columns: dict[str, Any]) -> dict[str, Any]:
    """A frame has NaN where a table is blank; not where a run has diverged, in its last rows."""
    numeric = {name: c for name, c in columns.items() if isinstance(c, np.ndarray)}
    rated = [c for name, c in numeric.items() if bare(name) in ALIASES["lr"] and len(c)]
    out = dict(columns)
    for name, cells in numeric.items():
        nan = np.isnan(cells)
        tail = int(np.argmin(nan[::-1])) if not nan.all() else 0
        known = [c for c in rated if c is not cells and tail and not np.isnan(c[-tail:]).any()]
        if nan.any() and not (tail > _TAIL and known):
            out[name] = np.ma.MaskedArray(cells, nan)
    return out


def labelled(value: Any) -> Sequence[tuple[str, Any]] | None:
    """Names and runs of a mapping of runs; None of a mapping of columns.

    >>> labelled({"a": "a.csv", "b": "b.csv"})
    [('a', 'a.csv'), ('b', 'b.csv')]
    """
    if not isinstance(value, Mapping) or not value:
        return None
    cells = [c for name, c in value.items() if name != "label"]
    columns = any(not _is_run(c) and np.ndim(c) == 1 for c in cells)
    return None if columns or not cells else [(str(name), one) for name, one in value.items()]


def _is_run(value: Any) -> bool:
    """Whether what stands under a name is a run rather than a column of numbers."""
    if isinstance(value, str | Mapping) or is_frame(value) or is_records(value):
        return True
    return isinstance(value, tuple | list) and len(value) == 3 and np.ndim(value[0]) == 1
