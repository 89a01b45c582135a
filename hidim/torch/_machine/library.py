"""Which library of kernels does this process load? The package's own, the cache's, or a new one.

A wheel brings the libraries along (hatch_build.py). Where it does not, because there was no
compiler when it was built, the library is compiled on first use and kept in the user's cache
folder. Only libraries that are whole, and that nobody but this user could have put there, are
ever loaded.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import logging
import os
import shutil
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from hidim.support import native

SOURCES = native.Sources(Path(__file__).parent / "kernel", "one_pass.cpp")
PACKAGED = Path(__file__).parent / "built"
_LOG = logging.getLogger("hidim")


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernels for this processor, or None if there are none and none can be made."""
    level = _level()
    with suppress(OSError):
        found = native.whole(PACKAGED, native.key(SOURCES, level))
        if found is not None:
            return ctypes.CDLL(str(found))
    return _cached_or_built(level)


def why_none() -> str | None:
    """Why `library` is None, once it was asked for."""
    return _reasons[-1] if _reasons else None


def say_once() -> None:
    """Warn whoever asked for `fused=True` and will not get it."""
    if not _said:
        _said.add("fused")
        warnings.warn(
            f"fused=True uses the foreach path: {why_none()}. It is several times slower; install "
            "a wheel of hidim for this system, or a C++ compiler, for example g++.",
            stacklevel=2,
        )


def _level() -> str:
    """What torch found this processor to be able to."""
    level = torch.backends.cpu.get_cpu_capability()
    return level if level in native.levels() else "DEFAULT"


def _cached_or_built(level: str) -> ctypes.CDLL | None:
    key, words = native.key(SOURCES, level), None
    for folder in _folders():
        try:
            _secure(folder)
            found = native.whole(folder, key, _misfit_of)
            if found is None:
                words = native.compiler()
                if words is None:
                    _reasons.append("hidim came without its kernel, and there is no C++ compiler")
                    continue
                start = time.perf_counter()
                found = native.build(words, SOURCES, level, folder)
                spent = time.perf_counter() - start
                _LOG.info("compiled the one-pass kernel once, in %.1f s: %s", spent, found)
            return ctypes.CDLL(str(found))
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            _reasons.append(f"{' '.join(words or ())} failed: {' '.join(reason)}")
            return None
        except OSError:  # not ours, not writable, or not loadable from there: try the next folder
            _reasons.append("its library could not be written or loaded")
    return None


def _secure(folder: Path) -> None:
    """Make `folder`; refuse one whose libraries somebody else could have put there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _misfit_of(folder)


def _misfit_of(path: Path) -> None:
    """OSError unless `path` is this user's and only this user may change it (on POSIX)."""
    if not hasattr(os, "getuid"):
        return  # Windows: folders below a user's own are the user's
    found = path.lstat()
    foreign = found.st_uid != os.getuid() or found.st_mode & 0o022
    if foreign or not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        raise OSError(f"{path} is, or can be changed by, somebody else's")


def _folders() -> Iterator[Path]:
    given = os.environ.get("HIDIM_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # a user without a home
        yield (Path(given) if given else Path.home() / ".cache") / "hidim"
    with suppress(OSError):  # no folder for temporary files
        yield _own_folder()


@functools.cache
def _own_folder() -> Path:
    """Where only this process builds: a name in the common folder that others could foresee would
    let them put a library of theirs there."""
    folder = tempfile.mkdtemp(prefix="hidim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


_reasons: list[str] = []
_said: set[str] = set()
