"""Which hyperparameters should an optimizer start from on this problem?

Every algorithm's record says what its rule for rates is (algorithms/records.py). Whatever the rule
says is then held to an exact kernel norm of at most 1/2 at all t: where it is larger, gamma_3 is
halved, and gamma_2 too where SGD alone would not hold. On measured rows it is held to the exact
gain of these rows (row_gain.py) instead, .3 for SGD alone and 1/2 for the whole, by steps of
sqrt 2, between the times looked at too. A spectrum without a power law of its own takes its
exponent from how the sum over j of lambda / (lambda + tau) falls between the first steps and the
last. Over a known horizon both are halved further as long as the expected risk at its end falls:
with label noise the best rates are far below the largest stable ones. Outside the momentum family,
and for a member with a gradient of its own, the rule's rates are kept; over a known horizon those
outside it are halved together. SignSGD, clipped SGD, Adam, Signum and SignSVD have no rule, and
over a known horizon their best constant rate, and threshold, are searched (horizons.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hidim.algorithms.base import require
from hidim.algorithms.momentum import Momentum, is_plain
from hidim.algorithms.named import Setting, lookup
from hidim.algorithms.schedules import Constant
from hidim.engines.march import march
from hidim.engines.solve import MAX_STEPS
from hidim.problems import as_spectrum
from hidim.problems.matrix import MatrixLeastSquares
from hidim.problems.spectrum import Spectrum
from hidim.rates.horizons import SEARCHED, best_at_horizon
from hidim.support import checks
from hidim.systems.builders import system_of
from hidim.systems.kernel_norm import kernel_norm
from hidim.systems.momentum import floored
from hidim.systems.powers import constant_rates
from hidim.systems.row_gain import looks, loop_of

# Kernel norm the recommended rates keep to: half of what is stable.
NORM_LIMIT = 0.5
# On measured rows: of SGD alone, and of the whole, and by what steps.
GAIN_LIMITS = 0.3, 0.5
_STEP = 2.0**-0.5
# A horizon for exponents where none is given: until the slowest mode is learned, within these.
_HORIZONS = 1e3, 1e6
_TIMES = np.concatenate([np.arange(32.0), np.geomspace(32.0, 1e20, 240)])
_SMALLEST = 2.0**-40
# A risk above the floor that is this much lower at the horizon is worth another move.
_WORTH = 1e-2


def recommend(
    problem: Any,
    name: str,
    batch_size: float = 1,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    d: float | None = None,
    kappa_1: float | None = None,
    kappa_2: float | None = None,
    kappa_3: float | None = None,
    kappa_b: float | None = None,
    seed: int | None = None,
    steps: float | None = None,
    scale: float | None = None,
) -> Any:
    """The algorithm `name` with rates that suit `problem`: kernel norm at most 1/2 at all t.

    Args:
        problem: a PLRF or a Spectrum; on one with measured rows the rates hold on these rows.
        name: in any spelling; "general-momentum" takes the kappas.
        batch_size: samples per step; math.inf for full batches.
        alpha: exponent of the spectrum, eigenvalues ~ j^(-2 alpha); the problem's own if left
            out, and of a Spectrum that has none the one that suits its eigenvalues up to `steps`.
        beta: exponent of the target; the problem's own if left out. Where it is unknown,
            delta is 8, the value used in practice.
        d: number of trained parameters; the problem's own if left out, and the number of
            eigenvalues that are not zero on a Spectrum.
        kappa_1: gamma_2 ~ d^-kappa_1; by default the smallest stable one.
        kappa_2: gamma_3 ~ d^-kappa_2; by default the smallest stable one.
        kappa_3: gamma_3 ~ (1 + t)^-kappa_3; by default DANA-decaying's.
        kappa_b: the power of d that the batch grows with, for exponents of a ladder of sizes: 0
            for a batch that stays as it is. By default the power that it is of this d.
        seed: the W that will be drawn, as in `hidim.predict`: the rates hold on that draw. None
            for the deterministic equivalent, whose rates one draw in some fifty of ten
            parameters does not bear.
        steps: the horizon in optimizer steps. Of the rates by factors of two below the others,
            gamma_2 and gamma_3 apart, those with the lowest expected risk at its end: a descent,
            which stops where no factor of two lowers the risk above the floor by a percent.
            "sign-sgd", "clipped-sgd", "adam" (at .9, .999), "signum" (.9) and, on a matrix,
            "sign-svd" and "sgd" need it: their best constant rate, and threshold, are searched.
        scale: factor on the rates that the rule and the norm give; not with `steps`. Above 1 the
            norm may pass 1/2.

    Returns:
        The algorithm, ready for `hidim.predict` at this batch size: a `Momentum`, or what the
        record of an algorithm from outside the family builds.

    Raises:
        ValueError: unknown name, "stochastic-nesterov" (no rate is stable), kappas for another
            algorithm or beyond the line of stability.

    Example:
        >>> from hidim import PLRF, Spectrum
        >>> spectrum = Spectrum(np.arange(1, 101.0) ** -2, np.ones(100), 0.0)
        >>> algorithm = recommend(spectrum, "dana-decaying", alpha=1.0, beta=0.7, d=100)
        >>> algorithm.gamma_3, round(algorithm.forgetting.delta, 9)
        (PowerLaw(scale=0.1, t_exponent=0.5), 3.4)
        >>> noisy = PLRF(1.0, 0.7, 100, noise_variance=1.0)
        >>> largest, best = recommend(noisy, "sgd"), recommend(noisy, "sgd", steps=1e6)
        >>> float(largest.gamma_2(0) / best.gamma_2(0)) > 100
        True
    """
    record = lookup(name)
    kappas = (("kappa_1", kappa_1), ("kappa_2", kappa_2), ("kappa_3", kappa_3))
    given = {key: value for key, value in kappas if value is not None}
    scale = None if scale is None else checks.positive("scale", scale)
    if steps is not None:
        steps = checks.whole("steps", steps, minimum=1)
        if steps > MAX_STEPS:
            raise ValueError(f"`steps` must be at most {MAX_STEPS:g}, got {steps:g}.")
        if scale is not None:
            raise ValueError(
                "`scale` fixes the rates and `steps` searches them: give one of the two."
            )
    if kappa_b is not None:
        kappa_b = checks.non_negative("kappa_b", kappa_b)
    matrix = isinstance(problem, MatrixLeastSquares)
    if matrix or record.name in SEARCHED:
        if steps is None and not matrix:
            raise ValueError(
                f"{record.no_rates}; give `steps`, a horizon, for which its best constant rate is "
                "searched."
            )
        given_one = problem if matrix else as_spectrum(problem, seed)
        return best_at_horizon(given_one, record.name, steps, batch_size)
    setting, spectrum = _setting(problem, batch_size, alpha, beta, d, seed, steps)
    setting = replace(setting, given=given, batch_exponent=kappa_b)
    held = record.recommended(setting)
    if isinstance(held, Momentum):
        held = replace(held, name=record.name)
        if is_plain(held):  # whose norm is known
            held = _held(held, spectrum, setting.batch_size, steps)
    if scale is not None:
        return scaled(held, scale, scale)
    return held if steps is None else _best_at_the_end(held, spectrum, setting.batch_size, steps)


def resolve(
    problem: Any,
    algorithm: Any,
    batch_size: float = 1,
    *,
    seed: int | None = None,
    steps: float | None = None,
) -> Any:
    """`algorithm` itself, or the recommended one where it is a name.

    A name means `recommend(problem, name, batch_size, seed=seed)`, and on a problem with label
    noise, where no rate is good at every horizon, and for names whose rates are searched, with
    `steps` too.
    """
    if not isinstance(algorithm, str):
        return algorithm
    record = lookup(algorithm, what="algorithm")
    name = record.name
    searched = bool(steps) and (record.name in SEARCHED or isinstance(problem, MatrixLeastSquares))
    if record.no_rates and not searched:
        reason = record.no_rates.replace("`name`", "`algorithm`")
        raise ValueError(f"{reason}; give the algorithm itself, built at rates of its own.")
    law = getattr(problem, "noise", None)
    noisy = (law is not None or float(getattr(problem, "noise_variance", 0.0)) > 0) and steps
    try:
        return recommend(
            problem, name, batch_size, seed=seed, steps=steps if noisy or searched else None
        )
    except ValueError as error:  # what is `name` there is `algorithm` here
        raise ValueError(str(error).replace("`name`", "`algorithm`")) from None


def scaled(algorithm: Any, second: float, third: float) -> Any:
    """The algorithm with gamma_2 times `second` and gamma_3 times `third`.

    Where other points are read, their weights belong to the rates and all move with `second`, as
    do all rates of an algorithm outside the momentum family.

    Raises:
        ValueError: an algorithm that cannot be scaled.
    """
    if not isinstance(algorithm, Momentum):
        moved = require(algorithm, "scheduled", "its rates cannot be scaled, nor searched")
        return moved(Constant(second))
    if algorithm.readouts or second == third:
        return algorithm.scheduled(Constant(second))
    return replace(algorithm, gamma_2=second * algorithm.gamma_2, gamma_3=third * algorithm.gamma_3)


def _setting(
    problem: Any,
    batch_size: float,
    alpha: float | None,
    beta: float | None,
    d: float | None,
    seed: int | None,
    steps: float | None,
) -> tuple[Setting, Spectrum]:
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    beta = getattr(problem, "beta", None) if beta is None else beta
    spectrum = as_spectrum(problem, seed)
    if spectrum.law.noise is not None:
        spectrum = floored(spectrum)
    top = float(spectrum.eigenvalues[0])
    if top <= 0 or spectrum.trace <= 0:
        raise ValueError("`problem` has no positive eigenvalue: there is nothing to learn.")
    alpha = getattr(problem, "alpha", None) if alpha is None else alpha
    d = getattr(problem, "d", None) if d is None else d
    if alpha is None:
        alpha = _apparent_alpha(spectrum, batch_size, steps)
    if d is None:
        d = float(np.sum(spectrum.multiplicity[spectrum.eigenvalues > 0]))
    setting = Setting(
        alpha=checks.positive("alpha", alpha),
        beta=None if beta is None else checks.finite("beta", beta),
        d=checks.positive("d", d),
        batch_size=batch_size,
        trace=spectrum.trace,
        curvature=top if isinstance(problem, Spectrum) else 1.0,
        eigenvalues=spectrum.eigenvalues,
        counts=spectrum.counts,
        kurtosis=spectrum.law.kurtosis,
    )
    return setting, spectrum


def _apparent_alpha(spectrum: Spectrum, batch_size: float, steps: float | None) -> float:
    """The exponent of the power law whose modes would be learned as fast as these.

    With N(tau) = sum n lambda / (lambda + tau) the modes faster than tau, and gamma the rate of
    SGD, 1 / (2 alpha) is how fast N grows from tau = 1 / (10 gamma) to 1 / (gamma T), over
    log(T / 10); DANA-decaying's kappa_3 is that, here within [.1, 1].
    """
    along, count = spectrum.eigenvalues, spectrum.multiplicity
    seen = along > 0
    along, count = along[seen], count[seen]
    noise = batch_size / (spectrum.trace * spectrum.law.kurtosis)
    rate = 0.375 * min(1.0 / float(along[0]), noise)
    last = 1.0 / (rate * float(along[-1])) if steps is None else float(steps)
    last = max(last, 100.0) if steps is not None else float(np.clip(last, *_HORIZONS))

    def faster(tau: float) -> float:
        return float(count @ (along / (along + tau)))

    grown = np.log(faster(1.0 / (rate * last)) / faster(1.0 / (10.0 * rate)))
    return float(0.5 / np.clip(grown / np.log(last / 10.0), 0.1, 1.0))


def _held(
    algorithm: Momentum, spectrum: Spectrum, batch_size: float, steps: float | None
) -> Momentum:
    """The largest rates, by steps below the rule's, whose norm or gain keeps to the limit."""
    loop = loop_of(spectrum)
    step, times = 0.5, _TIMES
    if loop is not None:
        last = _HORIZONS[1] if steps is None else steps
        step, times = _STEP, looks(last, algorithm.breakpoints)

    alone, whole = (None if loop is None else loop.below(g, batch_size) for g in GAIN_LIMITS)
    first = list(times.tolist())  # the time that failed last is asked first

    def keeps(second: float, third: float) -> bool:
        here = scaled(algorithm, second, third)
        if alone is None or whole is None:
            return bool(np.all(kernel_norm(spectrum, here, batch_size, times) <= NORM_LIMIT))
        holds = whole if here.has_momentum and third > 0.0 else alone
        for t in first[:1] if constant_rates(here) else list(first):
            if not holds(here, t):
                first.remove(t)
                first.insert(0, t)
                return False
        return True

    def less(second: float, third: float) -> tuple[float, float]:
        if not algorithm.readouts and keeps(second, 0.0) and third > _SMALLEST:
            return second, third * step
        return second * step, second * step if algorithm.readouts else third

    factors = 1.0, 1.0
    if loop is not None and not algorithm.readouts and algorithm.has_momentum:
        while not keeps(factors[0], 0.0):  # SGD's own, first
            factors = step * factors[0], step * factors[1]
    while True:
        while not keeps(*factors):
            factors = less(*factors)
        if loop is None:
            break
        # Rates that move may be worst between the looks.
        here, limit = scaled(algorithm, *factors), GAIN_LIMITS[algorithm.has_momentum]
        gains = loop.along(here, batch_size, times)
        looked = dict(zip(times.tolist(), gains, strict=True))
        worst = loop.between(here, batch_size, looked, limit)
        if worst is None:
            break
        first.insert(0, worst)
        factors = less(*factors)
    return scaled(algorithm, *factors)


