"""Which hyperparameters should an optimizer start from on this problem?

The DANA authors' reference rule, in the batch-mean convention and with the forgetting
delta / (delta + t):

    gamma_2 = 0.375 min(1/L, B / tr K)
    gamma_3 = 0.1 min(1, B/d) min(1/L, B / tr K)                        DANA-constant
    gamma_3 = 0.1/L d^-kappa_2 (1 + t)^-kappa_3                         DANA-decaying
    delta   = 1 + max(2 + (2 beta - 1)/alpha, 2 - 1/alpha)

with L = 1, the population's largest curvature, on PLRF and the largest eigenvalue of a bare
Spectrum, and the exponents of hidim.scaling at batch d^kappa_b = B: kappa_3 = 1/(2 alpha) and
kappa_2 = max(0, 1 - 2 alpha) at batch 1. Whatever the rule says is then held to an exact
kernel norm of at most 1/2 at all t: where it is larger, gamma_3 is halved, and gamma_2 too
where SGD alone would not hold. Accelerated SGD follows Jain et al. 2018 instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hidim.algorithms import NAMED
from hidim.algorithms.kappas import kappas_of, sgd_kappa_1, stability_line
from hidim.algorithms.momentum import (
    Momentum,
    dana_constant,
    dana_decaying,
    general_momentum,
    schedule_free_sgd,
    sgd,
    sgd_momentum,
)
from hidim.algorithms.schedules import Constant
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.support import checks
from hidim.systems.kernel_norm import kernel_norm

# Kernel norm the recommended rates keep to: half of what is stable.
NORM_LIMIT = 0.5
# The authors' practical forgetting ("delta > 5"), where beta is unknown.
PRACTICAL_DELTA = 8.0
# torch's customary momentum 0.9.
_FORGETTING = 0.1
_KAPPAS = ("kappa_1", "kappa_2", "kappa_3")
_TIMES = np.concatenate([np.arange(32.0), np.geomspace(32.0, 1e20, 240)])


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
) -> Momentum:
    """The algorithm `name` with rates that suit `problem`: kernel norm at most 1/2 at all t.

    Args:
        problem: a PLRF, or a Spectrum together with `alpha` and `d`.
        name: hyphenated name; "general-momentum" takes the kappas.
        batch_size: samples per step; math.inf for full batches.
        alpha: exponent of the spectrum, eigenvalues ~ j^(-2 alpha); the problem's own if left
            out.
        beta: exponent of the target; the problem's own if left out. Where it is unknown,
            delta is 8, the value used in practice.
        d: number of trained parameters; the problem's own if left out.
        kappa_1: gamma_2 ~ d^-kappa_1; by default the smallest stable one.
        kappa_2: gamma_3 ~ d^-kappa_2; by default the smallest stable one.
        kappa_3: gamma_3 ~ (1 + t)^-kappa_3; by default DANA-decaying's.

    Returns:
        The algorithm, ready for `hidim.predict` at this batch size.

    Raises:
        ValueError: unknown name, "stochastic-nesterov" (no rate is stable), a Spectrum without
            `alpha` or `d`, kappas for another algorithm or beyond the line of stability.

    Example:
        >>> from hidim import Spectrum
        >>> spectrum = Spectrum(np.arange(1, 101.0) ** -2, np.ones(100), 0.0)
        >>> algorithm = recommend(spectrum, "dana-decaying", alpha=1.0, beta=0.7, d=100)
        >>> algorithm.gamma_3, round(algorithm.forgetting.delta, 9)
        (PowerLaw(scale=0.1, t_exponent=0.5), 3.4)
    """
    name = checks.choice("name", checks.hyphenated(name), NAMED)
    if name == "stochastic-nesterov":
        raise ValueError(
            "`name` is 'stochastic-nesterov', which diverges for every rate; try 'dana-decaying'."
        )
    kappas = dict(zip(_KAPPAS, (kappa_1, kappa_2, kappa_3), strict=True))
    given = [key for key, value in kappas.items() if value is not None]
    if given and name != "general-momentum":
        raise ValueError(f"`{given[0]}` is fixed for {name!r}; 'general-momentum' takes it.")
    setting = _setting(problem, batch_size, alpha, beta, d)
    return _held(setting, _BUILDERS[name](setting, kappas))


class _Setting(NamedTuple):
    """What the rules read."""

    spectrum: Spectrum
    batch_size: float
    alpha: float
    delta: float
    d: float
    curvature: float  # L: the rule is written for eigenvalues of at most about 1

    @property
    def kappa_b(self) -> float:
        """The batch as a power of d, between 0 and 1."""
        if self.batch_size == 1:
            return 0.0
        return 1.0 if self.batch_size >= self.d else math.log(self.batch_size) / math.log(self.d)

    @property
    def rate(self) -> float:
        """min(1/L, B / tr K): of the order of SGD's largest stable rate."""
        return min(1.0 / self.curvature, self.batch_size / self.spectrum.trace)

    @property
    def gamma_2(self) -> float:
        return 0.375 * self.rate


