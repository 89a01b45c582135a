"""Text that can be read once: standard input (`-`), a pipe, a process substitution.

What came through a pipe is gone afterwards, so a run keeps its tokens in its folder, where it finds
them when it goes on.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

STANDARD = "-"


def is_stream(source: str) -> bool:
    """Whether this names something that cannot be read a second time."""
    if source == STANDARD:
        return True
    if source.startswith(("/dev/", "/proc/")):
        return os.path.exists(source)
    try:
        kind = os.stat(source).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or stat.S_ISCHR(kind)


def read_stream(source: str, limit: float | None) -> str:
    """Everything that comes, or its first `limit` MB.

    Raises:
        ValueError: a terminal, another device, or bytes that are no text.
    """
    if source != STANDARD and stat.S_ISSOCK(os.stat(source).st_mode):
        raise ValueError(f"`data` {source!r} is a socket: pipe its text in, and give data=-.")
    descriptor = _standard_input() if source == STANDARD else os.open(source, os.O_RDONLY)
    try:
        if os.isatty(descriptor):
            raise ValueError(f"`data` {source!r} is a terminal: pipe a text in, or name a file.")
        endless = stat.S_ISCHR(os.fstat(descriptor).st_mode) and Path(source).name != "null"
        if endless and limit is None and source != STANDARD:
            raise ValueError(f"`data` {source!r} is a device and may never end: give `max_mb`.")
        content = _read(descriptor, None if limit is None else int(limit * 1e6))
    finally:
        if source != STANDARD:
            os.close(descriptor)
    cut = limit is not None and len(content) >= int(limit * 1e6)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if cut and error.start >= len(content) - 3:  # in the middle of a character
            return content[: error.start].decode("utf-8-sig")
        raise ValueError(
            f"`data` {source!r} is not UTF-8 text. Convert it (iconv -t utf-8)."
        ) from None


def _standard_input() -> int:
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or in the hands of somebody else
        raise ValueError("`data` - needs a standard input: pipe a text in.") from None


def _read(descriptor: int, most: int | None) -> bytes:
    parts, size = [], 0
    while most is None or size < most:
        part = os.read(descriptor, 1 << 20 if most is None else min(1 << 20, most - size))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)
