"""The built-in algorithms: which rates does each take on a problem, and how do they scale?

The DANA authors' reference rule, in the batch-mean convention and with the forgetting
delta / (delta + t):

    gamma_2 = 0.375 min(1/L, B / tr K)
    gamma_3 = 0.1 min(1, B/d) min(1/L, B / tr K)                        DANA-constant
    gamma_3 = 0.1/L d^-kappa_2 (1 + t)^-kappa_3                         DANA-decaying
    delta   = 1 + max(2 + (2 beta - 1)/alpha, 2 - 1/alpha)

with L = 1, the population's largest curvature, on PLRF and the largest eigenvalue of a bare
Spectrum, and the exponents of kappas.py at batch d^kappa_b = B: kappa_3 = 1/(2 alpha) and
kappa_2 = max(0, 1 - 2 alpha) at batch 1. Elliptical data count as B / kurtosis samples: their
noise is that of so few Gaussian ones. Accelerated SGD follows Jain et al. 2018 instead.
"""

from __future__ import annotations

import inspect
import math

import numpy as np

from hidim.algorithms import kappas as rules
from hidim.algorithms.adaptive import adam, signum
from hidim.algorithms.changed import clipped, noisy, sign_sgd
from hidim.algorithms.kappas import Kappas
from hidim.algorithms.momentum import (
    Momentum,
    accelerated_sgd,
    dana_constant,
    dana_decaying,
    general_momentum,
    schedule_free_sgd,
    sgd,
    sgd_momentum,
    stochastic_nesterov,
)
from hidim.algorithms.named import Amplitudes, Named, Setting
from hidim.algorithms.polar import sign_svd
from hidim.algorithms.schedules import Constant

# torch's customary momentum 0.9.
_FORGETTING = 0.1
# How far Schedule-Free's gradient point lies towards the average, unless said.
_INTERPOLATION = inspect.signature(schedule_free_sgd).parameters["interpolation"].default


def _sgd_exponents(alpha: float, kappa_b: float) -> Kappas:
    return Kappas(rules.sgd_kappa_1(alpha, kappa_b), math.inf, 0.0, kappa_b)


def _constant_exponents(alpha: float, kappa_b: float) -> Kappas:
    least = rules.sgd_kappa_1(alpha, kappa_b)
    return Kappas(least, rules.stability_line(alpha, 0.0, kappa_b=kappa_b), 0.0, kappa_b)


def _decaying_exponents(alpha: float, kappa_b: float) -> Kappas:
    least = rules.sgd_kappa_1(alpha, kappa_b)
    return Kappas(least, least, max(0.0, 1 - kappa_b) / (2 * alpha), kappa_b)


def _schedule_free_exponents(alpha: float, kappa_b: float) -> Kappas:
    least = rules.sgd_kappa_1(alpha, kappa_b)
    return Kappas(least, least, 1.0, kappa_b)  # gamma_3 ~ gamma / t


def _half_through_the_momentum(setting: Setting) -> Amplitudes:
    # gamma_2 + gamma_3 / delta is SGD's recommended rate.
    half = 0.5 * setting.gamma_2
    return Amplitudes(half, _FORGETTING * half, _FORGETTING)


def _constant_amplitudes(setting: Setting) -> Amplitudes:
    gamma_3 = 0.1 * min(1.0, setting.noise_batch / setting.d) * setting.rate
    return Amplitudes(setting.gamma_2, gamma_3, setting.delta)


def _decaying_amplitudes(setting: Setting) -> Amplitudes:
    kappa_2 = _decaying_exponents(setting.alpha, setting.kappa_b).kappa_2
    gamma_3 = 0.1 / setting.curvature * setting.d**-kappa_2
    return Amplitudes(setting.gamma_2, gamma_3, setting.delta)


def _schedule_free_amplitudes(setting: Setting) -> Amplitudes:
    # The gradient point sees (1 - interpolation) gamma directly, so gamma itself may be larger
    # than SGD's; just below 1/L even without noise.
    return Amplitudes(2.5 * setting.gamma_2, 0.0, setting.delta)


