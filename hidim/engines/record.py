"""What a walk through the steps keeps: the risk where it was asked for, and whether it got lost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from hidim.curve import DIVERGENCE_FACTOR
from hidim.engines.collocation import POINTS, Block, interpolate
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import ERROR


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
        if self.states is not None and block.states is not None and high > low:
            kinds = block.states.shape[1]
            self.states[low:high, :kinds] = interpolate(block.states, x)
            self.states[low:high, kinds:] = 0.0
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
