"""How much of the held-out text stands in the training text, too?

    windows         of 512 held-out windows of 65 bytes, those that stand verbatim in training text
    lines           of the held-out lines of 30 bytes or more, those that are lines of it verbatim
    near_windows    the same after normalisation: without case and blanks, every digit a 0
    near_lines      likewise
    near_documents  held-out documents at least half of whose long lines are found after it

A model that has seen what it is asked is measured by its memory. What two languages of programmers
share (licences, imports) is some percent; a text that repeats itself is most of it.
Limits: bytes are compared, not meaning: a translation or a paraphrase is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

WINDOWS = 512
WINDOW_BYTES = 65  # context 64 and the byte to predict
LINE_BYTES = 30  # shorter ones are the same everywhere
_BLOCK = 32  # a window of 65 holds an aligned block of 32, wherever it stands
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5],
                dtype=np.uint64)  # fmt: skip
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LEAK = 0.2


@dataclass(frozen=True)
class Overlap:
    """Counts of what was looked for and found, see the module."""

    windows: int
    windows_found: int
    near_windows: int
    near_windows_found: int
    lines: int
    lines_found: int
    near_lines: int
    near_lines_found: int
    documents: int
    near_documents: int

    @property
    def share(self) -> float:
        """The largest of the shares found."""
        pairs = (
            (self.windows_found, self.windows),
            (self.near_windows_found, self.near_windows),
            (self.lines_found, self.lines),
            (self.near_lines_found, self.near_lines),
        )
        return max(found / every if every else 0.0 for found, every in pairs)

    def __str__(self) -> str:
        """One line for people.

        >>> print(str(Overlap(512, 20, 400, 17, 1000, 78, 1000, 90, 40, 1)).replace("; ", "\\n"))
        held-out text that stands in the training part: 3.9 % of 512 windows of 65 bytes
        7.8 % of 1,000 lines
        without case, blanks and digits 4.2 %, 9.0 %
        near-copies: 1 of 40 documents
        """
        return (
            "held-out text that stands in the training part: "
            f"{_percent(self.windows_found, self.windows)} of {self.windows} windows of "
            f"{WINDOW_BYTES} bytes; {_percent(self.lines_found, self.lines)} of "
            f"{self.lines:,} lines; without case, blanks and digits "
            f"{_percent(self.near_windows_found, self.near_windows)}, "
            f"{_percent(self.near_lines_found, self.near_lines)}; near-copies: "
            f"{self.near_documents} of {self.documents} documents"
        )

    @property
    def caution(self) -> str | None:
        """What to say of a validation loss that measures memory, or None."""
        if self.share < _LEAK:
            return None
        return (
            f"{self.share:.0%} of the held-out text was seen in training: its loss measures "
            "memory. Try --dedup line, another --split, or a text that does not repeat itself."
        )

    def to_dict(self) -> dict[str, int]:
        """Plain data."""
        return asdict(self)


def overlap(train: Sequence[str], validation: Sequence[str]) -> Overlap:
    """Look for the held-out documents in those trained on.

    >>> text = ["".join(f"line {i * i} of the text that is repeated\\n" for i in range(99))]
    >>> overlap(text, text).share
    1.0
    """
    seen, held = [_bytes(text) for text in train], [_bytes(text) for text in validation]
    near_seen, near_held = ([normal(text) for text in texts] for texts in (seen, held))
    lines, lines_found = _lines(seen, held)
    near_lines, near_found = _lines(near_seen, near_held)
    of_documents = [list(long_lines(text)) for text in near_held]
    copies = sum(
        sum(line in near_found for line in own) >= len(own) / 2 for own in of_documents if own
    )
    count, found = _windows(b"\n".join(seen), b"\n".join(held))
    near_count, near_windows = _windows(_run_on(near_seen), _run_on(near_held))
    return Overlap(
        windows=count,
        windows_found=found,
        near_windows=near_count,
        near_windows_found=near_windows,
        lines=lines.total,
        lines_found=sum(lines.counts[line] for line in lines_found),
        near_lines=near_lines.total,
        near_lines_found=sum(near_lines.counts[line] for line in near_found),
        documents=len(validation),
        near_documents=copies,
    )


def normal(text: bytes) -> bytes:
    """Without case and blanks, every digit a 0; the ends of lines stay.

    >>> normal(b"Total:  1,234 \\r\\n")
    b'total:0,000\\n'
    """
    return text.lower().translate(_DIGITS, b" \t\r\f\v")


def long_lines(text: bytes) -> Iterator[bytes]:
    """The lines of `LINE_BYTES` or more."""
    return (line for line in text.split(b"\n") if len(line) >= LINE_BYTES)


@dataclass(frozen=True)
class _Lines:
    counts: dict[bytes, int]
    total: int


def _lines(seen: Iterable[bytes], held: Iterable[bytes]) -> tuple[_Lines, set[bytes]]:
    """The held-out lines with their counts, and those that are found."""
    counts: dict[bytes, int] = {}
    for text in held:
        for line in long_lines(text):
            counts[line] = counts.get(line, 0) + 1
    found: set[bytes] = set()
    for text in seen:
        found.update(counts.keys() & set(long_lines(text)))
    return _Lines(counts, sum(counts.values())), found


def _windows(seen: bytes, held: bytes) -> tuple[int, int]:
    """How many windows, spread over the held-out bytes, were looked for and found."""
    if len(held) < WINDOW_BYTES or len(seen) < WINDOW_BYTES:
        return 0, 0
    count = min(WINDOWS, len(held) // WINDOW_BYTES)
    starts = np.arange(count) * (len(held) - WINDOW_BYTES) // max(count - 1, 1)
    places = starts[:, None] + np.arange(WINDOW_BYTES)
    windows = np.frombuffer(held, np.uint8)[places]  # (count, 65)
    # Every block that a window may hold, (count, 34, 32), looked up among the aligned ones.
    inside = np.lib.stride_tricks.sliding_window_view(windows, _BLOCK, axis=1)
    known = np.unique(_hashes(np.ascontiguousarray(inside)))
    aligned = _hashes(np.frombuffer(seen, np.uint8)[: len(seen) // _BLOCK * _BLOCK].reshape(-1, 32))
    hit = known[np.minimum(np.searchsorted(known, aligned), len(known) - 1)] == aligned
    maybe = np.isin(_hashes(np.ascontiguousarray(inside)), aligned[hit]).any(axis=1)
    return count, sum(seen.find(windows[k].tobytes()) >= 0 for k in np.flatnonzero(maybe))


def _hashes(blocks: np.ndarray) -> np.ndarray:
    """One number per block of 32 bytes, equal for equal ones; (..., 32) to (...)."""
    words = blocks.view("<u8") * _MIX  # (..., 4), wraps around
    mixed = words ^ (words >> np.uint64(29))
    return np.asarray(mixed.sum(axis=-1, dtype=np.uint64))


def _run_on(texts: Iterable[bytes]) -> bytes:
    return b"\n".join(text.replace(b"\n", b"") for text in texts)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _percent(found: int, every: int) -> str:
    return f"{100 * found / every:.1f} %" if every else "none"


def from_dict(values: Any) -> Overlap | None:
    """The overlap that a run's `config.json` holds, if it does."""
    return Overlap(**values) if isinstance(values, dict) else None
