"""How does the loss fall with parameters, tokens or compute, and how sure is that?

Variable projection: for every point of a grid of exponents the linear parameters (floor,
scales) come from non-negative least squares; the best are polished jointly under Huber's loss
of log residuals with exact gradients. The ordered hold-out fits the smaller runs and predicts
the larger ones.
Source: Hoffmann et al. 2022, Besiroglu et al. 2024.
Limits: one model family and data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from hidim._version import __version__
from hidim.curve import Curve
from hidim.fitting.robust import HUBER, minimise
from hidim.fitting.sizes.forms import FORMS, SizeForm
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN, SizeTable
from hidim.support.checks import choice, finite, finite_array, positive, whole
from hidim.support.progress import Progress

_POLISHED = 3


def fit_sizes(
    inputs: Sequence[Any] | SizeTable,
    loss: Any = None,
    law: str = "chinchilla",
    *,
    delta: float = HUBER,
    bootstrap: int = 1000,
    seed: int = 0,
    held_out: float = 0.25,
    progress: bool | None = None,
) -> SizeLaw:
    """Fit a law of sizes: loss against parameters and tokens, or against one quantity.

    Args:
        inputs: one array per quantity of the form: (params, tokens) or (x,), each (n,); or a
            SizeTable, or finished Curves, whose sizes, tokens and last risks are taken.
        loss: measured values, positive, shape (n,); of a table or Curves their own.
        law: "chinchilla", "saturating", "power" or "broken".
        delta: Huber scale of log residuals.
        bootstrap: refits of resampled points behind intervals and bands.
        seed: of the resampling.
        held_out: share of the largest runs (by the product of the inputs) that the ordered
            hold-out predicts from the others.
        progress: show a progress line; None means on a terminal.

    Raises:
        ValueError: shapes differ, values not positive, fewer points than the form needs, a Curve
            that diverged or is unfinished.

    >>> x = np.geomspace(1e6, 1e9, 12)
    >>> law = fit_sizes([x], 1.5 + 40 * x**-0.3, "saturating", bootstrap=20)
    >>> round(law.parameters["exponent"], 3)
    0.3
    """
    form = FORMS[choice("law", law, FORMS)]
    if loss is None:
        table = inputs if isinstance(inputs, SizeTable) else _table(inputs)
        inputs, loss = table.inputs, table.loss
    elif isinstance(inputs, SizeTable):
        raise ValueError("`loss` is in the table already: leave it out.")
    arrays, loss = _checked(form, inputs, loss)
    bootstrap = int(whole("bootstrap", bootstrap))
    delta = positive("delta", delta)
    if not 0 <= finite("held_out", held_out) < 1:
        raise ValueError(f"`held_out` must lie in [0, 1), got {held_out!r}.")
    units = np.exp(np.log(arrays).mean(axis=0))
    logs, log_loss = np.log(arrays / units), np.log(loss)
    best = _solve(form, logs, log_loss, delta)
    residual = np.log(form.function(best, logs)[0]) - log_loss
    rng = np.random.default_rng(seed)
    replicas = []
    with Progress(bootstrap + 1, f"bootstrap of {law}", enabled=progress) as bar:
        for _ in range(bootstrap):
            pick = rng.integers(0, len(loss), len(loss))
            if len(np.unique(pick)) > len(best):
                replicas.append(_solve(form, logs[pick], log_loss[pick], delta, near=best))
            bar.advance()
    reach = {
        n: [float(x.min()), float(x.max())] for n, x in zip(form.inputs, arrays.T, strict=True)
    }
    if form.name == "chinchilla":
        flops = FLOPS_PER_TOKEN * arrays.prod(axis=1)
        reach["flops"] = [float(flops.min()), float(flops.max())]
    return SizeLaw(
        form,
        best,
        units,
        np.array(replicas).reshape(-1, len(best)),
        max(float(1.4826 * np.median(np.abs(residual))), 1e-6),
        reach,
        _ordered(form, logs, log_loss, delta, held_out),
        float(np.mean(np.abs(np.expm1(residual)))),
        {"hidim": __version__, "points": len(loss), "seed": seed, "huber_delta": delta},
    )


def _table(curves: Any) -> SizeTable:
    listed = [curves] if isinstance(curves, Curve) else list(curves)
    if not all(isinstance(curve, Curve) for curve in listed):
        raise ValueError("`loss` is needed beside columns of numbers: one value per run.")
    return SizeTable.of(listed)


def _checked(form: SizeForm, inputs: Sequence[Any], loss: Any) -> tuple[np.ndarray, np.ndarray]:
    if len(inputs) != len(form.inputs):
        raise ValueError(
            f"law {form.name!r} takes {len(form.inputs)} input(s) ({', '.join(form.inputs)}), "
            f"got {len(inputs)}."
        )
    loss = finite_array("loss", loss, ndim=1)
    arrays = []
    for name, values in zip(form.inputs, inputs, strict=True):
        array = finite_array(name, values, ndim=1)
        if array.shape != loss.shape:
            raise ValueError(f"`{name}` has {len(array)} values for {len(loss)} losses.")
        if np.any(array <= 0):
            raise ValueError(f"`{name}` must be positive, got {array.min():g}.")
        arrays.append(array)
    if np.any(loss <= 0):
        raise ValueError(f"`loss` must be positive, got {loss.min():g}.")
    least = len(form.parameters) + 1
    stacked = np.stack(arrays, axis=1)
    for name, column in zip(form.inputs, stacked.T, strict=True):
        if len(np.unique(column)) < 3:
            raise ValueError(f"`{name}` takes fewer than three values: its exponent is open.")
    if len(np.unique(stacked, axis=0)) < least:
        raise ValueError(f"law {form.name!r} needs at least {least} different points.")
    return stacked, loss


def _solve(
    form: SizeForm,
    logs: np.ndarray,
    log_loss: np.ndarray,
    delta: float,
    near: np.ndarray | None = None,
) -> np.ndarray:
    parameters = form.parameters
    bounds = (
        np.array([p.bounds[0] for p in parameters]),
        np.array([p.bounds[1] for p in parameters]),
    )
    if parameters[0].name == "floor":
        bounds[1][0] = float(np.exp(np.median(log_loss)))
    prior = (
        np.array([p.prior[0] if p.prior else 0.0 for p in parameters]),
        np.array([p.prior[1] if p.prior else np.inf for p in parameters]),
    )

    def residuals(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = form.function(vector, logs)
        safe = np.maximum(value, 1e-12)
        return np.log(safe) - log_loss, slope / safe[:, None]

    starts = [near] if near is not None else _starts(form, logs, log_loss)
    return minimise(residuals, starts, bounds, prior, delta=delta, max_evaluations=400)


def _starts(form: SizeForm, logs: np.ndarray, log_loss: np.ndarray) -> list[np.ndarray]:
    """Grid of the non-linear parameters, each with its linear ones by NNLS; the best few."""
    from scipy.optimize import nnls

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


def _ordered(
    form: SizeForm, logs: np.ndarray, log_loss: np.ndarray, delta: float, share: float
) -> dict[str, float]:
    """Errors on the largest runs, predicted from the smaller ones."""
    count = round(share * len(log_loss))
    order = np.argsort(logs.sum(axis=1), kind="stable")
    small, large = order[: len(order) - count], order[len(order) - count :]
    if count == 0 or len(np.unique(logs[small], axis=0)) <= len(form.parameters):
        return {}
    vector = _solve(form, logs[small], log_loss[small], delta)
    value = np.maximum(form.function(vector, logs[large])[0], 1e-12)
    error = np.abs(np.expm1(np.log(value) - log_loss[large]))
    return {
        "runs": float(count),
        "mean_relative_error": float(error.mean()),
        "max_relative_error": float(error.max()),
    }