# (factor on gamma_2, factor on gamma_3) -> algorithm
Build = Callable[[float, float], Momentum]


def _setting(
    problem: Any, batch_size: float, alpha: float | None, beta: float | None, d: float | None
) -> _Setting:
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    known = {}
    for key, value in (("alpha", alpha), ("d", d)):
        value = getattr(problem, key, None) if value is None else value
        if value is None:
            raise ValueError(f"`{key}` is not known for a {type(problem).__name__}; give {key}=.")
        known[key] = checks.positive(key, value)
    beta = getattr(problem, "beta", None) if beta is None else beta
    spectrum = as_spectrum(problem)
    top = float(spectrum.eigenvalues[0])
    if top <= 0 or spectrum.trace <= 0:
        raise ValueError("`problem` has no positive eigenvalue: there is nothing to learn.")
    return _Setting(
        spectrum,
        batch_size,
        known["alpha"],
        PRACTICAL_DELTA if beta is None else _delta(known["alpha"], checks.finite("beta", beta)),
        known["d"],
        top if isinstance(problem, Spectrum) else 1.0,
    )


def _delta(alpha: float, beta: float) -> float:
    """Large enough for F_pp's exponent: delta / 2 > (2 alpha + 2 beta - 1) / (2 alpha)."""
    # Below 1 the momentum would forget less than a running mean does.
    return max(1.0, 1.0 + max(2.0 + (2.0 * beta - 1.0) / alpha, 2.0 - 1.0 / alpha))


def _held(setting: _Setting, build: Build) -> Momentum:
    """The largest rates, by factors of two below the rule's, whose norm keeps to the limit."""

    def keeps(algorithm: Momentum) -> bool:
        norm = kernel_norm(setting.spectrum, algorithm, setting.batch_size, _TIMES)
        return bool(np.all(norm <= NORM_LIMIT))

    second, third = 1.0, 1.0
    while not keeps(build(second, third)):
        if keeps(build(second, 0.0)) and third > 2.0**-40:
            third *= 0.5
        else:
            second *= 0.5
    return build(second, third)


