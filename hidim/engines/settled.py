"""Modes that have forgotten their start, told by few of them.

What noise alone still moves is, per count, a smooth function of the place: such a mode follows what
drives it at a distance of 1 / (rate place) steps, short against the time that has passed, so it is
nearly a polynomial in the place and in its inverse. Sums over these modes are then sums over few,
with other counts: those that a pivoted QR of such polynomials chooses, and every one of the others
is a known combination of them. Nothing is believed that was not seen: modes are told by others once
these tell them to rounding, and a few witnesses go on being followed by themselves.
Source: derived for this project; the choice of nodes is an interpolative decomposition
(Cheng, Gimbutas, Martinsson and Rokhlin, SIAM J. Sci. Comput. 26 (2005) 1389).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.engines.many_modes import Smooth
from hidim.systems.base import Array

# Powers of the place: what follows from behind, and what a step of finite size adds.
_POWERS = np.arange(-8.0, 8.0)
_WITNESSES = 4
FEWEST = len(_POWERS) + _WITNESSES  # modes that go on being followed


@dataclass(frozen=True, eq=False)
class Settled:
    """Modes of a range, the places descending, that few of them tell.

    Attributes:
        modes: the range.
        nodes, witnesses: indices of modes that are followed: to tell others, for themselves.
        counts: (nodes,), with which the nodes carry the others.
        spread: (modes in range, nodes), values per count from those of the nodes.
        stands: (witnesses,), how much of the sum over the range each witness stands for.
    """

    modes: slice
    nodes: Array
    witnesses: Array
    counts: Array
    spread: Array
    stands: Array

    @classmethod
    def choose(cls, smooth: Smooth, modes: slice) -> Settled:
        """Choose, among the modes of a range, those that tell the others."""
        places, first = smooth.places[modes], modes.start
        carried = (smooth.counts * smooth.places)[modes]
        root = np.sqrt(np.abs(carried))
        powers = (places[:, None] / np.sqrt(places[0] * places[-1])) ** _POWERS * root[:, None]
        basis = np.linalg.qr(powers / np.linalg.norm(powers, axis=0))[0]
        nodes = _pivots(basis)
        spread = np.linalg.solve(basis[nodes].T, basis.T).T * root[nodes] / root[:, None]
        others = np.delete(np.arange(len(places)), nodes)
        # The last mode among them: it was the last to settle, and is told worst.
        witnesses = others[np.linspace(0, len(others) - 1, _WITNESSES).astype(int)]
        alone = carried.copy()
        alone[witnesses] = 0.0
        ends = np.searchsorted(0.5 * (witnesses[1:] + witnesses[:-1]), np.arange(len(places)))
        stands = np.bincount(ends, np.abs(carried), _WITNESSES)
        counts = alone @ spread / places[nodes]
        return cls(modes, first + nodes, first + witnesses, counts, spread, stands)

    @property
    def followed(self) -> Array:
        """Indices of the modes that are still followed, ascending."""
        return np.union1d(self.nodes, self.witnesses)

    def untold(self, smooth: Smooth, full: Array) -> Array:
        """How much of the sum over the range the nodes tell wrongly, (...).

        Args:
            full: (..., modes), of all modes.
        """
        values = full[..., self.modes] / smooth.counts[self.modes]
        nodes = full[..., self.nodes] / smooth.counts[self.nodes]
        gap = np.abs(values - nodes @ self.spread.T)
        return np.asarray(gap @ np.abs(smooth.counts * smooth.places)[self.modes])

    def unseen(self, nodes: Array, witnesses: Array) -> Array:
        """The same as the witnesses see it, from values per count (..., nodes) and theirs."""
        told = nodes @ self.spread[self.witnesses - self.modes.start].T
        return np.asarray(np.abs(witnesses - told) @ self.stands)


def _pivots(basis: Array) -> Array:
    """Rows of an orthonormal basis (modes, n) that tell the others, n of them, ascending.

    The pivots of a QR factorisation with column pivoting of its transpose; SciPy's costs more to
    import than a prediction takes.
    """
    left, chosen = basis.T.copy(), []
    sizes = np.einsum("kj,kj->j", left, left)
    for _ in range(len(left)):
        pivot = int(np.argmax(sizes))
        chosen.append(pivot)
        direction = left[:, pivot] / np.linalg.norm(left[:, pivot])
        along = direction @ left
        left -= direction[:, None] * along
        sizes -= along**2
        sizes[pivot] = -1.0
    return np.sort(chosen)
