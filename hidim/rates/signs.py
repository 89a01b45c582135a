"""Is signSGD better than SGD for this noise, where does it stop, and at which rate is it best?

Four effects set it apart from SGD, and each is a number here (m = sqrt(2 / pi) E chi_B, which is
2 / pi at B = 1):

    effective rate    eta m / sqrt(2P_t)                    grows as the risk falls
    compression       psi = mu sqrt(2P) / m                 1 for Gaussian noise, above it for tails
    preconditioning   omega in place of lambda              condition numbers of both
    reshaping         tr(K K_sigma) / (m^2 / B tr K corr K) noise over SGD's at the effective rate

Both are then compared at their best constant rates for a horizon, found on their exact curves.
Source: arXiv 2411.12135 for the effects; derived for this project, docs/theory/sign.md. Limits:
Gaussian rows; constant rates; the drift as predictions have it, whose caution is passed on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hidim.algorithms.changed import Sign, sign_sgd
from hidim.algorithms.momentum import Momentum, sgd
from hidim.curve import Curve
from hidim.engines.solve import MAX_STEPS, solve
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.rates.limits import limit_risk
from hidim.rates.searches import check_start, least_in_log, log_left
from hidim.support import checks
from hidim.support.json import plain
from hidim.support.results import Saved
from hidim.systems.builders import system_of
from hidim.systems.momentum import with_floor
from hidim.systems.sign import SignSystem, modes_of
from hidim.systems.sign_drift import chi_mean, sign_drift

# Coordinates times steps up to which a search follows the drift that is not linear.
_AFFORDED = 2e5


@dataclass(frozen=True, eq=False)
class SignEffects(Saved, format="hidim-sign-effects/1"):
    """What sets signSGD apart from SGD on a problem, and which of them is ahead at a horizon.

    Attributes:
        verdict: the answer in one line.
        caution: where the drift is not to be relied upon; empty if nowhere.
        eta: the rate, as given, or the best constant one for the horizon.
        steps, batch_size: the horizon.
        at: (n,) steps of what follows along the run.
        effective_rate: (n,) eta m / sqrt(2P), 0 where the noise has no variance.
        compression: (n,) psi, infinite there.
        drift: (n,) eta mu, the product of the two, finite for any noise.
        condition: largest over smallest eigenvalue that is not zero, of K and of what signs see.
        trace_over_smallest: trace over that eigenvalue, of both.
        reshaping: noise over that of SGD at the effective rate, between pi / 2 and pi^2 / 4 at
            B = 1.
        limit_excess: where the run stops above the floor if the last rate is held; None if unknown.
        best_eta, best_gamma_2: the best constant rates for the horizon; None for SGD where it has
            no expected risk.
        times_lower: SGD's excess at the horizon over signSGD's, both at their best; None there.
        curve, best_curve, sgd_curve: at `eta`, at `best_eta` and SGD at its best.
    """

    verdict: str
    caution: str
    eta: float
    steps: float
    batch_size: float
    at: np.ndarray
    effective_rate: np.ndarray
    compression: np.ndarray
    drift: np.ndarray
    condition: tuple[float, float]
    trace_over_smallest: tuple[float, float]
    reshaping: float
    limit_excess: float | None
    best_eta: float
    best_gamma_2: float | None
    times_lower: float | None
    curve: Curve = field(repr=False)
    best_curve: Curve = field(repr=False)
    sgd_curve: Curve | None = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The numbers for strict JSON; infinities become None."""
        names = ["verdict", "caution", "eta", "steps", "batch_size", "condition", "reshaping"]
        names += ["trace_over_smallest", "limit_excess", "best_eta", "best_gamma_2", "times_lower"]
        names += ["at", "effective_rate", "compression", "drift"]
        found: dict[str, Any] = plain({name: getattr(self, name) for name in names})
        return found


def sign_effects(
    problem: Any,
    steps: float,
    batch_size: float = 1,
    *,
    eta: Any = None,
    basis: str | None = None,
    seed: int | None = None,
) -> SignEffects:
    """The four effects, the limit risk and the best rate of signSGD, beside SGD at its best.

    Args:
        problem: one that knows its coordinates, or any with `basis`; with or without `noise`.
        steps: the horizon, at least 1.
        batch_size: samples per step, finite.
        eta: a number or a schedule, whose last value is held for the limit; None for the best
            constant rate at the horizon.
        basis: as in `hidim.sign_sgd`.
        seed: of the W that is drawn.

    Raises:
        ValueError: an argument out of range, unknown coordinates, a start at the optimum, or
            rows that are not Gaussian.

    >>> import hidim
    >>> spectrum = hidim.Spectrum.from_covariance([1.0, 0.5, 0.1], [0.3, 0.3, 0.3], 1.0)
    >>> found = sign_effects(spectrum, 300)
    >>> found.compression.round(6).tolist()[-1], round(found.reshaping, 3)
    (1.0, 2.467)
    >>> [round(x, 2) for x in found.condition], bool(found.limit_excess > 0)
    ([10.0, 3.16], True)
    """
    steps = checks.whole("steps", steps, minimum=1)
    if steps > MAX_STEPS:
        raise ValueError(f"`steps` must be at most {MAX_STEPS:g}, got {steps:g}.")
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    spectrum = as_spectrum(problem, checks.seed("seed", seed))
    check_start(spectrum)
    best = best_sign(spectrum, float(steps), float(batch_size), basis)
    chosen = best if eta is None else sign_sgd(eta, basis=basis)
    best_curve = solve(spectrum, best, steps, batch_size=batch_size)
    curve = best_curve if eta is None else solve(spectrum, chosen, steps, batch_size=batch_size)
    finite = math.isfinite(spectrum.law.noise_risk)
    plainly = best_sgd(spectrum, float(steps), float(batch_size)) if finite else None
    beside = None if plainly is None else solve(spectrum, plainly, steps, batch_size=batch_size)
    lower = None if beside is None else float(beside.excess[-1] / best_curve.excess[-1])
    rate = float(chosen.gamma_2(float(steps)))
    effects = _effects(spectrum, curve, chosen, float(batch_size), basis)
    return SignEffects(
        verdict=_verdict(lower, float(steps)),
        caution=str(best_curve.provenance.get("caution", "")),
        eta=rate,
        steps=float(steps),
        batch_size=float(batch_size),
        limit_excess=_limit(spectrum, chosen, curve, float(batch_size)),
        best_eta=float(best.gamma_2(0.0)),
        best_gamma_2=None if plainly is None else float(plainly.gamma_2(0.0)),
        times_lower=lower,
        curve=curve,
        best_curve=best_curve,
        sgd_curve=beside,
        **effects,
    )


