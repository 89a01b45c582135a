"""Which compute-optimal exponents does a ladder of exact curves show, beside theory's?

    P* ~ flops^-eta,   d* ~ flops^xi,   steps to the floor ~ d^floor_time

by `hidim.frontier`, in the window that it chooses, and by the parabolas of isoFLOP profiles over
the same budgets.
Limits: a finite ladder; near a boundary between phases the powers are still on their way, which
the drift and the law's own powers at these budgets show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from hidim.measure import (
    MeasuredFrontier,
    frontier,
    isoflop,
    measure_exponent,
    time_to_multiple,
)
from hidim.studies.ladder import Ladder
from hidim.support.checks import finite, instance
from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class LadderExponents(Saved, format="hidim-ladder-exponents/1"):
    """Measured exponents of one ladder, with theory's; NaN where nothing could be measured.

    Attributes:
        algorithm: the optimizer.
        phase: of the problem.
        eta: by the valley of all runs; error, window and drift are in `frontier.eta`.
        eta_isoflop: by isoFLOP parabolas, over the same window.
        eta_theory: by the scaling law; likewise below.
        xi: power of the best size in flops.
        xi_isoflop: see eta.
        xi_theory: see eta.
        floor_time: power of d in the steps to a multiple of the floor, over the last decade.
        floor_time_theory: see eta.
        frontier: the points of the envelope, and the powers with what is known about them.
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
        """The numbers by name, with intervals and drifts, and what the frontier covers."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "frontier"}
        about = self.frontier.to_dict()
        for name in ("eta", "xi"):
            numbers |= {f"{name}_{k}": about[name][k] for k in ("low", "high", "drift")}
            numbers[f"{name}_theory_here"] = about[f"{name}_theory_here"]
        return numbers | {key: about[key] for key in ("settled", "window", "flops")}


def measure_ladder(
    ladder: Ladder, *, last_decades: float | None = None, multiple: float = 2.5
) -> LadderExponents:
    """Measure the exponents that a ladder of curves shows.

    Args:
        ladder: from `run_ladder`.
        last_decades: decades of flops that eta and xi are fitted to; by default the window that
            `hidim.frontier` chooses.
        multiple: of the floor, for the time to it.

    Raises:
        ValueError: a curve diverges, or the ladder is too short to hold a compute-optimal size.
    """
    instance("ladder", ladder, Ladder, "as run_ladder returns")
    multiple = finite("multiple", multiple)
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
    try:
        found = frontier(ladder.curves, last_decades=last_decades, law=ladder.law)
    except ValueError as error:
        raise ValueError(
            f"the ladder from {ladder.sizes[0]:g} to {ladder.sizes[-1]:g} shows no exponents: "
            f"{error}"
        ) from None
    assert found.eta is not None
    assert found.xi is not None
    assert found.eta.window is not None
    low, high = found.eta.window
    inner = (found.flops >= low * (1 - 1e-9)) & (found.flops <= high * (1 + 1e-9))
    profile = isoflop(ladder.curves, found.flops[inner])
    pairs = zip(ladder.curves, ladder.floors, strict=True)
    times = np.array([time_to_multiple(curve, floor, multiple) for curve, floor in pairs])
    crossed = np.isfinite(times)
    law = ladder.law
    return LadderExponents(
        algorithm=ladder.recipe.name,
        phase=law.phase,
        eta=found.eta.value,
        eta_isoflop=_power(profile.flops, 1 / profile.risk),
        eta_theory=law.eta,
        xi=found.xi.value,
        xi_isoflop=_power(profile.flops, profile.d),
        xi_theory=law.xi,
        floor_time=_power(ladder.sizes[crossed], times[crossed], 1.0),
        floor_time_theory=law.floor_time,
        frontier=found,
    )


def _power(x: np.ndarray, y: np.ndarray, decades: float | None = None) -> float:
    return measure_exponent(x, y, last_decades=decades).value if len(x) > 1 else math.nan
