"""Files written whole or not at all: a temporary sibling is filled, synced and renamed."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from hidim.support.checks import file_path

# What a device says that has no room for what is written.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open `path` for writing so that it appears complete or stays as it was.

    A link keeps pointing where it points, and what is no regular file (a pipe, a device, an open
    descriptor such as /dev/stdout) is written into, not replaced.

    Raises:
        ValueError: the folder is missing or cannot be written, named in one line.
        OSError: the device is full; its `filename` is `path`.
    """
    target = check_writable(path)
    try:
        yield from _filled(target, mode)
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(target)  # so that a message can name it
        raise


def _filled(target: Path, mode: str) -> Iterator[IO[Any]]:
    if is_stream(target):
        buffer: Any = io.BytesIO() if "b" in mode else io.StringIO()
        yield buffer  # filled first: a writer may seek, and one that fails leaves nothing
        content = buffer.getvalue()
        _pour(target, content if "b" in mode else content.encode("utf-8"))
        return
    target = target.resolve()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        encoding = None if "b" in mode else "utf-8"
        with os.fdopen(handle, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, _permissions(target))
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
    target = Path(file_path(path))
    if not str(path):
        raise ValueError("cannot write '': the file has no name.")
    try:
        folder = target.resolve().parent
        if target.is_dir():
            raise ValueError(f"cannot write {str(target)!r}: it is a folder.")
    except (OSError, RuntimeError) as error:  # a link that leads to itself, a name too long
        raise ValueError(f"cannot write {str(target)!r}: {error}.") from None
    if is_stream(target):
        if not os.access(target, os.W_OK):
            raise ValueError(f"cannot write {str(target)!r}: no permission.")
        return target
    if not folder.is_dir():
        raise ValueError(f"cannot write {str(target)!r}: folder {str(folder)!r} is missing.")
    if not (os.access(folder, os.W_OK) and _takes_files(folder)):
        raise ValueError(f"cannot write {str(target)!r}: no permission in its folder.")
    return target


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is something that exists and can only be written into: no regular file."""
    target = Path(path)
    return _descriptor(target) is not None or (target.exists() and not target.is_file())


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is where `print` writes, such as /dev/stdout."""
    return _descriptor(Path(path)) == 1


def _pour(target: Path, content: bytes) -> None:
    number = _descriptor(target)
    for stream in (sys.stdout, sys.stderr):  # what was printed before comes before
        with suppress(ValueError):
            stream.flush()
    if number is None:
        target.write_bytes(content)
    else:
        with os.fdopen(os.dup(number), "wb") as stream:
            stream.write(content)


def _descriptor(path: Path) -> int | None:
    """The open descriptor that a path such as /dev/stdout or /dev/fd/3 stands for, or None.

    Followed link by link: resolved whole, /dev/stdout is the file that it was redirected to. That
    file by its own name stands for the descriptor too: replaced, it would lose what is printed.
    """
    for number in (1, 2):
        with suppress(OSError):
            printed = os.fstat(number)
            if stat.S_ISREG(printed.st_mode) and os.path.samestat(printed, os.stat(path)):
                return number
    for _ in range(40):
        folder = os.path.realpath(path.parent)
        if path.name.isdecimal() and folder in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / os.readlink(path)
    return None


def _takes_files(folder: Path) -> bool:
    # Asked for real: permission bits say yes to root even where nothing can be created.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _permissions(target: Path) -> int:
    """Those the file has, or a new one gets."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
