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
from typing import Protocol, runtime_checkable

import numpy as np

from hidim.engines.collocation import (
    Block,
    Span,
    block_matrix,
    closed_orders,
    shares,
)
from hidim.problems.compress import Panel, panels
from hidim.systems.base import Array, System

NODES_PER_OCTAVE = 10
# G lambda / min(1, 1 + D) up to which an octave is smooth: measured, 1e-10 below, 1e-4 at 1.
_SMALL_STEP = 0.5


@runtime_checkable
class Smooth(Protocol):
    """An affine system of one order whose change and source are smooth functions of a place.

    Attributes:
        places: (modes,), descending, none negative; the order's weights are proportional to them.
        counts: (modes,), what source is proportional to beside.
    """

    places: Array
    counts: Array

    def at_places(self, places: Array, counts: Array) -> System:
        """The same theory on other places, started from nothing."""
        ...

    def stiffness(self, t: Array) -> float:
        """What a place is multiplied with to say how large a step is there."""
        ...


class ManyModes:
    """The modes of one system, and the nodes that answer for them."""

    def __init__(self, system: System, nodes_per_octave: int = NODES_PER_OCTAVE) -> None:
        assert isinstance(system, Smooth)
        self.system, self._smooth = system, system
        self._panels = panels(system.places, nodes_per_octave)
        self._tops = np.array([system.places[panel.modes.start] for panel in self._panels])
        self._nodes = lru_cache(maxsize=4)(self._nodes_with)
        self._counts = system.counts * system.places

    def __len__(self) -> int:
        """Number of nodes where every step is small."""
        return sum(len(panel.nodes) for panel in self._panels)

    def reader(self, span: Span) -> System:
        """The system on the nodes of this block, with the counts that they carry."""
        return self._nodes(self._kept_whole(span.times[1:])).reader

    def solve_block(self, state: Array, span: Span) -> Block:
        """As `collocation.solve_block`; the states inside the block are those of the nodes."""
        kinds, times = len(state), span.times
        nodes = self._nodes(self._kept_whole(times[1:]))
        stages, reader = span.scheme.stages, nodes.reader
        unit = np.eye(kinds)[:, :, None]  # from a unit of each kind, in every mode
        matrix = block_matrix(nodes.plain, span)
        begun = np.concatenate([unit, np.zeros((1, kinds, 1))])
        source = np.arange(kinds + 1) == kinds  # beside the units of each kind, what is added
        answer = matrix.answers(begun, units=True, sourced=source)
        columns, units = answer[..., : kinds + 1], answer[..., kinds + 1 :]
        carried = nodes.gather(state * self._smooth.places) / nodes.scale  # (kinds, nodes)
        counts = nodes.carried_counts / nodes.scale
        inputs = np.concatenate([carried, counts[None]])
        kept, weights = matrix.kept, reader.weights
        own = shares(weights, kept, np.einsum("jasb,bj->jas", columns, inputs)[..., None])
        q = closed_orders(reader.offset, own, shares(weights * counts, kept, units))[:, 0]
        # What a mode of count one is given in all, and with it every kind.
        given = np.zeros((stages, kinds + 1))
        given[:, kinds] = q
        columns = columns.copy()
        columns[..., kinds] += (units.reshape(-1, stages) @ q).reshape(columns.shape[:-1])
        maps = matrix.completed(columns, begun, given, sourced=source)
        x = np.empty((stages + 1, kinds, len(counts)))
        x[0], x[1:] = carried, np.einsum("jasb,bj->saj", maps, inputs)
        orders = np.concatenate([self.system.order(state), q])[:, None]
        end, tails = self._at_modes(nodes, span, maps, state)
        error = np.inf
        if np.all(np.isfinite(orders)) and np.all(np.isfinite(x[-1])):
            error = reader.tail_error(times, x, orders, tails)
        return Block(reader, span, x, orders, error, end)

    def _at_modes(
        self, nodes: _Nodes, span: Span, maps: Array, state: Array
    ) -> tuple[Array, Array]:
        """Every mode's state at the end, and its tails as the nodes carry them.

        Args:
            maps: (nodes, kinds, stages, kinds + 1), from a unit of each kind, and what is added.
        """
        kinds = len(state)
        first = np.broadcast_to(np.eye(kinds, kinds + 1), (len(maps), kinds, kinds + 1))
        inside = np.concatenate([first[None], maps.transpose(2, 0, 1, 3)])
        last, later = span.scheme.last_two(inside)
        both = np.concatenate([maps[:, :, -1], last, later], axis=1)
        inputs = np.concatenate([state, self._smooth.counts[None]])  # (kinds + 1, modes)
        values = np.einsum("jab,bj->aj", nodes.spread(both), inputs)
        tails = nodes.gather(values[kinds:] * self._smooth.places) / nodes.scale
        return values[:kinds], tails.reshape(2, kinds, -1)

    def _kept_whole(self, times: Array) -> int:
        """How many of the first octaves keep all their modes."""
        step = self._smooth.stiffness(times)
        return int(np.count_nonzero(step * self._tops > _SMALL_STEP))

    def _nodes_with(self, whole: int) -> _Nodes:
        return _Nodes.of(self._smooth, self._counts, self._panels, whole)


@dataclass(frozen=True, eq=False)
class _Nodes:
    """Nodes of all panels, the first of which stand for themselves.

    Attributes:
        plain: the system on the nodes, each of count one.
        reader: the same with the counts that the nodes carry.
        carried_counts: (nodes,), place-weighted counts.
        scale: (nodes,), their places, 1 where that is 0.
        parts: for every panel its modes, its nodes and its Lagrange matrix, or None.
    """

    plain: System
    reader: System
    carried_counts: np.ndarray
    scale: np.ndarray
    parts: list[tuple[slice, slice, np.ndarray | None]]
    modes: int

    @classmethod
    def of(cls, smooth: Smooth, weights: Array, cut: list[Panel], whole: int) -> _Nodes:
        parts: list[tuple[slice, slice, np.ndarray | None]] = []
        values, count = [], 0
        for i, panel in enumerate(cut):
            kept = i < whole or panel.lagrange is None
            values.append(smooth.places[panel.modes] if kept else panel.nodes)
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
        places = np.concatenate(values)
        carried = _gather(weights[None], parts, count)[0]
        scale = np.where(places > 0, places, 1.0)
        plain = smooth.at_places(places, np.ones(count))
        reader = smooth.at_places(places, carried / scale)
        return cls(plain, reader, carried, scale, parts, len(smooth.places))

    def gather(self, weights: np.ndarray) -> np.ndarray:
        """Weights (rows, modes) handed to the nodes, (rows, nodes)."""
        return _gather(weights, self.parts, len(self.scale))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values at the nodes, (nodes, ...), interpolated to the modes, (modes, ...)."""
        flat = values.reshape(len(values), -1)
        out = np.empty((self.modes, flat.shape[1]))
        for modes, nodes, lagrange in self.parts:
            out[modes] = flat[nodes] if lagrange is None else lagrange @ flat[nodes]
        return out.reshape(self.modes, *values.shape[1:])


def _gather(weights: Array, parts: list[tuple[slice, slice, Array | None]], count: int) -> Array:
    out = np.empty((len(weights), count))
    for modes, nodes, lagrange in parts:
        w = weights[:, modes]
        out[:, nodes] = w if lagrange is None else w @ lagrange
    return out
