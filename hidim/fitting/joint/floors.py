"""In which coordinates can the floors of a few sizes be searched?

floor(N) = E + A (N / N0)^-a has, over two sizes, a valley along which the floors of both stay what
they are: curved in (E, log A, a), and a search there takes steps as small as its bends, hundreds of
them. With F the floor of the largest size, F + D that of the smallest and e = E / F the valley is
the line along e, and a = log(1 + D / (F (1 - e))) / X, X being the log of the ratio of both sizes.
Searched are log F, log D and e; priors and laws know E, log A and a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_LARGEST_SHARE = 1.0 - 1e-9


@dataclass(frozen=True)
class FloorChart:
    """Coordinates of a search over floors.

    Attributes:
        at: places of floor_limit, floor_excess and floor_exponent in the vector; log F, log D and e
            stand there instead.
        low: log(N / N0) of the smallest size fitted.
        high: that of the largest.
    """

    at: tuple[int, int, int]
    low: float
    high: float

    def inside(self, vector: np.ndarray) -> np.ndarray:
        """Parameters as laws know them, (q,), in the coordinates of the search, (q,)."""
        limit, excess, exponent = (float(vector[i]) for i in self.at)
        own = math.exp(excess - exponent * self.high)
        floor = limit + own
        out = np.array(vector, dtype=np.float64)
        apart = math.log(own) + math.log(math.expm1(exponent * (self.high - self.low)))
        out[list(self.at)] = math.log(floor), apart, limit / floor
        return out

    def outside(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters as laws know them, (q,), and their slopes in the coordinates, (q, q)."""
        i, j, k = self.at
        floor, apart, share = math.exp(found[i]), math.exp(found[j]), float(found[k])
        own = floor * (1.0 - share)  # A (N / N0)^-a at the largest size
        exponent = math.log1p(apart / own) / (self.high - self.low)
        vector = np.array(found, dtype=np.float64)
        vector[[i, j, k]] = floor * share, math.log(own) + exponent * self.high, exponent
        slope = np.eye(len(found))
        # By log F, log D and e: of log(own), of the exponent, and from these of the rest.
        by_own = np.array([1.0, 0.0, -1.0 / (1.0 - share)])
        by = np.array([0.0, 1.0, 0.0]) - by_own
        by *= apart / (own + apart) / (self.high - self.low)
        slope[np.ix_([i, j, k], [i, j, k])] = [
            [floor * share, 0.0, floor],
            by_own + self.high * by,
            by,
        ]
        return vector, slope

    def bounds(
        self, bounds: tuple[np.ndarray, np.ndarray], highest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the search: no floor above `highest`, no limit below zero."""
        low, high = bounds[0].copy(), bounds[1].copy()
        low[list(self.at)] = -30.0, -30.0, 0.0
        high[list(self.at)] = math.log(highest), 30.0, _LARGEST_SHARE
        return low, high
