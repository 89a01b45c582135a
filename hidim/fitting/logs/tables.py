"""What named columns does a log file hold, whatever program wrote it?

CSV and TSV (also W&B exports), JSON lines, Hugging Face `trainer_state.json`, Parquet,
TensorBoard event files and hidim run folders become a mapping from column name to values.
A blank cell is None; nothing is converted or dropped here. CSV and JSON need only NumPy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hidim.support.delimited import Table, open_table, read_cells
from hidim.support.extras import require

Columns = dict[str, Any]  # column name -> list with None for blanks, or a float64 array


def read_columns(path: str | os.PathLike[str], wanted: Sequence[str] | None = None) -> Columns:
    """The columns of a log.

    Args:
        path: file, or the folder of a TensorBoard or hidim run.
        wanted: names worth reading, a saving for large files; None reads all.

    Raises:
        ValueError: missing, empty or unreadable file, named in one line.
        MissingExtra: Parquet without pyarrow.
    """
    target = Path(path)
    if not target.exists():
        raise ValueError(f"there is no file {str(path)!r}.")
    if target.is_dir():
        return _folder(target, wanted)
    if "tfevents" in target.name:
        from hidim.fitting.logs.tensorboard import read_events

        return read_events([target])
    suffix = target.suffix.lower()
    if suffix == ".parquet":
        return _parquet(target)
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(target)
    if suffix == ".json":
        return _json(target)
    return _delimited(target, wanted)


def header(path: str | os.PathLike[str]) -> list[str]:
    """Column names of a delimited file."""
    return open_table(path).names


def _delimited(path: Path, wanted: Sequence[str] | None) -> Columns:
    if wanted is None:
        return dict(read_cells(path))
    table = open_table(path)
    keep = [name for name in table.names if name in wanted] or table.names
    fast = _fast_numbers(path, [table.names.index(name) for name in keep], table)
    return dict(read_cells(path, keep)) if fast is None else dict(zip(keep, fast, strict=True))


def _fast_numbers(path: Path, which: list[int], table: Table) -> np.ndarray | None:
    # One pass in C for files of numbers only; anything else goes the slow way, which complains.
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            numbers = np.loadtxt(
                path,
                delimiter=table.delimiter,
                skiprows=1,
                usecols=which,
                ndmin=2,
                encoding=table.encoding,
                comments=None,
                quotechar='"',
            )
    except (ValueError, UserWarning):
        return None
    return np.ascontiguousarray(numbers.T)


def _json_lines(path: Path) -> Columns:
    records = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{str(path)!r} is not a text file.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except ValueError:  # also a number of more digits than Python reads
            if number == len(lines) and records:
                break  # a run killed while it wrote its last line
            raise ValueError(f"line {number} of {str(path)!r} is not JSON.") from None
    return _records(records, path)


def _json(path: Path) -> Columns:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{str(path)!r} is not JSON: a truncated file?") from None
    if isinstance(data, dict) and isinstance(data.get("log_history"), list):
        return _records(data["log_history"], path)
    if isinstance(data, list):
        return _records(data, path)
    if isinstance(data, dict) and data and all(isinstance(v, list) for v in data.values()):
        if len({len(v) for v in data.values()}) > 1:
            raise ValueError(f"the columns of {str(path)!r} have different lengths.")
        return dict(data)
    raise ValueError(
        f"{str(path)!r} holds no rows: expected a list of records, columns, or `log_history`."
    )


def _records(records: Iterable[Any], path: Path) -> Columns:
    rows = list(records)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{str(path)!r} holds no records with named values.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(path: Path) -> Columns:
    parquet = require("pyarrow.parquet", "fit")
    arrow = require("pyarrow", "fit")
    try:
        table = parquet.read_table(path)
    except (arrow.ArrowException, OSError):
        raise ValueError(f"{str(path)!r} is not a readable Parquet file.") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _folder(path: Path, wanted: Sequence[str] | None) -> Columns:
    metrics = path / "metrics.jsonl"
    if metrics.exists():
        return _json_lines(metrics)
    state = path / "trainer_state.json"
    if state.exists():
        return _json(state)
    events = sorted(path.glob("**/*tfevents*"))
    if events:
        from hidim.fitting.logs.tensorboard import read_events

        folders = {event.parent for event in events}
        if len(folders) > 1:
            listing = ", ".join(sorted(str(f) for f in folders)[:4])
            raise ValueError(f"{str(path)!r} holds several TensorBoard runs ({listing}): give one.")
        return read_events(events)
    raise ValueError(
        f"folder {str(path)!r} holds no metrics.jsonl, trainer_state.json or TensorBoard events."
    )
