"""How far do rows lie from their curve, and curves of one configuration from each other?

Rows scatter about a smoothed curve, and averaging takes that away; what is left of a stretch's
mean is how far a run lies from the law as a whole. What was measured on a few runs may be lucky,
so a default counts as `_PRIOR` runs beside those at hand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hidim.fitting.schedules.bands import RUN_TO_RUN

_PRIOR = 3.0  # runs that a default counts as
_BLOCKS = 16  # stretches of a run whose means are compared with the law
_WILD = 8.0  # standard deviations of a stretch, beyond which a row of it is damaged
_Z90 = 1.6449  # half-width of a 90 % interval in standard deviations


def variation(errors: Sequence[np.ndarray]) -> tuple[float, float]:
    """Relative error of a row, and of a smoothed curve, about a law, as fractions.

    Args:
        errors: log residuals of each fitted run, each (n,).
    """
    size = np.abs(np.concatenate(errors)) if len(errors) else np.zeros(0)
    # The share of rows a 90 % band must hold, so that a few wrong rows do not widen it.
    total = float(np.quantile(size, 0.9)) / _Z90 if len(size) else 0.0
    squares = [_systematic(error) for error in errors if len(error) >= 2 * _BLOCKS]
    seen = float(np.sqrt(np.mean(squares))) if squares else 0.0
    between = pooled(seen, RUN_TO_RUN, len(squares))
    rows = max(total**2 - seen**2, 0.0)
    return float(np.sqrt(rows + between**2)), between


def luck(held_out: Sequence[float], runs: int) -> float:
    """What to add to a smoothed curve's error where hold-outs went better than they do as a rule.

    Args:
        held_out: mean errors on what was left out of a refit.
        runs: how many runs were fitted.
    """
    if not len(held_out):
        return 0.0
    size = float(np.sqrt(np.mean(np.square(held_out))))
    return float(np.sqrt(max(pooled(size, RUN_TO_RUN, runs) ** 2 - size**2, 0.0)))


def pooled(measured: float, default: float, runs: int) -> float:
    """A standard deviation measured on some runs, together with its default."""
    return float(np.sqrt((runs * measured**2 + _PRIOR * default**2) / (runs + _PRIOR)))


def _systematic(error: np.ndarray) -> float:
    """Mean square of stretches' means, less what noise of single rows puts there."""
    blocks = [_tamed(block) for block in np.array_split(error, _BLOCKS)]
    means = np.array([np.mean(block) for block in blocks])
    within = np.mean([np.var(block, ddof=1) / len(block) for block in blocks])
    return float(max(np.mean(means**2) - within, 0.0))


def _tamed(block: np.ndarray) -> np.ndarray:
    """A stretch whose damaged rows stand no farther from its median than others may."""
    middle = np.median(block)
    reach = _WILD * 1.4826 * float(np.median(np.abs(block - middle)))
    return np.clip(block, middle - reach, middle + reach)
