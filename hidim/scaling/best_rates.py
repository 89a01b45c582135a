"""How does the risk fall with the horizon where every horizon has its own best constant rate?

On eigenvalues j^(-2 alpha) and a target j^(-beta), with rho = 2 alpha + 2 beta - 1 and a the power
of the clock tau in the signal's part, tau^-a, the risk above the floor at the best constant rate
for t steps falls as

    SGD      no label noise   t^-min(a, 2 - 1/(2 alpha))     at a constant rate
             label noise      t^-a/(1 + a)                   at a rate t^-a/(1 + a)
    signSGD  no label noise   t^-min(a, 2)                   at a rate t^-min(a/2, 1)
             label noise      t^-a/(1 + a)                   at a rate t^-a/(1 + a)

a is rho / (2 alpha), for signs twice that where the modes are the coordinates (omega = lambda^1/2).
Clipping changes no exponent, but gives noise without a variance the law of noise that has one.
Source: arXiv 2411.12135 and 2603.02069 for the question; derived for this project, docs/theory/
sign.md. Limits: 2 alpha > 1, constant batches, steps before the size shows (no floor, no energy
that random features spread out), and for signs the linear drift.
"""

from __future__ import annotations

from dataclasses import dataclass

from hidim.algorithms.named import lookup
from hidim.scaling.phases import ON_LINE
from hidim.support.checks import choice, finite, positive
from hidim.support.results import Saved

NAMES = ("sgd", "sign-sgd", "clipped-sgd")
BASES = ("generic", "diagonal")


@dataclass(frozen=True, eq=False)
class BestRateLaw(Saved, format="hidim-best-rate-law/1"):
    """Powers of the horizon t at the best constant rate.

    Attributes:
        alpha, beta, name, noise, basis: as asked.
        clock: a, the power of the clock in the signal's part of the risk.
        risk: the excess risk at t falls as t^-risk.
        rate: the best rate falls as t^-rate.
        limited_by: "signal", or "sampling" where the noise of the batches decides.
    """

    alpha: float
    beta: float
    name: str
    noise: bool
    basis: str
    clock: float
    risk: float
    rate: float
    limited_by: str


def best_rate_law(
    alpha: float,
    beta: float,
    name: str = "sign-sgd",
    *,
    noise: bool = False,
    basis: str = "generic",
) -> BestRateLaw:
    """The exponents at the best constant rate for every horizon.

    Args:
        alpha: exponent of the data, above 1/2.
        beta: exponent of the target, with alpha + beta above 1/2.
        name: "sgd", "sign-sgd" or "clipped-sgd", in any spelling.
        noise: whether labels have noise.
        basis: for signs: "generic", as on random features, or "diagonal".

    Raises:
        ValueError: an argument out of range, or an algorithm without such a law.

    >>> law = best_rate_law(1.2, 0.8)
    >>> round(law.risk, 3), round(law.rate, 3)
    (1.25, 0.625)
    >>> best_rate_law(0.7, 1.2).risk > best_rate_law(0.7, 1.2, "sgd").risk  # phase III
    True
    """
    alpha, beta = positive("alpha", alpha), finite("beta", beta)
    name = lookup(name).name
    if name not in NAMES:
        raise ValueError(
            f"`name` is {name!r}, which has no law of best constant rates here: take one of "
            f"{', '.join(NAMES)}, or hidim.scaling_law for the momentum family."
        )
    choice("basis", basis, BASES)
    if 2 * alpha <= 1 + ON_LINE:
        raise ValueError(
            f"`alpha` must be above 1/2 for a law of best rates, got {alpha:g}: below, the size "
            "enters every exponent."
        )
    if alpha + beta <= 0.5 + ON_LINE:
        raise ValueError(
            "alpha + beta must exceed 1/2 for a law of best rates "
            f"(alpha={alpha:g}, beta={beta:g})."
        )
    clock = (2 * alpha + 2 * beta - 1) / (2 * alpha)
    if name == "sign-sgd" and basis == "diagonal":
        clock *= 2
    if noise:
        power = clock / (1 + clock)
        return BestRateLaw(alpha, beta, name, noise, basis, clock, power, power, "sampling")
    most = 2.0 if name == "sign-sgd" else 2 - 1 / (2 * alpha)
    risk = min(clock, most)
    rate = risk / 2 if name == "sign-sgd" else 0.0
    limited = "signal" if clock <= most else "sampling"
    return BestRateLaw(alpha, beta, name, noise, basis, clock, risk, rate, limited)
