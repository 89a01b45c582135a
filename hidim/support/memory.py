"""Does this machine have the memory, and does a worker keep it while it is at work?"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Of glibc's mallopt: which threshold, its variable, and its value while a task is done.
_TRIM = (-1, "MALLOC_TRIM_THRESHOLD_", 1 << 28)
_MAP = (-3, "MALLOC_MMAP_THRESHOLD_", 1 << 25)
_USUAL = 128 * 1024  # either's default


def memory_bytes() -> float:
    """Physical memory in bytes; infinite where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError):  # a system that does not know these
        return math.inf


@contextmanager
def steady_memory() -> Iterator[None]:
    """While the block lasts, freed memory stays with the process, which uses it again.

    Dask has its workers hand memory back after every array (MALLOC_TRIM_THRESHOLD_), and map every
    larger one anew: a fifth to a third of a plane's time goes there. Without that variable, or
    without glibc, nothing is done; afterwards it holds again.
    """
    try:
        libc = ctypes.CDLL(None)
        set_threshold = libc.mallopt
        libc.malloc_trim  # noqa: B018
    except (OSError, AttributeError, TypeError):  # no glibc
        set_threshold = None
    if set_threshold is None or _TRIM[1] not in os.environ:
        yield
        return
    for which, _, value in (_TRIM, _MAP):
        set_threshold(which, value)
    try:
        yield
    finally:
        for which, name, _ in (_TRIM, _MAP):
            given = os.environ.get(name, "")
            set_threshold(which, int(given) if given.isdigit() else _USUAL)
        libc.malloc_trim(0)


def check_runs_fit(runs: int, numbers: float) -> None:
    """Refuse `runs` of so many float64 numbers each, where the machine cannot hold them.

    Raises:
        ValueError: naming the memory that they need, and how many runs fit.
    """
    each, held = 8.0 * float(numbers), memory_bytes()
    if runs * each > held:
        raise ValueError(
            f"`runs` is {runs:g}, which would need {runs * each / 1e9:,.3g} GB of memory; this "
            f"machine has {held / 1e9:,.3g} GB. Give at most {max(int(held / each), 1):,}."
        )


def check_numbers_fit(what: str, numbers: float) -> None:
    """Refuse to make that many float64 numbers, where the machine cannot hold them.

    Raises:
        ValueError: naming `what` is made and the memory that it needs.
    """
    needed, held = 8.0 * float(numbers), memory_bytes()
    if needed > held:
        raise ValueError(
            f"{what} would need {needed / 1e9:,.3g} GB of memory; this machine has "
            f"{held / 1e9:,.3g} GB. Ask for fewer."
        )
