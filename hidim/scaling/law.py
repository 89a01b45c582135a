"""How does the risk fall with steps and size, and how does the best risk fall with compute?

`scaling_law(alpha, beta, name)` gathers the closed forms for one problem and one optimizer:

    P(t, d) ~ 1/2 (F_0 + F_pp(vartheta) + F_ac(vartheta) + K_pp(vartheta)),
    P* ~ flops^-eta at d* ~ flops^xi,   flops = steps x parameters x batch.

Sources: arXiv 2405.15074 (SGD), arXiv 2505.16098 (momentum); derivations in terms.py,
amplitudes.py and exponents.py, conventions in docs/notation.md.
Limits: asymptotic in d and t. Exponents are exact; risks are within a constant factor: at the
compute optimum 0.7 to 1.3 of the exact risk for d from 1e3 to 1e7 and batches from 1 to 64 in
phases Ia, II and III, for Schedule-Free 0.6 to 1.6. For numbers to trust use `hidim.predict`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hidim.algorithms import Momentum
from hidim.algorithms.gradients import plain_gradient
from hidim.algorithms.kappas import Kappas
from hidim.algorithms.named import Amplitudes, Named, kappas_of, lookup
from hidim.problems.power_law import MOST_EXPONENT, PLRF
from hidim.rates.recommend import recommend
from hidim.scaling import exponents
from hidim.scaling.amplitudes import (
    Rates,
    default_rates,
    momentum_factor,
    momentum_time,
    noise_norm,
    term_constants,
)
from hidim.scaling.frontier import Frontier, minimise
from hidim.scaling.phases import Boundary, boundaries, phase_of
from hidim.scaling.terms import VARIANTS, Term, floor_risk, partial_zeta, terms_of, zeta
from hidim.support.checks import choice, finite, finite_array, positive, whole
from hidim.support.json import plain
from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class ScalingLaw(Saved, format="hidim-scaling-law/1"):
    """The scaling law of one optimizer on one power-law problem.

    Attributes:
        alpha: exponent of the data, eigenvalues j^(-2 alpha).
        beta: exponent of the target, coefficients j^(-beta).
        name: the optimizer.
        variant: "random-features", "no-random-matrix" or "ridge-regression".
        phase: "Ia", "Ib", "Ic", "II", "III", "IVa", "IVb" or "trivial".
        terms: the terms that the phase's law keeps, by name.
        subleading: terms that exist but fall faster throughout.
        kappas: the powers of d and t in the optimizer's rates.
        eta: P* ~ flops^-eta; 0 in the trivial phase.
        xi: d* ~ flops^xi; where the optimum is flat, the smallest such power; 0 when trivial.
        xi_range: the smallest and largest power of flops that reach eta.
        balance: the terms of equal size at the compute optimum.
        floor_time: d^floor_time steps bring the risk to its floor; infinite when trivial.
        stages: (term, tau from, tau to, slope in log t) with t = d^tau.
        boundaries: the lines around the phase, the nearest first.
        v_over_d: the ratio v / d that the constants assume.
        rates: amplitudes used by `risk` and `frontier`; the rule's limit for large d, before
            `hidim.recommend` holds a size to its norm.
        chosen: whether the caller gave some of them, which `algorithm` then takes too.
    """

    alpha: float
    beta: float
    name: str
    variant: str
    phase: str
    terms: dict[str, Term]
    subleading: dict[str, Term]
    kappas: Kappas
    eta: float
    xi: float
    xi_range: tuple[float, float]
    balance: tuple[str, ...]
    floor_time: float
    stages: tuple[tuple[str, float, float, float], ...]
    boundaries: tuple[Boundary, ...]
    v_over_d: float
    rates: Rates
    chosen: bool = False

    @property
    def rho(self) -> float:
        """2 alpha + 2 beta - 1."""
        return 2 * self.alpha + 2 * self.beta - 1

    @property
    def _acting(self) -> Rates:
        """The amplitudes of gamma_2 and gamma_3; where a step is averaged in, of its parts."""
        direct = lookup(self.name).direct
        if direct == 1:
            return self.rates
        step = self.rates.c_2
        return replace(self.rates, c_2=direct * step, c_3=(1 - direct) * step)

    def term_values(self, steps: ArrayLike, d: ArrayLike) -> dict[str, np.ndarray]:
        """Each term of the risk, with the 1/2, subleading ones included.

        Args:
            steps: optimizer steps, at least 0; any shape.
            d: parameters, at least 1; a shape that broadcasts with it.

        Raises:
            ValueError: the phase is trivial, a size or step count is out of range, the rates
                are unstable, or delta is too small for the exponents.
        """
        self._refuse_trivial()
        steps, d = finite_array("steps", steps), finite_array("d", d)
        if np.any(steps < 0) or np.any(d < 1):
            raise ValueError("`steps` must be at least 0 and `d` at least 1 everywhere.")
        rates = self._acting
        norm = noise_norm(self.alpha, rates, self.kappas, self.v_over_d)
        if norm >= 1:
            raise ValueError(
                f"`c_2` is {self.rates.c_2:g}, an unstable rate: its kernel norm is {norm:.3g} "
                "and must be below 1. Take a smaller c_2, or leave it out."
            )
        present = {**self.terms, **self.subleading}
        constants = term_constants(self.alpha, present, norm, rates)
        values = {}
        for name, term in present.items():
            with np.errstate(divide="ignore"):  # a floor below the range of numbers is zero
                log_size = np.log(self._size(term, d))
            log_theta = np.log(self._theta(term, steps, d))
            log_value = constants[name] + log_size - term.power * log_theta
            if name in ("F_ac", "K_pp"):  # carried by the target modes learned so far
                learned = np.exp(log_theta / (2 * self.alpha))
                log_value = log_value + np.log(partial_zeta(2 * self.beta, learned))
            if name == "F_pp":  # no more than the energy sum_j j^(-2 alpha - 2 beta) at the start
                log_value = np.minimum(log_value, np.log(zeta(self.rho + 1) / (1 - norm)))
            values[name] = 0.5 * np.exp(log_value)
        return values

    def _size(self, term: Term, d: np.ndarray) -> np.ndarray:
        """The term's dependence on d: a power, but for the floor, which approaches its own."""
        if term.name != "F_0":
            return np.asarray(d**term.d_exponent)
        if self.variant == "no-random-matrix":  # the truncated tail sum_{j>d} j^-(rho + 1)
            return np.asarray((d + 0.5) ** -self.rho / self.rho)
        return floor_risk(self.alpha, self.beta, d, self.v_over_d)

    def _theta(self, term: Term, steps: np.ndarray, d: np.ndarray) -> np.ndarray:
        """The effective time that a term of this power sees."""
        if term.power == 0:
            return np.ones(np.broadcast_shapes(steps.shape, d.shape))
        rates = self._acting
        theta = 1 + 2 * rates.c_2 * d**-self.kappas.kappa_1 * steps
        if rates.c_3 > 0:
            # A subleading term may fall faster than the friction allows; its small values then
            # only need the factor of modes that have just begun to move.
            power = term.power if term.leading else 0.0
            factor = momentum_factor(power, rates.delta, self.kappas.kappa_3)
            gamma_3 = rates.c_3 * d**-self.kappas.kappa_2
            theta = theta + factor * gamma_3 * momentum_time(steps, self.kappas.kappa_3)
        return np.asarray(theta)

    def risk(self, steps: ArrayLike, d: ArrayLike) -> np.ndarray:
        """The law's risk, with the 1/2: the sum of `term_values`."""
        return np.asarray(sum(self.term_values(steps, d).values()))

    def frontier(self, flops: ArrayLike) -> Frontier:
        """The size, steps and risk that the law makes of a budget.

        Args:
            flops: steps x parameters x batch; a number, or an array of them.

        Returns:
            A `Frontier` with whole d and steps; arrays when flops is one.

        Raises:
            ValueError: the phase is trivial, or the budget is so small that its best size or
                step count would be below 4.

        >>> law = scaling_law(1.0, 0.7, "sgd")
        >>> best = law.frontier(1e12)
        >>> best.d * best.steps <= 1e12
        True
        """
        self._refuse_trivial()
        return minimise(self.risk, flops, c_b=self.rates.c_b, kappa_b=self.kappas.kappa_b)

    def algorithm(self, d: float) -> Momentum:
        """The optimizer at d parameters: `hidim.recommend`'s, or at the amplitudes that were given.

        Args:
            d: parameters, at least 1; a whole number where the rates are recommended.

        >>> law = scaling_law(1.0, 0.7, "dana-constant")
        >>> law.algorithm(1000) == recommend(PLRF(1.0, 0.7, 1000), "dana-constant")
        True
        >>> scaling_law(1.0, 0.7, "dana-constant", c_2=0.2, c_3=0.1, delta=8.0).algorithm(1000)
        Momentum(gamma_1=Constant(value=1.0), gamma_2=Constant(value=0.2), ...)
        """
        rates, kappas = self.rates, self.kappas
        record = lookup(self.name)
        if self.chosen:
            step = rates.c_2 * d**-kappas.kappa_1
            # The same rate, half of it through the momentum, where that is only a longer step.
            ratio = rates.c_3 / rates.c_2 if math.isfinite(kappas.kappa_2) else 1.0
            return record.at(step, ratio, rates.delta, kappas, d)
        size = int(whole("d", d, minimum=1))
        given = {}
        if record.takes_kappas:
            given = {f"kappa_{i}": getattr(kappas, f"kappa_{i}") for i in (1, 2, 3)}
        return recommend(
            PLRF.of_ratio(self.alpha, self.beta, size, self.v_over_d),
            self.name,
            max(1, round(rates.c_b * size**kappas.kappa_b)),
            kappa_b=kappas.kappa_b,
            **given,
        )

    def _refuse_trivial(self) -> None:
        if self.phase == "trivial":
            raise ValueError(
                f"alpha + beta must exceed 1/2 for a scaling law (alpha={self.alpha:g}, "
                f"beta={self.beta:g}): here the risk does not fall by a power of anything."
            )

    def to_dict(self) -> dict[str, Any]:
        """The law as plain numbers and strings, infinities as None."""
        table = {
            "alpha": self.alpha,
            "beta": self.beta,
            "algorithm": self.name,
            "variant": self.variant,
            "phase": self.phase,
            "terms": {n: [t.d_exponent, t.power] for n, t in self.terms.items()},
            "kappa_1": self.kappas.kappa_1,
            "kappa_2": self.kappas.kappa_2,
            "kappa_3": self.kappas.kappa_3,
            "kappa_b": self.kappas.kappa_b,
            "eta": self.eta,
            "xi": self.xi,
            "xi_range": list(self.xi_range),
            "balance": list(self.balance),
            "floor_time": self.floor_time,
            "stages": [{"term": n, "from": a, "to": b, "slope": s} for n, a, b, s in self.stages],
        }
        strict: dict[str, Any] = plain(table)
        return strict


