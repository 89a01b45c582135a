"""How many windows does step t read while the batch grows, and how many were read before it?

The batch doubles from START to the whole batch in stages of equal length in steps, over the first
OVER steps. A function of t alone, so a run goes on where it was, and steps and tokens are counted
without having been taken.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from hidim.support.checks import whole


@dataclass(frozen=True)
class Ramp:
    """A batch that doubles.

    Args:
        start: windows of the first step.
        over: steps until the batch is whole.
        batch_size: windows of a step from there on; `start` times a power of two.

    Raises:
        ValueError: it is not.

    >>> ramp = Ramp(8, 4, 32)
    >>> [ramp.at(t) for t in range(6)], ramp.before(6)
    ([8, 8, 16, 16, 32, 32], 112)
    """

    start: int
    over: int
    batch_size: int

    def __post_init__(self) -> None:
        factor, rest = divmod(self.batch_size, self.start)
        if rest or factor < 2 or factor & (factor - 1):
            raise ValueError(
                f"`batch_ramp` doubles from {self.start} windows to the {self.batch_size} of "
                "`batch_size`, which must be 2, 4, 8, ... times as many."
            )

    @property
    def doublings(self) -> int:
        """How often the batch doubles."""
        return (self.batch_size // self.start).bit_length() - 1

    def _edges(self) -> list[int]:
        """First step of every size after the first."""
        return [-(-k * self.over // self.doublings) for k in range(1, self.doublings + 1)]

    def at(self, step: int) -> int:
        """Windows of step 0, 1, ..."""
        return self.start << bisect_right(self._edges(), step)

    def before(self, step: int) -> int:
        """Windows of all steps before this one."""
        total, size, since = 0, self.start, 0
        for edge in self._edges():
            total += size * (min(edge, step) - min(since, step))
            size, since = 2 * size, edge
        return total + size * (step - min(since, step))

    def steps_for(self, windows: int) -> int:
        """Fewest steps that read so many windows."""
        whole_after = self.before(self.over)
        if windows >= whole_after:
            return self.over + -(-(windows - whole_after) // self.batch_size)
        return next(step for step in range(self.over + 1) if self.before(step) >= windows)


def parse_ramp(text: str, batch_size: int) -> Ramp:
    """`8:100` as a ramp from 8 windows over 100 steps.

    Raises:
        ValueError: it does not read so.
    """
    parts = str(text).split(":")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"`batch_ramp` must read START:STEPS, as in 8:100, got {text!r}.")
    start, over = (int(whole("batch_ramp", int(part), minimum=1)) for part in parts)
    return Ramp(start, over, batch_size)
