"""How does the loss fall with parameters, tokens or compute, and how sure is that?

Searches the parameters (`search.py`), refuses what the runs do not determine, and refits
resampled runs. The ordered hold-out fits the smaller runs and predicts the larger ones; the
rollout does so from every size on.
Source: Hoffmann et al. 2022, Besiroglu et al. 2024.
Limits: one model family and data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hidim._version import __version__
from hidim.curve import Curve
from hidim.fitting.robust import HUBER
from hidim.fitting.sizes.budgets import SIX, Cost
from hidim.fitting.sizes.forms import FORMS, SizeForm
from hidim.fitting.sizes.growth import USUAL, growth
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.plausible import Fitted, check_sizes
from hidim.fitting.sizes.refits import refit
from hidim.fitting.sizes.resamples import Resamples
from hidim.fitting.sizes.search import log_errors, solve
from hidim.fitting.sizes.tables import SizeTable, sizes_of
from hidim.support.checks import choice, finite, finite_array, listed, positive, whole
from hidim.support.progress import Progress

_AT_ONCE = 20_000  # points of resamples that are fitted at once
_INPUTS = "arrays of parameters and tokens, a SizeTable or Curves"
_LEAST, _OPEN = 1e-4, 3.0  # noise, and how far a parameter may lie that nothing determines
_ROLLED = 6  # sizes from which the rollout predicts, at most


def fit_sizes(
    inputs: Sequence[Any] | Mapping[str, Any] | SizeTable,
    loss: Any = None,
    law: str = "chinchilla",
    *,
    delta: float = HUBER,
    bootstrap: int = 1000,
    seed: int = 0,
    held_out: float = 0.25,
    progress: bool | None = None,
    group: Any = None,
    flops_per_token: Any = None,
    one_sided: bool = False,
    force: bool = False,
) -> SizeLaw:
    """Fit a law of sizes: loss against parameters and tokens, or against one quantity.

    Args:
        inputs: one array per quantity of the form: (params, tokens) or (x,), each (n,); or a
            SizeTable, or finished Curves, whose sizes, tokens and last risks are taken; or columns
            by their names, as a data frame, read as those of a file.
        loss: measured values, positive, shape (n,); of a table, columns or Curves their own.
        law: "chinchilla", "tied" or "interaction"; of one quantity "saturating", "power" or
            "broken".
        delta: Huber scale of log residuals; 1 is least squares.
        bootstrap: refits of resampled points behind intervals and bands.
        seed: of the resampling.
        held_out: share of the largest runs (by the product of the inputs) that the ordered
            hold-out predicts from the others.
        progress: show a progress line; None means on a terminal.
        group: which run each point belongs to, shape (n,), where runs have several points: whole
            runs are resampled.
        flops_per_token: what a token costs in training, shape (n,); 6 x parameters by default.
            Budgets then count 6 x parameters and what attention and tables add (budgets.py).
        one_sided: count losses above the law by their logarithm, since a run that was tuned badly
            or diverged lies above and none below.
        force: fit what is otherwise refused; the law keeps the refusal as a warning.

    Raises:
        ValueError: shapes differ, values not positive, fewer points than the form needs, a Curve
            that diverged or is unfinished, a law that explains less than half of the spread of the
            losses, or runs that do not tell parameters and data apart.

    >>> x = np.geomspace(1e6, 1e9, 12)
    >>> law = fit_sizes([x], 1.5 + 40 * x**-0.3, "saturating", bootstrap=20)
    >>> round(law.parameters["exponent"], 3)
    0.3
    """
    form = FORMS[choice("law", law, FORMS)]
    traits: dict[str, np.ndarray] | None = None
    said: tuple[str, ...] = ()
    if loss is None:
        table = inputs if isinstance(inputs, SizeTable) else _table(inputs, form)
        inputs, loss = table.inputs, table.loss
        group, traits, said = table.group if group is None else group, table.traits, table.warnings
        if flops_per_token is None:
            flops_per_token = table.flops_per_token
    elif isinstance(loss, str):
        raise ValueError(f"`loss` is {loss!r}: losses, or none. A law by its name is law={loss!r}.")
    elif isinstance(inputs, SizeTable | Mapping):
        raise ValueError("`loss` is in the table already: leave it out.")
    arrays, loss = _checked(form, inputs, loss)
    bootstrap = int(whole("bootstrap", bootstrap))
    delta = positive("delta", delta)
    if not 0 <= finite("held_out", held_out) < 1:
        raise ValueError(f"`held_out` must lie in [0, 1), got {held_out!r}.")
    runs = _runs(group, len(loss))
    cost = _cost(form, arrays, flops_per_token)
    units = np.exp(np.log(arrays).mean(axis=0))
    logs, log_loss = np.log(arrays / units), np.log(loss)
    best = solve(form, logs, log_loss, delta, one_sided=one_sided)
    residual = log_errors(form, best, logs, log_loss)
    noise = max(float(1.4826 * np.median(np.abs(residual))), 1e-6)
    fitted = Fitted(form, best, logs, log_loss, units, noise)
    warnings = check_sizes(fitted, delta, traits=traits, one_sided=one_sided, force=force)
    rng = np.random.default_rng(seed)
    resamples = Resamples.of(fitted, runs)
    replicas = []
    with Progress(bootstrap, f"bootstrap of {law}", enabled=progress) as bar:
        together = max(_AT_ONCE // len(loss), 1)
        for start in range(0, bootstrap, together):
            many = min(together, bootstrap - start)
            counts, drawn = resamples.draw(many, rng)
            enough = np.count_nonzero(counts, axis=1) > len(best)
            if enough.any():
                rows = form, logs, drawn[enough], counts[enough]
                replicas.append(refit(*rows, best, delta, one_sided=one_sided))
            bar.advance(many)
    ordered, beyond = _ordered(fitted, delta, held_out, one_sided)
    reach = {
        n: [float(x.min()), float(x.max())] for n, x in zip(form.inputs, arrays.T, strict=True)
    }
    if form.sized:
        flops = cost(arrays[:, 0]) * arrays[:, 1]
        reach["flops"] = [float(flops.min()), float(flops.max())]
    return SizeLaw(
        form,
        best,
        units,
        np.concatenate(replicas) if replicas else np.zeros((0, len(best))),
        noise,
        reach,
        ordered,
        float(np.mean(np.abs(np.expm1(residual)))),
        {
            "hidim": __version__,
            "points": len(loss),
            "runs": len(runs),
            "seed": seed,
            "huber_delta": delta,
            "one_sided": one_sided,
            "flops": cost.said(),
        },
        (*said, *warnings),
        _rollout(fitted, delta, one_sided),
        beyond,
        cost,
    )


def _cost(form: SizeForm, arrays: np.ndarray, given: Any) -> Cost:
    """Flops per token by the size."""
    if given is None:
        return SIX
    if not form.sized:
        raise ValueError(
            f"`flops_per_token` goes with parameters and tokens, not with {form.name}."
        )
    cost = finite_array("flops_per_token", given, ndim=1)
    if len(cost) != len(arrays) or np.any(cost <= 0):
        raise ValueError(f"`flops_per_token` must be positive, one for each of {len(arrays)} runs.")
    return Cost.of(arrays[:, 0], cost)


def _runs(group: Any, count: int) -> list[np.ndarray]:
    """The places of each run's points."""
    if group is None:
        return list(np.arange(count)[:, None])
    kinds = np.asarray(group)
    if kinds.shape != (count,):
        raise ValueError(f"`group` has shape {kinds.shape} for {count} losses.")
    _, which = np.unique(kinds, return_inverse=True)
    runs = [np.flatnonzero(which == i) for i in range(which.max() + 1)]
    if len(runs) < 3:
        raise ValueError(f"`group` names {len(runs)} run(s): intervals need at least three.")
    return runs