def _best_at_the_end(algorithm: Any, spectrum: Spectrum, batch_size: float, steps: float) -> Any:
    """The rates, by factors of two below, with the least risk above the floor at the end."""
    end = np.array([float(steps)])

    def excess(factors: tuple[float, float]) -> float:
        record = march(system_of(spectrum, scaled(algorithm, *factors), batch_size), end)
        return float(record.columns["risk"][-1]) - spectrum.risk_floor

    moves = [(0.5, 0.5)]
    if isinstance(algorithm, Momentum) and algorithm.has_momentum and not algorithm.readouts:
        moves += [(1.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 1.0)]
    return scaled(algorithm, *_descend(excess, (1.0, 1.0), moves))


def _descend(
    value: Callable[[tuple[float, float]], float],
    start: tuple[float, float],
    moves: list[tuple[float, float]],
) -> tuple[float, float]:
    """Take the move that lowers `value` most, as long as one is worth it."""
    known = {start: value(start)}
    best = start
    while True:
        around = [(best[0] * a, best[1] * b) for a, b in moves]
        around = [place for place in around if all(_SMALLEST <= x <= 1.0 for x in place)]
        for place in around:
            if place not in known:
                known[place] = value(place)
        lowest = min(around, key=known.__getitem__, default=best)
        if not known[lowest] < known[best] * (1 - _WORTH):
            return best
        best = lowest
