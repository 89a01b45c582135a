"""Does this machine have the memory? Asked before work that could not end."""

from __future__ import annotations

import math
import os


def memory_bytes() -> float:
    """Physical memory in bytes; infinite where the system does not say."""
    if not hasattr(os, "sysconf"):
        return math.inf
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError):  # a system that does not know these
        return math.inf


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
