"""What the theories of saturated steps share: one rate, one order, a floor, and no more than steps.

A step that is bounded entry by entry, or singular value by singular value, is nonlinear mode by
mode, so these systems give `step` alone.
"""

from __future__ import annotations

from typing import Any

from hidim.algorithms.schedules import Schedule
from hidim.systems.base import Array, Drive, System


class Saturating(System):
    """A theory of bounded steps of a rate eta, whose one order is twice the excess.

    Attributes:
        floor: the risk's, with the variance of the noise law in it.
        eta: the rate.
    """

    floor: float
    eta: Schedule

    orders, stepped, bounded = ("twice_excess",), True, True

    @property
    def breakpoints(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where the rate changes its formula."""
        return self.eta.breakpoints

    @property
    def risk_floor(self) -> float:
        """Of the curve."""
        return self.floor

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate."""
        return {"risk": self.floor + 0.5 * q[..., 0]}

    def parameters(self) -> tuple[str, ...]:
        """None: derivatives by parameters are of theories that blocks can follow."""
        return ()

    def facts(self, last: float) -> dict[str, Any]:
        """Which law of the drift this is."""
        return {"drift": "saturated"}
