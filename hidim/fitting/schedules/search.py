"""Which parameters of a schedule-aware law fit a set of runs best?

Huber's loss of log residuals and weak priors, minimised from a grid of starts: for every point
of the grid the three linear parameters come from non-negative least squares, and the best of
these starts are polished, in coordinates without the valley of a power law (charts.py). Rows right
after a warm-up are left out of the fit: the power law in intrinsic time does not hold in that
transient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hidim.fitting.charts import PowerChart
from hidim.fitting.logs.runs import POINTS, Run
from hidim.fitting.loss_units import factors, log_unit, scaled
from hidim.fitting.robust import HUBER, efficiency, minimise
from hidim.fitting.schedules.clock import Clock, Units
from hidim.fitting.schedules.laws import START, ScheduleLaw

# Rows before this multiple of the warm-up are transient; chosen by leaving out fitted curves.
BURN_IN = 1.25
_POLISHED = 2
_EXACT = 3e-4  # no row is taken to be better than this fraction of the loss
_VAGUE = 1.0 / 10.0**2  # information on a parameter without a prior: its width, in e-folds
_MOST = 10.0  # times the median loss, for the loss at the peak rate at the end
_STIFF = 10.0  # weight of what a law must not do, in rows
_NEAR_PEAK = 0.1  # of the peak rate, by which a row's rate may lie below the highest of its run
_FEW = 3  # rows, of which a median is one row's
_NOTHING = 1e-12  # share of a loss below which a prediction is taken to be it
_LEAST = 1e-3  # loss below which a step of the search is too far, at most and over the usual one


@dataclass(frozen=True)
class Points:
    """What of one run enters a fit.

    Attributes:
        clock: the run at its bins.
        log_loss: mean log loss of each bin, shape (n,).
        steps: mean step of each bin, shape (n,).
    """

    clock: Clock
    log_loss: np.ndarray
    steps: np.ndarray

    def where(self, keep: np.ndarray) -> Points:
        """The bins picked by a mask, shape (n,)."""
        return Points(self.clock.part(keep), self.log_loss[keep], self.steps[keep])

    def over(self, log: float) -> Points:
        """The same of losses over e^`log`."""
        return replace(self, log_loss=self.log_loss - log)


def unit_of_points(points: Sequence[Points]) -> float:
    """Log of the unit in which the losses of these points are searched."""
    return log_unit(np.concatenate([p.log_loss for p in points]))


def points_of(run: Run, units: Units, most: int = POINTS) -> Points:
    """The bins of a run after its warm-up transient, `most` at most."""
    steps, log_loss, _ = run.binned(most)
    keep = steps >= settled(run)
    if np.count_nonzero(keep) < min(len(steps), 8):
        keep = steps > 0
    return Points(units.clock(run.rate, steps[keep]), log_loss[keep], steps[keep])


def settled(run: Run) -> float:
    """First step whose loss enters a fit."""
    return max(BURN_IN * run.rate.ready_step, START * float(run.steps[-1]))


def least_loss(points: Sequence[Points]) -> float:
    """Below it a law's loss is taken to be it, so that the search sees logarithms alone."""
    usual = float(np.exp(np.median(np.concatenate([p.log_loss for p in points]))))
    return _LEAST * min(usual, 1.0)


def loss_near_peak(points: Points) -> float:
    """Median loss of a run's rows near its highest rate, of all rows where these are too few.

    The floor is the limit at that rate, and rows whose rate has fallen may all lie below it.
    """
    events = points.clock.events
    fallen = (points.clock.lag > 0) @ (events.old - events.new)
    near = fallen <= fallen.min() + _NEAR_PEAK
    few = np.count_nonzero(near) < _FEW
    return float(np.exp(np.median(points.log_loss if few else points.log_loss[near])))


def log_ratio(predicted: np.ndarray, loss: np.ndarray) -> np.ndarray:
    """Log of predicted over measured loss, both (n,), large where a law falls below zero."""
    return np.asarray(np.log(np.maximum(predicted / loss, _NOTHING)))


def units_of(runs: Sequence[Run]) -> Units:
    """Units in which the longest run has length one."""
    return Units.of([run.rate for run in runs], [float(run.steps[-1]) for run in runs])


def search(
    law: ScheduleLaw,
    points: Sequence[Points],
    *,
    near: np.ndarray | None = None,
    delta: float = HUBER,
) -> np.ndarray:
    """The best parameters, shape (p,), from the grid of starts or, for a refit, `near` alone."""
    unit = unit_of_points(points)
    points = [p.over(unit) for p in points]
    near = None if near is None else scaled(law.names, near, -unit)
    return scaled(law.names, _search(law, points, near, delta), unit)


