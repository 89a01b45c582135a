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
    # A link keeps pointing where it points: what it names is what is written.
    target = check_writable(path).resolve()
    if target.exists() and not target.is_file():  # a pipe or a device: nothing to keep whole
        with open(target, mode, encoding=None if "b" in mode else "utf-8") as stream:
            yield stream
        return
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
    if not str(path):
        raise ValueError("cannot write '': the file has no name.")
    if target.is_dir():
        raise ValueError(f"cannot write {str(target)!r}: it is a folder.")
    folder = target.resolve().parent
    if not folder.is_dir():
        raise ValueError(f"cannot write {str(target)!r}: folder {str(folder)!r} is missing.")
    if target.exists() and not target.is_file():
        allowed = os.access(target, os.W_OK)
    else:
        allowed = os.access(folder, os.W_OK) and _takes_files(folder)
    if not allowed:
        raise ValueError(f"cannot write {str(target)!r}: no permission in its folder.")
    return target


def _takes_files(folder: Path) -> bool:
    # Asked for real: permission bits say yes to root even where nothing can be created.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _default_permissions() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
