"""Walk the moments from step 0 to the last one asked for, at a cost logarithmic in it.

Single steps where the dynamics are fast, blocks of collocation (collocation.py) where they
are slow; the length of a block follows its error estimate. What the walk passes is recorded
at the asked steps. Growth is looked for, never smoothed over: an implicit method would damp
an unstable mode, so where the frozen dynamics grow (kernel_norm.py) a block stays short
against the time of growth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import DIVERGENCE_FACTOR
from hidim.engines.collocation import POINTS, Block, interpolate, solve_block
from hidim.problems.spectrum import Spectrum
from hidim.support.progress import Progress
from hidim.systems.kernel_norm import grows_faster, kernel_norm
from hidim.systems.momentum import ERROR, initial_moments, step_by_step

# A run this far above its start is given up: nothing comes back from there in float64.
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


@dataclass
class Record:
    """The walk as seen at the asked steps.

    Args:
        at: (n,) asked steps, ascending.
        sums: (n, 3) eigenvalue-weighted moments there; infinite once the run is given up.
        states: (n, 3, modes) the moments themselves, or None.
        crossed_at: first step whose risk exceeds the divergence factor, or None.
        stopped_at: step at which the run was given up, or None.
    """

    at: np.ndarray
    sums: np.ndarray
    states: np.ndarray | None
    floor: float
    threshold: float
    whole_steps: bool = True
    crossed_at: float | None = None
    stopped_at: float | None = None
    last_risk: float = 0.0
    effort: dict[str, int] = field(
        default_factory=lambda: {"single_steps": 0, "blocks": 0, "rejected": 0}
    )

    @property
    def diverged(self) -> bool:
        """Whether the run was given up or ended above the divergence threshold."""
        return self.stopped_at is not None or self.last_risk > self.threshold

    def risk(self, sums: np.ndarray) -> np.ndarray:
        """Risk with the one half from weighted moments (..., 3)."""
        return self.floor + 0.5 * sums[..., ERROR]

    def single_steps(self, first: float, sums: np.ndarray, states: list[np.ndarray]) -> None:
        """Record steps first, first + 1, ... from their sums (made + 1, 3)."""
        low = np.searchsorted(self.at, first, side="left")
        high = np.searchsorted(self.at, first + len(sums) - 1, side="right")
        index = (self.at[low:high] - first).astype(int)
        self.sums[low:high] = sums[index]
        if self.states is not None:
            for place, i in zip(range(low, high), index, strict=True):
                self.states[place] = states[i]
        risk = self.risk(sums)
        over = ~(risk <= self.threshold)
        if self.crossed_at is None and over.any():
            self.crossed_at = first + int(np.argmax(over))
        self.last_risk = float(risk[-1])

    def block(self, start: float, length: float, block: Block) -> None:
        """Record the asked steps inside (start, start + length]."""
        low = np.searchsorted(self.at, start, side="right")
        high = np.searchsorted(self.at, start + length, side="right")
        x = (self.at[low:high] - start) / length
        self.sums[low:high] = interpolate(block.sums, x)
        if self.states is not None and high > low:
            self.states[low:high, : block.states.shape[1]] = interpolate(block.states, x)
        if self.crossed_at is None:
            self._look_for_crossing(start, length, block)
        self.last_risk = float(self.risk(block.sums[-1]))

    def _look_for_crossing(self, start: float, length: float, block: Block) -> None:
        x = np.union1d(POINTS, np.linspace(0.0, 1.0, 33))
        over = self.risk(interpolate(block.sums, x)) > self.threshold
        if not over.any():
            return
        first = int(np.argmax(over))
        below, above = (x[first - 1] if first else 0.0), x[first]
        while (above - below) * length > (1.0 if self.whole_steps else 1e-9 * length):
            middle = 0.5 * (below + above)
            over_here = self.risk(interpolate(block.sums, np.array([middle]))[0]) > self.threshold
            below, above = (below, middle) if over_here else (middle, above)
        self.crossed_at = start + above * length
        if self.whole_steps:
            self.crossed_at = self._first_whole_step(start, length, block, below)

    def _first_whole_step(self, start: float, length: float, block: Block, x: float) -> float:
        step = math.floor(start + x * length)
        for candidate in range(3) if step < 2**53 else ():
            there = np.array([min((step + candidate - start) / length, 1.0)])
            if there[0] >= 0 and self.risk(interpolate(block.sums, there)[0]) > self.threshold:
                return float(step + candidate)
        return float(math.ceil(start + x * length))


def march(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    at: np.ndarray,
    *,
    discrete: bool = True,
    keep_moments: bool = False,
    tolerance: float = TOLERANCE,
) -> Record:
    """Follow the expected moments and record them at the steps `at` (ascending).

    Args:
        discrete: the algorithm's own steps of one, or the continuous-time limit.
        keep_moments: record every mode's moments, not only the sums.
    """
    record = empty_record(spectrum, at, discrete=discrete, keep_moments=keep_moments)
    walk = _Walk(spectrum, algorithm, batch_size, record, discrete, tolerance)
    # A run that leaves float range is recorded as such, not warned about.
    with np.errstate(over="ignore", invalid="ignore"):
        walk.run(float(record.at[-1]))
    return record


def empty_record(
    spectrum: Spectrum, at: np.ndarray, *, discrete: bool = True, keep_moments: bool = False
) -> Record:
    """A record of the steps `at`, still to be filled."""
    asked = np.asarray(at, dtype=np.float64)
    return Record(
        asked,
        np.full((len(asked), 3), np.inf),
        np.full((len(asked), 3, len(spectrum)), np.inf) if keep_moments else None,
        spectrum.risk_floor,
        DIVERGENCE_FACTOR * max(spectrum.initial_risk, 1e-300),
        whole_steps=discrete,
    )


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
    ) -> None:
        self.problem = (spectrum, algorithm, batch_size)
        self.record = record
        self.discrete = discrete
        self.tolerance = tolerance
        self.overflow = 2.0 * OVERFLOW_FACTOR * max(spectrum.initial_risk, 1e-300)
        self.edges = np.array([*algorithm.breakpoints, math.inf])
        self.state = initial_moments(spectrum)
        self.time = 0.0
        self.patience = SHORTEST_BLOCK
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
        if self.discrete and min(self.length, room) < SHORTEST_BLOCK:
            self._single_steps(min(end - self.time, self.patience))
            self.length = max(self.length, 1.5 * SHORTEST_BLOCK)
            # Where blocks keep failing, try them more and more rarely.
            self.patience = min(2 * self.patience, 4096)
        else:
            self._try_block(min(self.length, room), edge)

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
        visible = self._growth_limit(length)
        if visible < length:
            self.length = visible
            return
        # Schedules may jump at an edge: the block before it sees the formula that ends there.
        last_time = math.nextafter(edge, 0.0)
        alone = not algorithm.has_momentum and self.record.states is None
        block = solve_block(
            spectrum,
            algorithm,
            batch_size,
            self.state[:1] if alone else self.state,
            self.time,
            length,
            discrete=self.discrete,
            last_time=last_time,
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
        self.state[: block.states.shape[1]] = block.states[-1]
        self.time += length
        self.length = length * min(max(factor, 0.5), 4.0)
        if not block.sums[-1, ERROR] < self.overflow:
            self.record.stopped_at = self.time

    def _growth_limit(self, length: float) -> float:
        """The longest block on which frozen growth, if there is any, stays visible."""
        times = np.array([self.time, self.time + length])
        if np.all(kernel_norm(*self.problem, times) < 1.0):
            return length
        while length > 1.0 and any(
            grows_faster(*self.problem, t, GROWTH_PER_BLOCK / length)
            for t in (self.time, self.time + length)
        ):
            length *= 0.7
        return length
