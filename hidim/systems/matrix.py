"""How do SGD, its signs and its polar factor move a matrix? Three members of one frame.

On problems/matrix.py, rho_i = E |r_i|^2 over the outputs, in the frame of transformed.py:

    SGD:      w = D = lambda, N = n lambda, C = lambda^2, mu = 1,
              nu = ((m + 2) S + m 2P_inf) / B,  kappa = 1 + (2 m + 3) / B: exact;
    signs:    as on a vector, with m n^sign, and E sqrt(sum_b a_b^2 c_b^2) for E chi_B;
    SignSVD:  w = lambda, D = lambda F, N = n q, mu = 1 / sqrt(2P), nu = 1, kappa = 0,

F and q from polar_drift.py. Signs and polar factor are linear in the signal: B lambda_i rho_i /
(m 2P) must be small. polar_saturated.py needs no such thing, and says how far off the other is.
Source: arXiv 2605.09552 for the question; derived for this project, docs/theory/muon.md. Limits:
Gaussian rows; Gaussian noise under signs and polar factors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from hidim.algorithms.changed import Sign
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.polar import MISSING, SignSVD
from hidim.problems.coordinates import coordinates_of
from hidim.problems.matrix import MatrixLeastSquares
from hidim.problems.noise import Gaussian
from hidim.systems.base import Array, System
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.polar_drift import MuonDrift, muon_drift
from hidim.systems.polar_saturated import PolarFactors, SaturatedPolar, small
from hidim.systems.sign import modes_of
from hidim.systems.sign_modes import SignModes, scattered
from hidim.systems.transformed import Transformed, total_floor

# Largest signal over noise at which the linear drift of signs is good to some percent.
_SIGNAL = 0.1
# How much too fast descent under the linear drift of polar factors may be at the start.
_TOO_FAST = 0.02
# As far as "auto" takes every step by itself.
STEPS = 2e4


@dataclass(frozen=True, eq=False)
class MatrixSystem(Transformed):
    """What the three share.

    Args:
        spectrum: the matrix problem.
        moments: the family's system of the same schedules on the spectrum.
    """

    spectrum: MatrixLeastSquares  # type: ignore[assignment]

    @property
    def outputs(self) -> int:
        """m."""
        return self.spectrum.outputs

    @property
    def risk_floor(self) -> float:
        """Risk at the optimum, the variance of a noise law included."""
        return total_floor(self.spectrum.spectrum)


@dataclass(frozen=True, eq=False)
class MatrixSGD(MatrixSystem):
    """Plain gradients of a matrix, with any momentum: exact in expectation."""

    affine, bounded = True, False

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """Whether no rate moves."""
        return bool(self.moments.steady)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Those of a vector."""
        along = self.spectrum.spectrum.eigenvalues
        return along, along, self.spectrum.spectrum.multiplicity * along, along**2

    def scalars_at(self, t: Array, q: Array) -> tuple[Array, Array, Array]:
        """An affine map of the excess, below 0 too."""
        return self.scalars(t, q[:, 0])

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """A row's length is |u| |x|, which the residual knows of."""
        batch, m = self.moments.batch_size, float(self.outputs)
        nu = ((m + 2.0) * excess + m * 2.0 * self.floor) / batch
        kappa = 1.0 + (2.0 * m + 3.0) / batch
        return np.ones_like(nu), nu, np.full_like(nu, kappa)


@dataclass(frozen=True, eq=False)
class MatrixSigns(MatrixSystem):
    """Signs of a matrix' entries, by the linear drift.

    Args:
        modes: what signs see of the columns.
    """

    modes: SignModes

    @property
    def error_sq(self) -> Array:
        """In the modes of signs."""
        return self.modes.error_sq

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """omega, omega, m n^sign and nothing."""
        omega = self.modes.omega
        return omega, omega, self.outputs * self.modes.noise, np.zeros_like(omega)

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """Gaussian noise, a batch of rank-one rows."""
        drift = math.sqrt(2.0 / math.pi) * product_norm(self.moments.batch_size)
        mu = self.held(t, drift / np.sqrt(np.maximum(2.0 * self.floor + excess, 1e-300)))
        return mu, np.ones_like(mu), np.zeros_like(mu)

    def facts(self, last: float) -> dict[str, str]:
        """Which law of the drift this is."""
        return {"drift": "linear"}

    def caution(self, last: float) -> str:
        """Whether some entry's signal is too large at the start."""
        twice = max(2.0 * self.moments.spectrum.initial_risk, 1e-300)
        signal = self.moments.batch_size * self.modes.signal / (self.outputs * twice)
        return "; ".join(filter(None, [self.modes.told(), _told("signs", signal, "coordinate")]))


