"""Files written whole or not at all: a temporary sibling is filled, synced and renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing so that it appears complete or stays as it was.

    Raises:
        ValueError: the folder is missing or cannot be written, named in one line.
    """
    target = Path(path)
    check_writable(target)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, _default_permissions())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` atomically."""
    with atomic_write(path) as stream:
        stream.write(text)


def write_with(path: str | os.PathLike[str], writer: Callable[[IO[bytes]], Any]) -> None:
    """Let `writer` fill a binary stream that becomes `path` only when it is complete."""
    with atomic_write(path, "wb") as stream:
        writer(stream)


def check_writable(path: str | os.PathLike[str]) -> Path:
    """Refuse, before work starts, an output path that could not be written later."""
    target = Path(path)
    if target.is_dir():
        raise ValueError(f"cannot write {str(target)!r}: it is a folder.")
    if not target.parent.is_dir():
        raise ValueError(f"cannot write {str(target)!r}: folder {str(target.parent)!r} is missing.")
    if not os.access(target.parent, os.W_OK):
        raise ValueError(f"cannot write {str(target)!r}: no permission in its folder.")
    return target


def _default_permissions() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