def _search(
    law: ScheduleLaw, points: Sequence[Points], near: np.ndarray | None, delta: float
) -> np.ndarray:
    """The same of losses in their unit."""
    bounds = (
        np.array([p.bounds[0] for p in law.parameters]),
        np.array([p.bounds[1] for p in law.parameters]),
    )
    # The floor is the limit at the peak rate: half the rows near it do not lie below, in the run
    # that lies highest, and one damaged row cannot pull that down.
    highest = max(loss_near_peak(p) for p in points)
    chart, least = _chart(law, points), least_loss(points)
    prior = (
        np.array([p.prior[0] if p.prior else 0.0 for p in law.parameters]),
        np.array([p.prior[1] if p.prior else np.inf for p in law.parameters]),
    )
    starts = [near] if near is not None else _starts(law, points)

    def residuals(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = [], []
        for run in points:
            loss, jacobian = law.evaluate(vector, run.clock)
            safe = np.maximum(loss, least)
            value.append(np.log(safe) - run.log_loss)
            slope.append(jacobian / safe[:, None])
        for excess, slopes in (_beyond_bounds(law, vector, highest), _beyond_all(law, vector)):
            value.append(excess)
            slope.append(slopes)
        return np.concatenate(value), np.concatenate(slope)

    if chart is None:
        bounds[1][0] = highest
    else:
        bounds = chart.bounds(bounds, _MOST * highest)
    return minimise(residuals, starts, bounds, prior, delta=delta, chart=chart)


def _chart(law: ScheduleLaw, points: Sequence[Points]) -> PowerChart | None:
    """Coordinates between the first and the last point of all runs.

    Exponential responses have several minima, of which others would be found.
    """
    if law.response == "exponential":
        return None
    x = [p.clock.time if law.clock == "time" else p.clock.steps for p in points]
    floor, signal, decay = (law.names.index(n) for n in ("floor", "signal", "decay_exponent"))
    low, high = min(float(t.min()) for t in x), max(float(t.max()) for t in x)
    return PowerChart((floor, signal, decay), math.log(low), math.log(high))


def _beyond_bounds(
    law: ScheduleLaw, vector: np.ndarray, highest: float
) -> tuple[np.ndarray, np.ndarray]:
    """By how much the floor exceeds `highest`, and the exponent its bounds, which the coordinates
    of the search do not know, and the slopes."""
    floor, decay = law.names.index("floor"), law.names.index("decay_exponent")
    low, high = law.parameters[decay].bounds
    excess = _STIFF * np.array(
        [vector[floor] / highest - 1.0, vector[decay] - high, low - vector[decay]]
    )
    slopes = np.zeros((3, len(vector)))
    slopes[0, floor], slopes[1, decay], slopes[2, decay] = 1.0 / highest, 1.0, -1.0
    return np.maximum(excess, 0.0), np.where(excess[:, None] > 0, _STIFF * slopes, 0.0)


def covariance(
    law: ScheduleLaw, vector: np.ndarray, points: Sequence[Points], delta: float = HUBER
) -> np.ndarray:
    """What data and priors leave open of the parameters, (p, p), by Fisher's information."""
    unit = unit_of_points(points)
    points, vector = [p.over(unit) for p in points], scaled(law.names, vector, -unit)
    loss, jacobian = zip(*(law.evaluate(vector, p.clock) for p in points), strict=True)
    safe = np.maximum(np.concatenate(loss), least_loss(points))
    error = np.log(safe) - np.concatenate([p.log_loss for p in points])
    size = max(1.4826 * float(np.median(np.abs(error))), _EXACT)
    size /= efficiency(delta / size) ** 0.5
    slope = np.concatenate(jacobian) / safe[:, None] / size
    weight = [1.0 / p.prior[1] ** 2 if p.prior else 0.0 for p in law.parameters]
    # A parameter that nothing tells, at a bound or in a term that is not there, moves no loss.
    information = slope.T @ slope + np.diag(np.maximum(weight, _VAGUE))
    out: np.ndarray = np.linalg.inv(information)
    scale = factors(law.names, unit)
    return (out + out.T) / 2 * scale[:, None] * scale


def _beyond_all(law: ScheduleLaw, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much decays could take more than all of the noise, over the floor, and its slopes.

    The noise of the highest rate is a part of the floor, and what of it follows the signal is a
    part of the signal: where data leave that open, losses below zero would be the best plan.
    """
    if "release" not in law.names:
        return np.zeros(0), np.zeros((0, len(vector)))
    value = dict(zip(law.names, vector, strict=True))
    release, signal = np.exp(value["release"]), np.exp(value["signal"])
    floor, h = max(value["floor"], 1e-12), value.get("noise_signal", 0.0)
    excess = _STIFF * np.array([release * (1 - h) / floor - 1.0, (release * h - signal) / floor])
    slopes = {
        "release": _STIFF * np.array([release * (1 - h), release * h]) / floor,
        "signal": _STIFF * np.array([0.0, -signal]) / floor,
        "floor": -_STIFF * np.array([release * (1 - h), release * h - signal]) / floor**2,
        "noise_signal": _STIFF * np.array([-release, release]) / floor,
    }
    columns = [slopes.get(name, np.zeros(2)) for name in law.names]
    return np.maximum(excess, 0.0), np.where(excess > 0, columns, 0.0).T


def _starts(law: ScheduleLaw, points: Sequence[Points]) -> list[np.ndarray]:
    """The best grid points once their linear parameters are solved for."""
    from scipy.optimize import nnls

    loss = np.concatenate([np.exp(p.log_loss) for p in points])
    linear = [i for i, p in enumerate(law.parameters) if p.name in ("floor", "signal", "release")]
    ranked: list[tuple[float, int, np.ndarray]] = []
    for order, start in enumerate(law.starts()):
        start[linear] = 0.0
        # With their logarithms at zero, the columns of the gradient are the linear basis.
        basis = np.concatenate([law.evaluate(start, p.clock)[1][:, linear] for p in points])
        solution, cost = nnls(basis / loss[:, None], np.ones_like(loss))
        start[linear] = [
            solution[0],
            *np.log(np.maximum(solution[1:], _LEAST * least_loss(points))),
        ]
        ranked.append((cost, order, start))
    ranked.sort(key=lambda item: item[:2])
    return [start for _, _, start in ranked[:_POLISHED]]
