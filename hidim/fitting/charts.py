"""In which coordinates can a power law with a floor be searched?

E + A e^(-a x), x the log of a size or of time, has a valley along which its values at both ends of
what was measured stay what they are: curved in (E, log A, a), and a search there takes steps as
small as its bends, hundreds of them. With F the value at the far end, F + D that at the near one
and e = E / F the valley is the line along e, and a = log(1 + D / (F (1 - e))) / X, X being the
distance of both ends. Searched are log F, log D and e; priors and laws know E, log A and a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_LARGEST_SHARE = 1.0 - 1e-9
_NARROW = 0.1  # ends nearer than this are taken to be so far apart
_FARTHEST = 30.0  # of the logarithms of F and D


@dataclass(frozen=True)
class PowerChart:
    """Coordinates of a search over power laws with a floor.

    Attributes:
        at: places of E, log A and a in the vector; log F, log D and e stand there instead.
        low: x of the near end.
        high: x of the far end.
    """

    at: tuple[int, int, int]
    low: float
    high: float

    @property
    def width(self) -> float:
        """Distance of both ends."""
        return max(self.high - self.low, _NARROW)

    def inside(self, vector: np.ndarray) -> np.ndarray:
        """Parameters as laws know them, (q,), in the coordinates of the search, (q,)."""
        limit, excess, exponent = (float(vector[i]) for i in self.at)
        log_own = excess - exponent * self.high
        far = limit + math.exp(log_own)
        out = np.array(vector, dtype=np.float64)
        apart = log_own + math.log(math.expm1(exponent * self.width))
        out[list(self.at)] = math.log(far), apart, limit / far
        return out

    def outside(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters as laws know them, (q,), and their slopes in the coordinates, (q, q)."""
        i, j, k = self.at
        far, apart, share = math.exp(found[i]), math.exp(found[j]), float(found[k])
        own = far * (1.0 - share)  # A e^(-a x) at the far end
        exponent = math.log1p(apart / own) / self.width
        vector = np.array(found, dtype=np.float64)
        vector[[i, j, k]] = far * share, math.log(own) + exponent * self.high, exponent
        slope = np.eye(len(found))
        # By log F, log D and e: of log(own), of the exponent, and from these of the rest.
        by_own = np.array([1.0, 0.0, -1.0 / (1.0 - share)])
        by = np.array([0.0, 1.0, 0.0]) - by_own
        by *= apart / (own + apart) / self.width
        slope[np.ix_([i, j, k], [i, j, k])] = [
            [far * share, 0.0, far],
            by_own + self.high * by,
            by,
        ]
        return vector, slope

    def outside_all(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same of many at once, (r, q): parameters (r, q) and their slopes (r, q, q)."""
        i, j, k = self.at
        far, apart, share = np.exp(found[:, i]), np.exp(found[:, j]), found[:, k]
        own = far * (1.0 - share)
        exponent = np.log1p(apart / own) / self.width
        vector = np.array(found, dtype=np.float64)
        vector[:, i], vector[:, k] = far * share, exponent
        vector[:, j] = np.log(own) + exponent * self.high
        none, one = np.zeros_like(far), np.ones_like(far)
        by_own = np.stack([one, none, -1.0 / (1.0 - share)], axis=1)
        by = (np.array([0.0, 1.0, 0.0]) - by_own) * (apart / (own + apart) / self.width)[:, None]
        slope = np.tile(np.eye(found.shape[1]), (len(found), 1, 1))
        rows = (np.stack([far * share, none, far], axis=1), by_own + self.high * by, by)
        for place, row in zip((i, j, k), rows, strict=True):
            slope[:, place, list(self.at)] = row
        return vector, slope

    def bounds(
        self, bounds: tuple[np.ndarray, np.ndarray], highest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the search: no value at the far end above `highest`, no floor below zero."""
        low, high = bounds[0].copy(), bounds[1].copy()
        low[list(self.at)] = -_FARTHEST, -_FARTHEST, 0.0
        high[list(self.at)] = math.log(highest), _FARTHEST, _LARGEST_SHARE
        return low, high


@dataclass(frozen=True)
class InteractionChart:
    """Coordinates in which an interaction exponent moves neither value nor slopes where it acts.

    Of (A^(1/eta) + C^(1/eta))^eta both logarithmic slopes, q and 1 - q, and the value T stay what
    they are along A = T q^eta, C = T (1 - q)^eta. Searched are log(T q) and log(T (1 - q)) in
    place of log A and log C, and with the first of them the coordinates of a power law.

    Attributes:
        power: coordinates of the floor, of whose places the second is log A's.
        at: places of log A, log C and log eta.
    """

    power: PowerChart
    at: tuple[int, int, int]

    def inside(self, vector: np.ndarray) -> np.ndarray:
        """Parameters as laws know them, (q,), in the coordinates of the search, (q,)."""
        terms, eta = vector[list(self.at[:2])], math.exp(vector[self.at[2]])
        total = eta * np.logaddexp(*(terms / eta))
        plain = np.array(vector, dtype=np.float64)
        plain[list(self.at[:2])] = np.maximum(total + (terms - total) / eta, total - _FARTHEST)
        return self.power.inside(plain)

    def outside(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameters as laws know them, (q,), and their slopes in the coordinates, (q, q)."""
        plain, slope = self.power.outside(found)
        i, j, k = self.at
        terms, eta = plain[[i, j]], math.exp(plain[k])
        total = np.logaddexp(*terms)
        share = np.exp(terms - total)
        vector = plain.copy()
        vector[[i, j]] = total + eta * (terms - total)
        turn = np.eye(len(found))
        turn[np.ix_([i, j], [i, j])] = eta * np.eye(2) + (1.0 - eta) * share
        turn[[i, j], k] = eta * (terms - total)
        return vector, turn @ slope

    def bounds(
        self, bounds: tuple[np.ndarray, np.ndarray], highest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the search, of the plain sum's floor."""
        return self.power.bounds(bounds, highest)
