"""Which compute-optimal exponents do these runs show, and how sure is that?

    loss* ~ flops^-eta    at    size* ~ flops^xi

`frontier` takes any ladder: Curves of hidim, or runs somebody else made as (size, compute, loss).
The powers come from the valley over all runs (measure/valley.py states the window's rule and the
errors), the points of the frontier from the lower envelope (measure/envelopes.py).

Points are listed where the best size lies between others that reach the budget.

Limits: at least five sizes. Where steps are known, as of Curves, budgets count from where the best
size has made ten. Runs must overlap: a budget counts where runs of three sizes or more
are under way and the lowest is neither the smallest nor the largest of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from hidim.measure.brackets import bracketed, inside
from hidim.measure.envelopes import MeasuredFrontier, spline_vertex
from hidim.measure.reading import LN10, by_size, log_loss_table, runs_of
from hidim.measure.saturation import saturating_fit
from hidim.measure.slopes import Exponent, measure_exponent
from hidim.measure.valley import FEWEST, SAME, Runs, Valley, chosen_valley, valley
from hidim.support.checks import finite_array, non_negative, positive, shown

_PER_DECADE = 8  # budgets
_LEAST = 5  # budgets of a frontier that shows a power
_KNOWN = 0.25  # half the interval of a fitted floor, in what is left above it
_FLOOR_DECADES = 3.0  # of budgets that a fitted floor needs


def frontier(
    curves: Sequence[Any],
    *,
    window: tuple[float, float] | None = None,
    last_decades: float | None = None,
    floor: float | Literal["fit"] = 0.0,
    law: Any = None,
) -> MeasuredFrontier:
    """Measure the compute-optimal frontier of a ladder of runs, with the exponents' intervals.

    Args:
        curves: runs of one problem and optimizer at five sizes or more: Curves that say their
            dimension, or (size, compute, loss) with one number and two rows each. Several runs
            of one size are its seeds, and their mean log loss counts.
        window: first and last budget to fit the powers over; by default the rule of
            hidim/measure/valley.py chooses.
        last_decades: in place of a window, how many decades of budgets count, up to the last.
        floor: a loss that no run goes below, taken off all of them; "fit" to find it together with
            the powers, whose intervals then hold what is not known of it.
        law: what theory says, anything with `eta` and `xi`, as `hidim.scaling_law` returns. Where
            it has a `frontier` too, its own powers over the same window stand beside its limits.

    Raises:
        ValueError: too few sizes, none of them best inside the ladder, or a run that diverged.

    >>> sizes, t = np.geomspace(1e2, 1e5, 8), np.geomspace(1, 1e8, 200)
    >>> found = frontier([(n, n * t, n**-0.5 + t**-0.5) for n in sizes])
    >>> round(found.eta.value, 4), round(found.xi.value, 4), found.settled
    (0.25, 0.5, True)
    """
    given = floor if isinstance(floor, str) else non_negative("floor", floor)
    if isinstance(given, str) and given != "fit":
        raise ValueError(f"`floor` must be a number or 'fit', got {floor!r}.")
    check_law(law)
    taken = 0.0 if isinstance(given, str) else given
    x, groups = by_size(runs_of(curves, floor=taken))
    if len(x) < FEWEST:
        raise ValueError(
            f"`curves` must hold at least {FEWEST} sizes for exponents with error bars, got "
            f"{len(x)}. Run more sizes."
        )
    u = _budgets([run.log_flops for group in groups for run in group])
    table = log_loss_table(groups, u)
    begun = np.array([min(run.begun for run in group) for group in groups])
    stretch = inside(table, begun <= u[:, None] + 1e-9)
    if stretch is None or stretch[1] - stretch[0] < _LEAST:
        raise ValueError(
            "`curves` hold no budgets at which the best size lies inside the ladder: add smaller "
            "or larger sizes, or run the small ones for longer."
        )
    points = _points(x, table, *stretch)
    guess = None
    if isinstance(given, str):
        guess = _first_floor(np.exp(u), points[:, 1])
    straight = log_loss_table(groups, u, straight=True)
    runs = Runs(u, x, table, straight, points[:, 0], guess)
    start, end = stretch
    if last_decades is not None:
        if window is not None:
            raise ValueError("give `window` or `last_decades`, not both.")
        width = positive("last_decades", last_decades) * LN10
        window = float(np.exp(u[end - 1] - width)), float(np.exp(u[end - 1]))
    if window is None:
        found, tried = chosen_valley(runs, start, end)
    else:
        found = valley(runs, *_asked(u, start, end, window))
        tried = [found]
    interval = None
    if isinstance(given, str):
        taken, half = float(found.values[2]), found.quantile() * float(found.errors[2])
        interval = max(taken - half, 0.0), taken + half
        points = _points(x, _less(table, taken), *stretch)
    eta, xi = _exponents(found, tried, u, points)
    listed = np.isfinite(points[:, 0])
    flops, risk = np.exp(u[listed]), np.exp(points[listed, 1]) + taken
    reason = _unsettled(eta, xi, interval, float(np.exp(np.nanmin(points[:, 1]))))
    return MeasuredFrontier(
        flops,
        np.exp(points[listed, 0]),
        risk,
        eta,
        xi,
        not reason,
        found.sizes,
        saturating_fit(flops, risk) if len(flops) >= _LEAST else None,
        **_beside(law, eta),
        floor=taken,
        floor_interval=interval,
        reason=reason,
    )


def _points(x: np.ndarray, table: np.ndarray, start: int, end: int) -> np.ndarray:
    """Log best size and log loss at every budget, shape (n, 2).

    NaN outside the stretch, and where the best size has not running ones on both sides: between
    runs that have ended and the smallest that goes on there is no best size to be read.
    """
    points = np.full((len(table), 2), np.nan)
    for i in range(start, end):
        if bracketed(table[i]):
            ran = np.isfinite(table[i])
            points[i] = spline_vertex(x[ran], table[i][ran])
    return points


def _less(table: np.ndarray, floor: float) -> np.ndarray:
    """Log of the loss above a floor; NaN for what lies below it."""
    left = np.exp(table) - floor
    return np.log(left, out=np.full_like(table, np.nan), where=left > 0)


def _first_floor(flops: np.ndarray, log_risk: np.ndarray) -> float:
    """A first guess of the floor: the level that the points of the frontier fall towards."""
    listed = np.isfinite(log_risk)
    if listed.sum() < _LEAST:
        raise ValueError(
            f"`floor` can be fitted where {_LEAST} budgets or more have a best size between others "
            f"that reach it, and here {listed.sum()} have: give the floor, or run all sizes longer."
        )
    fit = saturating_fit(flops[listed], np.exp(log_risk[listed]))
    lowest = float(np.exp(log_risk[listed].min()))
    return 0.5 * lowest if fit.pinned else min(fit.c, 0.99 * lowest)


def _budgets(log_flops: Sequence[np.ndarray]) -> np.ndarray:
    """Log budgets, evenly spread, from where the first run begins to where the last ends."""
    low = min(row[0] for row in log_flops) / LN10
    high = max(row[-1] for row in log_flops) / LN10
    first, last = np.ceil(low * _PER_DECADE), np.floor(high * _PER_DECADE)
    return np.arange(first, last + 1) / _PER_DECADE * LN10


def _asked(u: np.ndarray, start: int, end: int, window: tuple[float, float]) -> tuple[int, int]:
    """The budgets of the frontier within a window that was asked for."""
    ends = finite_array("window", window, ndim=1)
    if len(ends) != 2 or not 0 < ends[0] < ends[1]:
        raise ValueError(f"`window` must be two budgets, the first smaller, got {window!r}.")
    low, high = np.log(ends)
    places = np.arange(start, end)
    kept = places[(u[start:end] >= low - 1e-9) & (u[start:end] <= high + 1e-9)]
    if len(kept) < _LEAST:
        first, last = np.exp(u[[start, end - 1]])
        raise ValueError(
            f"`window` {ends[0]:g}..{ends[1]:g} holds {len(kept)} budgets of the frontier, which "
            f"reaches from {first:.2g} to {last:.2g}: take a wider one."
        )
    return int(kept[0]), int(kept[-1]) + 1


def _exponents(
    found: Valley, tried: list[Valley], u: np.ndarray, points: np.ndarray
) -> list[Exponent]:
    """eta and xi with their errors, windows and drifts.

    Args:
        found: the valley over the chosen window.
        tried: over all windows.
        u: log budgets.
        points: log size and log loss of the frontier at each, NaN where unknown.
    """
    first, last = found.window
    here = slice(first, last + 1)
    rows = np.stack([-points[here, 1], points[here, 0]])
    listed = np.isfinite(rows[0])
    drifts, drift_errors = found.drifts()
    exponents = []
    for k in range(2):
        value, error = float(found.values[k]), float(found.errors[k])
        half = found.quantile() * error
        windows = [(np.exp(u[v.window[0]]), v.values[k], v.errors[k]) for v in tried]
        exponents.append(
            Exponent(
                value,
                error,
                np.diff(rows[k, listed]) / np.diff(u[here][listed]),
                last + 1 - first,
                value - half,
                value + half,
                (float(np.exp(u[first])), float(np.exp(u[last]))),
                float(drifts[k]),
                float(drift_errors[k]),
                np.array(windows),
            )
        )
    return exponents


def check_law(law: Any) -> None:
    """Refuse what has no exponents to set beside the measured ones.

    Raises:
        ValueError: no `eta` or `xi` that is a number.
    """
    if law is None:
        return
    for name in ("eta", "xi"):
        if not isinstance(getattr(law, name, None), float | int):
            raise ValueError(
                "`law` must have numbers `eta` and `xi`, as hidim.scaling_law(alpha, beta, name) "
                f"has, got {shown(law)}."
            )


def _beside(law: Any, eta: Exponent) -> dict[str, float]:
    """eta and xi of the law in its limit, and its own over the window of the measured ones."""
    if law is None:
        return {}
    found = {"eta_theory": float(law.eta), "xi_theory": float(law.xi)}
    assert eta.window is not None
    low, high = eta.window
    for start in (low, math.sqrt(low * high)):  # a law knows nothing of the smallest budgets
        try:
            best = law.frontier(np.geomspace(start, high, 2 * _LEAST))
            break
        except (AttributeError, ValueError):  # it has none, or none at budgets as these
            continue
    else:
        return found
    for name, values in (("eta", 1 / best.risk), ("xi", best.d)):
        found[f"{name}_theory_here"] = measure_exponent(best.flops, values).value
    return found


def _unsettled(eta: Exponent, xi: Exponent, floor: tuple[float, float] | None, left: float) -> str:
    """Why the powers are no limits, in a few words; empty where nothing speaks against it.

    Args:
        eta: measured.
        xi: measured.
        floor: interval of a fitted floor, None where none was fitted.
        left: the least loss above the floor on the frontier.
    """
    reasons = []
    if floor is not None:
        assert eta.window is not None
        decades = math.log10(eta.window[1] / eta.window[0])
        half = (floor[1] - floor[0]) / 2
        if half > _KNOWN * left:
            reasons.append(f"the floor is known to ±{half:.2g} only, beside {left:.2g} above it")
        if decades < _FLOOR_DECADES:
            reasons.append(
                f"a floor fitted over {decades:.1f} decades of budgets is no measurement; "
                f"{_FLOOR_DECADES:g} are"
            )
    for name, one, same in (("eta", eta, SAME[0]), ("xi", xi, SAME[1])):
        assert one.drift is not None
        assert one.drift_error is not None
        # By more than two standard errors, and than means anything; NaN where it is unknown.
        if not abs(one.drift) <= max(2 * one.drift_error, same):
            reasons.append(f"{name} drifts by {one.drift:+.2g} within the window")
    return "; ".join(reasons)
