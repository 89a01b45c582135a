"""Which size is compute-optimal on these curves, and how low is the risk there?

At a budget f every size d has run f / d steps; the lowest risk over sizes is
the frontier, P* ~ f^-eta at d* ~ f^xi. `envelope` (Chinchilla's approach 1) takes the minimum
over sizes, refined by a spline through the sizes around it; `isoflop` (approach 2) fits a
parabola to log risk in log d around it, which averages over the ripples of a momentum run;
`lowest` is the lowest of the runs themselves, with nothing between them.

Source: approaches 1 and 2 are those of arXiv 2203.15556, as arXiv 2405.15074 and 2505.16098 use
them. Limits: a budget counts only where its optimum lies inside the ladder and the best run and
those beside it are under way; only runs that are enter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hidim.curve import Curve
from hidim.measure.brackets import bracketed
from hidim.measure.reading import LN10, by_size, log_loss_table, runs_of
from hidim.measure.saturation import SaturatingFit
from hidim.measure.slopes import Exponent
from hidim.support.checks import finite_array, positive
from hidim.support.results import Saved

WIDTH = 1.0  # decades of size that the parabola of an isoFLOP profile sees
FEWEST = 4  # sizes
_SEEN = 5  # sizes that the parabola sees at least, where there are so many
_MARGIN = 1.5  # in log d: how far from the ends of the ladder an optimum must stay


@dataclass(frozen=True, eq=False, repr=False)
class MeasuredFrontier(Saved, format="hidim-measured-frontier/1"):
    """Measured compute-optimal sizes and risks, and the powers that they follow.

    Attributes:
        flops: (n,) budgets at which the best size lies between others that reach them.
        d: (n,) best size at each, real-valued.
        risk: (n,) risk there, with the 1/2.
        eta: risk ~ flops^-eta, with error, window and drift; None from `envelope` and `isoflop`.
        xi: d ~ flops^xi, likewise.
        settled: whether neither power drifts within its window by more than its error, and a
            floor that was fitted is known well enough.
        sizes: how many sizes the powers rest on.
        saturating: risk = c + A flops^-b over the whole frontier.
        eta_theory: of the law set beside it, or None.
        xi_theory: of the law set beside it, or None.
        eta_theory_here: the law's own power, with its constants, over the window of `eta`.
        xi_theory_here: likewise.
        floor: what was taken off every loss.
        floor_interval: 95 % interval of a floor that was fitted, or None.
        reason: why it is not settled, empty where it is.
    """

    flops: np.ndarray
    d: np.ndarray
    risk: np.ndarray
    eta: Exponent | None = None
    xi: Exponent | None = None
    settled: bool | None = None
    sizes: int | None = None
    saturating: SaturatingFit | None = None
    eta_theory: float | None = None
    xi_theory: float | None = None
    eta_theory_here: float | None = None
    xi_theory_here: float | None = None
    floor: float = 0.0
    floor_interval: tuple[float, float] | None = None
    reason: str = ""

    def __repr__(self) -> str:
        if not len(self.flops):
            return "MeasuredFrontier(no budgets)"
        over = f"{len(self.flops)} budgets, {self.flops.min():.3g} to {self.flops.max():.3g} flops"
        if self.eta is None:
            return f"MeasuredFrontier({over})"
        settled = "settled" if self.settled else "still drifting"
        return f"MeasuredFrontier({over}: eta {self.eta}, xi {self.xi}, {settled})"

    def to_dict(self) -> dict[str, Any]:
        """The powers as plain numbers, without the points of the frontier."""
        table: dict[str, Any] = {key: getattr(self, key) for key in ("sizes", "settled", "floor")}
        table["floor_interval"] = None if self.floor_interval is None else [*self.floor_interval]
        table["reason"] = self.reason
        for name in ("eta", "xi"):
            one, theory = getattr(self, name), getattr(self, f"{name}_theory")
            keys = ("value", "low", "high", "stderr", "drift", "drift_error")
            table[name] = None if one is None else {key: getattr(one, key) for key in keys}
            table[f"{name}_theory"] = theory
            table[f"{name}_theory_here"] = getattr(self, f"{name}_theory_here")
        table["window"] = None if self.eta is None or not self.eta.window else [*self.eta.window]
        table["flops"] = [float(self.flops[0]), float(self.flops[-1])] if len(self.flops) else []
        fit = self.saturating
        if fit is not None:
            table["saturating"] = {"c": fit.c, "A": fit.A, "b": fit.b, "pinned": fit.pinned}
            table["saturating"] |= {"low": fit.low, "high": fit.high}
        return table


def envelope(curves: Sequence[Curve], flops: ArrayLike) -> MeasuredFrontier:
    """The lowest risk over sizes at each budget, between the sizes by a cubic spline.

    Args:
        curves: runs of the same problem at several sizes, at least four; Curves, or
            (size, compute, loss) each.
        flops: one budget or a row of them; those whose best size lies at an end of the ladder
            are left out.
    """
    return _frontier(curves, flops, spline_vertex)


def isoflop(
    curves: Sequence[Curve], flops: ArrayLike, *, decades: float = WIDTH
) -> MeasuredFrontier:
    """The vertex of a parabola fitted to log risk against log d at each budget.

    Args:
        curves: runs of the same problem at several sizes; Curves, or (size, compute, loss) each.
        flops: one budget or a row of them; those whose vertex lies near an end of the ladder
            are left out.
        decades: width in d of the window around the best size that the parabola sees; it sees
            the nearest five sizes at least.
    """
    decades = positive("decades", decades)

    def vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        return parabola_vertex(x, y, decades=decades)

    return _frontier(curves, flops, vertex)


def lowest(curves: Sequence[Any], flops: np.ndarray) -> np.ndarray:
    """The lowest risk of any run at each budget, shape (n,); a run that has ended keeps its last.

    Raises:
        ValueError: no run has begun at some budget.

    >>> runs = [(10, [1, 100], [1.0, 0.5]), (100, [10, 1000], [1.0, 0.1])]
    >>> lowest(runs, np.array([10.0, 1000.0])).round(3)
    array([0.707, 0.1  ])
    """
    flops = _positive_budgets(flops)
    groups = [[run] for run in runs_of(curves)]
    table = log_loss_table(groups, np.log(flops), holds=True)
    if not np.all(np.isfinite(table).any(axis=1)):
        raise ValueError("`flops` holds a budget at which no run has begun.")
    return np.asarray(np.exp(np.nanmin(table, axis=1)))


def spline_vertex(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Lowest point of the spline through the seven sizes around the lowest, near to it."""
    from scipy.interpolate import CubicSpline

    k = int(np.argmin(y))
    near = slice(max(0, k - 3), k + 4)
    spline = CubicSpline(x[near], y[near])
    fine = np.linspace(x[max(0, k - 1)], x[min(len(x) - 1, k + 1)], 401)
    values = spline(fine)
    best = int(np.argmin(values))
    return float(fine[best]), float(values[best])