def best_sign(
    spectrum: Spectrum, steps: float, batch_size: float, basis: str | None = None
) -> Momentum:
    """signSGD at the constant rate that leaves least after `steps`.

    By the drift that predictions follow where that is afforded, else by the linear one.
    """
    afforded = steps * spectrum.dimension <= _AFFORDED
    floor = with_floor(spectrum).risk_floor

    def left(eta: float) -> float:
        system: Any = system_of(spectrum, sign_sgd(eta, basis=basis), batch_size)
        system = system.sharper(steps) if afforded else system
        return log_left(system, steps, floor)

    far = math.sqrt(float(np.abs(spectrum.error_sq).sum()) / spectrum.dimension)
    start = max(far, 1e-300) / math.sqrt(steps)
    return sign_sgd(least_in_log(left, start, within=0.05), basis=basis)


def best_sgd(spectrum: Spectrum, steps: float, batch_size: float) -> Momentum:
    """SGD at the constant rate that leaves least after `steps`."""
    floor = with_floor(spectrum).risk_floor

    def left(gamma: float) -> float:
        return log_left(system_of(spectrum, sgd(gamma), batch_size), steps, floor)

    start = 1.0 / (spectrum.trace / batch_size + float(spectrum.eigenvalues[0]))
    return sgd(least_in_log(left, start, within=0.05))


def _effects(
    spectrum: Spectrum, curve: Curve, chosen: Momentum, batch: float, basis: str | None
) -> dict[str, Any]:
    """Along the run, and of the problem."""
    modes = modes_of(spectrum, basis)
    m = math.sqrt(2.0 / math.pi) * chi_mean(batch)
    variance = 2.0 * (spectrum.risk_floor + spectrum.law.noise_risk)
    excess = np.maximum(curve.excess, 1e-300)
    twice = 2.0 * excess + variance
    mu = sign_drift(spectrum.law.noise, spectrum.risk_floor, batch)(2.0 * excess)
    rate = np.asarray(chosen.gamma_2(np.asarray(curve.steps, dtype=np.float64)))
    counted = spectrum.eigenvalues
    both = [(counted, spectrum.trace), (modes.omega, modes.root_trace)]
    smallest = [float(x[x > 1e-14 * x.max()].min()) for x, _ in both]
    return {
        "at": curve.steps,
        "effective_rate": rate * m / np.sqrt(twice),
        "compression": mu * np.sqrt(twice) / m,
        "drift": rate * mu,
        "condition": tuple(
            float(x.max()) / low for (x, _), low in zip(both, smallest, strict=True)
        ),
        "trace_over_smallest": tuple(t / low for (_, t), low in zip(both, smallest, strict=True)),
        "reshaping": float(modes.omega @ modes.noise) / (m**2 / batch * modes.trace_sq),
    }


def _limit(spectrum: Spectrum, chosen: Momentum, curve: Curve, batch: float) -> float | None:
    """Above the floor, by the linear drift, which is exact for coordinates in Gaussian noise."""
    gradient = chosen.gradient
    assert isinstance(gradient, Sign)  # it was made here
    held = sign_sgd(float(chosen.gamma_2(float(curve.steps[-1]))), basis=gradient.basis)
    system = system_of(spectrum, held, batch)
    if not isinstance(system, SignSystem):
        return None
    found = limit_risk(system, 0.0, max(2.0 * float(curve.excess[-1]), 1e-200))
    return None if found is None else found - system.floor


def _verdict(lower: float | None, steps: float) -> str:
    if lower is None:
        return "signs: SGD has no expected risk under noise without a variance"
    best = f"after {steps:.4g} steps at the best constant rates signSGD has"
    if lower >= 1.02:
        return f"signs: {best} {lower:.3g} times less excess than SGD"
    if lower <= 1 / 1.02:
        return f"SGD: {best} {1 / lower:.3g} times its excess"
    return f"neither: {best} SGD's excess to two percent"
