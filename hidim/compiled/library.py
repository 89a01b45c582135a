"""Which library does this process load? The one that the package brings, or none.

It is built with the wheel where there is a compiler (hatch_build.py), is never compiled at the
user's desk, and is left alone where HIDIM_KERNEL=0 stands in the environment.
"""

from __future__ import annotations

import ctypes
import functools
import logging
from contextlib import suppress
from pathlib import Path

import numpy as np

from hidim.support import native

SOURCES = native.Sources(Path(__file__).parent / "kernel", "compiled.cpp")
PACKAGED = Path(__file__).parent / "built"
_LOG = logging.getLogger("hidim")
LEVEL = "DEFAULT"  # one library, which finds out what the processor can


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library of this package and system, or None."""
    if native.unwanted():
        return None
    with suppress(OSError):
        found = native.whole(PACKAGED, native.key(SOURCES, LEVEL))
        if found is not None:
            return _declared(ctypes.CDLL(str(found)))
    if any(PACKAGED.glob("*.so")):
        _LOG.info("the library in %s is not of these sources: NumPy takes its place", PACKAGED)
    return None


@functools.cache
def lanes() -> int:
    """How many numbers a vector of this processor holds, as the library asks for it."""
    loaded = library()
    return 0 if loaded is None else int(loaded.hidim_lanes())


def plain(numbers: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """As C reads it: the library believes what it is told of shapes."""
    return np.ascontiguousarray(np.broadcast_to(numbers, shape), dtype=np.float64)


def _declared(loaded: ctypes.CDLL) -> ctypes.CDLL:
    number, size, address = ctypes.c_double, ctypes.c_longlong, ctypes.c_void_p
    loaded.hidim_lanes.restype = size
    loaded.hidim_solve.restype = number
    loaded.hidim_solve.argtypes = [size] * 6 + [address] * 6
    loaded.hidim_moments.restype = None
    loaded.hidim_moments.argtypes = [size] * 5 + [address] * 5 + [number] + [address] * 2
    return loaded
