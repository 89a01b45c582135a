"""Which parameters of a law of sizes fit a set of runs best?

Variable projection: for every point of a grid of exponents the linear parameters (floor,
scales) come from non-negative least squares; the best are polished jointly under Huber's loss
of log residuals with exact gradients. `one_sided` counts losses above the law by their logarithm: a
run that was tuned badly or diverged lies above, and none lies below.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from hidim.fitting.loss_units import log_unit, scaled
from hidim.fitting.robust import HUBER, minimise
from hidim.fitting.sizes.forms import FORMS, SizeForm

_POLISHED = 3
_COUPLINGS = (0.0, -0.7, -1.5, 0.7)  # log k from which the interaction form starts
UPPER = 3.0  # of delta: up to where a loss above the law counts in full, if one-sided


def solve(
    form: SizeForm,
    logs: np.ndarray,
    log_loss: np.ndarray,
    delta: float = HUBER,
    *,
    near: np.ndarray | None = None,
    one_sided: bool = False,
) -> np.ndarray:
    """The best parameters, shape (p,), from the grid of starts or, for a refit, `near` alone.

    Args:
        form: the formula.
        logs: log inputs over their units, shape (n, inputs).
        log_loss: shape (n,).
        delta: Huber scale of log residuals.
        near: where a refit starts.
        one_sided: count losses above the law little.
    """
    unit = log_unit(log_loss)
    log_loss = log_loss - unit
    near = None if near is None else scaled(form.names, near, -unit)
    bounds, prior = bounds_of(form), prior_of(form)
    if form.parameters[0].name == "floor":
        bounds[1][0] = float(np.exp(np.median(log_loss)))

    def residuals(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return counted_errors(form, vector, logs, log_loss, UPPER * delta if one_sided else None)

    starts = [near] if near is not None else _starts(form, logs, log_loss, delta)
    found = minimise(residuals, starts, bounds, prior, delta=delta, max_evaluations=400)
    return scaled(form.names, found, unit)


def bounds_of(form: SizeForm) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest parameters, each (p,)."""
    return (
        np.array([p.bounds[0] for p in form.parameters]),
        np.array([p.bounds[1] for p in form.parameters]),
    )


def prior_of(form: SizeForm) -> tuple[np.ndarray, np.ndarray]:
    """Means and widths of the priors, each (p,); an infinite width is no prior."""
    return (
        np.array([p.prior[0] if p.prior else 0.0 for p in form.parameters]),
        np.array([p.prior[1] if p.prior else np.inf for p in form.parameters]),
    )


def counted_errors(
    form: SizeForm,
    vector: np.ndarray,
    logs: np.ndarray,
    log_loss: np.ndarray,
    upper: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Log of predicted over measured loss as it counts, (..., n), and its slopes, (..., n, p).

    Args:
        form: the formula.
        vector: parameters, (..., p).
        logs: shape (n, inputs).
        log_loss: shape (n,).
        upper: scale from which on a loss above the law counts by its logarithm; None counts all.
    """
    value, slope = form.function(vector, logs)
    safe = np.maximum(value, 1e-12)
    error, gradient = np.log(safe) - log_loss, slope / safe[..., None]
    if upper is not None:
        over = np.maximum(-error, 0.0) / upper  # the loss lies above the law
        error = np.where(over > 0, -upper * np.log1p(over), error)
        gradient = gradient / (1.0 + over)[..., None]
    return error, gradient


def log_errors(
    form: SizeForm, vector: np.ndarray, logs: np.ndarray, log_loss: np.ndarray
) -> np.ndarray:
    """Log of predicted over measured loss, shape (n,)."""
    unit = log_unit(log_loss)
    value = form.function(scaled(form.names, vector, -unit), logs)[0]
    return np.asarray(np.log(np.maximum(value, 1e-12)) - (log_loss - unit))


def _starts(
    form: SizeForm, logs: np.ndarray, log_loss: np.ndarray, delta: float
) -> list[np.ndarray]:
    """Grid of the non-linear parameters, each with its linear ones by NNLS; the best few."""
    from scipy.optimize import nnls

    if form.name == "interaction":  # from the sum, towards either side
        plain = solve(FORMS["chinchilla"], logs, log_loss, delta)
        doubled = np.array([0.0, math.log(2), math.log(2), 0.0, 0.0])  # where both terms are equal
        return [np.append(plain + (1 - math.exp(k)) * doubled, k) for k in _COUPLINGS]
    loss = np.exp(log_loss)
    linear = list(form.linear)
    logged = [i for i in linear if form.parameters[i].log]
    ranked: list[tuple[float, int, np.ndarray]] = []
    grids = [p.starts or (0.0,) for p in form.parameters]
    for order, point in enumerate(product(*grids)):
        start = np.array(point)
        start[linear] = 0.0
        basis = form.function(start, logs)[1][:, linear]
        solution, cost = nnls(basis / loss[:, None], np.ones_like(loss))
        start[linear] = solution
        start[logged] = np.log(np.maximum(start[logged], 1e-12))
        ranked.append((cost, order, start))
    ranked.sort(key=lambda item: item[:2])
    return [start for _, _, start in ranked[:_POLISHED]]
