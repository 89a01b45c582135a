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
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.base import is_named
from hidim.algorithms.changed import Sign
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.polar import MISSING, PolarMomentum, SignSVD
from hidim.problems.matrix import MatrixLeastSquares
from hidim.problems.noise import Gaussian
from hidim.systems.base import Array, System
from hidim.systems.matrix_signs import TOO_FAST, MatrixSystem, of_signs, too_linear
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.polar_drift import MuonDrift, muon_drift
from hidim.systems.polar_saturated import PolarFactors, SaturatedPolar, adds_up, small
from hidim.systems.transformed import total_floor

# As far as "auto" takes every step by itself: some ten seconds.
_STEPS, _WORK = 2e4, 1e10


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

    def resting(self, t: float) -> Array | None:
        """By the law that needs no small signal, where that is known."""
        return None if self.exact is None else self.exact.resting(t)

    def sharper(self, last: float) -> System:
        """Without the linear drift, where every step can be taken by itself."""
        if self.exact is None:
            return self
        most = min(_STEPS, _WORK / self.exact.work_per_step)
        return self if last > most else self.exact

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
        told = [
            small(self.spectrum, self.moments.batch_size),
            too_linear("polar factors", self.too_fast),
        ]
        return "; ".join(filter(None, told))

    def doubts(self, at: Array, risk: Array) -> str:
        """Whether the excess fell so far that errors of a finite size add up."""
        eta = self.moments.algorithm.gamma_2
        return adds_up(self.spectrum, self.floor, eta, self.drift, at, risk)


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """SGD, signs and polar factors on a matrix."""
    if isinstance(algorithm, PolarMomentum):
        raise ValueError(
            f"`momentum`={algorithm.momentum:g} before the polar factor is not predicted, for its "
            "noise is correlated in time: run it by hidim.simulate (hidim simulate), or predict "
            "sign-svd without momentum."
        )
    if not isinstance(algorithm, Momentum):
        if isinstance(problem, MatrixLeastSquares) and is_named(algorithm):
            raise ValueError(_other(algorithm.name))
        return None
    gradient = algorithm.gradient
    if isinstance(gradient, SignSVD) and not isinstance(problem, MatrixLeastSquares):
        raise ValueError(MISSING)
    if not isinstance(problem, MatrixLeastSquares):
        return None
    spectrum = problem.spectrum
    if spectrum.law.rows is not None:
        raise ValueError(
            "a matrix problem is predicted on Gaussian rows alone: Spectrum.from_data(X, y, "
            "rows=False) is the Gaussian of the same covariance."
        )
    if not spectrum.law.gaussian:
        raise ValueError(
            "a matrix problem is predicted on Gaussian rows alone: leave out `kurtosis` and "
            "`noise_kurtosis`."
        )
    moments = MomentumSystem(with_floor(spectrum), replace(algorithm, gradient=None), batch_size)
    if gradient is None:
        if math.isinf(total_floor(spectrum)):
            raise ValueError(
                "label noise without a variance has no expected risk under plain gradients."
            )
        return MatrixSGD(problem, moments)
    if not isinstance(gradient, Sign | SignSVD):
        raise ValueError(_other(algorithm.name))
    _check_noise(problem, algorithm.name, batch_size)
    if isinstance(gradient, Sign):
        return of_signs(problem, moments, gradient)
    return _polar(problem, moments, algorithm, batch_size)


def _other(name: str) -> str:
    return (
        f"`algorithm` {name} is not predicted on a matrix: hidim.sgd and others of the momentum "
        "family, hidim.sign_sgd and hidim.sign_svd are. hidim.simulate runs it."
    )


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
    if asked == "auto" and linear.too_fast <= TOO_FAST:
        return linear
    exact = SaturatedPolar(
        problem, moments.spectrum.risk_floor, algorithm.gamma_2, float(batch_size), drift
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
