"""How wrong is a curve? It is computed more than once, and what the ways disagree on is measured.

Quadrature: where the system has a coarser one (`System.coarse`), nearly the same walk on that. The
error of the nodes themselves is smaller than the difference, by little where momentum rings for
long; and where the difference is small enough, it has said all that is asked.
Blocks: a cruder walk, of fewer points per block and longer blocks. The difference is the error of
that one; the walk's own is smaller about as the doubts that the blocks of each leave (their local
estimates), of which a part is trusted, for safety.
Rounding: of the steps taken one by one, which no second way sees.

Where the estimate exceeds rtol, blocks are worked on: by a tighter walk, measured against this one.
Where the nodes of a problem are too few, more are taken, up to some 1600 (`Spectrum.finer` has more
still); a spectrum that is given is taken as it is. Where the estimate stays above, the curve is
inaccurate, and says by how much. An error is relative to the largest risk within a factor of two in
time: a risk that rings passes far below what its own past and future make of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.curve import log_steps
from hidim.engines.march import MOST_SINGLE_STEPS, Resolution, TooLong, march
from hidim.engines.record import Record
from hidim.problems.spectrum import LEVEL
from hidim.systems.base import System

RTOL = 1e-8
# A second walk can tell no more than this from rounding.
SMALLEST_RTOL = 1e-12
# What blocks leave in doubt and what they err by fall together, the error faster where a walk has
# more points per block too: by this power of the doubts' ratio. And by how much that is distrusted.
_ROUGH_POWER, _ROUGH_SAFETY = 1.2, 21.0
_TIGHTER_SAFETY = 11.0
# Runs that want more nodes ring for long, and blocks err by more than others show; measured, 1.8.
_RINGING = 3.0
# Share of its own doubt that a walk may err by where another errs alike, as just behind a jump.
_ALIKE = 0.023
# Error of a quadrature over what it differs from a coarser one: .25 to .9 along whole curves, and
# 1.9 at one step of a run that rings on.
_NODES = 2.0
# Beyond so many blocks a run rings on, and its nodes are first looked at cheaply, with so much more
# error; what exceeds that by this factor is the nodes'.
_RINGS_ON, _CHEAPLY, _CLEARLY = 150, 25.0, 30.0
_ROUNDS = 4
# Single steps that the first walk may take, half a minute of them, and any tighter one.
_MANY_STEPS, _FEW_STEPS = 2_000_000, 200_000
_STEPS_PER_BLOCK = 80  # that cost as much
# A difference between nodes up to this many rtol may be that of the walks; and beside nodes that
# are in doubt, blocks are cut finer where they are so many times as much.
_NEAR = 10.0
# Blocks in doubt by less than this share of the nodes are not worth another walk.
_HIDDEN = 0.1
# Power of a frequency by which errors of nodes fall, as amplitudes do, the share of it that is
# trusted, and what is left of an error one level higher; nodes that may be tried where those of the
# problem are too few, and how often.
_FALLS, _TRUSTED, _LEFT = 6.0, 0.75, 0.7
_MOST_NODES, _NODE_ROUNDS = 1600, 2
_NOTHING = 1e-290  # a risk below this has sunk through float range
# Where a cruder walk stepped through what another takes by blocks, it would be the finer one.
_CRUDE_STEPS, _CRUDE_BLOCK = 256, 64
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Controlled:
    """A walk and what is known of its error.

    Attributes:
        record: of the finest walk, at the asked steps alone.
        error: estimate of the largest relative error of what is shown, infinite where unknown.
        kept: whether it stays within rtol.
    """

    record: Record
    error: float
    kept: bool


Walked = Callable[..., Record]


def controlled(
    system: System,
    at: np.ndarray,
    rtol: float,
    *,
    shown: str = "risk",
    walked: Walked = march,
    finely: Walked | None = None,
) -> Controlled:
    """Walk until the error of what is shown at the steps `at` is within rtol.

    Args:
        at: ascending steps.
        shown: name of the readout.
        walked: makes a walk; `march` with the options of an engine.
        finely: makes the walks that are returned, where more is asked of these.
    """
    asked, loosest = np.asarray(at, dtype=np.float64), 1e-4
    held = rtol
    while True:
        try:
            found = _Control(system, asked, held, shown, walked, finely).run(last=held >= loosest)
        except TooLong:
            if held >= loosest:
                raise
            # What rings too fast to be followed so closely is followed less closely.
            held = min(30.0 * held, loosest)
        else:
            return replace(found, kept=found.error <= rtol)


class _Control:
    """The walks so far, and what they say of the last one's error."""

    def __init__(
        self,
        system: System,
        asked: np.ndarray,
        rtol: float,
        shown: str,
        walked: Walked,
        finely: Walked | None,
    ) -> None:
        self.system, self.asked, self.rtol, self.shown = system, asked, rtol, shown
        self._given = system
        self.last = float(asked[-1])
        self.walked, self.finely = walked, finely or walked
        # Beside the asked steps, others that show a difference where it happens to vanish there.
        looks = 8 + int(8 * math.log10(max(self.last, 1.0)))
        others = log_steps(self.last, points=looks)
        self.grid = np.union1d(asked, others[others <= self.last])

    def run(self, *, last: bool) -> Controlled:
        """The curve; `last` where no looser one is tried if this is too long."""
        self.tightness = 0
        self.most = MOST_SINGLE_STEPS if last else _MANY_STEPS
        found = self._walk()
        self.coarser = self.system.coarse(self.last)
        nodes = blocks = 0.0
        several = self.coarser is not self.system
        if several:
            nodes, first = self._node_error(found), found
            if nodes > self.rtol and not found.diverged:
                found, nodes = self._on_more_nodes(found, nodes)
            # One difference for nodes and blocks where that is small enough.
            several = found is first
        unsaid = nodes + self._rounding(found) > self.rtol and _HIDDEN * nodes < 10.0 * self.rtol
        if not several or unsaid:
            rough = self.walked(self.system, self.grid, _rough(self.rtol))
            blocks = self._block_error(rough, found, _ROUGH_SAFETY, _ROUGH_POWER)
            blocks += _ALIKE * found.local_error
            blocks *= _RINGING if self._rings else 1.0
        best = self._said(found, blocks + nodes)
        worst = best.error
        while not best.kept and not found.diverged and blocks > 0.5 * self.rtol:
            if blocks < _NEAR * nodes and nodes > self.rtol:
                break
            # Beside nodes that cannot be kept to, blocks are cut finer once, to leave no doubt.
            if self.tightness == (_ROUNDS - 1 if nodes <= _NEAR * self.rtol else 1):
                break
            self.tightness += 1
            before, self.most = found, _FEW_STEPS
            try:
                found = self._walk()
            except TooLong:
                break
            blocks = self._block_error(before, found, _TIGHTER_SAFETY)
            if nodes <= _NEAR * self.rtol and several:
                nodes = self._node_error(found)
            said = self._said(found, blocks + nodes)
            worst = max(worst, said.error)
            best = said if said.error <= best.error else best
        # Where no pair agreed, none is believed more than another; and no digit, if none was left.
        return best if best.kept else replace(best, error=worst if worst < 0.1 else math.inf)

    def _on_more_nodes(self, found: Record, error: float) -> tuple[Record, float]:
        """The walk on as many nodes as rtol wants, if these are not too many, and its error.

        A difference is the error of the fewer nodes; that of the more is smaller by what a power
        makes of it, somewhat less than the one by which differences fell.
        """
        gap, step, power = error, LEVEL, _TRUSTED * _FALLS
        for _ in range(_NODE_ROUNDS):
            wanted = max(LEVEL, (_LEFT * error / self.rtol) ** (1.0 / max(power, 1.0)))
            finer = self.system.resolving(wanted, _MOST_NODES)
            if error <= self.rtol or finer is self.system:
                break
            before, earlier = found, gap
            self.coarser, self.system = self.system, finer
            found = self._walk()
            gap = _NODES * self._difference(before, found)
            power = math.log(max(earlier, _EPS) / max(gap, _EPS)) / math.log(step)
            power, step = _TRUSTED * min(max(power, 0.0), _FALLS), wanted
            error = gap * wanted**-power
        return found, error

    @property
    def _rings(self) -> bool:
        """Whether more nodes were wanted than the problem has."""
        return self.system is not self._given

    def _walk(self) -> Record:
        steps = self.most
        blocks = math.inf if steps == MOST_SINGLE_STEPS else steps // _STEPS_PER_BLOCK
        resolution = _fine(self.rtol, self.tightness)
        # A driver's doubts come on top, and those of what rings: a little finer at once saves
        # another walk.
        tolerance = resolution.tolerance * (0.5 if self.system.driver is not None else 1.0)
        if self._rings and not self.tightness:
            tolerance /= _RINGING
        resolution = replace(
            resolution, tolerance=tolerance, most_single_steps=steps, most_blocks=blocks
        )
        return self.finely(self.system, self.grid, resolution)

    def _block_error(
        self, cruder: Record, finer: Record, safety: float, power: float = 1.0
    ) -> float:
        share = (finer.local_error + _EPS) / (cruder.local_error + _EPS)
        gap = self._difference(cruder, finer)
        # What exceeds all that blocks left in doubt is no error of theirs: nothing shrinks it.
        theirs = min(gap, cruder.local_error + finer.local_error)
        return theirs * safety * share**power + (gap - theirs)

    def _node_error(self, found: Record) -> float:
        """What fewer nodes make of nearly the same walk: cruder ones would not ring as far."""
        resolution = _fine(self.rtol, self.tightness) if self.tightness else _beside(self.rtol)
        if not self.tightness and found.effort["blocks"] > _RINGS_ON:
            # Nodes that are by far too few show beside a cheap walk too.
            cheap = replace(resolution, tolerance=_CHEAPLY * resolution.tolerance)
            again = self.walked(self.coarser, self.grid, cheap)
            error = _NODES * self._difference(again, found)
            if error > _CLEARLY * cheap.tolerance:
                return error
        again = self.walked(self.coarser, self.grid, resolution)
        return _NODES * self._difference(again, found)

    def _difference(self, one: Record, other: Record) -> float:
        """The largest over the asked steps, in units of the largest risk nearby in time."""
        at, first, second = self.grid, one.columns[self.shown], other.columns[self.shown]
        first, second = first.reshape(len(at), -1), second.reshape(len(at), -1)
        known = np.isfinite(first) & np.isfinite(second)
        first, second = np.where(known, first, 0.0), np.where(known, second, 0.0)
        low = np.searchsorted(at, self.asked / 2.0)
        high = np.searchsorted(at, 2.0 * self.asked, side="right")
        gap, size = np.abs(first - second), np.abs(second)
        worst = 0.0
        for i, j in sorted(set(zip(low.tolist(), high.tolist(), strict=True))):
            largest = size[i:j].max(axis=0)
            share = gap[i:j].max(axis=0) / np.where(largest > _NOTHING, largest, np.inf)
            worst = max(worst, float(share.max()))
        return worst

    def _rounding(self, record: Record) -> float:
        """What rounding may do: a step rounds a few times, at random, and the steps add up.

        Just below the edge noise feeds itself for long, and so do they. Just above it, what
        rounding makes of the gain changes the rate of growth, for as long as the curve has grown.
        """
        steps = record.effort["single_steps"] + 100 * record.effort["blocks"]
        excess, once = self._gain - 1.0, 12.0 * _EPS
        if not 0.0 < excess < math.inf:
            lasting = 1.0 / math.sqrt(-excess) if -1.0 < excess < 0.0 else 1.0
            return once * (1.0 + math.sqrt(steps)) * lasting
        risk = np.abs(record.columns[self.shown].reshape(len(self.grid), -1))
        grown = float(np.max(np.log((risk[-1] + _NOTHING) / (risk.min(axis=0) + _NOTHING))))
        grown = once * min((1.0 + grown) / excess, self.last) if math.isfinite(grown) else 0.0
        return once * (1.0 + math.sqrt(steps)) + grown

    @cached_property
    def _gain(self) -> float:
        """By how much noise feeds itself where the curve ends; nan where that is not one number."""
        if not self.system.affine or self.system.driver is not None:
            return math.nan
        return float(self.system.loop_gain(np.array([self.last]))[0])

    def _said(self, record: Record, error: float) -> Controlled:
        # A run that grows passes its errors on undamped.
        error = error * (2.0 if record.diverged else 1.0) + self._rounding(record) + record.told
        index = np.searchsorted(self.grid, self.asked)
        columns = {name: values[index] for name, values in record.columns.items()}
        states = None if record.states is None else record.states[index]
        kept: dict[str, Any] = {"at": self.asked, "columns": columns, "states": states}
        return Controlled(replace(record, **kept), error, error <= self.rtol)


def _rough(rtol: float) -> Resolution:
    return Resolution(min(30000.0 * rtol, 1e-3), 7, _CRUDE_STEPS, 8, shortest_block=_CRUDE_BLOCK)


def _beside(rtol: float) -> Resolution:
    return Resolution(12.0 * rtol, 8, _CRUDE_STEPS, 9, shortest_block=_CRUDE_BLOCK)


def _fine(rtol: float, tightness: int) -> Resolution:
    tolerance = max(rtol * 30.0**-tightness, 1e-14)
    # Where nodes are fewer, blocks that ring never get longer than what the nodes can tell.
    return Resolution(
        tolerance, stages=11 + 2 * min(tightness, 1), nodes_per_octave=12 + 4 * tightness
    )