def parabola_vertex(x: np.ndarray, y: np.ndarray, *, decades: float = WIDTH) -> tuple[float, float]:
    """Lowest point of the parabola through the sizes around the lowest; NaN where it has none.

    Args:
        x: log sizes, shape (n,).
        y: log losses, shape (n,).
        decades: width of the window in size; the nearest five sizes count at least.

    >>> x = np.linspace(0, 2, 9)
    >>> size, loss = parabola_vertex(x, 1 + (x - 0.8) ** 2)
    >>> round(size, 9), round(loss, 9)
    (0.8, 1.0)
    """
    k = int(np.argmin(y))
    far = np.abs(x - x[k])
    width = max(decades * LN10 / 2, np.sort(np.unique(far))[:_SEEN][-1])
    near = far <= width + 1e-9
    bend, slope, level = np.polyfit(x[near] - x[k], y[near], 2)
    if bend <= 0:
        return np.nan, np.nan
    move = -slope / (2 * bend)
    return float(x[k] + move), float(level - slope**2 / (4 * bend))


Vertex = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


def _frontier(curves: Sequence[Any], flops: ArrayLike, vertex: Vertex) -> MeasuredFrontier:
    x, groups = by_size(runs_of(curves))
    if len(x) < FEWEST:
        raise ValueError(f"`curves` must hold at least {FEWEST} sizes, got {len(x)}.")
    budgets = _positive_budgets(flops)
    running = log_loss_table(groups, np.log(budgets))
    table = log_loss_table(groups, np.log(budgets), holds=True)
    found = [
        (f, *point)
        for f, y, now in zip(budgets, table, running, strict=True)
        if bracketed(now)
        and np.nanargmin(y) == np.nanargmin(now)  # else the best has ended
        and (point := _inner(x, y, now, vertex)) is not None
    ]
    columns = np.array(found).reshape(-1, 3).T
    return MeasuredFrontier(*columns)


def _positive_budgets(flops: ArrayLike) -> np.ndarray:
    budgets = np.atleast_1d(finite_array("flops", flops, ndim=(0, 1)))
    if np.any(budgets <= 0):
        raise ValueError(f"`flops` must be positive, got {budgets.min():g}.")
    return budgets


def _inner(
    x: np.ndarray, y: np.ndarray, now: np.ndarray, vertex: Vertex
) -> tuple[float, float] | None:
    """Best size and risk at one budget by the runs of `now`, where they lie well inside the ladder.

    In y runs that have ended keep their last risk.
    """
    here, best = x[np.isfinite(y)], x[np.nanargmin(y)]
    if len(here) < FEWEST:
        return None
    if min(best - here[0], here[-1] - best) < min(_MARGIN, np.ptp(x) / 4):
        return None
    ran = np.isfinite(now)
    size, level = vertex(x[ran], now[ran])
    if not (np.isfinite(size) and x[ran][0] < size < x[ran][-1]):
        return None
    return float(np.exp(size)), float(np.exp(level))