def scaling_law(
    alpha: float,
    beta: float,
    name: str = "sgd",
    *,
    kappa_1: float | None = None,
    kappa_2: float | None = None,
    kappa_3: float | None = None,
    kappa_b: float = 0.0,
    variant: str = "random-features",
    v_over_d: float | None = None,
    batch_size: float = 1.0,
    c_2: float | None = None,
    c_3: float | None = None,
    delta: float | None = None,
) -> ScalingLaw:
    """Derive the scaling law of an optimizer on the power-law problem (alpha, beta).

    Args:
        alpha: exponent of the data, eigenvalues j^(-2 alpha); positive.
        beta: exponent of the target, coefficients j^(-beta); finite.
        name: an algorithm with exponents, in any spelling: "sgd", "dana-decaying", ...;
            "general-momentum" takes kappa_2, kappa_3 and, if wanted, kappa_1.
        kappa_1: gamma_2 ~ d^-kappa_1; by default the largest rates that stay stable.
        kappa_2: gamma_3 ~ d^-kappa_2 ...
        kappa_3: ... (1 + t)^-kappa_3.
        kappa_b: batch ~ d^kappa_b, at least 0.
        variant: "random-features" (the problem `PLRF`), "no-random-matrix" (F_ac drops, the
            floor is d^-rho) or "ridge-regression" (F_pp in place of K_pp).
        v_over_d: v / d for the constants; infinity above the line 2 alpha = 1, 4 below it.
        batch_size: amplitude of the batch, batch = batch_size x d^kappa_b.
        c_2: amplitude of gamma_2; by default the rule of `hidim.recommend`, as for c_3 and
            delta.
        c_3: amplitude of gamma_3.
        delta: friction, Delta(t) = delta / (delta + t); of "sgd-momentum" the constant forgetting.

    Raises:
        ValueError: an argument out of range, an unknown name, or unstable exponents.

    >>> law = scaling_law(1.0, 0.7, "dana-decaying")
    >>> law.phase, sorted(law.terms), round(law.eta, 4), round(law.xi, 4)
    ('II', ['F_0', 'F_ac', 'F_pp'], 0.878, 0.5122)
    """
    alpha, beta = positive("alpha", alpha), finite("beta", beta)
    for key, exponent in (("alpha", alpha), ("beta", beta), ("kappa_b", kappa_b)):
        if abs(finite(key, exponent)) > MOST_EXPONENT:
            raise ValueError(
                f"`{key}` must be at most {MOST_EXPONENT:g} in size, got {exponent:g}: its powers "
                "leave float64."
            )
    variant = choice("variant", variant, VARIANTS)
    record = lookup(name)
    name = record.name
    kappas = kappas_of(
        alpha, name, kappa_1=kappa_1, kappa_2=kappa_2, kappa_3=kappa_3, kappa_b=kappa_b
    )
    ratio = _checked_ratio(alpha, v_over_d)
    c_b = positive("batch_size", batch_size)
    rates = default_rates(record, alpha, beta, kappas, c_b=c_b, ratio=ratio)
    asked = {"c_2": c_2, "c_3": c_3, "delta": delta}
    given = {key: positive(key, value) for key, value in asked.items() if value is not None}
    _refuse_idle(record, kappas, given)
    rates = replace(rates, **given)
    _refuse_changed(record, rates, kappas)
    phase = phase_of(alpha, beta)
    terms = terms_of(alpha, beta, kappas, variant)
    solved = _trivial() if phase == "trivial" else _solve(terms, kappas)
    return ScalingLaw(
        alpha=alpha,
        beta=beta,
        name=name,
        variant=variant,
        phase=phase,
        terms={n: t for n, t in terms.items() if t.leading},
        subleading={n: t for n, t in terms.items() if not t.leading},
        kappas=kappas,
        boundaries=boundaries(alpha, beta),
        v_over_d=ratio,
        rates=rates,
        chosen=bool(given),
        **solved,
    )


