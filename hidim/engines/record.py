"""What a walk over time steps keeps: what was read at the asked steps, and whether it got lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hidim.engines.collocation import Block


@dataclass
class Record:
    """The walk as seen at the asked steps.

    Args:
        at: (n,) asked steps, ascending.
        threshold: risk above which a run has diverged, (...targets).
        whole_steps: steps of one, or continuous time.
        columns: what was read there by name, each (n, ...targets); infinite once given up.
        states: (n, kinds, modes) there as the system keeps them, or None.
        kept: how it keeps them.
        crossed_at: first step whose risk exceeds the threshold, or None; of one target alone.
        stopped_at: step at which the run was given up, or None.
        last_risk: (...targets).
        local_error: sum of what each block left in doubt, relative to the risk there.
        told: share of the risk that may be lost to modes told by others (few.py).
        effort: how many single steps, blocks and rejected blocks.
    """

    at: np.ndarray
    threshold: np.ndarray
    whole_steps: bool = True
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    states: np.ndarray | None = None
    kept: Callable[[np.ndarray], np.ndarray] = np.asarray
    crossed_at: float | None = None
    stopped_at: float | None = None
    last_risk: np.ndarray = field(default_factory=lambda: np.zeros(()))
    local_error: float = 0.0
    told: float = 0.0
    effort: dict[str, int] = field(
        default_factory=lambda: {"single_steps": 0, "blocks": 0, "rejected": 0}
    )

    @property
    def diverged(self) -> bool:
        """Whether the run was given up or ended above the divergence threshold."""
        return self.stopped_at is not None or bool(np.any(self.last_risk > self.threshold))

    def single_steps(self, first: float, seen: dict[str, np.ndarray], states: np.ndarray) -> None:
        """Record steps first, first + 1, ... from what is read there, each (made + 1, ...)."""
        count = len(states)
        low = np.searchsorted(self.at, first, side="left")
        high = np.searchsorted(self.at, first + count - 1, side="right")
        index = (self.at[low:high] - first).astype(int)
        for name, values in seen.items():
            self.columns[name][low:high] = values[index]
        if self.states is not None:
            self.states[low:high] = self.kept(states[index])
        over = ~(seen["risk"] <= self.threshold)
        if self.crossed_at is None and over.any():
            self.crossed_at = first + int(np.argmax(over.reshape(count, -1).any(axis=1)))
        self.last_risk = seen["risk"][-1]

    def block(self, block: Block) -> None:
        """Record the asked steps inside a block, its end included."""
        span = block.span
        low = np.searchsorted(self.at, span.start, side="right")
        high = np.searchsorted(self.at, span.start + span.length, side="right")
        # The end and the middle beside the asked steps: growth is seen there.
        ends = span.start + span.length * np.array([0.5, 1.0])
        seen = block.read(np.concatenate([self.at[low:high], ends]))
        for name, values in seen.items():
            self.columns[name][low:high] = values[:-2]
        if self.states is not None and high > low:
            places = span.places(self.at[low:high])
            self.states[low:high] = self.kept(span.scheme.interpolate(block.x, places))
        self.local_error += block.error
        risk = seen["risk"]
        if self.crossed_at is None and np.any(~(risk[-2:] <= 1e-2 * self.threshold)):
            self._look_for_crossing(block)
        self.last_risk = risk[-1]

    def _over(self, block: Block, x: np.ndarray) -> np.ndarray:
        """Whether any target's risk is past the threshold at parts x of the block."""
        risk = block.read(block.span.start + block.span.length * x)["risk"]
        return np.asarray((~(risk <= self.threshold)).reshape(len(x), -1).any(axis=1))

    def _look_for_crossing(self, block: Block) -> None:
        start, length = block.span.start, block.span.length
        x = np.union1d(block.span.scheme.points, np.linspace(0.0, 1.0, 33))
        over = self._over(block, x)
        if not over.any():
            return
        first = int(np.argmax(over))
        below, above = (x[first - 1] if first else 0.0), x[first]
        while (above - below) * length > (1.0 if self.whole_steps else 1e-9 * length):
            middle = 0.5 * (below + above)
            over_here = self._over(block, np.array([middle]))[0]
            below, above = (below, middle) if over_here else (middle, above)
        self.crossed_at = start + above * length
        if self.whole_steps:
            self.crossed_at = self._first_whole_step(block, below)

    def _first_whole_step(self, block: Block, x: float) -> float:
        start, length = block.span.start, block.span.length
        step = math.floor(start + x * length)
        for candidate in range(3) if step < 2**53 else ():
            there = min((step + candidate - start) / length, 1.0)
            if there >= 0 and self._over(block, np.array([there]))[0]:
                return float(step + candidate)
        return float(math.ceil(start + x * length))
