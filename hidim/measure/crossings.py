"""When does a curve pass a level, and when does another end there?

`first_crossing` finds the first time at a level on plain arrays, `time_to_level` on a curve.
`settling_time` asks for more: a risk need not fall all the way. At a large rate or with label noise
it passes below its own end and rises again. So there a level counts as reached at the step from
which the risk stays, and who is compared with a first curve is asked for the same as that curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.support.checks import finite, instance, non_negative, positive, rows_of, shown
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
    if isinstance(curves, Curve) or not isinstance(curves, Sequence):
        raise ValueError(f"`curves` must be a row of Curves, got {shown(curves)}.")
    for curve in curves:
        _check_curve(curve)
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


@dataclass(frozen=True, eq=False)
class Crossing(Saved, format="hidim-crossing/1"):
    """Where a curve meets a level.

    Attributes:
        value: steps, compute or tokens at the level; NaN if it is never met.
        level: the level.
        low: value a level one standard error of the curve higher would give, or None where the
            curve has no error.
        high: that of a level lower by as much, infinite if it is not met.
        power: d log value / d log level there: how much the answer depends on the level.
    """

    value: float
    level: float
    low: float | None = None
    high: float | None = None
    power: float = math.nan

    def __float__(self) -> float:
        return self.value


def first_crossing(
    x: np.ndarray, y: np.ndarray, level: float, *, stderr: np.ndarray | None = None
) -> Crossing:
    """The first x at which y is at the level or below.

    Between the points y is a spline in log-log through the eight around the crossing. Without
    errors of their own, points that scatter by some share s make the answer wrong by s x power.

    Args:
        x: shape (n,), ascending and positive.
        y: shape (n,), positive.
        level: a positive number.
        stderr: shape (n,) standard errors of y, or None.

    Raises:
        ValueError: rows of two lengths, x that does not ascend, or a level that is not positive.

    >>> found = first_crossing(np.array([1.0, 10, 100]), np.array([1.0, 0.1, 0.01]), 0.05)
    >>> round(found.value, 6), round(found.power, 6)
    (20.0, -1.0)
    """
    level = positive("level", level)
    x, y, *errors = rows_of(x=x, y=y, stderr=stderr)
    if not np.all(np.diff(x) > 0):
        raise ValueError("`x` must ascend: sort the points by it, and give each x once.")
    use = (x > 0) & np.isfinite(y) & (y > 0)
    u, w = np.log(x[use]), np.log(y[use])
    value, power, place = _crossing(u, w, math.log(level))
    if not errors or place is None:
        return Crossing(value, level, None, None, power)
    share = float(errors[0][use][place]) / float(y[use][place])
    low, high = (_crossing(u, w, math.log(level) + sign * share)[0] for sign in (1, -1))
    return Crossing(value, level, low, math.inf if math.isnan(high) else high, power)


def _crossing(u: np.ndarray, w: np.ndarray, level: float) -> tuple[float, float, int | None]:
    """Value, power and the first place at the level or below."""
    from scipy.interpolate import CubicSpline

    below = np.flatnonzero(w <= level)
    if not len(below):
        return math.nan, math.nan, None
    k = int(below[0])
    if k == 0:
        return float(np.exp(u[0])), math.nan, k
    near = slice(max(0, k - 4), k + 4)
    spline = CubicSpline(u[near], w[near] - level)
    roots = spline.roots(extrapolate=False)
    inside = roots[(roots >= u[k - 1] - 1e-12) & (roots <= u[k] + 1e-12)]
    at = float(inside[0]) if len(inside) else float(u[k])
    slope = float(spline(at, 1))
    return float(np.exp(at)), 1 / slope if slope else math.nan, k


def time_to_level(curve: Curve, level: float) -> Crossing:
    """The first step at which a curve is at the level or below, with the error of its own.

    >>> time_to_level(Curve([1, 10, 100], [1.0, 0.1, 0.01]), 0.05).value
    20.0...
    >>> time_to_level(Curve([0, 10, 100], [0.1, 0.05, 0.01]), 0.5).value
    0.0
    """
    level = finite("level", level)
    _check_curve(curve)
    steps, places = np.unique(np.asarray(curve.steps, dtype=np.float64), return_index=True)
    if steps.size and steps[0] == 0 and curve.risk[places][0] <= level:
        return Crossing(0.0, level)  # it begins there
    late = steps >= 1
    stderr = None if curve.stderr is None else curve.stderr[places][late]
    return first_crossing(steps[late], curve.risk[places][late], level, stderr=stderr)


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
    level = level if level == math.inf else finite("level", level)
    rtol = non_negative("rtol", rtol)
    _check_curve(curve)
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
    return time_to_level(curve, positive("multiple", multiple) * positive("floor", floor)).value


def _check_curve(curve: object) -> None:
    instance("curve", curve, Curve, "as predict and simulate return")