def _sgd(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    return lambda second, third: sgd(second * setting.gamma_2)


def _sgd_momentum(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    # Half the motion through each rate: gamma_2 + gamma_3 / delta is SGD's recommended rate.
    half = 0.5 * setting.gamma_2
    return lambda second, third: sgd_momentum(
        second * half, third * _FORGETTING * half, _FORGETTING
    )


def _dana_constant(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    gamma_3 = 0.1 * min(1.0, setting.batch_size / setting.d) * setting.rate
    return lambda second, third: dana_constant(
        second * setting.gamma_2, third * gamma_3, setting.delta
    )


def _dana_decaying(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    powers = kappas_of(setting.alpha, "dana-decaying", kappa_b=setting.kappa_b)
    gamma_3 = 0.1 / setting.curvature * setting.d**-powers.kappa_2
    return lambda second, third: dana_decaying(
        second * setting.gamma_2, third * gamma_3, powers.kappa_3, setting.delta
    )


def _general_momentum(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    alpha, kappa_b, d = setting.alpha, setting.kappa_b, setting.d
    third_power = kappas["kappa_3"]
    if third_power is None:
        third_power = kappas_of(alpha, "dana-decaying", kappa_b=kappa_b).kappa_3
    second_power = kappas["kappa_2"]
    if second_power is None:
        second_power = stability_line(
            alpha, third_power, kappa_1=kappas["kappa_1"], kappa_b=kappa_b
        )
    powers = kappas_of(
        alpha,
        "general-momentum",
        kappa_1=kappas["kappa_1"],
        kappa_2=second_power,
        kappa_3=third_power,
        kappa_b=kappa_b,
    )
    # At the smallest stable kappa_1 the rate is the rule's; beyond, a power of d below it.
    gamma_2 = setting.gamma_2 * d ** sgd_kappa_1(alpha, kappa_b)
    return lambda second, third: general_momentum(
        d,
        second * gamma_2,
        third * 0.1 / setting.curvature,
        setting.delta,
        kappa_1=powers.kappa_1,
        kappa_2=powers.kappa_2,
        kappa_3=powers.kappa_3,
    )


def _schedule_free_sgd(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    # The gradient point sees (1 - interpolation) gamma directly, so gamma itself may be larger
    # than SGD's; just below 1/L even without noise.
    gamma = 2.5 * setting.gamma_2
    return lambda second, third: schedule_free_sgd(second * gamma)


def _accelerated_sgd(setting: _Setting, kappas: dict[str, float | None]) -> Build:
    """Jain et al. 2018 with Gaussian data's R^2 and statistical condition number.

    Written out instead of calling `accelerated_sgd`: its weights are 1 minus 1e-15 in high
    dimension, and forgetting and gamma_3 are what is left.
    """
    eigenvalues = setting.spectrum.eigenvalues
    # Rounding leaves a measured covariance tiny eigenvalues where it has none.
    smallest = float(np.min(eigenvalues[eigenvalues > 0]))
    if np.all(setting.spectrum.counts == 1):
        kept = eigenvalues > len(eigenvalues) * np.finfo(float).eps * eigenvalues[0]
        smallest = float(np.min(eigenvalues[kept]))
    top = float(eigenvalues[0])
    radius = top + (top + setting.spectrum.trace) / setting.batch_size  # their R^2
    statistical = 1.0 + (1.0 + setting.d) / setting.batch_size
    q = math.sqrt(radius / smallest * statistical)
    weight = 3.0 * math.sqrt(5.0) * q
    short = 1.0 / (5.0 * radius)
    # In theory at least the short step; a nearly isotropic covariance may reverse them.
    long = max(short, 1.0 / (3.0 * math.sqrt(5.0) * smallest * q))
    unmixed = 1.0 / (1.0 + weight)  # 1 - mixing
    averaging = min(1.0, 1.0 / (9.0 * q))
    gamma_3 = unmixed * (long - short)
    algorithm = Momentum(
        1.0,
        short,
        gamma_3,
        unmixed + averaging * (weight / (1.0 + weight)),
        name="accelerated-sgd",
        readouts=(("short-step", Constant(gamma_3)),),
    )
    return lambda second, third: algorithm.scheduled(Constant(second))


_BUILDERS: dict[str, Callable[[_Setting, dict[str, float | None]], Build]] = {
    "sgd": _sgd,
    "sgd-momentum": _sgd_momentum,
    "accelerated-sgd": _accelerated_sgd,
    "dana-constant": _dana_constant,
    "dana-decaying": _dana_decaying,
    "schedule-free-sgd": _schedule_free_sgd,
    "general-momentum": _general_momentum,
}
