"""Blocks of steps for spectra of many modes, at the price of a few per octave.

What one block does to a mode is a smooth function of its eigenvalue: a rational one, whose poles
keep away from the octave. So the maps over the block are solved at Chebyshev nodes alone and
interpolated to every mode, and every mode keeps its own moments. The error is relative to the map
of one block: measured with ten nodes, 1e-10 at most and 3e-12 in the middle, where a mode does not
ring faster than a block can follow anyway. It does not grow with how far the risk has fallen or how
long a mode has rung: interpolating the curve itself would need ever more nodes for both
(problems/compress.py).

Where a step is not small, G lambda of order one, a mode near the edge at -1 changes within less
than an octave; such octaves keep all their modes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.engines.collocation import (
    POINTS,
    STAGES,
    TO_LEGENDRE,
    Block,
    Watch,
    close,
    error_estimate,
    responses,
)
from hidim.problems.compress import Panel, panels
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import ERROR, Coefficients

NODES_PER_OCTAVE = 10
# G lambda / min(1, 1 + D) up to which an octave is smooth: measured, 1e-10 below, 1e-4 at 1.
_SMALL_STEP = 0.5


class ManyModes:
    """The modes of one spectrum, and the nodes that answer for them."""

    def __init__(self, spectrum: Spectrum) -> None:
        self.spectrum = spectrum
        self._panels = panels(spectrum.eigenvalues, NODES_PER_OCTAVE)
        self._tops = np.array([spectrum.eigenvalues[panel.modes.start] for panel in self._panels])
        self._nodes = lru_cache(maxsize=4)(self._nodes_with)

    def __len__(self) -> int:
        """Number of nodes where every step is small."""
        return sum(len(panel.nodes) for panel in self._panels)

    def solve_block(
        self,
        algorithm: Momentum,
        batch_size: float,
        state: np.ndarray,
        start: float,
        length: float,
        *,
        discrete: bool,
        last_time: float,
        watch: Watch | None = None,
    ) -> Block:
        """As `collocation.solve_block`, without the moments at the points inside the block."""
        kinds, floor = len(state), np.asarray(self.spectrum.risk_floor)
        times = np.minimum(start + length * POINTS[1:], last_time)
        nodes = self._nodes(self._kept_whole(algorithm, times))
        answer = responses(
            nodes.eigenvalues, np.ones(len(nodes.eigenvalues)), algorithm, batch_size,
            np.eye(kinds), times, length, discrete=discrete,
        )  # fmt: skip
        free, noise = answer[..., :kinds], answer[..., kinds:]  # (nodes, STAGES, kinds, ...)
        carried = nodes.gather(state * self.spectrum.eigenvalues)  # (kinds, nodes)
        shares = np.tensordot(free, carried, axes=([0, 3], [1, 0]))  # (STAGES, kinds)
        driven = np.zeros(free.shape[:-1])
        if noise.shape[-1]:
            fed = np.tensordot(nodes.carried_counts, noise, axes=1)  # (STAGES, kinds, STAGES)
            both = np.concatenate([shares[:, ERROR, None], fed[:, ERROR]], axis=1)
            twice_risk = close(both, floor)[:, 0]
            driven = noise @ twice_risk
            shares = shares + fed @ twice_risk
        sums = np.zeros((STAGES + 1, 3))
        sums[0, :kinds] = state @ self.spectrum.eigenvalues
        sums[1:, :kinds] = shares
        end, tails = self._at_modes(nodes, free, driven, state, 1 if watch is None else kinds)
        error = error_estimate(self.spectrum.eigenvalues, floor, tails, sums, watch)
        return Block(sums, end, error)

    def _at_modes(
        self, nodes: _Nodes, free: np.ndarray, driven: np.ndarray, state: np.ndarray, rows: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Every mode's moments at the end, (kinds, modes), and tails, (2, rows, modes)."""
        kinds = len(state)
        ends = np.concatenate([free[:, -1], driven[:, -1, :, None]], axis=-1)
        inside = np.concatenate([free, driven[..., None]], axis=-1)[:, :, :rows]
        last = np.einsum("ks,nsab->nkab", TO_LEGENDRE[-2:, 1:], inside)
        last[..., :kinds] += TO_LEGENDRE[-2:, 0, None, None] * np.eye(kinds)[:rows]
        maps = nodes.spread(
            np.concatenate([ends, last.reshape(len(last), -1, kinds + 1)], axis=1)
        )  # (modes, kinds + 2 rows, kinds + 1)
        inputs = np.concatenate([state, self.spectrum.counts[None]])  # (kinds + 1, modes)
        values = np.einsum("jab,bj->aj", maps, inputs)
        return values[:kinds], values[kinds:].reshape(2, rows, -1)

    def _kept_whole(self, algorithm: Momentum, times: np.ndarray) -> int:
        """How many of the first octaves keep all their modes."""
        c = Coefficients.at(algorithm, times)
        with np.errstate(divide="ignore"):
            step = np.max(np.abs(c.total) / np.clip(1.0 + c.keep, 0.0, 1.0))
        return int(np.count_nonzero(step * self._tops > _SMALL_STEP))

    def _nodes_with(self, whole: int) -> _Nodes:
        return _Nodes.of(self.spectrum, self._panels, whole)


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Nodes of all panels, the first of which stand for themselves.

    Attributes:
        eigenvalues: (nodes,).
        carried_counts: (nodes,), eigenvalue-weighted multiplicities.
        parts: for every panel its modes, its nodes and its Lagrange matrix, or None.
    """

    eigenvalues: np.ndarray
    carried_counts: np.ndarray
    parts: list[tuple[slice, slice, np.ndarray | None]]
    modes: int

    @classmethod
    def of(cls, spectrum: Spectrum, cut: list[Panel], whole: int) -> _Nodes:
        parts: list[tuple[slice, slice, np.ndarray | None]] = []
        values, count = [], 0
        for i, panel in enumerate(cut):
            kept = i < whole or panel.lagrange is None
            values.append(spectrum.eigenvalues[panel.modes] if kept else panel.nodes)
            here = slice(count, count + len(values[-1]))
            count = here.stop
            if kept and parts and parts[-1][2] is None:  # one stretch with the panel before
                parts[-1] = (
                    slice(parts[-1][0].start, panel.modes.stop),
                    slice(parts[-1][1].start, here.stop),
                    None,
                )
            else:
                parts.append((panel.modes, here, None if kept else panel.lagrange))
        nodes = cls(np.concatenate(values), np.empty(0), parts, len(spectrum))
        carried = nodes.gather((spectrum.counts * spectrum.eigenvalues)[None])[0]
        return cls(nodes.eigenvalues, carried, parts, len(spectrum))

    def gather(self, weights: np.ndarray) -> np.ndarray:
        """Weights (rows, modes) handed to the nodes, (rows, nodes)."""
        out = np.empty((len(weights), len(self.eigenvalues)))
        for modes, nodes, lagrange in self.parts:
            w = weights[:, modes]
            out[:, nodes] = w if lagrange is None else w @ lagrange
        return out

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values at the nodes, (nodes, ...), interpolated to the modes, (modes, ...)."""
        flat = values.reshape(len(values), -1)
        out = np.empty((self.modes, flat.shape[1]))
        for modes, nodes, lagrange in self.parts:
            out[modes] = flat[nodes] if lagrange is None else lagrange @ flat[nodes]
        return out.reshape(self.modes, *values.shape[1:])
