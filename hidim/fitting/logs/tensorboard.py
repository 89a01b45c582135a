"""Which scalars does a TensorBoard event file hold?

Reads the record framing (length, checksum, payload, checksum) and the few protocol-buffer
fields a scalar needs, so that no TensorFlow or TensorBoard has to be installed. Where a later file
begins before an earlier one ends, the run was resumed and the later counts, as in TensorBoard.
Limits: checksums are not verified; a record cut short by a killed run ends the file.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

_Series: TypeAlias = "tuple[array[int], array[float]]"


def read_events(
    paths: Sequence[Path] | Mapping[Path, str], repairs: list[str] | None = None
) -> dict[str, np.ndarray | np.ma.MaskedArray[Any, Any]]:
    """Columns "step" and one per scalar tag, joined on the step; masked where a tag is missing.

    Args:
        paths: the files of one run, in the order they were written; a mapping says what the one tag
            of a file is to be called, "" leaving all as they are.
        repairs: gets a line for what was mended.

    Raises:
        ValueError: no scalars, two values of one step in one file, or not an event file.
    """
    tags: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    dropped = 0
    called: Mapping[Path, str] = paths if isinstance(paths, Mapping) else {}
    for path in paths:
        for own, (steps, values) in _scalars(path).items():
            tag = called.get(path) or own
            step, value = _once(np.array(steps), np.array(values), tag, path)
            if tag in tags:
                before = tags[tag][0] < step[0]
                dropped += int(np.count_nonzero(~before))
                step = np.concatenate([tags[tag][0][before], step])
                value = np.concatenate([tags[tag][1][before], value])
            tags[tag] = step, value
    if not tags:
        raise ValueError(f"{str(next(iter(paths)))!r} holds no TensorBoard scalars.")
    if dropped and repairs is not None:
        repairs.append(f"resumed: {dropped} earlier values of repeated steps left out")
    every = np.unique(np.concatenate([step for step, _ in tags.values()]))
    columns: dict[str, Any] = {"step": every.astype(np.float64)}
    for tag, (step, value) in tags.items():
        cells = np.ma.masked_all(len(every), dtype=np.float64)
        cells[np.searchsorted(every, step)] = value
        columns[tag] = cells
    return columns


def tags_of(path: Path) -> list[str]:
    """The tags of an event file; none of a file that is damaged or no such file."""
    try:
        return list(_scalars(path))
    except ValueError:
        return []


def _once(
    steps: np.ndarray, values: np.ndarray, tag: str, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    """A tag's steps in order, each once; equal repeats are one."""
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    again = np.flatnonzero(np.diff(steps) == 0)
    twice = again[values[again] != values[again + 1]]
    if len(twice):
        raise ValueError(
            f"{str(path)!r} holds two values of {tag!r} at step {steps[twice[0]]}: a resumed or "
            "mixed run. Give one run per folder."
        )
    keep = np.ones(len(steps), dtype=bool)
    keep[again + 1] = False
    return steps[keep], values[keep]


def _scalars(path: Path) -> dict[str, _Series]:
    """Steps and values of every tag of a file, in the order written."""
    found: dict[str, _Series] = {}
    data = path.read_bytes()
    # Summaries of one tag differ in four bytes alone: (length, place of the value, rest) -> series.
    places: dict[int, list[int]] = {}
    known: dict[tuple[int, bytes, bytes], _Series] = {}
    unpack = struct.Struct("<f").unpack_from
    for start, end in _records(data, path):
        step, begin = _step_of(data, start, end)
        summary = data[begin:end] if begin else b""
        for place in places.get(len(summary), ()):
            seen = known.get((place, summary[:place], summary[place + 4 :]))
            if seen is not None:
                seen[0].append(step)
                seen[1].append(unpack(summary, place)[0])
                break
        else:
            one = 0
            packed = b""
            for at, tag, value, packed in _slowly(data[start:end], path):  # noqa: B007
                series = found.setdefault(tag, (array("q"), array("d")))
                series[0].append(at)
                series[1].append(value)
                one += 1
            if one == 1 and summary and packed and summary.count(packed) == 1:
                place = summary.index(packed)
                if place not in places.setdefault(len(summary), []):
                    places[len(summary)].append(place)
                known[place, summary[:place], summary[place + 4 :]] = series
    return found


def _step_of(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Step of an event of the usual layout, and where its summary begins, which ends the event;
    0 where the layout is another."""
    position, step = start, 0
    if data[position] == 0x09:  # the time, 8 bytes
        position += 9
    if position < end and data[position] == 0x10:
        step, position = _varint(data, position + 1)
    if position < end and data[position] == 0x2A:
        length, position = _varint(data, position + 1)
        if position + length == end:
            return step, position
    return step, 0


def _slowly(record: bytes, path: Path) -> Iterator[tuple[int, str, float, bytes]]:
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


def _scalar(data: bytes, path: Path) -> tuple[str, float, bytes] | None:
    """Tag, value, and the four bytes that hold it, if it is four."""
    tag, number, packed = "", None, b""
    for field, value in _fields(data, path):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            tag = value.decode("utf-8", "replace")
        elif field == 2 and len(value) == 4:
            number, packed = struct.unpack("<f", value)[0], value
        elif field == 8:
            number, packed = _tensor(value, path)
    return (tag, float(number), packed) if tag and number is not None else None


def _tensor(data: bytes, path: Path) -> tuple[float | None, bytes]:
    kind, content = 0, b""
    for field, value in _fields(data, path):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field in (4, 5, 6) and isinstance(value, bytes):
            content = value
    if kind == 1 and len(content) == 4:
        return float(struct.unpack("<f", content)[0]), content
    if kind == 2 and len(content) == 8:
        return float(struct.unpack("<d", content)[0]), b""
    return None, b""


def _records(data: bytes, path: Path) -> Iterator[tuple[int, int]]:
    position = 0
    while position + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        start = position + 12
        if start + length + 4 > len(data):
            if position == 0:
                raise ValueError(f"{str(path)!r} is not a TensorBoard event file.")
            return
        if length:
            yield start, start + length
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