def _general_amplitudes(setting: Setting) -> Amplitudes:
    """The rule's, at the powers of d that the caller chose."""
    kappas = _completed(setting)
    # At the smallest stable kappa_1 the rate is the rule's; beyond, a power of d below it.
    gamma_2 = setting.gamma_2 * setting.d ** rules.sgd_kappa_1(setting.alpha, setting.kappa_b)
    return Amplitudes(
        gamma_2 * setting.d**-kappas.kappa_1,
        0.1 / setting.curvature * setting.d**-kappas.kappa_2,
        setting.delta,
    )


def _general_rates(setting: Setting) -> Momentum:
    found = _general_amplitudes(setting)
    kappa_3 = _completed(setting).kappa_3
    return general_momentum(1.0, *found, kappa_3=kappa_3)


def _completed(setting: Setting) -> Kappas:
    """The caller's exponents; those left out are the largest stable ones."""
    alpha, kappa_b = setting.alpha, setting.kappa_b
    first, second, third = (setting.given.get(f"kappa_{i}") for i in (1, 2, 3))
    if third is None:
        third = _decaying_exponents(alpha, kappa_b).kappa_3
    if second is None:
        second = rules.stability_line(alpha, third, kappa_1=first, kappa_b=kappa_b)
    return rules.general_kappas(alpha, kappa_b, first, second, third)


def _general_exponents(
    alpha: float,
    kappa_b: float,
    *,
    kappa_1: float | None = None,
    kappa_2: float | None = None,
    kappa_3: float | None = None,
) -> Kappas:
    if kappa_2 is None or kappa_3 is None:
        raise ValueError(
            "`kappa_2` and `kappa_3` must be given for 'general-momentum', "
            f"got {kappa_2!r} and {kappa_3!r}."
        )
    return rules.general_kappas(alpha, kappa_b, kappa_1, kappa_2, kappa_3)


def _accelerated_rates(setting: Setting) -> Momentum:
    """Jain et al. 2018 with the R^2 and statistical condition number of (elliptical) Gaussian data.

    Written out instead of calling `accelerated_sgd`: its weights are 1 minus 1e-15 in high
    dimension, and forgetting and gamma_3 are what is left.
    """
    eigenvalues = setting.eigenvalues
    # Rounding leaves a measured covariance tiny eigenvalues where it has none.
    smallest = float(np.min(eigenvalues[eigenvalues > 0]))
    if np.all(setting.counts == 1):
        kept = eigenvalues > len(eigenvalues) * np.finfo(float).eps * eigenvalues[0]
        smallest = float(np.min(eigenvalues[kept]))
    top = float(eigenvalues[0])
    kurtosis, batch = setting.kurtosis, setting.batch_size
    own = 2.0 * kurtosis - 1.0  # a direction's share in its own noise, 1 for Gaussian data
    radius = top + (own * top + kurtosis * setting.trace) / batch  # their R^2
    statistical = 1.0 + (own + kurtosis * setting.d) / batch
    q = math.sqrt(radius / smallest * statistical)
    weight = 3.0 * math.sqrt(5.0) * q
    short = 1.0 / (5.0 * radius)
    # In theory at least the short step; a nearly isotropic covariance may reverse them.
    long = max(short, 1.0 / (3.0 * math.sqrt(5.0) * smallest * q))
    unmixed = 1.0 / (1.0 + weight)  # 1 - mixing
    averaging = min(1.0, 1.0 / (9.0 * q))
    gamma_3 = unmixed * (long - short)
    return Momentum(
        1.0,
        short,
        gamma_3,
        unmixed + averaging * (weight / (1.0 + weight)),
        name="accelerated-sgd",
        readouts=(("short-step", Constant(gamma_3)),),
    )


def _from_schedules(algorithm: Momentum) -> dict[str, float]:
    """The parameters of constructors that put one number or power into each schedule."""
    second, third, forgetting = algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting
    found = {
        "gamma_2": second.constant,
        "gamma_3": getattr(third, "scale", third.constant),
        "kappa_3": getattr(third, "t_exponent", 0.0),
        "delta": getattr(forgetting, "delta", forgetting.constant),
    }
    return {key: value for key, value in found.items() if value is not None}


