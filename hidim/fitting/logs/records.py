"""Which columns do JSON records hold: lines, a list, columns, or a trainer's state?

Records within records are flattened, their names joined by "/".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hidim.fitting.logs.sources import Source

Columns = dict[str, Any]  # column name -> list with None for blanks, or a float64 array


def json_lines(source: Source) -> Columns:
    """Columns of one record per line; a last line that a killed run left unfinished is left out."""
    records = []
    bad: int | None = None
    with source.text() as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            if bad is not None:
                raise ValueError(f"line {bad} of {source} is not JSON.")
            try:
                records.append(json.loads(line))
            except (ValueError, RecursionError):  # also numbers of more digits than Python reads
                bad = number
    if bad is not None and not records:
        raise ValueError(f"line {bad} of {source} is not JSON.")
    return columns_of(records, source)


def json_file(source: Source) -> Columns:
    """Columns of a list of records, of a mapping of columns, or of a trainer's `log_history`."""
    try:
        data = json.loads(source.read())
    except (ValueError, RecursionError) as error:
        if "not a text file" in str(error):
            raise
        raise ValueError(f"{source} is not JSON: a truncated file?") from None
    if isinstance(data, dict) and isinstance(data.get("log_history"), list):
        return columns_of(data["log_history"], source)
    if isinstance(data, list):
        return columns_of(data, source)
    if isinstance(data, dict) and data and all(isinstance(v, list) for v in data.values()):
        if len({len(v) for v in data.values()}) > 1:
            raise ValueError(f"the columns of {source} have different lengths.")
        return dict(data)
    if isinstance(data, dict) and data and all(_is_series(v) for v in data.values()):
        return _by_step(data)
    if isinstance(data, dict):
        rows = [value for value in data.values() if _is_records(value)]
        if len(rows) == 1:  # beside settings
            return columns_of(rows[0], source)
    raise ValueError(
        f"{source} holds no rows: expected a list of records, columns, or `log_history`."
    )


def _is_records(value: Any) -> bool:
    """Whether this is a list of several records."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(v, dict) for v in value)


def _is_series(value: Any) -> bool:
    """Whether a metric is kept as its steps and values, as Sacred writes it."""
    if not isinstance(value, dict):
        return False
    steps, values = value.get("steps"), value.get("values")
    return isinstance(steps, list) and isinstance(values, list) and len(steps) == len(values)


def _by_step(data: dict[str, Any]) -> Columns:
    """Metrics with steps of their own, a row per step of any."""
    found = {
        name: dict(zip(one["steps"], one["values"], strict=True)) for name, one in data.items()
    }
    every = sorted({step for cells in found.values() for step in cells})
    return {"step": every} | {name: [c.get(step) for step in every] for name, c in found.items()}


def columns_of(records: Iterable[Any], source: Source) -> Columns:
    """Columns of records, None where a record lacks a name."""
    rows = list(records)
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{source} holds no records with named values.")
    if any(isinstance(value, dict) for row in rows for value in row.values()):
        rows = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}


def _flat(record: dict[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{before}{name}/")
        else:
            out[f"{before}{name}"] = value
    return out
