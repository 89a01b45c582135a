"""How long is the next block? As long as its error allows, told from that of the last ones.

Where blocks would be shorter than what single steps cost as much as, steps are taken, and blocks
tried again more and more rarely.
"""

from __future__ import annotations

import math

# A block costs about as much as this many single steps.
SHORTEST_BLOCK = 128
# In continuous time only an explosion moves within so small a part of a step.
SHORTEST_TIME = 1e-8
# Share taken of the length of a block that would just meet the error allowed.
_SAFETY = 0.9
# A block that could be longer by this factor has shown no error to go by.
_UNKNOWN = 100.0
_MOST_PATIENCE = 4096
# Share of the error allowed, and error, below which an error says nothing: what rounding makes of
# it would decide how long blocks are, and so the digits that rtol leaves open.
_UNTOLD = 1e-3, 1e-11
# Lengths in every octave, for the same reason: where a run rings, the error of a block tells what
# the next one is, and a last digit would be another walk some blocks later.
_IN_OCTAVE = 16


class Pace:
    """How long blocks of one walk may be.

    Args:
        tolerance: error allowed per block.
        stages: points in a block, the power by which its error falls.
        shortest: steps below which steps are taken one by one.
        discrete: steps of one, or continuous time.

    Attributes:
        length: that the next block may have.
        shortest: likewise, while blocks keep failing.
        patience: single steps until the next block is tried.
    """

    def __init__(self, tolerance: float, stages: int, shortest: int, *, discrete: bool) -> None:
        self.tolerance, self.stages = tolerance, stages
        self.patience, self.shortest = SHORTEST_BLOCK, shortest
        self.length = float(SHORTEST_BLOCK) if discrete else 1e-2
        self._fitting = math.nan  # the length that the last block could have had

    def forget(self) -> None:
        """Steps were taken one by one: what blocks could have been is of another time."""
        self._fitting = math.nan

    def starts_afresh(self) -> None:
        """Behind an edge."""
        self.length = min(self.length, float(SHORTEST_BLOCK))

    def stepped(self, worthwhile: int, *, kinked: bool) -> None:
        """Blocks were too short, and steps were taken.

        Args:
            worthwhile: steps that cost as much as one block.
            kinked: whether a new formula began meanwhile.
        """
        self.length = max(self.length, float(self.shortest))
        if kinked:
            self.length = 1.5 * SHORTEST_BLOCK
        # Where blocks keep failing, try them more and more rarely, and shorter.
        self.patience = min(2 * self.patience, _MOST_PATIENCE)
        if self.patience > 4 * SHORTEST_BLOCK:
            self.shortest = max(self.shortest // 2, worthwhile)

    def rejected(self, length: float, error: float) -> None:
        """A block of this length left too much in doubt."""
        wanted = _SAFETY * self._fits(length, error)
        self.length = _rounded(min(max(wanted, 0.1 * length), 0.8 * length))

    def accepted(self, length: float, error: float, time: float) -> None:
        """A block from `time` on is taken.

        Where time scales are shares of the time that has passed, lengths that fit grow from block
        to block; a length that only follows them stays behind at a fraction of the error allowed.
        Source: Gustafsson's predictive control (Hairer and Wanner, Solving Ordinary Differential
        Equations II, IV.8), which expects the last change again; no more of it than time grows by.
        """
        fitting = self._fits(length, error)
        change = fitting / self._fitting
        # Of a block that nothing was seen to be wrong with, it is not known how long it could be.
        self._fitting = fitting if fitting < _UNKNOWN * length else math.nan
        if not math.isfinite(change):  # the first of a stretch, or behind such a block
            change = 1.0
        change = min(max(change, 0.5), 1.0 + length / max(time, length))
        self.length = _rounded(min(max(_SAFETY * change * fitting, 0.5 * length), 4.0 * length))
        self.patience = SHORTEST_BLOCK

    def _fits(self, length: float, error: float) -> float:
        """The length whose error would just be allowed."""
        share, least = _UNTOLD
        error = error + min(share * self.tolerance, least)
        return float(length * (self.tolerance / error) ** (1.0 / self.stages))


def _rounded(length: float) -> float:
    """To one of few lengths in an octave."""
    share, octave = math.frexp(length)
    return math.ldexp(round(2 * _IN_OCTAVE * share) / (2 * _IN_OCTAVE), octave)
