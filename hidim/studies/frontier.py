"""How should a budget be split between parameters and steps, on exact curves?

For each budget the exact risk after flops / (d x batch) steps is minimised over the size d by
Brent's method in log d, around the size that the scaling law names, with the law's rates.
Limits: one valley is assumed, which the law's own frontier was searched for; d is found to some
percent, where the risk is flat to 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from hidim.engines.many_targets import predict_targets
from hidim.problems.power_law import spectra_at
from hidim.scaling.frontier import Frontier
from hidim.scaling.law import ScalingLaw
from hidim.support.checks import finite_array

_WIDTH = math.log(8.0)  # the law's size is right within this factor wherever it was tried
_PRECISION = 0.02


def exact_frontier(
    law: ScalingLaw, flops: ArrayLike, *, done: Callable[[], object] | None = None
) -> Frontier:
    """The best size, steps and risk for each budget, by exact curves at the law's rates.

    Args:
        law: from `scaling_law`, with a fixed batch (kappa_b = 0).
        flops: steps x parameters x batch; a number or an array.
        done: called after each budget, for a progress bar.

    Raises:
        ValueError: the law has no frontier there, its batch grows with d, or its rates diverge.
    """
    if law.kappas.kappa_b:
        raise ValueError(
            f"`kappa_b` must be 0 for exact curves, got {law.kappas.kappa_b:g}: a batch that grows "
            "with d is known to the law only."
        )
    if law.variant != "random-features":
        raise ValueError(f"`variant` must be 'random-features', got {law.variant!r}.")
    start = law.frontier(flops)
    budgets = np.atleast_1d(finite_array("flops", flops))
    rows = []
    for budget, guess in zip(budgets, np.atleast_1d(start.d), strict=True):
        rows.append(_search(law, float(budget), float(guess)))
        if done is not None:
            done()
    d, steps, risk = (np.array(column) for column in zip(*rows, strict=True))
    batch = law.rates.c_b
    if np.ndim(flops) == 0:
        return Frontier(float(budgets[0]), int(d[0]), int(steps[0]), float(risk[0]), batch)
    return Frontier(budgets, d, steps, risk, np.full(len(budgets), batch))


def _search(law: ScalingLaw, flops: float, guess: float) -> tuple[float, float, float]:
    from scipy.optimize import minimize_scalar

    known: dict[float, tuple[float, float]] = {}
    batch = law.rates.c_b
    most = math.log(flops / batch)  # one step is left at this log d

    def risk(log_d: float) -> float:
        d = max(2.0, float(round(math.exp(log_d))))
        if d not in known:
            steps = math.floor(flops / (d * batch))
            spectrum = spectra_at(law.alpha, [law.beta], d, law.v_over_d)[0]
            curve = predict_targets([spectrum], law.algorithm(d), [steps], batch_size=batch)[0]
            known[d] = steps, float(curve.risk[0])
        return math.log(known[d][1])

    bounds = (max(math.log(2.0), math.log(guess) - _WIDTH), min(most, math.log(guess) + _WIDTH))
    minimize_scalar(risk, bounds=bounds, method="bounded", options={"xatol": _PRECISION})
    best = min(known, key=lambda d: known[d][1])
    if not math.isfinite(known[best][1]):
        raise ValueError(
            f"`c_2` {law.rates.c_2:g} and `c_3` {law.rates.c_3:g} diverge at d = {best:g}; "
            "take smaller ones."
        )
    return best, *known[best]
