"""Which compute-optimal exponents do these runs show, and how sure is that?

    loss* ~ flops^-eta    at    size* ~ flops^xi

`frontier` takes any ladder: Curves of hidim, or runs somebody else made as (size, compute, loss).
The powers come from the valley over all runs (measure/valley.py states the window's rule and the
errors), the points of the frontier from the lower envelope (measure/envelopes.py).

Limits: at least five sizes. Runs must overlap: a budget counts where runs of three sizes or more
are under way and the lowest is neither the smallest nor the largest of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from hidim.measure.envelopes import MeasuredFrontier, spline_vertex
from hidim.measure.reading import LN10, by_size, log_loss_table, runs_of
from hidim.measure.saturation import saturating_fit
from hidim.measure.slopes import Exponent, measure_exponent
from hidim.measure.valley import FEWEST, SAME, Valley, chosen_valley, inside, valley
from hidim.support.checks import finite_array, non_negative, positive

_PER_DECADE = 8  # budgets
_LEAST = 5  # budgets of a frontier that shows a power


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
        floor: a loss that no run goes below, taken off all of them; "fit" for the c of
            loss = c + A flops^-b along the frontier, which the intervals then take as given.
        law: what theory says, anything with `eta` and `xi`, as `hidim.scaling_law` returns. Where
            it has a `frontier` too, its own powers over the same window stand beside its limits.

    Raises:
        ValueError: too few sizes, none of them best inside the ladder, or a run that diverged.

    >>> sizes, t = np.geomspace(1e2, 1e5, 8), np.geomspace(1, 1e8, 200)
    >>> found = frontier([(n, n * t, n**-0.5 + t**-0.5) for n in sizes])
    >>> round(found.eta.value, 4), round(found.xi.value, 4), found.settled
    (0.25, 0.5, True)
    """
    if floor == "fit":
        floor = _fitted_floor(frontier(curves, window=window, last_decades=last_decades))
    floor = non_negative("floor", floor)
    x, groups = by_size(runs_of(curves, floor=floor))
    if len(x) < FEWEST:
        raise ValueError(
            f"`curves` must hold at least {FEWEST} sizes for exponents with error bars, got "
            f"{len(x)}. Run more sizes."
        )
    u = _budgets([run.log_flops for group in groups for run in group])
    table = log_loss_table(groups, u)
    stretch = inside(table)
    if stretch is None or stretch[1] - stretch[0] < _LEAST:
        raise ValueError(
            "`curves` hold no budgets at which the best size lies inside the ladder: add smaller "
            "or larger sizes, or run the small ones for longer."
        )
    start, end = stretch
    points = np.array([_vertex(x, row) for row in table[start:end]])
    if last_decades is not None:
        if window is not None:
            raise ValueError("give `window` or `last_decades`, not both.")
        width = positive("last_decades", last_decades) * LN10
        window = float(np.exp(u[end - 1] - width)), float(np.exp(u[end - 1]))
    if window is None:
        found, tried = chosen_valley(u, x, table, start, end, points[:, 0])
    else:
        start, end, near = _asked(u, start, end, points[:, 0], window)
        found = valley(u, x, table, start, end, near)
        tried = [found]
    eta, xi = _exponents(found, tried, u, points * [1, -1], stretch[0])
    flops = np.exp(u[stretch[0] : stretch[1]])
    risk = np.exp(points[:, 1])
    return MeasuredFrontier(
        flops,
        np.exp(points[:, 0]),
        risk + floor,
        eta,
        xi,
        _settled(eta, SAME[0]) and _settled(xi, SAME[1]),
        found.sizes,
        saturating_fit(flops, risk + floor),
        **_beside(law, eta),
        floor=floor,
    )


def _fitted_floor(first: MeasuredFrontier) -> float:
    """The level that the frontier falls towards, 0 where its losses show none."""
    fit = first.saturating
    return 0.0 if fit is None or fit.pinned else fit.c


def _budgets(log_flops: Sequence[np.ndarray]) -> np.ndarray:
    """Log budgets, evenly spread, from where the first run begins to where the last ends."""
    low = min(row[0] for row in log_flops) / LN10
    high = max(row[-1] for row in log_flops) / LN10
    first, last = np.ceil(low * _PER_DECADE), np.floor(high * _PER_DECADE)
    return np.arange(first, last + 1) / _PER_DECADE * LN10


def _vertex(x: np.ndarray, row: np.ndarray) -> tuple[float, float]:
    ran = np.isfinite(row)
    return spline_vertex(x[ran], row[ran])


def _asked(
    u: np.ndarray, start: int, end: int, near: np.ndarray, window: tuple[float, float]
) -> tuple[int, int, np.ndarray]:
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
    return int(kept[0]), int(kept[-1]) + 1, near[kept - start]


def _exponents(
    found: Valley, tried: list[Valley], u: np.ndarray, points: np.ndarray, start: int
) -> list[Exponent]:
    """eta and xi with their errors, windows and drifts.

    Args:
        found: the valley over the chosen window.
        tried: over all windows.
        u: log budgets.
        points: log size and minus log loss of the frontier, from place `start` on.
        start: see points.
    """
    first, last = found.window
    here = slice(first - start, last + 1 - start)
    drifts, drift_errors = found.drifts()
    exponents = []
    for k in range(2):
        value, error = float(found.values[k]), float(found.errors[k])
        half = found.quantile() * error
        rows = [(np.exp(u[v.window[0]]), v.values[k], v.errors[k]) for v in tried]
        exponents.append(
            Exponent(
                value,
                error,
                np.diff(points[here, 1 - k]) / np.diff(u[first : last + 1]),
                last + 1 - first,
                value - half,
                value + half,
                (float(np.exp(u[first])), float(np.exp(u[last]))),
                float(drifts[k]),
                float(drift_errors[k]),
                np.array(rows),
            )
        )
    return exponents


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


def _settled(one: Exponent, same: float) -> bool:
    """Whether a power drifts by no more than two standard errors, or than means anything."""
    assert one.drift is not None
    assert one.drift_error is not None
    return abs(one.drift) <= max(2 * one.drift_error, same)
