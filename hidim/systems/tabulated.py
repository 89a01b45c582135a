"""A costly function of a positive number, computed once at points of its logarithm.

Cell by cell as a run reaches them, at Chebyshev points, and interpolated between: what is analytic
in the logarithm errs by some 1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray

# Cells of the logarithm, and the Chebyshev points in each.
_CELL, _POINTS = math.log(4.0), 14
_SMALLEST = 1e-280
_NODES = np.cos((np.arange(_POINTS) + 0.5) * (math.pi / _POINTS))
_WEIGHTS = (-1.0) ** np.arange(_POINTS) * np.sin((np.arange(_POINTS) + 0.5) * (math.pi / _POINTS))


class Tabulated:
    """The function itself, and what of it has been computed.

    Args:
        of: (n,) positive numbers -> (n, values).

    >>> table = Tabulated(lambda S: np.sqrt(1.0 + S)[:, None])
    >>> bool(abs(table(np.array([3.0]))[0, 0] - 2.0) < 1e-12)
    True
    """

    def __init__(self, of: Callable[[Array], Array]) -> None:
        self._of = of
        self._cells: dict[int, Array] = {}

    def __call__(self, at: Array) -> Array:
        """Its values, (n, values)."""
        log = np.log(np.maximum(at, _SMALLEST))
        cells = np.floor(log / _CELL).astype(int)
        x = 2.0 * (log / _CELL - cells) - 1.0
        if (cells == cells[0]).all():
            return _between(x, self._values(int(cells[0])))
        kinds, place = np.unique(cells, return_inverse=True)
        held = np.stack([self._values(cell) for cell in kinds.tolist()])
        return _between(x[:, None], held[place])[:, 0]

    def _values(self, cell: int) -> Array:
        """Those at the Chebyshev points of a cell, (points, values)."""
        if cell not in self._cells:
            self._cells[cell] = self._of(np.exp((cell + 0.5 * (_NODES + 1.0)) * _CELL))
        return self._cells[cell]


def _between(x: Array, values: Array) -> Array:
    """At places -1..1, (..., n), from the values at the Chebyshev points, (..., points, values)."""
    gap = x[..., None] - _NODES
    hit = gap == 0.0
    terms = _WEIGHTS / np.where(hit, 1.0, gap)
    on = hit.any(axis=-1)
    terms[on] = hit[on]
    return np.asarray((terms @ values) / terms.sum(axis=-1, keepdims=True))
