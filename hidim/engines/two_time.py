"""The integral equation of momentum and of moving rates: forcing and kernel depend on two times.

    q(t) = F(t) + sum_{s<t} K(t, s) q(s),
    K(t, s) = sum_j weights_j (1 + change_j(t-1)) ... (1 + change_j(s+1)) gain_j(s)

with q the one order of an affine system (twice the risk) and gain_j(s) what a unit of it adds to
mode j. Rows of K are built in blocks: responses are carried to the start of a block once, and every
step inside it reads all of them by one matrix product. O(T^2 modes) work, O(T modes) memory.
Source: arXiv 2505.16098, with the exact discrete step maps; docs/theory/integral-equation.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hidim.systems.base import System

_BLOCK = 64
# A solution this far above its start is lost; products with it are still finite.
_LOST = 1e120


class TwoTime:
    """The equation of one affine system of one order."""

    def __init__(self, system: System) -> None:
        self._system, self._kinds = system, system.kinds
        self._offset = float(system.offset[0])
        self._weights = system.weights[0].T  # (modes, kinds)
        self._start = system.start().T  # (modes, kinds)

    def solution(self, size: int) -> np.ndarray:
        """q(0..size-1); infinite once it is lost."""
        q = np.full(size, math.inf)
        for start, free, past, inside in self._rows(size):
            known = free if start == 0 else free + past @ q[:start]
            for i in range(len(free)):
                q[start + i] = known[i] + inside[i, :i] @ q[start : start + i]
                if not q[start + i] <= _LOST * max(q[0], 1e-300):
                    q[start + i :] = math.inf
                    return q
        return q

    def series(self, size: int, terms: int) -> np.ndarray:
        """F + K F + ... + K^terms F at 0..size-1."""
        blocks = list(self._rows(size))
        forcing = np.concatenate([free for _, free, _, _ in blocks])
        total = forcing.copy()
        for _ in range(terms):
            parts = [
                past @ total[:start] + inside @ total[start : start + len(inside)]
                for start, _, past, inside in blocks
            ]
            total = forcing + np.concatenate(parts)
        return total

    def forcing(self, size: int) -> np.ndarray:
        """F(0..size-1)."""
        out, state = np.empty(size), self._start
        for start in range(0, size, _BLOCK):
            maps, _, added = self._maps(start, min(_BLOCK, size - start))
            for i, step in enumerate(maps):
                out[start + i] = self._offset + np.sum(self._weights * state)
                state = np.einsum("jab,jb->ja", step, state) + added[i]
        return out

    def response(self, s: int, size: int) -> np.ndarray:
        """K(t, s) for t = 0..size-1."""
        out = np.zeros(max(size, s + 1))
        _, gains, _ = self._maps(s, 1)
        state = gains[0]
        for start in range(s + 1, size, _BLOCK):
            maps, _, _ = self._maps(start, min(_BLOCK, size - start))
            for i, step in enumerate(maps):
                out[start + i] = np.sum(self._weights * state)
                state = np.einsum("jab,jb->ja", step, state)
        return out[:size]

    def read(self, q: np.ndarray, at: np.ndarray, name: str) -> np.ndarray:
        """Twice what another readout shows at the steps `at`, given q."""
        self._elsewhere = name
        shown = np.empty(len(q))
        for start, free, past, inside in self._rows(len(q), elsewhere=True):
            stop = start + len(free)
            shown[start:stop] = free + past @ q[:start] + inside @ q[start:stop]
        return shown[at.astype(np.int64)]

    def _rows(
        self, size: int, *, elsewhere: bool = False
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """By blocks: first step, forcing (n,), K to earlier steps (n, first), inside (n, n)."""
        modes, kinds = self._start.shape
        initial = self._start
        carried = np.empty((size, modes, kinds))  # responses to each step, at the block's start
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            maps, gains, added = self._maps(start, count)
            readers = self._readers(start, count, elsewhere=elsewhere)  # (n, modes, kinds)
            # Carry the readers back to the start of the block instead of the state forward.
            product = np.broadcast_to(np.eye(kinds), (modes, kinds, kinds))
            back, given = np.empty_like(readers), np.zeros(count)
            so_far = np.zeros((modes, kinds))  # what was added in the block, whatever q
            inside, fresh = np.zeros((count, count)), np.empty((0, modes, kinds))
            for i in range(count):
                back[i] = np.einsum("ja,jab->jb", readers[i], product)
                given[i] = np.sum(readers[i] * so_far)
                inside[i, :i] = fresh.reshape(i, kinds * modes) @ readers[i].reshape(-1)
                product = maps[i] @ product
                so_far = np.einsum("jab,jb->ja", maps[i], so_far) + added[i]
                moved = np.einsum("jab,sjb->sja", maps[i], fresh)
                fresh = np.concatenate([moved, gains[i][None]])
            flat = back.reshape(count, -1)
            free = self._offset + given + flat @ initial.reshape(-1)
            past = flat @ carried[:start].reshape(start, kinds * modes).T
            yield start, free, past, inside
            initial = np.einsum("jab,jb->ja", product, initial) + so_far
            carried[:start] = np.einsum("jab,sjb->sja", product, carried[:start])
            carried[start : start + count] = fresh

    def _maps(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step maps, gains of q and what is added beside, at steps start .. start + count - 1."""
        t = np.arange(start, start + count, dtype=np.float64)
        change, source, gains = self._system.linearised(t, self._start.T, np.empty(0))
        added = np.zeros(gains.shape[:-1]) if source is None else source
        return change + np.eye(self._kinds), gains[..., 0], added

    def _readers(self, start: int, count: int, *, elsewhere: bool) -> np.ndarray:
        """How the kinds of each mode enter what is read, (n, modes, kinds)."""
        if not elsewhere:
            return np.broadcast_to(self._weights, (count, *self._weights.shape))
        times = np.arange(start, start + count, dtype=np.float64)
        reading = self._system.reading(times, self._start.T[None], self._elsewhere)
        assert reading is not None
        return 2.0 * reading.transpose(0, 2, 1)