def _refuse_idle(record: Named, kappas: Kappas, given: Mapping[str, float]) -> None:
    """Refuse an amplitude that this optimizer does not have."""
    without = math.isinf(kappas.kappa_2) or record.direct < 1
    idle = {"c_3"} if without else set()
    idle |= {"delta"} if without and record.forgetting is None else set()
    for key in given:
        if key in idle:
            raise ValueError(
                f"`{key}` is no amplitude of {record.name!r}, whose rates follow from c_2: leave "
                "it out."
            )


def _refuse_changed(record: Named, rates: Rates, kappas: Kappas) -> None:
    """Refuse an algorithm whose gradient is no plain mean: its terms would be others."""
    assert record.member is not None  # `Named` sees to it
    amplitudes = Amplitudes(rates.c_2, rates.c_3, rates.delta)
    plain_gradient(record.member(amplitudes, kappas, 1e3))  # at any size


def _solve(terms: dict[str, Term], kappas: Kappas) -> dict[str, Any]:
    eta, xi, xi_high = exponents.compute_optimal(terms.values(), kappas)
    # On the scale of the budget: d = f^xi, t = f^(1 - (1 + kappa_b) xi).
    tau = math.inf if xi == 0 else (1 - (1 + kappas.kappa_b) * xi) / xi
    theta = kappas.effective_time(tau) if math.isfinite(tau) else math.inf
    balance = [n for n, t in terms.items() if abs(xi * t.level(theta) + eta) < 1e-9]
    leading = [n for n in balance if terms[n].leading]
    return {
        "eta": eta,
        "xi": xi,
        "xi_range": (xi, xi_high),
        "balance": tuple(leading or balance),
        "floor_time": exponents.time_to_floor(terms.values(), kappas),
        "stages": exponents.stages(terms.values(), kappas),
    }


def _trivial() -> dict[str, Any]:
    return {
        "eta": 0.0,
        "xi": 0.0,
        "xi_range": (0.0, 0.0),
        "balance": (),
        "floor_time": math.inf,
        "stages": (),
    }


def _checked_ratio(alpha: float, v_over_d: float | None) -> float:
    if v_over_d is None:
        return math.inf if 2 * alpha > 1 else 4.0
    if v_over_d == math.inf and 2 * alpha <= 1:
        raise ValueError(
            f"`v_over_d` must be finite when 2*alpha <= 1 (alpha={alpha:g}): the trace diverges. "
            "Give v_over_d, for example 4."
        )
    ratio = v_over_d if v_over_d == math.inf else finite("v_over_d", v_over_d)
    if ratio <= 1:
        raise ValueError(f"`v_over_d` must exceed 1, got {v_over_d!r}: W has d columns, v rows.")
    return ratio
