"""How does signSGD move? As plain descent on another spectrum, at a rate that follows the risk.

In the modes of sign_modes.py E sign(g) along mode i is proportional to omega_i r_i, and the noise
is n^sign whatever the risk:

    mu(S) = phi_B(S) / sqrt(S),    D = omega,    N = n^sign,    nu = 1,    kappa = 0,

with mu from sign_drift.py. The drift is linear in the signal, so B (K r)_i^2 / (K_ii 2P) must be
small in every coordinate; where K is diagonal and the noise Gaussian, saturated.py needs no such
thing and is followed in its place, step by step, as far as that goes. For any other K that is known
saturated_pairs.py is, where it is asked for.
Source: arXiv 2411.12135; derived for this project, docs/theory/sign.md. Limits:
Gaussian rows. A caution says where the linear drift is off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.changed import Sign
from hidim.algorithms.momentum import Momentum
from hidim.problems.coordinates import coordinates_of, unknown
from hidim.problems.noise import Gaussian
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, System
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.saturated import SaturatedSigns
from hidim.systems.saturated_pairs import SaturatedPairs
from hidim.systems.sign_drift import SignDrift, chi_mean, sign_drift
from hidim.systems.sign_modes import (
    ARCSINE,
    Noise,
    SignModes,
    generic,
    of_coordinates,
    on_diagonal,
)
from hidim.systems.transformed import Transformed

# Largest B (K r)_i^2 / (K_ii 2P) at which the linear drift is good to some percent.
_SIGNAL = 0.1
# As far as "auto" takes every step by itself.
_STEPS = 1e5


@dataclass(frozen=True, eq=False)
class SignSystem(Transformed):
    """The errors under signs, by the linear drift.

    Args:
        modes: what signs see of the problem.
        exact: what is followed in its place on runs short enough for it, or None.
    """

    modes: SignModes
    exact: SaturatedSigns | None = None

    @cached_property
    def _drift(self) -> SignDrift:
        spectrum = self.spectrum
        return sign_drift(spectrum.law.noise, spectrum.risk_floor, self.moments.batch_size)

    @property
    def error_sq(self) -> Array:
        """In the modes of signs."""
        return self.modes.error_sq

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """omega, omega, n^sign and nothing."""
        omega = self.modes.omega
        return omega, omega, self.modes.noise, np.zeros_like(omega)

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """The drift falls with the risk, the noise does not."""
        mu = self.held(t, self._drift(excess))
        return mu, np.ones_like(mu), np.zeros_like(mu)

    def sharper(self, last: float) -> System:
        """Without the linear drift, where every step can be taken by itself."""
        return self if self.exact is None or last > _STEPS else self.exact

    def facts(self, last: float) -> dict[str, str]:
        """Which law of the drift this is."""
        return {"drift": "linear"}

    @property
    def signal(self) -> float:
        """The largest share of the noise in one coordinate at the start, times B.

        B (K r)_i^2 / (K_ii 2P) for Gaussian noise, and what leans a sign as far for any other.
        """
        batch = self.moments.batch_size
        drift = float(self._drift(np.array([2.0 * self._excess]))[0])
        return self.modes.signal * drift**2 * batch * math.pi / (2.0 * chi_mean(batch) ** 2)

    @property
    def _excess(self) -> float:
        return 0.5 * float(self.modes.omega @ self.modes.error_sq)

    def caution(self, last: float) -> str:
        """Whether some coordinate's signal is too large at the start, or modes are too few."""
        signal, told = self.signal, self.modes.told()
        if signal <= _SIGNAL:
            return told
        return (told + "; " if told else "") + (
            "the drift of signs is taken as linear in the signal, which at the start is "
            f"{signal:.2g} times the noise in some coordinate: 15 % off at .7, far off above"
            + self._remedy
        )

    @property
    def _remedy(self) -> str:
        law, plain = self.spectrum.law, self.moments.algorithm
        known = coordinates_of(law.basis) is not None and not plain.has_momentum
        gaussian = law.noise is None or isinstance(law.noise, Gaussian)
        return '; hidim.sign_sgd(eta, drift="saturated") is not' if known and gaussian else ""


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """signSGD on Gaussian rows."""
    if not isinstance(algorithm, Momentum) or not isinstance(algorithm.gradient, Sign):
        return None
    law = problem.law if isinstance(problem, Spectrum) else None
    if law is None or law.rows is not None or not law.gaussian:
        return None
    if math.isinf(batch_size):
        raise ValueError(
            "`batch_size`=inf leaves a sign no noise, and its theory is one of small signals in "
            "noise: give a finite batch."
        )
    plain, drift = replace(algorithm, gradient=None), algorithm.gradient.drift
    floored = with_floor(problem)
    modes = modes_of(problem, algorithm.gradient.basis, name=algorithm.name)
    exact = _exact(problem, modes, plain, floored.risk_floor, batch_size)
    if drift == "saturated":
        pairs = _pairs(problem, algorithm.gradient, plain, floored.risk_floor, batch_size)
        if isinstance(exact, str) and pairs is not None:
            return pairs
        if isinstance(exact, str):
            raise ValueError(f'`drift`="saturated" {exact}. Use drift="linear".')
        return exact
    moments = MomentumSystem(floored, plain, batch_size)
    known = exact if drift == "auto" and isinstance(exact, SaturatedSigns) else None
    return SignSystem(problem, moments, modes, known)


def modes_of(
    problem: Spectrum, basis: str | None, noise_of: Noise = ARCSINE, name: str = "sign-sgd"
) -> SignModes:
    """What signs see of a spectrum, or methods that divide coordinates by their size.

    Args:
        problem: the spectrum.
        basis: what the algorithm says of its coordinates.
        noise_of: what steps add up to along them.
        name: the algorithm's, for the refusal.

    Raises:
        ValueError: it does not know its coordinates, and no basis is said.
    """
    if basis == "generic":
        return generic(problem, noise_of)
    if basis == "diagonal":
        counts = problem.multiplicity
        return on_diagonal(problem.eigenvalues, problem.error_sq, counts, noise_of)
    known = coordinates_of(problem.law.basis)
    if known is None:
        raise ValueError(unknown(name, problem.provenance))
    return of_coordinates(known, noise_of)


def _pairs(
    problem: Spectrum, signs: Sign, plain: Momentum, floor: float, batch_size: float
) -> SaturatedPairs | None:
    """The same in coordinates that are not the modes, or None."""
    noise = problem.law.noise
    known = None if signs.basis is not None else coordinates_of(problem.law.basis)
    if known is None or known.covariance.ndim == 1 or plain.has_momentum or plain.readouts:
        return None
    if not (noise is None or isinstance(noise, Gaussian)):
        return None
    moving = np.diag(known.covariance) > 0
    K, optimum = known.covariance[np.ix_(moving, moving)], known.optimum[moving]
    return SaturatedPairs(problem, K, optimum, floor, plain.gamma_2, batch_size)


def _exact(
    problem: Spectrum, modes: SignModes, plain: Momentum, floor: float, batch_size: float
) -> SaturatedSigns | str:
    """The system without the linear drift, or why there is none."""
    noise = problem.law.noise
    if modes.diagonal is None:
        return "needs coordinates that are known, or are the modes, each of them simple"
    if not (noise is None or isinstance(noise, Gaussian)):
        return f"needs Gaussian noise, not {noise!r}"
    if plain.has_momentum or plain.readouts:
        return "follows signs without momentum"
    along, optimum_sq, count = modes.diagonal
    return SaturatedSigns(problem, along, optimum_sq, count, floor, plain.gamma_2, batch_size)
