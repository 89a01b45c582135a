"""Which compute-optimal exponents does a ladder of exact curves show, beside theory's?

    P* ~ flops^-eta,   d* ~ flops^xi,   steps to the floor ~ d^floor_time

by the lower envelope over sizes and by the parabolas of isoFLOP profiles.
Limits: powers over the last decades of a finite ladder; near a boundary between phases they are
still on their way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hidim.measure import (
    MeasuredFrontier,
    envelope,
    isoflop,
    measure_exponent,
    time_to_multiple,
)
from hidim.studies.ladder import Ladder
from hidim.support.checks import finite, positive
from hidim.support.results import Saved

_BUDGETS = 10 ** np.arange(3, 45, 0.125)
_FEWEST = 4  # points of a frontier that show a power


@dataclass(frozen=True, eq=False)
class LadderExponents(Saved, format="hidim-ladder-exponents/1"):
    """Measured exponents of one ladder, with theory's; NaN where nothing could be measured.

    Attributes:
        algorithm: the optimizer.
        phase: of the problem.
        eta: by the envelope.
        eta_isoflop: by isoFLOP parabolas.
        eta_theory: by the scaling law; likewise below.
        xi: power of the best size in flops.
        xi_isoflop: see eta.
        xi_theory: see eta.
        floor_time: power of d in the steps to a multiple of the floor, over the last decade.
        floor_time_theory: see eta.
        frontier: the envelope itself.
    """

    algorithm: str
    phase: str
    eta: float
    eta_isoflop: float
    eta_theory: float
    xi: float
    xi_isoflop: float
    xi_theory: float
    floor_time: float
    floor_time_theory: float
    frontier: MeasuredFrontier

    def to_dict(self) -> dict[str, Any]:
        """The numbers by name, and the first and last flops of the frontier."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "frontier"}
        flops = self.frontier.flops
        return numbers | {"flops": [float(flops[0]), float(flops[-1])]}


def measure_ladder(
    ladder: Ladder, *, last_decades: float = 2.0, multiple: float = 2.5
) -> LadderExponents:
    """Measure the exponents that a ladder of curves shows.

    Args:
        ladder: from `run_ladder`.
        last_decades: decades of flops that eta and xi are fitted to.
        multiple: of the floor, for the time to it.

    Raises:
        ValueError: a curve diverges, or the ladder is too short to hold a compute-optimal size.
    """
    last_decades, multiple = positive("last_decades", last_decades), finite("multiple", multiple)
    if multiple <= 1:
        raise ValueError(f"`multiple` of the floor must exceed 1, got {multiple:g}.")
    for curve in ladder.curves:
        if curve.status == "diverged":
            keys = ("step", "ratio", "delta", "kappa_2", "kappa_3")
            given = {key: getattr(ladder.recipe, key) for key in keys}
            rates = ", ".join(f"{k}={v:g}" for k, v in given.items() if v is not None)
            raise ValueError(
                f"{ladder.recipe.name} diverges at d = {curve.dimension:g} with "
                f"{rates or 'the recommended rates'}. "
                "Take smaller rates, or leave them out for the recommended ones."
            )
    first, second = envelope(ladder.curves, _BUDGETS), isoflop(ladder.curves, _BUDGETS)
    if len(first.flops) < _FEWEST:
        raise ValueError(
            f"the largest size is {ladder.sizes[-1]:g}: too short a ladder to hold a "
            "compute-optimal size. Raise it."
        )
    pairs = zip(ladder.curves, ladder.floors, strict=True)
    times = np.array([time_to_multiple(curve, floor, multiple) for curve, floor in pairs])
    crossed = np.isfinite(times)
    law = ladder.law
    return LadderExponents(
        algorithm=ladder.recipe.name,
        phase=law.phase,
        eta=_power(first.flops, 1 / first.risk, last_decades),
        eta_isoflop=_power(second.flops, 1 / second.risk, last_decades),
        eta_theory=law.eta,
        xi=_power(first.flops, first.d, last_decades),
        xi_isoflop=_power(second.flops, second.d, last_decades),
        xi_theory=law.xi,
        floor_time=_power(ladder.sizes[crossed], times[crossed], 1.0),
        floor_time_theory=law.floor_time,
        frontier=first,
    )


def _power(x: np.ndarray, y: np.ndarray, decades: float) -> float:
    return measure_exponent(x, y, last_decades=decades).value if len(x) > 1 else math.nan
