"""How should a budget be split between parameters and steps, on exact curves?

For each budget the exact risk after flops / (d x batch) steps is minimised over the size d by
Brent's method in log d, around the size that the scaling law names, with the law's rates. The
search reads cheaper curves, of looser tolerance; the risk at the size it finds is exact.
Limits: one valley is assumed, which the law's own frontier was searched for; d is found to some
percent, where the risk is flat to 1e-4; at most 1e20 steps and 1e15 parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hidim.engines.many_targets import TOLERANCE, predict_targets
from hidim.problems.power_law import MOST_POWER, spectra_at
from hidim.scaling.frontier import Frontier
from hidim.scaling.law import ScalingLaw
from hidim.support.checks import finite_array

# The law's size is mostly right within the first factor, and within the last wherever it was tried.
_WIDTHS = (math.log(2.5), math.log(8.0))
_PRECISION = 0.03
_SEARCH = 1e-3  # tolerance per block of steps; the risk is then right to a few 1e-5
_MOST_STEPS, _MOST_PARAMETERS = 1e20, 1e15
_TRIES = 8  # about as many sizes are tried for a budget


def exact_frontier(
    law: ScalingLaw,
    flops: ArrayLike,
    *,
    done: Callable[[], object] | None = None,
    progress: Callable[[float], object] | None = None,
) -> Frontier:
    """The best size, steps and risk for each budget, by exact curves at the law's rates.

    Args:
        law: from `scaling_law`, with a fixed batch (kappa_b = 0).
        flops: steps x parameters x batch; a number or an array.
        done: called after each budget, for a progress bar.
        progress: called with the budgets done so far, parts of one included.

    Raises:
        ValueError: the law has no frontier there, its batch grows with d, its rates diverge, or a
            budget is beyond what exact curves reach.
    """
    if law.kappas.kappa_b:
        raise ValueError(
            f"`kappa_b` must be 0 for exact curves, got {law.kappas.kappa_b:g}: a batch that grows "
            "with d is known to the law only."
        )
    if law.variant != "random-features":
        raise ValueError(f"`variant` must be 'random-features', got {law.variant!r}.")
    guesses = check_reach(law, flops)
    budgets = np.atleast_1d(finite_array("flops", flops))
    rows = []
    for k, (budget, guess) in enumerate(zip(budgets, guesses, strict=True)):

        def tick(tried: int, k: int = k) -> None:
            if progress is not None:
                progress(k + min(tried / _TRIES, 0.95))

        rows.append(_search(law, float(budget), float(guess), tick))
        if done is not None:
            done()
    d, steps, risk = (np.array(column) for column in zip(*rows, strict=True))
    batch = law.rates.c_b
    if np.ndim(flops) == 0:
        return Frontier(float(budgets[0]), int(d[0]), int(steps[0]), float(risk[0]), batch)
    return Frontier(budgets, d, steps, risk, np.full(len(budgets), batch))


def check_reach(law: ScalingLaw, flops: ArrayLike) -> np.ndarray:
    """The law's best size for each budget, where exact curves reach it, shape (n,).

    Raises:
        ValueError: a budget beyond, with the largest within.
    """
    budgets = np.atleast_1d(finite_array("flops", flops))
    best = law.frontier(np.minimum(budgets, 1e100))
    beyond = budgets[(budgets > 1e100) | ~_reached(law, best)]
    if beyond.size:
        raise ValueError(
            f"`flops` is {beyond.max():g}, but exact curves reach {_MOST_STEPS:g} steps and "
            f"{_MOST_PARAMETERS:g} parameters: at most {_largest(law):.0e} flops for {law.name} "
            "here. The law alone answers beyond (on the command line: --law-only)."
        )
    return np.asarray(best.d)


def _reached(law: ScalingLaw, best: Frontier) -> np.ndarray:
    # The search looks around the law's size: for more steps, and for powers of more parameters.
    around = math.exp(_WIDTHS[-1])
    d, steps = np.asarray(best.d, dtype=np.float64), np.asarray(best.steps, dtype=np.float64)
    powers = 2 * law.alpha * np.log10(d * around) <= math.log10(MOST_POWER)
    return (d <= _MOST_PARAMETERS) & (steps * around <= _MOST_STEPS) & powers


def _largest(law: ScalingLaw) -> float:
    """The largest budget, of one digit, whose best size exact curves reach."""
    budgets = np.outer(10.0 ** np.arange(8, 100), np.arange(1, 10)).ravel()
    low, high = 0, len(budgets) - 1
    while high - low > 1:
        middle = (low + high) // 2
        reached = _reached(law, law.frontier(budgets[middle]))
        low, high = (middle, high) if reached else (low, middle)
    return float(budgets[low])


def _search(
    law: ScalingLaw, flops: float, guess: float, tick: Callable[[int], object]
) -> tuple[float, float, float]:
    from scipy.optimize import minimize_scalar

    known: dict[float, float] = {}
    most = math.log(flops / law.rates.c_b)  # one step is left at this log d

    def log_risk(log_d: float) -> float:
        d = max(2.0, float(round(math.exp(log_d))))
        if d not in known:
            known[d] = _risk(law, flops, d, _SEARCH)
            tick(len(known))
        return math.log(known[d])

    for width in _WIDTHS:
        low, high = max(math.log(2.0), math.log(guess) - width), min(most, math.log(guess) + width)
        options = {"xatol": _PRECISION}
        minimize_scalar(log_risk, bounds=(low, high), method="bounded", options=options)
        best = min(known, key=lambda d: known[d])
        if min(math.log(best) - low, high - math.log(best)) > 3 * _PRECISION:
            break  # not held back by the ends
    if not math.isfinite(known[best]):
        raise ValueError(
            f"`c_2` {law.rates.c_2:g} and `c_3` {law.rates.c_3:g} diverge at d = {best:g}; "
            "take smaller ones."
        )
    return best, _steps(law, flops, best), _risk(law, flops, best, TOLERANCE)


def _risk(law: ScalingLaw, flops: float, d: float, tolerance: float) -> float:
    spectrum = spectra_at(law.alpha, [law.beta], d, law.v_over_d)[0]
    curve = predict_targets(
        [spectrum],
        law.algorithm(d),
        [_steps(law, flops, d)],
        batch_size=law.rates.c_b,
        tolerance=tolerance,
    )[0]
    return float(curve.risk[0])


def _steps(law: ScalingLaw, flops: float, d: float) -> float:
    return float(math.floor(flops / (d * law.rates.c_b)))
