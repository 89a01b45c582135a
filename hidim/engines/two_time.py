"""The integral equation of momentum and of moving rates: forcing and kernel depend on two times.

    P(t) = F(t) + sum_{s<t} K(t, s) P(s),
    K(t, s) = sum_j lambda_j (e . M_j(t-1) ... M_j(s+1) c_j(s)),       e = (1, 0, 0)

with M_j(t) the 3x3 step map of mode j and c_j(s) what a unit of 2 P adds to its moments. Rows
of K are built in blocks: responses are carried to the start of a block once, and every step
inside it reads all of them by one matrix product. O(T^2 modes) work, O(T modes) memory.
Source: arXiv 2505.16098, with the exact discrete step maps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Schedule
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import CROSS, ERROR, MOMENTUM, increment, initial_moments

_BLOCK = 64
# A solution this far above its start is lost; products with it are still finite.
_LOST = 1e120


class TwoTime:
    """The equation of one spectrum, algorithm and batch size."""

    def __init__(self, spectrum: Spectrum, algorithm: Momentum, batch_size: float) -> None:
        self._spectrum, self._algorithm, self._batch = spectrum, algorithm, batch_size
        self._floor, self._eigenvalues = spectrum.risk_floor, spectrum.eigenvalues

    def solution(self, size: int) -> np.ndarray:
        """P(0..size-1); infinite once it is lost."""
        risk = np.full(size, math.inf)
        for start, free, past, inside in self._rows(size, None):
            known = free if start == 0 else free + past @ risk[:start]
            for i in range(len(free)):
                risk[start + i] = known[i] + inside[i, :i] @ risk[start : start + i]
                if not risk[start + i] <= _LOST * max(risk[0], 1e-300):
                    risk[start + i :] = math.inf
                    return risk
        return risk

    def series(self, size: int, terms: int) -> np.ndarray:
        """F + K F + ... + K^terms F at 0..size-1."""
        blocks = list(self._rows(size, None))
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
        out, state = np.empty(size), initial_moments(self._spectrum).T  # (modes, 3)
        for start in range(0, size, _BLOCK):
            maps, _ = self._maps(start, min(_BLOCK, size - start))
            for i, step in enumerate(maps):
                out[start + i] = self._floor + 0.5 * (self._eigenvalues @ state[:, ERROR])
                state = np.einsum("jab,jb->ja", step, state)
        return out

    def response(self, s: int, size: int) -> np.ndarray:
        """K(t, s) for t = 0..size-1."""
        out = np.zeros(max(size, s + 1))
        _, noise = self._maps(s, 1)
        state = noise[0]
        for start in range(s + 1, size, _BLOCK):
            maps, _ = self._maps(start, min(_BLOCK, size - start))
            for i, step in enumerate(maps):
                out[start + i] = self._eigenvalues @ state[:, ERROR]
                state = np.einsum("jab,jb->ja", step, state)
        return out[:size]

    def read(self, risk: np.ndarray, at: np.ndarray, weight: Schedule) -> np.ndarray:
        """Risk at theta + weight(t) * momentum, given the risk at theta."""
        shown = np.empty(len(risk))
        for start, free, past, inside in self._rows(len(risk), weight):
            stop = start + len(free)
            shown[start:stop] = free + past @ risk[:start] + inside @ risk[start:stop]
        return shown[at.astype(np.int64)]

    def _rows(
        self, size: int, weight: Schedule | None
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """By blocks: first step, forcing (n,), K to earlier steps (n, first), inside (n, n)."""
        modes = len(self._eigenvalues)
        initial = initial_moments(self._spectrum).T  # (modes, 3)
        carried = np.empty((size, modes, 3))  # responses to each step so far, at the block's start
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start)
            maps, noise = self._maps(start, count)
            readers = self._readers(start, count, weight)  # (n, modes, 3)
            # Carry the readers back to the start of the block instead of the state forward.
            product = np.broadcast_to(np.eye(3), (modes, 3, 3))
            back = np.empty_like(readers)
            inside, fresh = np.zeros((count, count)), np.empty((0, modes, 3))
            for i in range(count):
                back[i] = np.einsum("ja,jab->jb", readers[i], product)
                inside[i, :i] = fresh.reshape(i, 3 * modes) @ readers[i].reshape(-1)
                product = maps[i] @ product
                moved = np.einsum("jab,sjb->sja", maps[i], fresh)
                fresh = np.concatenate([moved, noise[i][None]])
            flat = back.reshape(count, -1)
            free = self._floor + 0.5 * (flat @ initial.reshape(-1))
            past = flat @ carried[:start].reshape(start, 3 * modes).T
            yield start, free, past, inside
            initial = np.einsum("jab,jb->ja", product, initial)
            carried[:start] = np.einsum("jab,sjb->sja", product, carried[:start])
            carried[start : start + count] = fresh

    def _maps(self, start: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        t = np.arange(start, start + count, dtype=np.float64)
        change, noise = increment(self._algorithm, self._eigenvalues, self._batch, t)
        return change + np.eye(3), noise * self._spectrum.counts[:, None]

    def _readers(self, start: int, count: int, weight: Schedule | None) -> np.ndarray:
        """How the three moments of each mode enter twice the risk, (n, modes, 3)."""
        row = np.zeros((count, 3))
        row[:, ERROR] = 1.0
        if weight is not None:
            w = weight(np.arange(start, start + count, dtype=np.float64))
            row[:, CROSS], row[:, MOMENTUM] = 2.0 * w, w**2
        return row[:, None, :] * self._eigenvalues[:, None]
