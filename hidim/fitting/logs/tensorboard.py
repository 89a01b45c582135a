"""Which scalars does a TensorBoard event file hold?

Reads the record framing (length, checksum, payload, checksum) and the few protocol-buffer
fields a scalar needs, so that no TensorFlow or TensorBoard has to be installed. Checksums
are not verified; a record cut short by a killed run ends the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def read_events(paths: Sequence[Path]) -> dict[str, list[Any]]:
    """Columns "step" and one per scalar tag, joined on the step; None where a tag is missing.

    Raises:
        ValueError: no scalars, or not an event file.
    """
    rows: dict[int, dict[str, float]] = {}
    tags: dict[str, None] = {}
    for path in paths:
        for step, tag, value in _scalars(path):
            row = rows.setdefault(step, {})
            if tag in row and row[tag] != value:
                raise ValueError(
                    f"{str(path)!r} holds two values of {tag!r} at step {step}: a resumed or "
                    "mixed run. Give one run per folder."
                )
            row[tag] = value
            tags[tag] = None
    if not rows:
        raise ValueError(f"{str(paths[0])!r} holds no TensorBoard scalars.")
    steps = sorted(rows)
    columns: dict[str, list[Any]] = {"step": list(steps)}
    for tag in tags:
        columns[tag] = [rows[step].get(tag) for step in steps]
    return columns


def _scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    for record in _records(path):
        step, summaries = 0, []
        for field, value in _fields(record, path):
            if field == 2 and isinstance(value, int):
                step = value
            elif field == 5 and isinstance(value, bytes):
                summaries.append(value)
        for summary in summaries:
            for field, value in _fields(summary, path):
                if field == 1 and isinstance(value, bytes):
                    scalar = _scalar(value, path)
                    if scalar is not None:
                        yield step, *scalar


def _scalar(data: bytes, path: Path) -> tuple[str, float] | None:
    tag, number = "", None
    for field, value in _fields(data, path):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            tag = value.decode("utf-8", "replace")
        elif field == 2 and len(value) == 4:
            number = struct.unpack("<f", value)[0]
        elif field == 8:
            number = _tensor(value, path)
    return (tag, float(number)) if tag and number is not None else None


def _tensor(data: bytes, path: Path) -> float | None:
    kind, content = 0, b""
    for field, value in _fields(data, path):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field in (4, 5, 6) and isinstance(value, bytes):
            content = value
    if kind == 1 and len(content) == 4:
        return float(struct.unpack("<f", content)[0])
    if kind == 2 and len(content) == 8:
        return float(struct.unpack("<d", content)[0])
    return None


def _records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    position = 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        start = position + 12
        if start + length + 4 > len(data):
            if position == 0:
                raise ValueError(f"{str(path)!r} is not a TensorBoard event file.")
            return
        yield data[start : start + length]
        position = start + length + 4


def _fields(data: bytes, path: Path) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of every field of a protocol-buffer message."""
    position = 0
    try:
        while position < len(data):
            key, position = _varint(data, position)
            kind = key & 7
            if kind == 0:
                value, position = _varint(data, position)
                yield key >> 3, value
                continue
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                if kind != 2:
                    raise IndexError
                size, position = _varint(data, position)
            yield key >> 3, data[position : position + size]
            position += size
    except IndexError:
        raise ValueError(f"{str(path)!r} holds a damaged TensorBoard record.") from None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        result |= (byte & 0x7F) << shift
        position += 1
        if not byte & 0x80:
            return result, position
        shift += 7
