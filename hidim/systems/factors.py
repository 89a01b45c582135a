"""Coefficients of a theory as sums of few products: a function of the mode times one of time.

    change(t)_j = sum_p features_jp change_p(t),    and so source and gains.

A momentum's moments need 1, lambda, lambda^2 and n lambda: four features, however many modes. An
engine then does per mode only what differs between modes, and the rest once (engines/factored.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True, eq=False)
class Factors:
    """Change, source and gains of an affine system at some times.

    Args:
        features: (modes, parts); the first is 1 for every mode.
        change: (parts, times, kinds, kinds).
        gains: (parts, times, kinds, orders), what a unit of each order adds.
        source: (parts, times, kinds) where the orders are zero, or None for none.
    """

    features: np.ndarray
    change: np.ndarray
    gains: np.ndarray
    source: np.ndarray | None

    @property
    def largest(self) -> np.ndarray:
        """The largest size of every feature, (parts,)."""
        return np.abs(self.features).max(axis=0)

    def of_modes(self, part: np.ndarray) -> np.ndarray:
        """One of the three, of every mode: (parts, times, ...) to (times, modes, ...).

        >>> factors = Factors(np.array([[1.0, 2.0]]), np.ones((2, 1, 1, 1)), np.ones(0), None)
        >>> factors.of_modes(factors.change).tolist()
        [[[[3.0]]]]
        """
        found = self.features @ part.reshape(len(part), -1)
        return np.moveaxis(found.reshape(len(self.features), *part.shape[1:]), 0, 1)

    def dense(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """As `System.linearised` gives them."""
        source = None if self.source is None else self.of_modes(self.source)
        return self.of_modes(self.change), source, self.of_modes(self.gains)


class Intake(NamedTuple):
    """An affine system at some times, where every mode takes in one number per step.

    Args:
        factors: change, and as gains what a unit of that number adds; no source.
        added: (times, modes), what is taken in whatever the orders.
        carried: (modes, orders), how much of it a unit of every order brings.
    """

    factors: Factors
    added: np.ndarray
    carried: np.ndarray