def _table(curves: Any, form: SizeForm) -> SizeTable:
    if isinstance(curves, Mapping) or (
        hasattr(curves, "columns") and not isinstance(curves, Curve)
    ):
        return sizes_of(curves, single=len(form.inputs) == 1)
    given = [curves] if isinstance(curves, Curve) else listed("inputs", curves, _INPUTS)
    if not all(isinstance(curve, Curve) for curve in given):
        raise ValueError("`loss` is needed beside columns of numbers: one value per run.")
    return SizeTable.of(given)


def _checked(form: SizeForm, inputs: Sequence[Any], loss: Any) -> tuple[np.ndarray, np.ndarray]:
    inputs = listed("inputs", inputs, _INPUTS)
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
            other = next((n for n in form.inputs if n != name), None)
            alone = f", or fit {other} alone: --law saturating --columns x={other}" if other else ""
            raise ValueError(
                f"`{name}` takes fewer than three values: its exponent is open. Add runs at others"
                f"{alone}."
            )
    if len(np.unique(stacked, axis=0)) < least:
        points = len(np.unique(stacked, axis=0))
        raise ValueError(
            f"law {form.name!r} needs at least {least} different points, got {points}."
        )
    return stacked, loss


def _ordered(
    fit: Fitted, delta: float, share: float, one_sided: bool
) -> tuple[dict[str, float], float]:
    """Errors on the largest runs, predicted from the smaller ones, and how they grow per unit of
    log distance beyond these, where noise and the scatter of the parameters do not explain them
    (growth.py).
    """
    count = round(share * len(fit.log_loss))
    order = np.argsort(fit.logs.sum(axis=1), kind="stable")
    small, large = order[: len(order) - count], order[len(order) - count :]
    if count == 0 or len(np.unique(fit.logs[small], axis=0)) <= len(fit.form.parameters):
        return {}, USUAL
    vector = solve(fit.form, fit.logs[small], fit.log_loss[small], delta, one_sided=one_sided)
    log_error = log_errors(fit.form, vector, fit.logs[large], fit.log_loss[large])
    error = np.abs(np.expm1(log_error))
    told = {
        "runs": float(count),
        "mean_relative_error": float(error.mean()),
        "max_relative_error": float(error.max()),
    }
    # A point is as far beyond as in the quantity in which it is farthest.
    far = np.column_stack([fit.logs, fit.logs.sum(axis=1)])
    beyond = np.maximum((far[large] - far[small].max(axis=0)).max(axis=1), 0.0)
    # What the smaller runs leave open shows at the law of all where their own has not found it, as
    # a break behind them.
    scatters = [_scatter(fit, one, small, large) for one in (vector, fit.vector)]
    free = len(order) / (len(order) - len(vector))
    scatter = max(scatters, key=np.trace)
    return told, growth(log_error, beyond, free * fit.noise**2 * scatter)


