"""Which columns do JSON records hold: lines, a list, columns, or a trainer's state?

Records within records are flattened, their names joined by "/".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from hidim.fitting.logs.sources import Source

_BETWEEN = re.compile(r"[\s,]*")
Columns = dict[str, Any]  # column name -> list with None for blanks, or a float64 array


def json_lines(source: Source) -> Columns:
    """Columns of one record per line; a last line that a killed run left unfinished is left out."""
    records: list[Any] = []
    bad: int | None = None
    with source.text() as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            if bad is not None:
                if not records and (whole := _in_a_row(source.read())):
                    return columns_of(whole, source)
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
    text = source.read()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = _in_a_row(text.lstrip().removeprefix("["))  # of a list that was not closed, too
        if not data:
            raise ValueError(f"{source} is not JSON: a truncated file?") from None
    if isinstance(data, dict) and isinstance(data.get("log_history"), list):
        return columns_of(data["log_history"], source)
    if _is_points(data, 3):  # what TensorBoard saves of one tag
        return dict(
            zip(("wall_time", "step", "value"), map(list, zip(*data, strict=True)), strict=True)
        )
    if isinstance(data, list):
        return columns_of(data, source)
    found = _columns(data)
    if found is None:
        raise ValueError(
            f"{source} holds no rows: expected a list of records, columns, or `log_history`."
        )
    if len({len(cells) for cells in found.values()}) > 1:
        raise ValueError(f"the columns of {source} have different lengths.")
    return found


def _in_a_row(text: str) -> list[Any]:
    """The records of a file that holds several, one after the other, over any number of lines."""
    decoder, out, at = json.JSONDecoder(), [], 0
    text = text.strip()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            out.append(value)
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it always matches
    except (ValueError, RecursionError):
        pass  # a last one that a killed run left unfinished
    return out if len(out) > 1 and all(isinstance(value, dict) for value in out) else []


def _columns(data: Any) -> Columns | None:
    """The columns of an object, in any of the ways to write a table as one; None for none."""
    if not isinstance(data, dict) or not data:
        return None
    values = list(data.values())
    if isinstance(data.get("columns"), list) and _is_lists(data.get("data")):  # pandas, split
        return dict(zip(data["columns"], map(list, zip(*data["data"], strict=True)), strict=True))
    if all(map(_series, values)):
        return _by_step({name: _series(value) or {} for name, value in data.items()})
    if all(isinstance(value, list) for value in values) and not any(map(_is_records, values)):
        return dict(data)
    if all(isinstance(value, dict) and value for value in values):
        if all(map(_numbered, values)):  # pandas: a cell by its row
            rows = list(values[0])
            return {name: [cells.get(row) for row in rows] for name, cells in data.items()}
        if _numbered(data):  # a record by its step
            return columns_of([{"step": step, **row} for step, row in data.items()], "")
        if len(values) > 1 and not any(
            isinstance(x, dict | list) for v in values for x in v.values()
        ):
            return columns_of([{"run": name, **row} for name, row in data.items()], "")
    # Beside settings, or other metrics.
    inner = {
        name: columns_of(value, "") if _is_records(value) else _columns(value)
        for name, value in data.items()
    }
    found = {name: columns for name, columns in inner.items() if columns is not None}
    train = next((found[name] for name in ("train", "training") if name in found), None)
    return next(iter(found.values())) if len(found) == 1 else train


def _is_records(value: Any) -> bool:
    """Whether this is a list of several records."""
    return isinstance(value, list) and len(value) > 1 and all(isinstance(v, dict) for v in value)


def _is_lists(value: Any) -> bool:
    """Whether this is a list of several lists of one length."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(one, list) and len(one) == len(value[0]) for one in value)
    )


def _is_points(value: Any, size: int) -> bool:
    """Whether this is a list of so many numbers each."""
    return (
        _is_lists(value)
        and len(value[0]) == size
        and all(isinstance(x, int | float) for one in value for x in one)
    )


def _numbered(data: dict[str, Any]) -> bool:
    return len(data) > 1 and all(key.isdecimal() for key in data)


def _series(value: Any) -> dict[Any, Any] | None:
    """Step to value of a metric that is kept as its steps and values, as Sacred and ClearML write
    it, or as pairs; None for another thing."""
    if _is_points(value, 2):
        return dict(value)
    if not isinstance(value, dict):
        return None
    for at, of in (("steps", "values"), ("x", "y"), ("step", "value")):
        steps, values = value.get(at), value.get(of)
        if isinstance(steps, list) and isinstance(values, list) and len(steps) == len(values):
            return dict(zip(steps, values, strict=True))
    return None


def _by_step(data: dict[str, dict[Any, Any]]) -> Columns:
    """Metrics with steps of their own, a row per step of any."""
    every = sorted({step for cells in data.values() for step in cells})
    return {"step": every} | {name: [c.get(step) for step in every] for name, c in data.items()}


def columns_of(records: Iterable[Any], source: Source | str) -> Columns:
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
