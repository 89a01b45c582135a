"""The linear systems of one block, where the modes differ by few numbers (systems/factors.py).

Every entry of a mode's matrix is a combination of its features, and so is every entry of what is
left once a kind is eliminated. The combinations are worked out once for all modes; products with
the features then write all matrices and all right-hand sides (compiled/).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hidim.compiled.blocks import solve_combined
from hidim.engines.linear import BlockMatrix, kinds_to_eliminate
from hidim.systems.factors import Factors


class FactoredMatrix(BlockMatrix):
    """As `BlockMatrix`, from factors.

    Args:
        factors: at the points.
        length: of the block.
        shift: (stages, stages + 1), the discrete derivative at the points from all values.
        seen: (kinds,), whether the orders read a kind; such a kind is kept.
    """

    def __init__(
        self, factors: Factors, length: float, shift: np.ndarray, seen: np.ndarray
    ) -> None:
        self.modes = len(factors.features)
        self.stages, self.kinds, self.orders = factors.gains.shape[1:]
        self._first, self._shift = shift[:, 0], shift[:, 1:]
        self.length, self._inverse = length, None
        self._features, self._factors = factors.features, factors
        moving = [factors.change, factors.gains]
        if factors.source is not None:
            moving.append(factors.source[..., None])
        # What moves a kind: other kinds, a unit of each order, the source.
        self._moving = length * np.concatenate(moving, axis=3).transpose(0, 2, 3, 1)
        self.gone = kinds_to_eliminate(_own(factors.change), seen)
        self.kept = [k for k in range(self.kinds) if k not in self.gone]
        self._eliminate()

    @cached_property
    def _all(self) -> np.ndarray:
        """(modes, kinds, kinds + orders (+ 1), stages)."""
        found = self._features @ self._moving.reshape(len(self._moving), -1)
        return found.reshape(self.modes, *self._moving.shape[1:])

    @property
    def _pulls(self) -> np.ndarray:  # type: ignore[override]
        return self._all[:, :, : self.kinds]

    @property
    def _gains(self) -> np.ndarray:  # type: ignore[override]
        return self._all[:, :, self.kinds : self.kinds + self.orders]

    @property
    def _source(self) -> np.ndarray | None:  # type: ignore[override]
        whole = self._all
        return whole[:, :, -1] if whole.shape[2] > self.kinds + self.orders else None

    @cached_property
    def _entering(self) -> np.ndarray:  # type: ignore[override]
        """What reaches the kinds gone, (modes, gone, kept + orders, stages)."""
        columns = [*self.kept, *range(self.kinds, self.kinds + self.orders)]
        part = self._moving[:, self.gone][:, :, columns]
        found = self._features @ part.reshape(len(part), -1)
        return found.reshape(self.modes, *part.shape[1:])

    @property
    def fed_back(self) -> bool:
        """Whether orders move anything."""
        return bool(self._factors.gains.any())

    @cached_property
    def is_tame(self) -> bool:
        """Whether what eliminating brings in stays near the size of what it meets."""
        if not self.gone:
            return True
        parts = len(self._into)
        into = np.abs(self._into).reshape(parts, -1).max(axis=1)
        back = np.abs(self._back).reshape(parts, -1).max(axis=1)
        largest = self._factors.largest
        if self._tame(largest @ into, largest @ back):
            return True  # as mostly, without asking every mode
        sizes = np.abs(self._features)
        return self._tame(sizes @ into, sizes @ back)

    def _met(self) -> np.ndarray:
        part = self._moving[:, self.kept][:, :, self.kept]
        return np.asarray(np.abs(self._features @ part.reshape(len(part), -1)).max(axis=1))

    def _eliminate(self) -> None:
        """Work out the combinations."""
        s, kept, gone = self.stages, self.kept, self.gone
        columns = kept + list(range(self.kinds, self._moving.shape[2]))
        plain = len(self._moving)
        moved = np.zeros((plain, len(kept), s, len(columns), s))
        self._products = self._features
        if gone:
            self._resolvent = self._resolved()
            self._into = self._moving[:, kept][:, :, gone]
            self._back = self._moving[:, gone][:, :, kept]
            self._reaching = [0, *(p for p in range(1, plain) if self._into[p].any())]
            back = self._moving[:, gone][:, :, columns]
            moved = np.concatenate([self._through(p, back) for p in self._reaching])
            # The first feature is 1; of what others reach through, every product is a new one.
            more = [self._features * self._features[:, p, None] for p in self._reaching[1:]]
            self._products = np.hstack([self._features, *more]) if more else self._features
        np.einsum("paici->paci", moved[:plain])[...] += self._moving[:, kept][:, :, columns]
        matrix = -moved[:, :, :, : len(kept)]
        for a in range(len(kept)):
            matrix[0, a, :, a] += self._shift
        rows = len(kept) * s
        self._columns = moved[:, :, :, len(kept) :].reshape(len(moved), rows, -1)
        self._combined = matrix.reshape(len(moved), rows, rows)

    @cached_property
    def matrix(self) -> np.ndarray:  # type: ignore[override]
        """Every mode's own, (modes, rows, rows)."""
        parts, rows = self._combined.shape[:2]
        written = self._products @ self._combined.reshape(parts, -1)
        return written.reshape(self.modes, rows, rows)

    def _through(self, p: int, back: np.ndarray) -> np.ndarray:
        """What reaches the kinds kept through those gone, by feature p of the way out.

        Args:
            back: (parts, gone, columns, stages), the way in.

        Returns:
            (parts, kept, stages, columns, stages).
        """
        s, found = self.stages, np.zeros(())
        for g in range(len(self.gone)):
            for h in range(len(self.gone)):
                tile = self._resolvent[g * s : (g + 1) * s, h * s : (h + 1) * s]
                out = self._into[p, :, g, :, None] * tile  # (kept, stages, stages)
                part = out[:, :, None, :] * back[:, None, None, h]
                found = part if not g and not h else found + part
        return found

    def _resolved(self) -> np.ndarray:
        """The inverse of what the kinds gone are among themselves, the same for all modes."""
        count, s = len(self.gone), self.stages
        if count == 1:
            return np.linalg.inv(self._shift - np.diag(self._moving[0, self.gone[0], self.gone[0]]))
        among = np.zeros((count, s, count, s))
        np.einsum("gihi->ghi", among)[...] = -self._moving[0][self.gone][:, self.gone]
        np.einsum("gigj->gij", among)[...] += self._shift
        return np.linalg.inv(among.reshape(count * s, -1))

    @cached_property
    def units(self) -> np.ndarray:  # type: ignore[override]
        """A unit of each order at each stage, (modes, rows, orders x stages)."""
        part = self._columns[:, :, : self.orders * self.stages]
        found = self._products @ part.reshape(len(part), -1)
        return found.reshape(self.modes, -1, part.shape[2])

    def answers(
        self, states: np.ndarray, *, units: bool, sourced: np.ndarray | None = None
    ) -> np.ndarray:
        """As `BlockMatrix.answers`."""
        n, width = len(states), self.orders * self.stages
        parts, rows = self._columns.shape[:2]
        combined = np.zeros((parts, rows, n + width * units))
        if units:
            combined[:, :, n:] = self._columns[:, :, :width]
        if self._columns.shape[2] > width:
            added = self._columns[:, :, width:].sum(axis=2)[:, :, None]
            combined[:, :, :n] = added if sourced is None else added * sourced
        begun = self._from_states(states)
        if self._inverse is None:
            found = solve_combined(self._products, self._combined, combined, begun)
            return self._shaped(found, units=units)
        flat = (self._products @ combined.reshape(parts, -1)).reshape(self.modes, rows, -1)
        flat[:, :, :n] += begun
        return self._answered(flat, units=units)

    def _answered(self, flat: np.ndarray, *, units: bool) -> np.ndarray:
        """As `BlockMatrix._answered`, without writing matrices where nobody else wants them."""
        if self._inverse is not None or "matrix" in self.__dict__:
            return super()._answered(flat, units=units)
        none = np.zeros((*self._combined.shape[:2], flat.shape[2]))
        found = solve_combined(self._products, self._combined, none, flat)
        return self._shaped(found, units=units)

    def _from_states(self, states: np.ndarray) -> np.ndarray:
        """Right-hand sides of the kinds kept from states (n, kinds, modes or 1)."""
        s, kept, gone = self.stages, self.kept, self.gone
        at = states.transpose(2, 0, 1)  # (modes, n, kinds)
        unit = np.zeros((self.kinds, len(kept), s))  # what a unit of each kind brings
        for a, kind in enumerate(kept):
            unit[kind, a] = -self._first
        found: np.ndarray | float = 0.0
        for p in self._reaching if gone else [0]:
            if p:
                unit[kept] = 0.0
            for h, kind in enumerate(gone):
                begun = self._resolvent[:, h * s : (h + 1) * s] @ -self._first
                unit[kind] = (self._into[p] * begun.reshape(len(gone), s)).sum(axis=1)
            part = at @ unit.reshape(self.kinds, -1)
            found = found + (part * self._features[:, p, None, None] if p else part)
        return np.asarray(found).transpose(0, 2, 1)


def _own(change: np.ndarray) -> np.ndarray:
    """Which changes, (kinds, kinds), some mode has for itself: those of features beside the 1."""
    return np.asarray(change[1:].any(axis=(0, 1)))