def _scatter(fit: Fitted, vector: np.ndarray, small: np.ndarray, large: np.ndarray) -> np.ndarray:
    """Covariance of the errors on large runs by small ones over that of their noise, (m, m)."""
    value, slope = fit.form.function(vector, fit.logs)
    slope = slope / np.maximum(value, 1e-12)[:, None]
    wide = (max(fit.noise, _LEAST) / _OPEN) ** 2 * np.eye(len(vector))
    spread = np.linalg.inv(slope[small].T @ slope[small] + wide)
    return np.asarray(np.eye(len(large)) + slope[large] @ spread @ slope[large].T)


def _rollout(fit: Fitted, delta: float, one_sided: bool) -> tuple[dict[str, float], ...]:
    """Errors on the runs of all larger sizes (or of larger x), fitted to those up to each."""
    size = np.round(fit.logs[:, 0], 9)
    cuts = np.unique(size)[:-1]
    if len(cuts) > _ROLLED:
        cuts = np.quantile(cuts, np.linspace(0.3, 1.0, _ROLLED), method="nearest")
    out = []
    for cut in np.unique(cuts):
        small, large = size <= cut, size > cut
        enough = len(np.unique(fit.logs[small], axis=0)) > len(fit.form.parameters)
        if not enough or any(len(np.unique(x)) < 3 for x in fit.logs[small].T):
            continue
        rows = fit.logs[small], fit.log_loss[small], delta
        vector = solve(fit.form, *rows, near=fit.vector, one_sided=one_sided)
        error = np.expm1(log_errors(fit.form, vector, fit.logs[large], fit.log_loss[large]))
        out.append(
            {
                "up_to": float(np.exp(cut) * fit.units[0]),
                "predicted_up_to": float(np.exp(size.max()) * fit.units[0]),
                "runs": float(np.count_nonzero(large)),
                "mean_relative_error": float(np.mean(np.abs(error))),
                "bias": float(np.mean(error)),
            }
        )
    return tuple(out)