@dataclass(frozen=True, eq=False)
class PolarSystem(MatrixSystem):
    """SignSVD by the linear drift.

    Args:
        drift: factors of the drift, and the noise.
        exact: what is followed in its place on runs short enough for it, or None.
    """

    drift: MuonDrift
    exact: SaturatedPolar | None = None

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """lambda, lambda F, n q and nothing."""
        along = self.spectrum.spectrum.eigenvalues
        noise = self.spectrum.spectrum.multiplicity * self.drift.q
        return along, along * self.drift.F, noise, np.zeros_like(along)

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """The drift falls with the risk, the noise does not."""
        mu = self.held(t, 1.0 / np.sqrt(np.maximum(2.0 * self.floor + excess, 1e-300)))
        return mu, np.ones_like(mu), np.zeros_like(mu)

    def sharper(self, last: float) -> System:
        """Without the linear drift, where every step can be taken by itself."""
        return self if self.exact is None or last > STEPS else self.exact

    def facts(self, last: float) -> dict[str, str]:
        """Which law of the drift this is."""
        return {"drift": "linear"}

    @cached_property
    def too_fast(self) -> float:
        """By which share the linear drift lowers the risk too fast at the start."""
        one, x = self.spectrum.spectrum, self.error_sq
        moving = one.eigenvalues > 0
        along, count, factors = one.eigenvalues[moving], one.multiplicity[moving], self.drift.F
        twice = max(2.0 * self.floor + float(one.eigenvalues @ x), 1e-300)
        shares = np.maximum(along * x[moving] / (count * twice), 0.0)
        exact = PolarFactors(along, count, self.outputs, self.moments.batch_size)
        pulls = along**2 * np.maximum(x[moving], 0.0)
        saturated = float(pulls @ exact(along * shares, shares))
        return float(pulls @ factors[moving]) / saturated - 1.0 if saturated > 0 else 0.0

    def caution(self, last: float) -> str:
        """Whether some mode's signal is too large at the start, or the matrix too small."""
        told = small(self.spectrum)
        if self.too_fast <= _TOO_FAST:
            return told
        return (told + "; " if told else "") + (
            "the drift of polar factors is taken as linear in the signal, which at the start makes "
            f"descent {self.too_fast:.1%} too fast: the excess is too low, by as much for every "
            "factor e that it has fallen"
        )


def _told(what: str, signal: float, where: str) -> str:
    if signal <= _SIGNAL:
        return ""
    off = math.sqrt(1.0 + signal) - 1.0
    return (
        f"the drift of {what} is taken as linear in the signal, which at the start is "
        f"{signal:.2g} times the noise in some {where}: there it is {off:.0%} too large"
    )


@lru_cache(maxsize=64)
def product_norm(batch: float) -> float:
    """E sqrt(sum_b a_b^2 c_b^2) over a batch of independent normal a, c.

    By E sqrt(x) = int_0^inf (1 - E e^(-tau x)) tau^(-3/2) dtau / (2 sqrt(pi)).

    >>> [round(product_norm(b), 5) for b in (1, 2, 10, 100)]
    [0.63662, 1.06417, 2.9192, 9.90423]
    """
    from scipy.special import k0e  # on use: importing hidim imports no SciPy

    log_tau = np.arange(-70.0, 70.0, 0.05)
    tau = np.exp(log_tau)
    z = 1.0 / (8.0 * tau)
    # E exp(-tau a^2 c^2), 1 - tau for small tau.
    log_one = np.where(
        tau < 1e-8, -tau, np.log(k0e(np.minimum(z, 1e290)) / np.sqrt(4.0 * math.pi * tau))
    )
    return float(np.sum(-np.expm1(batch * log_one) / np.sqrt(tau)) * 0.05 / math.sqrt(4 * math.pi))


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """SGD, signs and polar factors on a matrix."""
    if not isinstance(algorithm, Momentum):
        return None
    gradient = algorithm.gradient
    if isinstance(gradient, SignSVD) and not isinstance(problem, MatrixLeastSquares):
        raise ValueError(MISSING)
    if not isinstance(problem, MatrixLeastSquares):
        return None
    spectrum = problem.spectrum
    if not spectrum.law.gaussian or spectrum.law.rows is not None:
        raise ValueError("a matrix problem is predicted on Gaussian rows alone.")
    moments = MomentumSystem(with_floor(spectrum), replace(algorithm, gradient=None), batch_size)
    if gradient is None:
        if math.isinf(total_floor(spectrum)):
            raise ValueError(
                "label noise without a variance has no expected risk under plain gradients."
            )
        return MatrixSGD(problem, moments)
    if not isinstance(gradient, Sign | SignSVD):
        raise ValueError(
            f"{algorithm.name} is not predicted on a matrix: hidim.sgd and others of the momentum "
            "family, hidim.sign_sgd and hidim.sign_svd are."
        )
    _check_noise(problem, algorithm.name, batch_size)
    if isinstance(gradient, Sign):
        return MatrixSigns(problem, moments, _sign_modes(problem, gradient.basis))
    return _polar(problem, moments, algorithm, batch_size)


def _polar(
    problem: MatrixLeastSquares, moments: MomentumSystem, algorithm: Momentum, batch_size: float
) -> System:
    assert isinstance(algorithm.gradient, SignSVD)
    asked = algorithm.gradient.drift
    drift = muon_drift(problem.spectrum, problem.outputs, batch_size)
    linear = PolarSystem(problem, moments, drift)
    alone = not (moments.algorithm.has_momentum or moments.algorithm.readouts)
    if asked == "saturated" and not alone:
        raise ValueError(
            '`drift`="saturated" follows polar factors without momentum. Use "linear".'
        )
    if asked == "linear" or not alone:
        return linear
    if asked == "auto" and linear.too_fast <= _TOO_FAST:
        return linear
    exact = SaturatedPolar(
        problem, moments.spectrum.risk_floor, algorithm.gamma_2, float(batch_size), drift.q
    )
    return exact if asked == "saturated" else replace(linear, exact=exact)


def _check_noise(problem: MatrixLeastSquares, name: str, batch_size: float) -> None:
    noise = problem.law.noise
    if not (noise is None or isinstance(noise, Gaussian)):
        raise ValueError(
            f"{name} on a matrix is predicted for Gaussian noise alone, not {noise!r}."
        )
    if math.isinf(batch_size):
        raise ValueError(
            f"`batch_size`=inf leaves {name} no noise, and its theory is one of small signals in "
            "noise: give a finite batch."
        )


def _sign_modes(problem: MatrixLeastSquares, basis: str | None) -> SignModes:
    known = coordinates_of(problem.law.basis)
    if basis is None and known is not None and known.covariance.ndim == 2:
        return scattered(known)
    return modes_of(problem.spectrum, basis)
