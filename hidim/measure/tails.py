"""Which power do the eigenvalues of a covariance follow, lambda_j ~ j^-s?

Read as lambda_j ~ j^(-2 alpha), the power-law random features of arXiv 2505.16098, a slope s gives
alpha = s / 2 and kappa_3 = 1 / (2 alpha) = 1 / s.

The window is ranks 3 (or 1/50 of the rank) to half the rank, past the head and short of where a
finite sample bends the spectrum down; every octave of ranks counts the same. The interval comes
from leaving out one block of neighbouring ranks after another.

Limits: real spectra bend. The slopes of the two halves of the window stand beside the fit, and
where they differ much there is no power law. Eigenvalues of few rows are biased all together,
which no interval from ranks shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.measure.slopes import measure_exponent
from hidim.support.checks import finite_array, shown, whole
from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class Tail(Saved, format="hidim-tail/1"):
    """A power law fitted to eigenvalues.

    Attributes:
        site: where they were measured.
        eigenvalues: descending, shape (n,).
        window: first and last rank of the fit, counted from 1.
        slope: s of lambda_j ~ j^-s.
        halves: slopes of the lower and upper half of the window in log rank.
        low: lower end of the 95 % interval of the slope, None where too few ranks bound it.
        high: its upper end.
    """

    site: str
    eigenvalues: np.ndarray
    window: tuple[int, int]
    slope: float
    halves: tuple[float, float]
    low: float | None = None
    high: float | None = None

    @property
    def alpha(self) -> float:
        """The alpha of power-law random features with this slope."""
        return self.slope / 2

    @property
    def kappa_3(self) -> float | None:
        """1 / (2 alpha), or None where the theory has no gain (2 alpha at most 1)."""
        return 1 / self.slope if self.slope > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the eigenvalues."""
        return {
            "site": self.site,
            "dimension": len(self.eigenvalues),
            "window": list(self.window),
            "slope": self.slope,
            "slope_halves": list(self.halves),
            "slope_interval": None if self.low is None else [self.low, self.high],
            "alpha": self.alpha,
            "kappa_3": self.kappa_3,
        }


def tail(eigenvalues: np.ndarray, *, site: str = "", window: tuple[int, int] | None = None) -> Tail:
    """Fit a power law to eigenvalues against their rank, least squares in log-log.

    Args:
        eigenvalues: shape (n,), any order; those below 1e-10 of the largest are left out.
        site: a name for tables.
        window: first and last rank; by default from 3 (or 1/50 of the rank) to half the rank, past
            the head and short of where a finite sample bends the spectrum down.

    Raises:
        ValueError: a window of fewer than 4 ranks, or outside the spectrum.

    >>> found = tail(np.arange(1, 200) ** -1.5)
    >>> round(found.alpha, 6), round(found.kappa_3, 6)
    (0.75, 0.666667)
    """
    values = np.sort(finite_array("eigenvalues", eigenvalues, ndim=1))[::-1]
    values = values[values > 1e-10 * values[0]] if len(values) and values[0] > 0 else values[:0]
    rank = len(values)
    first, last = max(3, rank // 50), rank // 2
    if window is not None:
        ends = finite_array("window", window, ndim=1)
        if len(ends) != 2:
            raise ValueError(f"`window` must be a first and a last rank, got {shown(window)}.")
        first, last = (int(whole("window", end)) for end in ends)
    if not 1 <= first <= last - 3 or last > rank:
        raise ValueError(
            f"`window` {first}..{last} must hold at least 4 of the {rank} nonzero eigenvalues"
            f"{f' of {site}' if site else ''}. Measure more of them, or give a window."
        )
    j = np.arange(first, last + 1, dtype=np.float64)
    y = 1 / values[first - 1 : last]
    # Ranks are dense at the end of a log axis: weights 1/j make every octave count the same.
    low = np.log(j) <= (math.log(first) + math.log(last)) / 2
    line = measure_exponent(j, y, weights=1 / j)
    halves = tuple(_slope(j[part], y[part]) for part in (low, ~low))
    return Tail(
        site, values, (first, last), line.value, (halves[0], halves[1]), line.low, line.high
    )


def _slope(j: np.ndarray, y: np.ndarray) -> float:
    return measure_exponent(j, y, weights=1 / j).value if len(j) > 1 else math.nan
