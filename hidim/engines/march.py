"""Walk a system from step 0 to the last one asked for, at a cost logarithmic in it.

Single steps where the dynamics are fast, blocks of collocation (collocation.py) where they
are slow; the length of a block follows its error estimate (pace.py), and where there is growth, its
time (growth.py). Of many modes few are followed (few.py). What the walk passes is recorded at the
asked steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hidim.engines.collocation import Block, Span, solve_chain
from hidim.engines.few import Chosen, Few
from hidim.engines.growth import Growth
from hidim.engines.many_modes import ManyModes, Smooth
from hidim.engines.pace import SHORTEST_BLOCK, SHORTEST_TIME, Pace
from hidim.engines.probe import seen_length
from hidim.engines.record import Record
from hidim.engines.scheme import scheme
from hidim.engines.start import beginning, empty_record, single_steps
from hidim.support.progress import Progress
from hidim.systems.base import System, chain

# A run this far above its start is given up: following it further would only cost time.
OVERFLOW_FACTOR = 1e18
# Single steps before a run is refused as too long to follow: minutes of CPU.
MOST_SINGLE_STEPS = 20_000_000
# So near a root the rest is one block.
NEAR_ROOT = 1e-3
# Modes up to which every one is solved by itself.
FEW_MODES = 300
# Single steps behind a breakpoint: so many, or fewer of a short stretch.
_BEHIND_EDGE = 96
# Numbers that a stretch of single steps may hold at once.
_MOST_HELD = 1 << 21


@dataclass(frozen=True)
class Resolution:
    """How finely a walk looks.

    Args:
        tolerance: error allowed per block, relative to what is read.
        stages: points in a block; more of them reach further at high accuracy.
        single_steps: taken at first.
        nodes_per_octave: where nodes answer for many modes.
        shortest_block: shorter stretches may be stepped through, which leaves no error.
        most_single_steps, most_blocks: before the walk is given up as too long.
    """

    tolerance: float
    stages: int = 9
    single_steps: int = 256
    nodes_per_octave: int = 10
    shortest_block: int = SHORTEST_BLOCK
    most_single_steps: int = MOST_SINGLE_STEPS
    most_blocks: float = math.inf


# What a walk is held to where nobody measures its error: tables of many curves, searches of rates.
PLAIN = Resolution(3e-7, stages=8)


def march(
    system: System,
    at: np.ndarray,
    resolution: Resolution = PLAIN,
    *,
    discrete: bool = True,
    keep_states: bool = False,
) -> Record:
    """Follow a system and record what is read of it at the steps `at` (ascending).

    Args:
        discrete: the algorithm's own steps of one, or the continuous-time limit.
        keep_states: record the states too; then every mode is solved by itself.
    """
    record = empty_record(system, at, discrete=discrete, keep_states=keep_states)
    # A run that leaves float range is recorded as such, not warned about.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        Walk(system, record, resolution, discrete=discrete).run(float(record.at[-1]))
    return record


class TooLong(ValueError):
    """A walk takes more single steps than it may."""


class Observer(Protocol):
    """Who sees every piece of a walk once it is final, beside the record."""

    @property
    def carried(self) -> np.ndarray | None:
        """(n, kinds, modes) that obey the equation of the state; None asks for every mode."""
        ...

    def follow(self, system: System, carried: np.ndarray) -> None:
        """Other modes are followed from here."""
        ...

    def stretch(self, first: float, states: np.ndarray, orders: np.ndarray) -> None:
        """States and orders at steps first, first + 1, ..."""
        ...

    def block(self, block: Block) -> None:
        """An accepted block."""
        ...


class Walk:
    """Where a walk stands, and how long the next block may be."""

    def __init__(
        self,
        system: System,
        record: Record,
        resolution: Resolution,
        *,
        discrete: bool = True,
        observer: Observer | None = None,
    ) -> None:
        self.systems = chain(system)
        self.record, self.resolution, self.discrete = record, resolution, discrete
        self.scheme = scheme(resolution.stages)
        self.states, self.seen = beginning(system)
        self.observer = observer
        every = record.states is not None
        self.many = None if every or observer else _nodes_if_fewer(system, resolution)
        self.overflow = OVERFLOW_FACTOR * np.maximum(self.seen["risk"][0], 1e-300)
        edges = sorted({b for part in self.systems for b in part.breakpoints})
        self.edges = np.array([*edges, math.inf])
        self.roots = {b for part in self.systems for b in part.roots}
        self.watched = [f for part in self.systems for f in part.watched]
        self.time = 0.0
        self.kinks, self.passed = np.unique(np.ceil(edges)), -1.0  # first steps of a new formula
        self.pace = Pace(
            resolution.tolerance, resolution.stages, self._worthwhile_block(), discrete=discrete
        )
        smooth = system.affine and len(self.systems) == 1 and not self.watched
        self.growth = Growth(looks_ahead=smooth, read=self._reader)
        self.end = math.inf
        every = every or (observer is not None and observer.carried is None)
        self.few = None if every or set(self.seen) != {"risk"} else _few(system, resolution)

    def run(self, end: float) -> None:
        """Advance to `end`, or until the run is given up."""
        self.end = end
        self.record.single_steps(0.0, self.seen, self.states[-1][None])
        if self.discrete:
            first = int(min(end, self.resolution.single_steps))
            if self.few is not None and not self._kinks_until(first):
                self._follow(self.few.begin(first, self._whole))
            self.single_steps(first)
        with Progress(math.log1p(end), "predicting") as progress:
            while self.time < end and self.record.stopped_at is None:
                progress.to(math.log1p(self.time))
                self._advance(end)

    def _advance(self, end: float) -> None:
        self._forget_at_kinks()
        if self.discrete and self.time != self.passed and self._kinks_between(self.time - 1.0):
            self._behind_edge(end)
            return
        edge = self.edges[np.searchsorted(self.edges, self.time, side="right")]
        room = min(edge, end) - self.time
        if edge in self.roots:  # a block never comes nearer than its own length
            near = float(self.pace.shortest) if self.discrete else NEAR_ROOT
            room = min(max(0.5 * (edge - self.time), near), room)
        stepped = any(part.stepped for part in self.systems)
        if self.discrete and (stepped or min(self.pace.length, room) < self.pace.shortest):
            before, count = self.time, min(end - self.time, self.pace.patience)
            self._forget_at_kinks(before + count)
            self.single_steps(count)
            kinked = self._kinks_between(before)
            if kinked:
                self.passed = self.time
            self.pace.stepped(self._worthwhile_block(), kinked=kinked)
        else:
            self._try_block(min(self.pace.length, room), edge)

    def _kinks_between(self, before: float) -> bool:
        """Whether a new formula begins after `before` and no later than now."""
        low, high = np.searchsorted(self.kinks, [before, self.time], side="right")
        return bool(high > low)

    def _behind_edge(self, end: float) -> None:
        """Where a formula changes, start afresh: fast modes answer at once, and no block sees it.

        What they answer is small beside what a block may leave in doubt, at any length, but is
        all there is of the error just behind.
        """
        self.passed = self.time
        edge = self.edges[np.searchsorted(self.edges, self.time, side="right")]
        room = min(edge, end) - self.time
        self.single_steps(min(_BEHIND_EDGE, room, max(32.0, room // 4)))
        self.pace.starts_afresh()

    def _worthwhile_block(self) -> int:
        """Steps that cost as much as one block, from timings: 25 at best, 128 with many modes."""
        kinds, modes = self.states[-1].shape[-2:]
        modes = modes if self.many is None else len(self.many)
        steps = (25 if kinds == 1 else 32) + modes * kinds * self.scheme.stages // 50
        return min(self.resolution.shortest_block, steps)

    def single_steps(self, count: float) -> None:
        """Advance by so many steps of one."""
        if count <= 0:
            return
        if self.record.effort["single_steps"] > self.resolution.most_single_steps:
            raise TooLong(
                f"`steps` is too large for this algorithm: after {self.time:.3g} steps it still "
                "moves or rings too fast for anything but single steps. Ask for fewer steps, "
                "or let momentum forget more."
            )
        held = max(64, _MOST_HELD // sum(x.size for x in self.states))
        left = int(count)
        while left > 0 and self.record.stopped_at is None:
            made = min(left, held)
            self._stretch(made)
            left -= made

    def _stretch(self, count: int) -> None:
        paths, orders, seen = single_steps(self.systems, self.states, self.time, count)
        risk = seen["risk"].reshape(count + 1, -1)
        lost = (~(np.abs(risk) < self.overflow.reshape(-1))).any(axis=1)
        made = int(np.argmax(lost)) if lost.any() else count
        seen = {
            name: np.where(np.isfinite(v[: made + 1]), v[: made + 1], np.inf)
            for name, v in seen.items()
        }
        self.record.single_steps(self.time, seen, paths[-1][: made + 1])
        self.record.effort["single_steps"] += made
        self.pace.forget()
        if self.observer is not None:
            self.observer.stretch(self.time, paths[-1][: made + 1], orders[-1][: made + 1])
        self.states = [path[made] for path in paths]
        self.time += made
        if self.few is not None and not self.few.sleep(self._whole):
            self._follow(self.few.wake(self._whole))
        if lost.any():
            self.record.stopped_at = self.time

    def _try_block(self, length: float, edge: float) -> None:
        if self.discrete:
            length = math.floor(length) if length < 2**52 else length
        # Formulas may jump at an edge: the block before it sees the one that ends there.
        last_time = math.nextafter(edge, 0.0)
        shortest = self.pace.shortest if self.discrete else SHORTEST_TIME
        visible = seen_length(
            self.watched, self.time, length, shortest, last_time, self.scheme.points[1:]
        )
        span = Span(self.time, length, last_time, self.scheme, self.discrete)
        if visible == length:
            visible = self.growth.limit(self.systems, self.states, span, self.end)
        if visible < length:
            self.pace.length = visible
            return
        self._take(self._solved(span), span)

    def _reader(self, system: System, span: Span) -> System:
        """Who answers for a system on a block."""
        return system if self.many is None else self.many.reader(span)

    def _solved(self, span: Span) -> list[Block]:
        if self.many is None:
            end = span.start + span.length
            ahead = end if span.last_time < end and not end >= self.end else None
            return solve_chain(self.systems, self.states, span, ahead)
        return [self.many.solve_block(self.states[0], span)]

    def _take(self, blocks: list[Block], span: Span) -> None:
        """Go on from a block, or come back with a shorter one."""
        length, error = span.length, blocks[-1].error
        if not error <= self.resolution.tolerance:
            self.record.effort["rejected"] += 1
            self.pace.rejected(length, error)
            if self.pace.length < SHORTEST_TIME:
                self.record.crossed_at = self.record.stopped_at = self.time
            return
        if self.few is not None and not self.few.sleep(blocks[-1].end):
            self._follow(self.few.wake(self._whole))  # and over the block again
            return
        self.pace.accepted(length, error, self.time)
        self._accept(blocks, span)

    def _accept(self, blocks: list[Block], span: Span) -> None:
        self.record.effort["blocks"] += 1
        if self.record.effort["blocks"] > self.resolution.most_blocks:
            raise TooLong(f"more than {self.resolution.most_blocks:g} blocks of steps")
        self.record.block(blocks[-1])
        if self.observer is not None:
            self.observer.block(blocks[-1])
        self.states = [block.end for block in blocks]
        self.time += span.length
        if self.few is not None:
            self._follow(self.few.again(self._whole, self.time))
        if not np.all(self.record.last_risk < self.overflow):
            self.record.stopped_at = self.time

    @property
    def _whole(self) -> np.ndarray:
        """The state, and on a leading axis what the observer carries beside it."""
        if self.observer is None or self.observer.carried is None:
            return self.states[0]
        return np.concatenate([self.states[0][None], self.observer.carried])

    def _kinks_until(self, time: float) -> bool:
        """Whether a new formula begins after modes began to settle and no later than that."""
        assert self.few is not None
        low, high = np.searchsorted(self.kinks, [self.few.since, time], side="right")
        return bool(high > low)

    def _forget_at_kinks(self, until: float | None = None) -> None:
        """Follow modes that settled by themselves where a formula changed, or will till then."""
        if self.few is not None and self._kinks_until(self.time if until is None else until):
            self._follow(self.few.restart(self._whole, self.time))

    def _follow(self, chosen: Chosen | None) -> None:
        """Go on with another choice of modes."""
        if chosen is not None:
            assert self.few is not None
            self.record.told = self.few.allowed
            system, state = chosen
            self.systems = [system]
            if self.observer is None:
                self.states, self.many = [state], _nodes_if_fewer(system, self.resolution)
            else:
                self.states = [state[0]]
                self.observer.follow(system, state[1:])


def _few(system: System, resolution: Resolution) -> Few | None:
    """Who chooses the modes to follow, where theory and rates allow it."""
    if not isinstance(system, Smooth) or system.driver is not None or system.watched:
        return None
    if not np.any(system.weights):  # every eigenvalue is zero: nothing moves what is read
        return None
    return Few(system, resolution.tolerance)


def _nodes_if_fewer(system: System, resolution: Resolution) -> ManyModes | None:
    """Nodes for blocks of many modes, where these save work."""
    if not isinstance(system, Smooth) or len(system.places) <= FEW_MODES:
        return None
    if system.start().ndim > 2:  # several targets, each with states of its own
        return None
    many = ManyModes(system, resolution.nodes_per_octave)
    # Interpolating costs about a third of solving.
    return many if len(many) < 0.7 * len(system.places) else None
