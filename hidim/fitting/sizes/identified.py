"""Do these runs tell parameters and data apart, and which run would?

Where every run has the same number of tokens per parameter, the terms A N^-a and B D^-b of a law
are one curve, and the size that it calls compute-optimal is an accident. The standard error of the
log of that size, at the middle of the fitted budgets, follows from the gradients of the law at the
runs (Fisher information, with the noise about the law); runs that would lower it most are found one
by one among the sizes fitted, at budgets that were fitted.
Where the gradients alone leave it open, as with two terms that are one power on a line, the misfit
of whole laws counts.
Limits: says nothing of a wrong form.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.fitting.loss_units import log_unit, scaled
from hidim.fitting.sizes.forms import FORMS, SizeForm

_NOISE = 1e-3  # two runs of one configuration differ by as much
_REFUSED = 10.0  # factor by which the compute-optimal size may be off, either way, at 90 %
_TOLD = 2.0
_Z90 = 1.6449
_LINE = 1.25  # tokens per parameter within this factor of one power of the size are one line
_RATIOS = np.geomspace(1 / 16, 16, 9)
_WIDE = 30.0
_AIMED = 1e-3  # of the log of a best size
_MOST = 4  # runs to propose


def check_identified(
    form: SizeForm, vector: np.ndarray, logs: np.ndarray, units: np.ndarray, noise: float
) -> tuple[str, str]:
    """(refusal, warning) about the compute-optimal size of a law of parameters and tokens; empty
    where the runs determine it.

    Args:
        form: the fitted form.
        vector: its parameters, shape (p,).
        logs: log inputs over their units, shape (n, 2).
        units: of the inputs, shape (2,).
        noise: standard deviation of the log residuals.
    """
    if not form.sized:
        return "", ""
    loss = np.maximum(form.function(vector, logs)[0], 1e-300)
    vector = scaled(form.names, vector, -log_unit(np.log(loss)))
    # Residuals of few runs are smaller than their noise.
    noise = max(noise * math.sqrt(len(logs) / max(len(logs) - len(vector), 1)), _NOISE)
    width = on_a_line(logs)
    # On one line of tokens against parameters two different powers are told apart by the bend of
    # their sum, which is the form's and not the runs' word; with equal powers only the runs speak.
    # What is refused is the table, by the sum of the terms, whatever the form and its fit.
    plain = FORMS["chinchilla"]
    equal = _equal(form, vector)
    by_runs = _factor(plain, equal, logs, logs, noise)
    off = _factor(form, vector, logs, logs, noise)
    if off > _TOLD:
        off = min(off, _profiled(form, vector, logs, noise, off))
    off = max(off, by_runs)
    if width > math.log(_LINE) and off <= _TOLD:
        return "", ""
    middle = math.exp(float(np.mean(logs.sum(axis=1)))) * float(units.prod()) * 6
    size = "by any factor" if off > 1e3 else f"by a factor of {off:.2g}"
    where = f"the compute-optimal size at {middle:.2g} flops may be off {size}"
    remedy = _proposal(plain, equal, logs, units, noise)
    if width <= math.log(_LINE) or by_runs > _REFUSED:
        ratio = np.exp(logs[:, 1] - logs[:, 0]) * units[1] / units[0]
        per = f"{ratio.min():.3g} to {ratio.max():.3g}"
        if ratio.max() < 1.05 * ratio.min():
            per = f"{np.median(ratio):.3g}"
        return (
            "these runs do not tell parameters and data apart (tokens per parameter "
            f"{per}): {where}. {remedy}"
        ), ""
    return "", f"{where}. {remedy}"


def on_a_line(logs: np.ndarray) -> float:
    """Range of log tokens about their line in log parameters."""
    n, d = (logs - logs.mean(axis=0)).T
    slope = float(n @ d) / max(float(n @ n), 1e-300)
    return float(np.ptp(d - slope * n))


def _factor(
    form: SizeForm, vector: np.ndarray, logs: np.ndarray, fitted: np.ndarray, noise: float
) -> float:
    """Factor by which the best size at the middle of `fitted` budgets may be off, at 90 %."""
    budget = float(np.mean(fitted.sum(axis=1)))
    gradient = np.zeros(len(vector))
    for i in range(len(vector)):
        step = np.zeros(len(vector))
        step[i] = 1e-5
        gradient[i] = _best(form, vector + step, budget) - _best(form, vector - step, budget)
    gradient /= 2e-5
    value, slope = form.function(vector, logs)
    jacobian = slope / np.maximum(value, 1e-12)[:, None] / noise
    # Priors of the search, and wide ones, without which two bad proposals cannot be compared.
    widths = [p.prior[1] if p.prior else _WIDE for p in form.parameters]
    jacobian = np.vstack([jacobian, np.diag(1.0 / np.array(widths))])
    free = [i for i, p in enumerate(form.parameters) if p.name != "floor" or vector[i] > 1e-3]
    jacobian, gradient = jacobian[:, free], gradient[free]
    scale = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-12)
    _, s, rows = np.linalg.svd(jacobian / scale, full_matrices=False)
    part = rows @ (gradient / scale)
    variance = float(np.sum((part / np.maximum(s, 1e-10)) ** 2))
    return math.exp(min(_Z90 * math.sqrt(variance), 700.0))


def _profiled(
    form: SizeForm, vector: np.ndarray, logs: np.ndarray, noise: float, most: float
) -> float:
    """The same by the likelihood of the nearest law whose best size is so far off, up to `most`.

    Two terms of one power along the runs have a difference of exponents that no gradient tells;
    the bend of their sum does, to second order.
    """
    from scipy.optimize import least_squares

    budget = float(np.mean(logs.sum(axis=1)))
    here, best = np.log(form.function(vector, logs)[0]), _best(form, vector, budget)
    widths = np.array([p.prior[1] if p.prior else _WIDE for p in form.parameters])

    def misfit(change: np.ndarray, aim: float) -> np.ndarray:
        there = vector + change
        a, b, _ = form.exponents(there)
        if min(a, b) <= 0:
            return np.full(len(logs) + len(vector) + 1, 1e6)
        value = np.log(np.maximum(form.function(there, logs)[0], 1e-12))
        missed = (_best(form, there, budget) - best - aim) / _AIMED
        return np.concatenate([(value - here) / noise, change / widths, [missed]])

    farthest = 0.0
    for way in (1.0, -1.0):
        change, reached, cost = np.zeros(len(vector)), 0.0, 0.0
        for aim in math.log(most) * np.geomspace(2.0**-6, 1.0, 13):
            found = least_squares(
                misfit, change * (aim / reached if reached else 0), args=(way * aim,)
            )
            now = math.sqrt(2 * found.cost)
            if now > _Z90:
                reached += (aim - reached) * (_Z90 - cost) / (now - cost)
                break
            change, reached, cost = found.x, aim, now
        farthest = max(farthest, reached)
    return math.exp(farthest)


def _best(form: SizeForm, vector: np.ndarray, budget: float) -> float:
    """Log of the best size, in units of the fit, on n d = budget."""
    a, b, k = form.exponents(vector)
    return (k * math.log(a / b) + vector[1] - vector[2] + b * budget) / (a + b)


def _equal(form: SizeForm, vector: np.ndarray) -> np.ndarray:
    """A sum of terms with both exponents at their mean, and both as large as their mean."""
    a, b, _ = form.exponents(vector)
    exponent = min(max((a + b) / 2, 0.1), 1.5)
    scale = math.log(max(float(np.exp(vector[1:3]).mean()), 1e-12))
    return np.array([max(vector[0], 1e-2), scale, scale, exponent, exponent])


def _proposal(
    form: SizeForm, vector: np.ndarray, logs: np.ndarray, units: np.ndarray, noise: float
) -> str:
    """Which few runs would settle it, in a sentence."""
    budget = float(logs.sum(axis=1).max())
    middle = float(np.median(logs[:, 1] - logs[:, 0]))
    found: list[np.ndarray] = []
    sizes = np.quantile(logs[:, 0], [0.0, 0.25, 0.5, 0.75, 1.0], method="nearest")
    candidates = [
        np.array([n, n + middle + math.log(ratio)]) for n in np.unique(sizes) for ratio in _RATIOS
    ]
    candidates = [run for run in candidates if run.sum() <= budget + 1e-9]
    off = math.inf
    while candidates and len(found) < _MOST and off > _TOLD:
        tried = [
            _factor(form, vector, np.vstack([logs, *found, run]), logs, noise) for run in candidates
        ]
        best = int(np.argmin(tried))
        off = tried[best]
        found.append(candidates[best])
    named = [f"{n:.2g} parameters on {d:.2g} tokens" for n, d in np.exp(found) * units]
    if not named or off > _REFUSED:
        return "Add runs of several sizes with a quarter and with four times the tokens."
    runs = "A run of" if len(named) == 1 else "Runs of"
    return f"{runs} {' and '.join(named)} would bring that to a factor of {off:.2g}."
