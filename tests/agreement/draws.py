"""What a random run is drawn from: problems, learning-rate schedules, members of the family."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import hidim
from hidim.algorithms.decays import ExponentialDecay, PolynomialDecay
from hidim.algorithms.schedules import Schedule

# --- problems: (rng, alpha, beta, modes) -> problem and seed --------------------------------------


def _noise(rng: np.random.Generator) -> float:
    """Variance of the label noise: none in two of five."""
    return float(10 ** rng.uniform(-5, 0)) if rng.random() < 0.6 else 0.0


def _latent(rng: np.random.Generator, alpha: float, beta: float, d: int) -> float:
    finite = 2 * alpha <= 1 or alpha + beta <= 0.5 or rng.random() < 0.5
    return int(d * rng.choice([1, 2, 4, 10])) if finite else math.inf


def _power_law(rng, alpha, beta, modes):
    j = np.arange(1, rng.integers(modes * 3 // 4, modes) + 1.0)
    return hidim.Spectrum(j ** (-2 * alpha), j ** (-2 * beta), 0.5 * _noise(rng)), None


def _equivalent(rng, alpha, beta, modes):
    d = int(10 ** rng.uniform(1, 4 if modes > 50 else 2))
    return hidim.PLRF(alpha, beta, d, _latent(rng, alpha, beta, d), _noise(rng)), None


def _drawn(rng, alpha, beta, modes):
    d = int(rng.integers(modes * 3 // 4, modes))
    problem = hidim.PLRF(alpha, beta, d, _latent(rng, alpha, beta, d), _noise(rng))
    return problem, int(rng.integers(1000))


def _repeated(rng, alpha, beta, modes):
    values = np.concatenate([10 ** rng.uniform(-3, 0, rng.integers(2, 9)), [0.0, 1.0]])
    times = rng.integers(1, 6, len(values))
    if rng.random() < 0.5:  # written out, or by multiplicity
        values, times = np.repeat(values, times)[:modes], None
    error_sq = rng.exponential(size=len(values)) * (1 if times is None else times)
    return hidim.Spectrum(values, error_sq, 0.5 * _noise(rng), times), None


def _covariance(rng, alpha, beta, modes):
    d = int(rng.integers(modes // 2, modes))
    rows = int(rng.integers(d // 2, 3 * d))  # fewer than d: zero eigenvalues
    X = rng.standard_normal((rows, d)) * np.arange(1, d + 1.0) ** -alpha
    target = rng.standard_normal(d) * np.arange(1, d + 1.0) ** -beta
    return hidim.Spectrum.from_covariance(X.T @ X / rows, target, _noise(rng)), None


def _narrow(rng, alpha, beta, modes):
    """No floor, no slow modes: a risk that sinks to the end of float range."""
    lam = rng.uniform(rng.choice([0.1, 0.5, 0.99]), 1.0, rng.integers(2, modes // 2))
    return hidim.Spectrum(lam, rng.exponential(size=len(lam)), 0.0), None


PROBLEMS: dict[str, Callable[..., tuple[Any, int | None]]] = {
    "power-law": _power_law,
    "equivalent": _equivalent,
    "drawn": _drawn,
    "repeated": _repeated,
    "covariance": _covariance,
    "narrow": _narrow,
}


# --- schedules: what multiplies a rate, and its short name ----------------------------------------


def factor_of_time(rng: np.random.Generator, steps: int) -> tuple[Schedule, str]:
    """A learning-rate schedule over about `steps`, at most 1.5 high."""
    names = list(FACTORS)
    first = names[rng.integers(len(names))]
    if rng.random() < 0.25:
        second = names[rng.integers(len(names))]
        return FACTORS[first](rng, steps) * FACTORS[second](rng, steps), f"{first}*{second}"
    return FACTORS[first](rng, steps), first


def _length(rng: np.random.Generator, steps: int) -> int:
    return max(2, int(steps * rng.uniform(0.3, 1.2)))


def _table(interpolation: str) -> Callable[..., Schedule]:
    def table(rng: np.random.Generator, steps: int) -> Schedule:
        times = np.unique(10 ** rng.uniform(0, math.log10(steps), rng.integers(2, 8)))
        if rng.random() < 0.7:
            times = np.unique(times.round())
        values = rng.uniform(0, 1.5, len(times)) * (rng.random(len(times)) < 0.85)
        return hidim.Table(times, values + 0.05 * (not values.any()), interpolation)

    return table


def _wsd(rng: np.random.Generator, steps: int) -> Schedule:
    length = max(20, _length(rng, steps))
    shape = str(rng.choice(["linear", "exponential"]))
    final = float(rng.choice([0.01, 0.3] if shape == "exponential" else [0.0, 0.1]))
    return hidim.WSD(length, int(rng.integers(0, length // 4)), rng.uniform(0.1, 0.7), final, shape)


FACTORS: dict[str, Callable[[np.random.Generator, int], Schedule]] = {
    "warmup": lambda rng, steps: hidim.Warmup(int(10 ** rng.uniform(0.3, math.log10(steps)))),
    "cosine": lambda rng, steps: hidim.Cosine(_length(rng, steps), rng.choice([0.0, 0.1])),
    "wsd": _wsd,
    "jumps": _table("previous"),
    "linear": _table("linear"),
    "power": lambda rng, steps: hidim.PowerLaw(1.0, rng.uniform(0.1, 0.8)),
    "polynomial": lambda rng, steps: PolynomialDecay(1.0, _length(rng, steps), rng.uniform(0.5, 3)),
    "exponential": lambda rng, steps: ExponentialDecay(
        1.0, _length(rng, steps), 10 ** rng.uniform(-3, -0.5), rng.choice([0.0, 0.2 * steps])
    ),
}


# --- algorithms: (rng, rate, d, steps) -> Momentum ------------------------------------------------


def _moving(rng: np.random.Generator, value: float, steps: int) -> Any:
    if rng.random() < 0.4:
        return value
    return hidim.Constant(value) * factor_of_time(rng, steps)[0]


def _free(rng, g, d, steps):
    forgettings = (
        lambda: 10 ** rng.uniform(-4, 0),
        lambda: hidim.Forgetting(rng.uniform(1, 12)),
        lambda: hidim.Forgetting(rng.uniform(1, 12), rng.uniform(1, 20)),
        lambda: hidim.PowerLaw(rng.uniform(0.05, 1.5), rng.uniform(0, 1.2)),
        lambda: hidim.Table([0, steps // 3, steps], 10 ** rng.uniform(-3, 0, 3)),
        lambda: hidim.Table([0, steps // 7, steps // 2], 10 ** rng.uniform(-3, 0, 3), "previous"),
    )
    gamma_1 = hidim.PowerLaw(1.0, rng.uniform(-0.3, 0.4)) if rng.random() < 0.3 else 1.0
    return hidim.Momentum(
        gamma_1,
        _moving(rng, g * (rng.random() < 0.8), steps),
        _moving(rng, g * 10 ** rng.uniform(-4, 0), steps),
        forgettings[rng.integers(len(forgettings))](),
        readouts=(("ahead", hidim.PowerLaw(0.1 * g, rng.uniform(0, 1))),),
    )


def _ringing(rng, g, d, steps):
    small = g * 10 ** rng.uniform(-3, 0)
    return (
        lambda: hidim.sgd_momentum(0.0, small, 10 ** rng.uniform(-5, -1)),
        lambda: hidim.dana_constant(0.01 * small, small, rng.uniform(0.2, 2)),
        lambda: hidim.dana_decaying(0.01 * small, small, rng.uniform(0, 1), rng.uniform(0.2, 2)),
    )[rng.integers(3)]()


def _accelerated(rng, g, d, steps):
    mixing = 1 - 10 ** rng.uniform(-3, -0.3)
    return hidim.accelerated_sgd(g, g * 10 ** rng.uniform(0, 2), mixing, 10 ** rng.uniform(-4, -1))


def _general(rng, g, d, steps):
    kappa_4, kappa_5 = ((0.0, 1.0), rng.uniform(0, 1, 2))[rng.integers(2)]
    delta = rng.uniform(1, 8) if kappa_5 == 1 else 10 ** rng.uniform(-2, 0)
    kappas = rng.uniform(0, 1, 3) * (0.3, 1, 1)
    return hidim.general_momentum(d, g, 0.3 * g, delta, *kappas, kappa_4, kappa_5)


def _schedule_free(rng, g, d, steps):
    interpolation = rng.choice([0.5, 0.9, 0.9, 0.98, 1.0])
    return hidim.schedule_free_sgd(g, interpolation, rng.choice([1.0, 2.0]))


ALGORITHMS: dict[str, Callable[..., hidim.Momentum]] = {
    "sgd": lambda rng, g, d, steps: hidim.sgd(g),
    "sgd-momentum": lambda rng, g, d, steps: hidim.sgd_momentum(
        g * rng.choice([0.0, 0.5]), g * 10 ** rng.uniform(-2, 0), 10 ** rng.uniform(-3, -0.3)
    ),
    "dana-constant": lambda rng, g, d, steps: hidim.dana_constant(
        g, g / d * 10 ** rng.uniform(-1, 0.5), rng.uniform(2, 10)
    ),
    "dana-decaying": lambda rng, g, d, steps: hidim.dana_decaying(
        g, g * 10 ** rng.uniform(-2, 0), rng.uniform(0.25, 1), rng.uniform(2, 10)
    ),
    "schedule-free-sgd": _schedule_free,
    "schedule-free-sgd average": _schedule_free,
    "accelerated-sgd": _accelerated,
    "general-momentum": _general,
    "stochastic-nesterov": lambda rng, g, d, steps: hidim.stochastic_nesterov(
        g * 10 ** rng.uniform(-3, 0)
    ),
    "free 1": _free,
    "free 2": _free,
    "ringing": _ringing,
}
