"""Walk the moments from step 0 to the last one asked for, at a cost logarithmic in it.

Single steps where the dynamics are fast, blocks of collocation (collocation.py) where they
are slow; the length of a block follows its error estimate. What the walk passes is recorded
at the asked steps. Growth is looked for, never smoothed over: an implicit method would damp
an unstable mode, so where the frozen dynamics grow (kernel_norm.py) a block stays short
against the time of growth.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Constant, Schedule
from hidim.engines.collocation import POINTS, Watch, solve_block
from hidim.engines.many_modes import ManyModes
from hidim.engines.probe import seen_length, unknown_schedules
from hidim.engines.record import Record, empty_record
from hidim.problems.spectrum import Spectrum
from hidim.support.progress import Progress
from hidim.systems.kernel_norm import grows_faster, kernel_norm
from hidim.systems.momentum import (
    ERROR,
    followed,
    initial_moments,
    step_by_step,
)

# A run this far above its start is given up: following it further would only cost time.
OVERFLOW_FACTOR = 1e18
TOLERANCE = 3e-7
SINGLE_STEPS = 256
# Single steps before a run is refused as too long to follow: minutes of CPU.
MOST_SINGLE_STEPS = 20_000_000
# Frozen growth over one block, as an exponent: polynomials of this degree follow it with ease.
GROWTH_PER_BLOCK = 6.0
# In continuous time only an explosion moves within so small a part of a step.
SHORTEST_TIME = 1e-8
# A block costs about as much as this many single steps.
SHORTEST_BLOCK = 128
# Modes up to which every one is solved by itself.
FEW_MODES = 300


def march(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    at: np.ndarray,
    *,
    discrete: bool = True,
    keep_moments: bool = False,
    readout: Schedule | None = None,
    tolerance: float = TOLERANCE,
) -> Record:
    """Follow the expected moments and record them at the steps `at` (ascending).

    Args:
        discrete: the algorithm's own steps of one, or the continuous-time limit.
        keep_moments: record every mode's moments, not only the sums.
        readout: weight w(t) of the point that will be read; None for the iterate.
        tolerance: error allowed per block, relative to the risk.
    """
    record = empty_record(spectrum, at, discrete=discrete, keep_moments=keep_moments)
    walk = _Walk(spectrum, algorithm, batch_size, record, discrete, tolerance, readout)
    # A run that leaves float range is recorded as such, not warned about.
    with np.errstate(over="ignore", invalid="ignore"):
        walk.run(float(record.at[-1]))
    return record


class _Walk:
    """Where the walk stands, and how long the next block may be."""

    def __init__(
        self,
        spectrum: Spectrum,
        algorithm: Momentum,
        batch_size: float,
        record: Record,
        discrete: bool,
        tolerance: float,
        readout: Schedule | None,
    ) -> None:
        algorithm = followed(algorithm, readout, moments=record.states is not None)
        self.kinds = 1 if algorithm.gamma_1.constant == 0.0 else 3
        self.readout = None if readout is None or readout.constant == 0.0 else readout
        self.problem = (spectrum, algorithm, batch_size)
        self.many = _nodes_if_fewer(spectrum) if record.states is None else None
        self.record = record
        self.discrete = discrete
        self.tolerance = tolerance
        self.overflow = 2.0 * OVERFLOW_FACTOR * max(spectrum.initial_risk, 1e-300)
        self.edges = np.array([*algorithm.breakpoints, math.inf])
        self.unknown = unknown_schedules(algorithm)
        self.state = initial_moments(spectrum)
        self.time = 0.0
        self.patience = self.shortest = SHORTEST_BLOCK
        self.length = float(SINGLE_STEPS) if discrete else 1e-2

    def run(self, end: float) -> None:
        """Advance to `end`, or until the run is given up."""
        self.record.single_steps(
            0.0, (self.state @ self.problem[0].eigenvalues)[None], [self.state]
        )
        if self.discrete:
            self._single_steps(min(end, SINGLE_STEPS))
        with Progress(math.log1p(end), "predicting") as progress:
            while self.time < end and self.record.stopped_at is None:
                progress.to(math.log1p(self.time))
                self._advance(end)

    def _advance(self, end: float) -> None:
        edge = self.edges[np.searchsorted(self.edges, self.time, side="right")]
        room = min(edge, end) - self.time
        if self.discrete and min(self.length, room) < self.shortest:
            self._single_steps(min(end - self.time, self.patience))
            self.length = max(self.length, 1.5 * self.shortest)
            # Where blocks keep failing, try them more and more rarely, and shorter.
            self.patience = min(2 * self.patience, 4096)
            if self.patience > 4 * SHORTEST_BLOCK:
                self.shortest = max(self.shortest // 2, self._worthwhile_block())
        else:
            self._try_block(min(self.length, room), edge)

    def _worthwhile_block(self) -> int:
        """Steps that cost as much as one block, from timings: 25 at best, 128 with many modes."""
        modes = len(self.problem[0] if self.many is None else self.many)
        return min(SHORTEST_BLOCK, (25 if self.kinds == 1 else 32) + modes * self.kinds // 6)

    def _single_steps(self, count: float) -> None:
        if count <= 0:
            return
        if self.record.effort["single_steps"] > MOST_SINGLE_STEPS:
            raise ValueError(
                f"`steps` is too large for this algorithm: after {self.time:.3g} steps it still "
                "rings too fast for anything but single steps. Ask for fewer steps, or more "
                "forgetting."
            )
        spectrum, algorithm, batch_size = self.problem
        self.state, sums, states = step_by_step(
            spectrum,
            algorithm,
            batch_size,
            self.state,
            self.time,
            int(count),
            overflow=self.overflow,
            keep_states=self.record.states is not None,
        )
        made = len(sums) - 1
        sums = np.where(np.isfinite(sums), sums, np.inf)
        self.record.single_steps(self.time, sums, states)
        self.record.effort["single_steps"] += made
        self.time += made
        if not abs(sums[-1, ERROR]) < self.overflow:
            self.record.stopped_at = self.time

    def _try_block(self, length: float, edge: float) -> None:
        spectrum, algorithm, batch_size = self.problem
        if self.discrete:
            length = math.floor(length) if length < 2**52 else length
        # Schedules may jump at an edge: the block before it sees the formula that ends there.
        last_time = math.nextafter(edge, 0.0)
        shortest = self.shortest if self.discrete else SHORTEST_TIME
        visible = seen_length(self.unknown, self.time, length, shortest, last_time)
        if visible == length:
            visible = self._growth_limit(length, last_time)
        if visible < length:
            self.length = visible
            return
        solve = partial(solve_block, spectrum) if self.many is None else self.many.solve_block
        block = solve(
            algorithm,
            batch_size,
            self.state[: self.kinds],
            self.time,
            length,
            discrete=self.discrete,
            last_time=last_time,
            watch=self._watch(length),
        )
        order = len(POINTS) - 1
        factor = 0.9 * (self.tolerance / max(block.error, 1e-300)) ** (1.0 / order)
        if block.error > self.tolerance:
            self.record.effort["rejected"] += 1
            self.length = length * min(max(factor, 0.1), 0.8)
            if self.length < SHORTEST_TIME:
                self.record.crossed_at = self.record.stopped_at = self.time
            return
        self.record.effort["blocks"] += 1
        self.patience = SHORTEST_BLOCK
        self.record.block(self.time, length, block)
        self.state[: self.kinds] = block.end
        self.time += length
        self.length = length * min(max(factor, 0.5), 4.0)
        if not block.sums[-1, ERROR] < self.overflow:
            self.record.stopped_at = self.time

    def _watch(self, length: float) -> Watch | None:
        kept = self.record.states is not None
        if self.readout is None and not kept:
            return None
        weight = Constant(0.0) if self.readout is None else self.readout
        return Watch(weight(self.time + length * POINTS), momentum=kept)

    def _growth_limit(self, length: float, last_time: float) -> float:
        """The longest block on which frozen growth, if there is any, stays visible."""
        times = self._telling_times(length, last_time)
        times = times[~(kernel_norm(*self.problem, times) < 1.0)]
        while length > 1.0 and any(
            grows_faster(*self.problem, t, GROWTH_PER_BLOCK / length) for t in times
        ):
            length *= 0.7
        return length

    def _telling_times(self, length: float, last_time: float) -> np.ndarray:
        """Both ends of the block, and where a rate is higher than at either."""
        algorithm = self.problem[1]
        times = np.minimum(self.time + length * POINTS, last_time)
        told = {0, len(times) - 1}
        for rate in (algorithm.gamma_2, algorithm.gamma_1, algorithm.gamma_3):
            if rate.constant is None:
                told.add(int(np.argmax(rate(times))))
        return times[sorted(told)]


def _nodes_if_fewer(spectrum: Spectrum) -> ManyModes | None:
    """Nodes for blocks of many modes, where these save work."""
    if len(spectrum) <= FEW_MODES:
        return None
    many = ManyModes(spectrum)
    # Interpolating costs about a third of solving.
    return many if len(many) < 0.7 * len(spectrum) else None
