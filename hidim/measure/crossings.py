"""When does a curve pass a level, and when does another end there?

A risk need not fall all the way: at a large rate or with label noise it passes below its own end
and rises again. So a level counts as reached at the step from which the risk stays there, and who
is compared with a first curve is asked for the same as that first curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.support.results import Saved

# On a plateau risks ripple, and differ by the error of the curves: nobody is above another there.
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class Standing(Saved, format="hidim-standing/1"):
    """How a curve ends, and when it is where a first one ends.

    Attributes:
        algorithm: the curve's label.
        status: its status.
        diverged_at: its step of divergence, or None.
        final_risk: risk at its last step.
        lowest_risk: the lowest risk on the way.
        lowest_at: the step of that.
        steps_to_first: the step from which it stays at the first curve's final risk or below, or,
            if `near`, at most a thousandth above it; None where it does not end there.
        speedup: the first curve's own steps to the same risk over these; 1 for the first itself.
        near: whether it ends above the first, but by less than a thousandth.
    """

    algorithm: str
    status: str
    diverged_at: float | None
    final_risk: float
    lowest_risk: float
    lowest_at: float
    steps_to_first: float | None
    speedup: float | None
    near: bool

    @property
    def rose(self) -> bool:
        """Whether it has ended above its lowest risk, by more than 1e-4 of it."""
        return bool(self.final_risk > self.lowest_risk * (1 + 1e-4))

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def standings(curves: Sequence[Curve]) -> list[Standing]:
    """Set every curve against the first: does it end as low, and after how many steps?

    >>> slow = Curve([0, 10, 100], [1.0, 0.2, 0.1], label="slow")
    >>> fast = Curve([0, 10, 100], [1.0, 0.1, 0.05], label="fast")
    >>> [(s.algorithm, s.steps_to_first, s.speedup) for s in standings([slow, fast])]
    [('slow', 100.0, 1.0), ('fast', 10.0, 10.0)]
    """
    if not curves:
        return []
    level = float(curves[0].in_time()[1][-1])
    found = []
    for curve in curves:
        steps, risk = curve.in_time()
        near = bool(level < risk[-1] <= level * (1 + SAME))
        there = level * (1 + SAME) if near else level
        time, first = settling_time(curve, there), settling_time(curves[0], there)
        lowest = int(np.argmin(risk))
        found.append(
            Standing(
                curve.label,
                curve.status,
                curve.diverged_at,
                float(risk[-1]),
                float(risk[lowest]),
                float(steps[lowest]),
                None if math.isnan(time) else time,
                _ratio(first, time),
                near,
            )
        )
    return found


def settling_time(curve: Curve, level: float, *, rtol: float = SAME) -> float:
    """The step from which the risk stays at `level` or below, NaN if it does not end there.

    Args:
        curve: a run; between its points log risk is linear in log(1 + step).
        level: a risk; an infinite one is never reached.
        rtol: by how much the risk may ripple above the level afterwards.

    >>> curve = Curve([0, 10, 100, 1000], [1.0, 0.1, 0.3, 0.2])
    >>> settling_time(curve, 0.3), settling_time(curve, 0.15)
    (2.50..., nan)
    """
    steps, risk = curve.in_time()
    if math.isinf(level) or not risk[-1] <= level:
        return math.nan
    above = np.flatnonzero(~(risk <= level * (1 + rtol)))
    start = int(above[-1]) + 1 if above.size else 0  # from here on it is there, or ripples there
    after = start + int(np.flatnonzero(risk[start:] <= level)[0])
    # A power law between the points, but for a risk of 0 or infinity.
    if after == 0 or not 0 < risk[after] < level < risk[after - 1] < math.inf:
        return float(steps[after])
    x, y = np.log1p(steps[after - 1 : after + 1]), np.log(risk[after - 1 : after + 1])
    return float(np.expm1(np.interp(-math.log(level), -y, x)))


def _ratio(first: float, time: float) -> float | None:
    if first == time:
        return 1.0
    return None if math.isnan(first) or math.isnan(time) or time == 0 else first / time


def time_to_multiple(curve: Curve, floor: float, multiple: float = 2.5) -> float:
    """The first step at which the risk is `multiple` times the floor, NaN if it never is.

    Args:
        curve: a run; between its points the risk is a spline in log-log.
        floor: the risk floor of the problem.
        multiple: above 1 / (1 - N), the factor at which noise of kernel norm N holds the risk.
    """
    from scipy.interpolate import CubicSpline

    known, risk = curve.in_time()
    use = (known >= 1) & np.isfinite(risk)
    u, gap = np.log(known[use]), np.log(risk[use] / (multiple * floor))
    below = np.nonzero(gap <= 0)[0]
    if len(below) == 0:
        return float("nan")
    k = int(below[0])
    if k == 0:
        return float(known[use][0])
    near = slice(max(0, k - 4), k + 4)
    roots = CubicSpline(u[near], gap[near]).roots(extrapolate=False)
    inside = roots[(roots >= u[k - 1] - 1e-12) & (roots <= u[k] + 1e-12)]
    return float(np.exp(inside[0] if len(inside) else u[k]))
