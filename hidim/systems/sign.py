"""How does signSGD move? As plain descent on another spectrum, at a rate that follows the risk.

With D = diag K the error in the eigenbasis of A = D^(-1/4) K D^(-1/4) = Q diag(omega) Q^T has
E sign(g) along mode i proportional to omega_i r_i, and the noise q_i^T D^(1/4) K_sigma D^(1/4) q_i,
K_sigma = (2 / pi) arcsin(correlations of K), whatever the risk:

    mu(S) = phi_B(S) / sqrt(S),    D = omega,    N = n^sign,    nu = 1,    kappa = 0.

For any noise at B = 1, phi = (2 / pi) E exp(-eps^2 / (2 S)); for Gaussian residuals at any B,
mu = sqrt(2 / pi) E chi_B / sqrt(2P). Where the modes are the coordinates, omega = sqrt(lambda);
where they lie in no relation to them, omega = lambda sqrt(d / tr K).
Source: arXiv 2411.12135; derived for this project, docs/theory/changed-gradients.md. Limits: drift
linear in the signal, so B (K r)_i^2 / (K_ii 2P) must be small in every coordinate, and a caution
says where it is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.changed import Sign
from hidim.algorithms.momentum import Momentum
from hidim.problems.noise import Gaussian, Mixture
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, System
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.transformed import Transformed

# Largest B (K r)_i^2 / (K_ii 2P) at which the linear drift is good to some percent.
_SIGNAL = 0.1
# Nodes of the drift at B > 1 for laws that are not Gaussian.
_LOG_TAU = np.linspace(-40.0, 40.0, 801)


def sign_drift(law: Mixture, excess: Array, batch: float) -> Array:
    """mu(S), of the shape of `excess`, twice the excess risk."""
    if len(law.weights) == 1 and law.means[0] == 0.0:
        chi = math.sqrt(2.0) * math.exp(math.lgamma(0.5 * (batch + 1.0)) - math.lgamma(0.5 * batch))
        return np.asarray(math.sqrt(2.0 / math.pi) * chi / np.sqrt(excess + law.variances[0]))
    excess = np.maximum(excess, 1e-300)
    if batch == 1:
        return np.asarray((2.0 / math.pi) * _blurred(law, 0.5 / excess) / np.sqrt(excess))
    tau = np.exp(_LOG_TAU)
    at = 1.0 + 2.0 * np.outer(excess, tau)
    power = (_blurred(law, (tau / at).ravel()).reshape(at.shape) / np.sqrt(at)) ** batch
    integral = (_LOG_TAU[1] - _LOG_TAU[0]) * power @ np.sqrt(tau)
    return np.asarray(math.sqrt(2.0) / math.pi * (batch - 1.0) * integral)


def _blurred(law: Mixture, q: Array) -> Array:
    """E exp(-q eps^2)."""
    wide = 1.0 + 2.0 * q[:, None] * law.variances
    return np.asarray((np.exp(-q[:, None] * law.means**2 / wide) / np.sqrt(wide)) @ law.weights)


@dataclass(frozen=True, eq=False)
class SignSystem(Transformed):
    """The errors under signs.

    Args:
        basis: "diagonal" or "generic".
    """

    basis: str = "diagonal"

    @cached_property
    def _law(self) -> Mixture:
        noise = self.spectrum.law.noise or Gaussian(0.0)
        return noise.mixture.wider(2.0 * self.spectrum.risk_floor)

    @cached_property
    def _share(self) -> float:
        """tr K / d."""
        return self.spectrum.trace / self.spectrum.dimension

    @cached_property
    def error_sq(self) -> Array:
        """In the basis of A."""
        along, rho = self.spectrum.eigenvalues, self.spectrum.error_sq
        unit = np.sqrt(along) if self.basis == "diagonal" else math.sqrt(self._share)
        return np.asarray(rho * unit)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """omega, omega, n^sign and nothing."""
        along, count = self.spectrum.eigenvalues, self.spectrum.multiplicity
        if self.basis == "diagonal":
            omega, noise = np.sqrt(along), count * np.sqrt(along)
        else:
            omega = along / math.sqrt(self._share)
            mixed = (2.0 / math.pi) * along / self._share + 1.0 - 2.0 / math.pi
            noise = count * math.sqrt(self._share) * mixed
        return omega, omega, noise, np.zeros_like(omega)

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """The drift falls with the risk, the noise does not."""
        mu = sign_drift(self._law, excess, self.moments.batch_size)
        return mu, np.ones_like(mu), np.zeros_like(mu)

    def caution(self, last: float) -> str:
        """Whether some coordinate's signal is too large at the start."""
        along, rho = self.spectrum.eigenvalues, self.spectrum.error_sq
        twice = along @ rho + 2.0 * self.moments.spectrum.risk_floor
        count = np.maximum(np.abs(self.spectrum.multiplicity), 1.0)
        if self.basis == "diagonal":
            signal = float(np.max(along * rho / count)) / twice
        else:
            signal = float(along**2 @ rho) / (self.spectrum.trace * twice)
        signal *= self.moments.batch_size
        if signal <= _SIGNAL:
            return ""
        return (
            "the drift of signs is taken as linear in the signal, which at the start is "
            f"{signal:.2g} times the noise in some coordinate: 15 % off at .7, far off above"
        )


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """signSGD on a spectrum whose modes are the coordinates, or in no relation to them."""
    if not isinstance(algorithm, Momentum) or not isinstance(algorithm.gradient, Sign):
        return None
    law = problem.law if isinstance(problem, Spectrum) else None
    if law is None or law.rows is not None or not law.gaussian or math.isinf(batch_size):
        return None
    basis = algorithm.gradient.basis
    if basis is None:
        raise ValueError(
            "signs depend on the coordinates, which a spectrum alone does not know: say "
            'hidim.sign_sgd(eta, basis="diagonal") where its modes are the coordinates, or '
            'basis="generic" where they lie in no relation to them.'
        )
    plain = replace(algorithm, gradient=None)
    moments = MomentumSystem(with_floor(problem), plain, batch_size)
    return SignSystem(problem, moments, basis)
