"""What all theories share that follow the schedules of a member of the momentum family.

Each holds the family's own system of these schedules and asks it when formulas change, what to
watch and which numbers there are to differentiate by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from hidim.systems.base import Array, System


class OfFamily(System):
    """A theory beside the family's plain moments; subclasses are frozen dataclasses.

    Attributes:
        moments: the family's system, a MomentumSystem, of the same schedules.
    """

    moments: Any

    @property
    def breakpoints(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where a schedule changes its formula."""
        edges: tuple[float, ...] = self.moments.breakpoints
        return edges

    @property
    def roots(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where one ends that is no power series up to there."""
        ends: tuple[float, ...] = self.moments.roots
        return ends

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """Whether no rate moves."""
        return bool(self.moments.steady)

    @property
    def watched(self) -> Sequence[Callable[[Array], Array]]:
        """Schedules that may do something between the points of a block."""
        schedules: Sequence[Callable[[Array], Array]] = self.moments.watched
        return schedules

    def parameters(self) -> tuple[str, ...]:
        """Those of the algorithm."""
        names: tuple[str, ...] = self.moments.parameters()
        return names

    def moved(self, name: str, by: float) -> tuple[System, float]:
        """With one parameter of a schedule moved."""
        other, size = self.moments.moved(name, by)
        return dataclasses.replace(self, moments=other), size  # type: ignore[type-var]
