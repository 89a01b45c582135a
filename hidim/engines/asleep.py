"""Modes that have hardly moved yet, told by few places.

What becomes of a unit of the start, and of a unit of the count, is a function of the place that
time has not yet bent: a polynomial of low degree from place 0 to the fastest of these modes. It is
followed at Chebyshev places, twice, once for the start and once for the count, and every mode is a
known combination. Its last coefficients tell when the fastest modes must be followed by themselves.
Source: derived for this project.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.engines.many_modes import Smooth
from hidim.systems.base import Array

_NODES = 8
_FEWEST = 3 * _NODES  # modes for which it goes on being worth it
# At a time those wake whose place is within this factor of the fastest.
_WAKING = 16.0

_ANGLES = (2.0 * np.arange(_NODES) + 1.0) * np.pi / (2.0 * _NODES)
_UNIT = 0.5 + 0.5 * np.cos(_ANGLES)  # descending, the fastest place being 1
_COEFFICIENTS = np.linalg.inv(np.polynomial.chebyshev.chebvander(np.cos(_ANGLES), _NODES - 1))


@dataclass(frozen=True, eq=False)
class Asleep:
    """Modes of a range, the places descending, that have hardly moved.

    Their state is (..., kinds, 2 * nodes): of every node what comes of the start, then of counts.

    Attributes:
        modes: the range.
        next: the first that goes on sleeping when the fastest wake.
        top: place of the fastest.
        spread: (modes in range, nodes), values from those at the nodes.
        start: (..., nodes), what of the start the nodes carry.
        counts: (nodes,), of the counts.
        stands: (..., 2), sums over the range of places times start, and times counts.
    """

    modes: slice
    next: int
    top: float
    spread: Array
    start: Array
    counts: Array
    stands: Array

    @classmethod
    def choose(cls, smooth: Smooth, modes: slice, start: Array) -> Asleep | None:
        """Modes of a range, with the start (..., modes) of all; None where these are few."""
        places, counts = smooth.places[modes], smooth.counts[modes]
        if len(places) < _FEWEST:
            return None
        top, start = float(places[0]), start[..., modes]
        later = modes.start + int(np.count_nonzero(places > top / _WAKING))
        spread = _from_nodes(places / top)
        sizes = np.abs(start) @ places, np.full(start.shape[:-1], np.abs(counts) @ places)
        # In the units that enter the risk: slow modes of much error weigh little there.
        nodes = top * _UNIT
        carried = (start * places) @ spread / nodes, (counts * places) @ spread / nodes
        return cls(modes, later, top, spread, *carried, np.stack(sizes, axis=-1))

    @property
    def places(self) -> Array:
        """Of the nodes, each twice."""
        return np.repeat(self.top * _UNIT, 2)

    @property
    def carried(self) -> Array:
        """Counts of the same; none where it is the start that is followed."""
        return np.stack([np.zeros_like(self.counts), self.counts], axis=-1).reshape(-1)

    @property
    def _each(self) -> Array:
        """Start and count of the nodes, (..., 1, nodes, 2)."""
        counts = np.broadcast_to(self.counts, self.start.shape)
        return np.stack([self.start, counts], axis=-1)[..., None, :, :]

    def units(self, state: Array) -> Array:
        """What became of a unit of the start and of the count, (..., kinds, nodes, 2)."""
        each = self._each
        split = state.reshape(*state.shape[:-1], _NODES, 2)
        return np.asarray(np.where(each == 0.0, 0.0, split) / np.where(each == 0.0, 1.0, each))

    def state(self, units: Array) -> Array:
        """The state of such units."""
        each = units * self._each
        return np.asarray(each.reshape(*each.shape[:-2], -1))

    def units_at(self, state: Array, other: Asleep) -> Array:
        """Units at the nodes of another choice among these modes."""
        return np.asarray(_from_nodes(other.top * _UNIT / self.top) @ self.units(state))

    def bent(self, units: Array) -> Array:
        """How much of the sum over the range few places miss, from units of the start alone."""
        return _missed(units[..., None])[..., 0] * self.stands[..., 0]

    def doubt(self, state: Array) -> Array:
        """How much of the sum over the range few places miss, (..., kinds)."""
        return np.asarray((_missed(self.units(state)) * self.stands[..., None, :]).sum(axis=-1))

    def full(self, state: Array, start: Array, counts: Array) -> Array:
        """States of the modes in range, from the start (..., modes) and counts of all modes."""
        units = self.spread @ self.units(state)  # (..., kinds, modes, 2)
        given = start[..., None, self.modes]
        return np.asarray(units[..., 0] * given + units[..., 1] * counts[self.modes])


def _from_nodes(places: Array) -> Array:
    """Values at places, in units of the fastest, from those at the nodes, (places, nodes)."""
    at = np.polynomial.chebyshev.chebvander(2.0 * places - 1.0, _NODES - 1)
    return np.asarray(at @ _COEFFICIENTS)


def _missed(units: Array) -> Array:
    """The last two coefficients of functions at the nodes (..., nodes, n), (..., n)."""
    return np.asarray(np.abs(_COEFFICIENTS[-2:] @ units).sum(axis=-2))