def _from_gradient_point(algorithm: Momentum) -> dict[str, float]:
    """gamma of Schedule-Free, whose gamma_2 is (1 - interpolation) gamma at its default."""
    return {"gamma": float(algorithm.gamma_2(0)) / (1 - _INTERPOLATION)}


def _clipped_sgd(gamma_2: float, threshold: float | str, kind: str = "residual") -> Momentum:
    return clipped(sgd(gamma_2), threshold, kind)


def _noisy_sgd(
    gamma_2: float, std: float, l2: float = 0.0, start_variance: float = 0.0
) -> Momentum:
    return noisy(sgd(gamma_2), std, l2, start_variance=start_variance)


BUILT_IN = (
    Named(
        "sgd",
        sgd,
        "#2f5fa8",
        exponents=_sgd_exponents,
        amplitudes=lambda setting: Amplitudes(setting.gamma_2),
        member=lambda a, kappas, d: sgd(a.gamma_2),
        read_back=_from_schedules,
    ),
    Named(
        "sgd-momentum",
        sgd_momentum,
        "#3fa7b5",
        exponents=_sgd_exponents,
        amplitudes=_half_through_the_momentum,
        member=lambda a, kappas, d: sgd_momentum(a.gamma_2, a.gamma_3, a.delta),
        read_back=_from_schedules,
        forgetting=_FORGETTING,
    ),
    Named(
        "stochastic-nesterov",
        stochastic_nesterov,
        "#6f6f6f",
        refusal="it diverges for every rate",
    ),
    Named("accelerated-sgd", accelerated_sgd, "#8a5a3c", rates=_accelerated_rates),
    Named(
        "dana-constant",
        dana_constant,
        "#e08a00",
        exponents=_constant_exponents,
        amplitudes=_constant_amplitudes,
        member=lambda a, kappas, d: dana_constant(a.gamma_2, a.gamma_3, a.delta),
        read_back=_from_schedules,
    ),
    Named(
        "dana-decaying",
        dana_decaying,
        "#c2203a",
        exponents=_decaying_exponents,
        amplitudes=_decaying_amplitudes,
        member=lambda a, kappas, d: dana_decaying(a.gamma_2, a.gamma_3, kappas.kappa_3, a.delta),
        read_back=_from_schedules,
    ),
    Named(
        "schedule-free-sgd",
        schedule_free_sgd,
        "#7a4fa0",
        exponents=_schedule_free_exponents,
        amplitudes=_schedule_free_amplitudes,
        direct=1 - _INTERPOLATION,
        member=lambda a, kappas, d: schedule_free_sgd(a.gamma_2),
        read_back=_from_gradient_point,
    ),
    Named(
        "general-momentum",
        general_momentum,
        "#d66fae",
        exponents=_general_exponents,
        amplitudes=_general_amplitudes,
        rates=_general_rates,
        member=lambda a, kappas, d: general_momentum(
            1.0, a.gamma_2, a.gamma_3, a.delta, kappa_3=kappas.kappa_3
        ),
        takes_kappas=True,
    ),
    Named(
        "sign-sgd",
        sign_sgd,
        "#1b7f5c",
        refusal="its best rate falls with the risk to reach (hidim.best_rate_law has the powers)",
    ),
    Named("adam", adam, "#4d7c2a", refusal="its best rate falls with the risk to reach"),
    Named("signum", signum, "#2a9d8f", refusal="its best rate falls with the risk to reach"),
    Named("sign-svd", sign_svd, "#b3541e", refusal="its best rate falls with the risk to reach"),
    Named(
        "clipped-sgd",
        _clipped_sgd,
        "#9a7d0a",
        refusal="its threshold depends on the noise (hidim.best_threshold)",
    ),
    Named(
        "noisy-sgd",
        _noisy_sgd,
        "#5b6abf",
        refusal="how much noise is a matter of privacy (hidim.privacy.frontier)",
    ),
)
