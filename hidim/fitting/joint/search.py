"""Which parameters of a joint law fit runs of several sizes best?

As for one size (hidim.fitting.schedules.search): Huber's loss of log residuals and priors, from a
grid of starts whose linear parameters come from non-negative least squares; floors in coordinates
of their own (hidim.fitting.charts).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.fitting.charts import InteractionChart, PowerChart
from hidim.fitting.joint.form import FLOOR, JointForm
from hidim.fitting.loss_units import scaled
from hidim.fitting.robust import HUBER, minimise
from hidim.fitting.schedules.search import Points, least_loss, loss_near_peak, unit_of_points

_POLISHED = 2
_LINEAR = ("floor_limit", "floor_excess", "signal", "release")


@dataclass(frozen=True)
class Sized:
    """The points of one run, and log(N / N0) of its model."""

    size: float
    points: Points


def search_joint(
    form: JointForm,
    runs: Sequence[Sized],
    *,
    near: np.ndarray | None = None,
    delta: float = HUBER,
    weights: Sequence[np.ndarray] | None = None,
    means: np.ndarray | None = None,
) -> np.ndarray:
    """The best parameters, shape (q,).

    Args:
        form: the law.
        runs: what is fitted.
        near: where a refit starts; None for the grid.
        delta: Huber scale.
        weights: of the squared residuals of each run's points, for resampled refits.
        means: of the priors, shape (q,), where a refit draws them anew.
    """
    unit = unit_of_points([one.points for one in runs])
    runs = [Sized(one.size, one.points.over(unit)) for one in runs]
    near = None if near is None else scaled(form.names, near, -unit)
    parameters = form.parameters
    bounds = (
        np.array([p.bounds[0] for p in parameters]),
        np.array([p.bounds[1] for p in parameters]),
    )
    limit, excess, exponent = (form.names.index(name) for name in FLOOR)
    sizes = [one.size for one in runs]
    floors = PowerChart((limit, excess, exponent), min(sizes), max(sizes))
    chart: PowerChart | InteractionChart = floors
    if form.law.sized:
        together = excess, form.names.index("signal"), form.names.index("interaction")
        chart = InteractionChart(floors, together)
    # A run whose rate fell early lies below the floor, which is that at the highest rate, for most
    # of its length; a run whose noise builds up lies below it at first. So the highest run says.
    highest = max(loss_near_peak(one.points) for one in runs)
    if means is None:
        means = prior_means(form)
    prior = (means, np.array([p.prior[1] if p.prior else np.inf for p in parameters]))
    least = least_loss([one.points for one in runs])
    roots = None if weights is None else [np.sqrt(w) for w in weights]

    def residuals(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = [], []
        for i, one in enumerate(runs):
            loss, jacobian = form.evaluate(vector, one.size, one.points.clock)
            safe = np.maximum(loss, least)
            error, gradient = np.log(safe) - one.points.log_loss, jacobian / safe[:, None]
            if roots is not None:
                error, gradient = error * roots[i], gradient * roots[i][:, None]
            value.append(error)
            slope.append(gradient)
        return np.concatenate(value), np.concatenate(slope)

    starts = [near] if near is not None else _starts(form, runs)
    found = minimise(
        residuals, starts, chart.bounds(bounds, highest), prior, delta=delta, chart=chart
    )
    return scaled(form.names, found, unit)


def prior_means(form: JointForm) -> np.ndarray:
    """Means of the priors, 0 where there is none, shape (q,)."""
    return np.array([p.prior[0] if p.prior else 0.0 for p in form.parameters])


def _starts(form: JointForm, runs: Sequence[Sized]) -> list[np.ndarray]:
    from scipy.optimize import nnls

    loss = np.concatenate([np.exp(one.points.log_loss) for one in runs])
    linear = [i for i, name in enumerate(form.names) if name in _LINEAR]
    small = 1e-3 * least_loss([one.points for one in runs])
    ranked: list[tuple[float, int, np.ndarray]] = []
    for order, start in enumerate(form.starts()):
        start[linear] = 0.0
        basis = np.concatenate(
            [form.evaluate(start, one.size, one.points.clock)[1][:, linear] for one in runs]
        )
        solution, cost = nnls(basis / loss[:, None], np.ones_like(loss))
        start[linear] = [solution[0], *np.log(np.maximum(solution[1:], small))]
        ranked.append((cost, order, start))
    ranked.sort(key=lambda item: item[:2])
    return [start for _, _, start in ranked[:_POLISHED]]
