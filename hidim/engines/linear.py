"""The linear systems of one block, every mode's own: many small matrices, solved together.

Unknowns are the kinds at the stages; columns are the states at the start, each on its own, and a
unit of each order at each stage. A kind whose own change is the same for every mode, as the
momentum's forgetting is, and which enters no order, is eliminated for all modes by one small
inverse, which halves what is left to LAPACK. That elimination is not pivoted, so it is only done
where what it brings in stays tame.
"""

from __future__ import annotations

import numpy as np

from hidim.compiled.blocks import solve

# Largest entry that eliminating may bring in, relative to those it meets.
_TAME = 1e4


class BlockMatrix:
    """length * change against the discrete derivative, for all modes.

    Args:
        change: (stages, modes, kinds, kinds) at the points.
        gains: (stages, modes, kinds, orders), what a unit of an order adds per step.
        source: (stages, modes, kinds), what every step adds whatever the orders, or None.
        length: of the block.
        shift: (stages, stages + 1), the discrete derivative at the points from all values.
        seen: (kinds,), whether the orders read a kind; such a kind is kept.

    Attributes:
        kept: kinds that are left to solve for.
        unit_answers: what became of the units of orders, once they were solved for.
        loop: what they give the orders, (orders x stages, orders x stages).
    """

    unit_answers: np.ndarray | None = None
    loop: np.ndarray | None = None

    def __init__(
        self,
        change: np.ndarray,
        gains: np.ndarray,
        source: np.ndarray | None,
        length: float,
        shift: np.ndarray,
        seen: np.ndarray,
    ) -> None:
        self.stages, self.modes, self.kinds, self.orders = gains.shape
        self._first, self._shift = shift[:, 0], shift[:, 1:]
        self.length = length
        self._pulls = np.ascontiguousarray((length * change).transpose(1, 2, 3, 0))
        self._gains = np.ascontiguousarray((length * gains).transpose(1, 2, 3, 0))
        self._source = None if source is None else (length * source).transpose(1, 2, 0)
        self._inverse: np.ndarray | None = None
        self.gone = kinds_to_eliminate(differs(change.swapaxes(0, 1)), seen)
        if not (self.gone and self._eliminated()):
            self.gone, self.kept = [], list(range(self.kinds))
            self.matrix, self.units = self._between(self.kept), self._unit_columns(self.kept)

    def _between(self, kinds: list[int], modes: slice = slice(None)) -> np.ndarray:
        """Matrix between some kinds, (modes, rows, rows) with rows = kinds x stages."""
        k, s = len(kinds), self.stages
        pulls = self._pulls[modes]
        if k != self.kinds:
            pulls = pulls[:, kinds][:, :, kinds]
        matrix = np.empty((len(pulls), k * s * k * s))
        matrix[...] = self._template(k).reshape(-1)
        view = np.einsum("jaibi->jabi", matrix.reshape(-1, k, s, k, s))
        view -= pulls
        return matrix.reshape(-1, k * s, k * s)

    def _template(self, kinds: int) -> np.ndarray:
        """The discrete derivative of so many kinds, (rows, rows)."""
        template = np.zeros((kinds, self.stages, kinds, self.stages))
        for i in range(kinds):
            template[i, :, i] = self._shift
        return template.reshape(kinds * self.stages, -1)

    def _unit_columns(self, kinds: list[int]) -> np.ndarray:
        """A unit of each order at each stage, (modes, rows, orders x stages)."""
        k, s = len(kinds), self.stages
        units = np.zeros((self.modes, k, s, self.orders, s))
        view = np.einsum("jaioi->jaoi", units)
        view[...] = self._gains[:, kinds]
        return units.reshape(self.modes, k * s, self.orders * s)

    def _eliminated(self) -> bool:
        """Set up what is left; False where eliminating is not safe."""
        s, gone = self.stages, self.gone
        self.kept = [k for k in range(self.kinds) if k not in gone]
        rows = len(self.kept) * s
        self._resolvent = np.linalg.inv(self._between(gone, slice(0, 1))[0])
        # What reaches the kinds kept through those gone: from the kinds kept and from the orders.
        into = self._pulls[:, self.kept][:, :, gone]  # (modes, kept, gone, stages)
        back = np.concatenate(
            [self._pulls[:, gone][:, :, self.kept], self._gains[:, gone]], axis=2
        )  # (modes, gone, kept + orders, stages)
        sizes = (np.abs(part).max(axis=(1, 2, 3)) for part in (into, back[:, :, : len(self.kept)]))
        if not self._tame(*sizes):
            return False
        self._entering = back
        width = back.shape[2]
        through = np.zeros(())
        for g in range(len(gone)):
            for h in range(len(gone)):
                tile = self._resolvent[g * s : (g + 1) * s, h * s : (h + 1) * s]
                part = into[:, :, g].reshape(-1, rows, 1) * back[:, h].reshape(-1, 1, width * s)
                part *= np.tile(tile, (len(self.kept), width))
                through = part if len(gone) == 1 else through + part
        # The plain part is the same for every mode but for its diagonals.
        self.matrix = self._template(len(self.kept)) - through[:, :, :rows]
        view = np.einsum(
            "jaibi->jabi", self.matrix.reshape(self.modes, len(self.kept), s, len(self.kept), s)
        )
        view -= self._pulls[:, self.kept][:, :, self.kept]
        self.units = through[:, :, rows:]
        view = np.einsum(
            "jaioi->jaoi", self.units.reshape(self.modes, len(self.kept), s, self.orders, s)
        )
        view += self._gains[:, self.kept]
        return True

    def _tame(self, into: np.ndarray, back: np.ndarray) -> bool:
        """Whether what eliminating brings in stays near the size of what it meets, mode by mode.

        Args:
            into, back: (modes,), the largest of what reaches the kinds kept through those gone.
        """
        most, derivative = float(np.abs(self._resolvent).max()), np.abs(self._shift).max()
        brought = most * into * back
        if brought.max() <= _TAME * derivative:
            return True  # as mostly, without asking every mode
        return bool(np.all(brought <= _TAME * (derivative + self._met())))

    def _met(self) -> np.ndarray:
        """The largest change of the kinds kept among themselves, (modes,)."""
        return np.asarray(np.abs(self._pulls[:, self.kept][:, :, self.kept]).max(axis=(1, 2, 3)))

    @property
    def fed_back(self) -> bool:
        """Whether orders move anything."""
        return bool(self._gains.any())

    def answers(
        self, states: np.ndarray, *, units: bool, sourced: np.ndarray | None = None
    ) -> np.ndarray:
        """Answers of the kinds kept to states at the start, (modes, kept, stages, columns).

        Args:
            states: (n, kinds, modes), or (n, kinds, 1) for the same in every mode.
            units: whether a column for a unit of each order at each stage follows.
            sourced: (n,), how much of the source each column has; all of it if left out.
        """
        return self.solve(self._begun(states, sourced), units=units)

    def _begun(
        self, states: np.ndarray, sourced: np.ndarray | None, kinds: list[int] | slice = slice(None)
    ) -> np.ndarray:
        """Right-hand sides of some kinds, (modes, kinds, stages, n)."""
        right = -self._first[:, None] * states[:, kinds].transpose(2, 1, 0)[:, :, None, :]
        if self._source is not None:
            added = self._source[:, kinds, :, None]
            return np.asarray(right + (added if sourced is None else added * sourced))
        return right if len(right) == self.modes else np.repeat(right, self.modes, axis=0)

    def completed(
        self,
        kept: np.ndarray,
        states: np.ndarray,
        q: np.ndarray,
        *,
        sourced: np.ndarray | None = None,
    ) -> np.ndarray:
        """All kinds of what `answers` gave of those kept, with orders q (orders x stages, n)."""
        if not self.gone:
            return kept
        return self._all_kinds(kept, self._begun(states, sourced, self.gone), q)

    def free_columns(self, states: np.ndarray, source: np.ndarray | None) -> np.ndarray:
        """Right-hand sides of states at the start, and of what every step adds.

        Args:
            states: (n, kinds, modes), or (n, kinds, 1) for the same in every mode.
            source: (stages, modes, kinds), or (n, stages, modes, kinds), or None.

        Returns:
            (modes, kinds, stages, n), of all kinds.
        """
        right = -self._first[:, None] * states.transpose(2, 1, 0)[:, :, None, :]
        if len(right) < self.modes:
            right = np.repeat(right, self.modes, axis=0)
        if source is None:
            return right
        added = self.length * (source[None] if source.ndim == 3 else source)
        return np.asarray(right + added.transpose(2, 3, 1, 0))

    def solve(self, right: np.ndarray | None, *, units: bool) -> np.ndarray:
        """Answers of the kinds kept, (modes, kept, stages, columns).

        Args:
            right: (modes, kinds, stages, n), or None.
            units: whether a column for a unit of each order at each stage follows.
        """
        parts = [] if right is None else [self._reduced(right)]
        flat = np.concatenate([*parts, self.units], axis=-1) if units else parts[0]
        return self._answered(flat, units=units)

    def _answered(self, flat: np.ndarray, *, units: bool) -> np.ndarray:
        """Answers to right-hand sides of the kinds kept, (modes, rows, columns)."""
        if self._inverse is None:
            answer = solve(self.matrix, flat)
        else:
            answer = self._inverse @ flat
            # One refinement: an inverse loses what its condition is, with this it does not.
            answer += self._inverse @ (flat - self.matrix @ answer)
        return self._shaped(answer, units=units)

    def _shaped(self, answer: np.ndarray, *, units: bool) -> np.ndarray:
        """Answers (modes, rows, columns) as (modes, kept, stages, columns), of units kept too."""
        shaped = answer.reshape(self.modes, len(self.kept), self.stages, -1)
        if units:
            self.unit_answers = shaped[..., shaped.shape[-1] - self.orders * self.stages :]
        return shaped

    def solve_transposed(self, right: np.ndarray) -> np.ndarray:
        """z with z^T matrix = right^T, both (modes, kinds, stages, n), of all kinds."""
        self.invert()
        assert self._inverse is not None
        turned, back = self._inverse.transpose(0, 2, 1), self.matrix.transpose(0, 2, 1)
        flat = self._reduced_transposed(right)
        answer = turned @ flat
        answer += turned @ (flat - back @ answer)
        kept = answer.reshape(self.modes, len(self.kept), self.stages, -1)
        if not self.gone:
            return kept
        full = np.empty(right.shape)
        full[:, self.kept] = kept
        rest = [
            right[:, m] + np.einsum("jai,jaic->jic", self._pulls[:, self.kept, m], kept)
            for m in self.gone
        ]
        both = np.stack(rest, axis=1).reshape(self.modes, -1, right.shape[-1])
        full[:, self.gone] = (self._resolvent.T @ both).reshape(full[:, self.gone].shape)
        return full

    def fed(self, turned: np.ndarray) -> np.ndarray:
        """Rows (modes, kinds, stages, n) times a unit of each order, (n, orders x stages)."""
        found = np.einsum("jasn,jaos->nos", turned, self._gains)
        return found.reshape(turned.shape[-1], self.orders * self.stages)

    def invert(self) -> None:
        """Keep the inverse, where the same matrix is solved with more than once."""
        if self._inverse is None:
            self._inverse = np.linalg.inv(self.matrix)

    def complete(self, kept: np.ndarray, right: np.ndarray | None, q: np.ndarray) -> np.ndarray:
        """All kinds of a solution, (modes, kinds, stages, n).

        Args:
            kept: (modes, kept, stages, n).
            right: its right-hand side of all kinds, without orders.
            q: (orders x stages, n), the orders in it, or (modes, stages, n), every mode's own.
        """
        if not self.gone:
            return kept
        return self._all_kinds(kept, None if right is None else right[:, self.gone], q)

    def _all_kinds(self, kept: np.ndarray, right: np.ndarray | None, q: np.ndarray) -> np.ndarray:
        """The same, from right-hand sides of the kinds gone alone, (modes, gone, stages, n)."""
        full = np.empty((self.modes, self.kinds, *kept.shape[2:]))
        full[:, self.kept] = kept
        count, n = len(self.kept), kept.shape[-1]
        orders = q.reshape(-1, self.stages, n)
        fed = "jgoi,oic->jgic" if q.ndim == 2 else "jgoi,jic->jgic"
        rest = np.einsum("jgai,jaic->jgic", self._entering[:, :, :count], kept)
        rest += np.einsum(fed, self._entering[:, :, count:], orders)
        if right is not None:
            rest += right
        # One product for all modes, which a product of many small matrices would not be.
        rows = rest.reshape(self.modes, -1, n).transpose(1, 0, 2)
        solved = (self._resolvent @ rows.reshape(len(rows), -1)).reshape(rows.shape)
        full[:, self.gone] = solved.transpose(1, 0, 2).reshape(rest.shape)
        return full

    def _reduced(self, right: np.ndarray) -> np.ndarray:
        """A right-hand side as the kinds kept see it, (modes, rows, n)."""
        n = right.shape[-1]
        if not self.gone:
            return right.reshape(self.modes, -1, n)
        resolved = self._resolvent @ right[:, self.gone].reshape(self.modes, -1, n)
        resolved = resolved.reshape(self.modes, len(self.gone), self.stages, n)
        into = self._pulls[:, self.kept][:, :, self.gone]
        passed = np.einsum("jagi,jgic->jaic", into, resolved)
        return np.asarray(right[:, self.kept] + passed).reshape(self.modes, -1, n)

    def _reduced_transposed(self, right: np.ndarray) -> np.ndarray:
        n = right.shape[-1]
        if not self.gone:
            return right.reshape(self.modes, -1, n)
        resolved = self._resolvent.T @ right[:, self.gone].reshape(self.modes, -1, n)
        resolved = resolved.reshape(self.modes, len(self.gone), self.stages, n)
        back = self._pulls[:, self.gone][:, :, self.kept]
        passed = np.einsum("jgai,jgic->jaic", back, resolved)
        return np.asarray(right[:, self.kept] + passed).reshape(self.modes, -1, n)


def differs(change: np.ndarray) -> np.ndarray:
    """Which changes, (kinds, kinds), are not the same for all modes, from (modes, stages, ...)."""
    found = (change[0] != change[-1]).any(axis=0)  # mostly tells
    same = np.argwhere(~found)
    for a, b in same:
        found[a, b] = bool((change[:, :, a, b] != change[:1, :, a, b]).any())
    return np.asarray(found)


def kinds_to_eliminate(own: np.ndarray, seen: np.ndarray) -> list[int]:
    """Kinds that no order reads and whose changes among one another no mode has for itself.

    Args:
        own: (kinds, kinds), whether some mode has a change for itself.
        seen: (kinds,), whether an order reads a kind.
    """
    gone: list[int] = []
    candidates = np.flatnonzero(~seen).tolist() if len(seen) > 1 else []
    held = own.tolist()
    for kind in candidates[: len(seen) - 1]:
        among = [*gone, kind]
        if not any(held[kind][k] or held[k][kind] for k in among):
            gone.append(kind)
    return gone
