"""What parameters fit many resamples of the same runs?

Resamples differ in how often each run counts alone, so all are searched at once, from the best fit
of the runs as they are: Newton's steps on Huber's loss, damped by the metric of its reweighted
least squares. Few runs are met exactly by a law of five parameters, and its search then creeps
along the valley of a floor and a power law: so it is searched in the parameters, in the coordinates
of each term's valley (charts.py), and from larger scales of Huber's loss, and the lowest counts.
Limits: starts near one fit, so minima far from it are not found; bounds are kept by projection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.fitting.charts import PowerChart
from hidim.fitting.loss_units import log_unit, scaled
from hidim.fitting.sizes.forms import SizeForm
from hidim.fitting.sizes.search import UPPER, bounds_of, counted_errors, prior_of

_STEPS = 400
_SMALL = 1e-8  # a relative gain that is none, so often in a row
_IDLE = 3
_RIDGE = 1e-10
_DAMPING = (1e-6, 1e8)  # least and most
_SCALES = (30.0, 10.0, 3.0)  # of Huber's loss, on one way to its own
_PLENTY = 6.0  # rows a parameter from which on the first way is enough


def refit(
    form: SizeForm,
    logs: np.ndarray,
    log_loss: np.ndarray,
    counts: np.ndarray,
    near: np.ndarray,
    delta: float,
    *,
    one_sided: bool = False,
) -> np.ndarray:
    """The best parameters of every resample, shape (resamples, p).

    Args:
        form: the formula.
        logs: log inputs over their units, shape (n, inputs).
        log_loss: shape (n,), or of each resample, (resamples, n).
        counts: how often each row counts, shape (resamples, n).
        near: where all start, shape (p,).
        delta: Huber scale of log residuals.
        one_sided: count losses above the law little.
    """
    unit = log_unit(log_loss)
    log_loss = np.broadcast_to(log_loss, counts.shape)
    log_loss, near = log_loss - unit, scaled(form.names, near, -unit)
    search = _Search(form, logs, log_loss, counts, delta, UPPER * delta if one_sided else None)
    start = np.broadcast_to(near, (len(counts), len(near)))
    best = search.reached(start)
    if len(logs) < _PLENTY * len(near):
        best = search.lower(best, search.by_scales(start))
        for chart in _charts(form, logs):
            best = search.lower(best, search.reached(search.along(chart, near)))
            best = search.lower(best, search.reached(search.along(chart, best)))
    return scaled(form.names, best, unit)


def _charts(form: SizeForm, logs: np.ndarray) -> list[PowerChart]:
    """The valleys of a form: of its floor and each term that is a power of one quantity."""
    names = form.names
    out = []
    for column, name in enumerate(form.inputs):
        scale = f"scale_{name}" if f"scale_{name}" in names else "scale"
        exponent = f"exponent_{name}" if f"exponent_{name}" in names else "exponent"
        if {"floor", scale, exponent} <= set(names) and "break" not in names:
            at = (names.index("floor"), names.index(scale), names.index(exponent))
            x = logs[:, column]
            out.append(PowerChart(at, float(x.min()), float(x.max())))
    return out


@dataclass(frozen=True)
class _Search:
    """What all ways of a search share."""

    form: SizeForm
    logs: np.ndarray
    log_loss: np.ndarray
    counts: np.ndarray
    delta: float
    upper: float | None

    def reached(self, near: np.ndarray, *, factor: float = 1.0) -> np.ndarray:
        """The minima reached from parameters, (r, p), at a multiple of Huber's scale."""
        low, high = (np.tile(end, (len(near), 1)) for end in bounds_of(self.form))
        if self.form.parameters[0].name == "floor":
            high[:, 0] = np.exp(self._medians())
        return self._minima(near, low, high, self.delta * factor, None)

    def by_scales(self, near: np.ndarray) -> np.ndarray:
        """The minima by way of larger scales, where rows that are met exactly hold nothing up."""
        for factor in (*_SCALES, 1.0):
            near = self.reached(near, factor=factor)
        return near

    def along(self, chart: PowerChart, near: np.ndarray) -> np.ndarray:
        """Parameters reached along a valley, within bounds, (r, p), from (p,) or (r, p)."""
        inside = np.stack([chart.inside(one) for one in np.atleast_2d(near)])
        inside = np.broadcast_to(inside, (len(self.counts), inside.shape[1]))
        ends = (np.tile(end, (len(inside), 1)) for end in chart.bounds(bounds_of(self.form), 1.0))
        low, high = ends
        high[:, chart.at[0]] = self._medians()
        found = self._minima(inside, low, high, self.delta, chart)
        return np.clip(chart.outside_all(found)[0], *bounds_of(self.form))

    def lower(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Whichever of two fits of each resample costs less, (r, p)."""
        every = np.arange(len(self.counts))
        costs = [self._at(x, every, self.delta, None).cost for x in (one, other)]
        return np.where((costs[1] < costs[0])[:, None], other, one)

    def _medians(self) -> np.ndarray:
        """The median log loss of each resample, above which no floor lies, (r,)."""
        pairs = zip(self.log_loss, self.counts, strict=True)
        return np.array([np.median(np.repeat(loss, count)) for loss, count in pairs])

    def _minima(
        self,
        near: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        delta: float,
        chart: PowerChart | None,
    ) -> np.ndarray:
        out = np.clip(near, low + 1e-6, high - 1e-6)
        left = np.arange(len(out))
        x, at, damping = out, self._at(out, left, delta, chart), np.ones(len(out))
        idle = np.zeros(len(out), dtype=np.int64)
        for _ in range(_STEPS):
            ends = low[left], high[left]
            moved = np.clip(x + _step(x, at, damping, *ends), *ends)
            found = self._at(moved, left, delta, chart)
            better = found.cost < at.cost
            gain = np.where(better, at.cost - found.cost, 0.0) / np.maximum(at.cost, 1e-300)
            idle = np.where(gain > _SMALL, 0, idle + better)
            damping = np.clip(damping * np.where(better, 0.3, 5.0), *_DAMPING)
            x, at = np.where(better[:, None], moved, x), at.taking(better, found)
            going = (idle < _IDLE) & (damping < _DAMPING[1])
            if not going.all():
                out[left[~going]] = x[~going]
                left, x, damping, idle = left[going], x[going], damping[going], idle[going]
                at = at.of(going)
            if not len(left):
                return out
        out[left] = x
        return out

    def _at(
        self, x: np.ndarray, some: np.ndarray, delta: float, chart: PowerChart | None
    ) -> _Place:
        """Cost, slope and curvatures of some resamples at parameters, or at coordinates of a chart,
        (r, p)."""
        vector, turn = (x, None) if chart is None else chart.outside_all(x)
        counts, loss = self.counts[some], self.log_loss[some]
        error, jacobian = counted_errors(self.form, vector, self.logs, loss, self.upper)
        error, jacobian = error / delta, jacobian / delta
        mean, width = prior_of(self.form)
        pull, away = 1.0 / width**2, vector - mean
        size = np.abs(error)
        far = size > 1.0
        cost = np.sum(counts * np.where(far, 2 * size - 1, error**2), axis=1)
        cost = 0.5 * (cost + np.sum(pull * away**2, axis=1))
        weight = counts / np.where(far, size, 1.0)
        slope = np.einsum("rn,rnp->rp", weight * error, jacobian) + pull * away
        inside = np.where(far, 0.0, counts)  # a row far off adds no curvature to Huber's loss
        curves = [
            np.swapaxes(jacobian * each[..., None], 1, 2) @ jacobian + np.diag(pull)
            for each in (inside, weight)
        ]
        if turn is not None:
            slope = np.einsum("rp,rpq->rq", slope, turn)
            curves = [np.swapaxes(turn, 1, 2) @ curve @ turn for curve in curves]
        return _Place(np.where(np.isfinite(cost), cost, np.inf), slope, *curves)


@dataclass(frozen=True)
class _Place:
    """What is known at the parameters of each resample.

    Attributes:
        cost: shape (r,).
        slope: shape (r, p).
        newton: curvature of the cost, by Gauss and Newton, shape (r, p, p).
        metric: that of the reweighted least squares that lie above the cost, shape (r, p, p).
    """

    cost: np.ndarray
    slope: np.ndarray
    newton: np.ndarray
    metric: np.ndarray

    def of(self, some: np.ndarray) -> _Place:
        """Some of the resamples."""
        return _Place(*(array[some] for array in vars(self).values()))

    def taking(self, which: np.ndarray, other: _Place) -> _Place:
        """`other` where `which`, this elsewhere."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Place(*(np.where(which.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs))


def _step(
    x: np.ndarray, at: _Place, damping: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """A damped step of Newton's within bounds, (r, p); what a bound holds stays."""
    held = ((x <= low) & (at.slope > 0)) | ((x >= high) & (at.slope < 0))
    curve = at.newton + damping[:, None, None] * at.metric
    scale = np.sqrt(np.maximum(np.einsum("rpp->rp", at.metric), 1e-300))
    curve = curve / (scale[:, :, None] * scale[:, None, :])
    slope = np.where(held, 0.0, at.slope / scale)
    curve = np.where(held[:, :, None] | held[:, None, :], 0.0, curve)
    ridge = np.where(held, 1.0, _RIDGE * (1 + damping[:, None]))
    curve = curve + ridge[:, :, None] * np.eye(x.shape[1])
    return np.asarray(-np.linalg.solve(curve, slope[..., None])[..., 0] / scale)
