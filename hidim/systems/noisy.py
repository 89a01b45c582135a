"""How does descent with noise on its gradients and an l2 penalty move? Exactly, two rows more.

With k = lambda + l2, r = theta - theta*, tau = E r theta* and upsilon = E y theta*, per mode

    u = k rho + l2 tau,   w = k chi + l2 upsilon,   p = k tau + l2 theta*^2,
    E h^2 = k^2 rho + 2 k l2 tau + l2^2 theta*^2 + (lambda^2 rho + n lambda 2P) / B + n std^2,

and the momentum family's recursion holds with u for lambda rho, w for lambda chi and this E h^2,
beside tau+ = tau - G p - gamma_3 D upsilon and upsilon+ = D upsilon + gamma_1 p. Where samples are
clipped before the noise, mu lambda stands for lambda and clipped.py's numbers in E h^2.
Source: arXiv 2510.16687; derived for this project, docs/theory/private.md. The risk is
that without the penalty. Limits: theta starts at 0, or at random about it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.changed import Noise
from hidim.algorithms.momentum import Momentum
from hidim.problems.spectrum import Spectrum
from hidim.systems import clipped
from hidim.systems.base import Array, Drive, System
from hidim.systems.clipped import ClippedSystem
from hidim.systems.coefficients import Coefficients
from hidim.systems.moment_steps import CROSS, ERROR, MOMENTUM
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.of_family import OfFamily
from hidim.systems.transformed import total_floor


@dataclass(frozen=True, eq=False)
class NoisySystem(OfFamily):
    """The moments and the products with the optimum.

    Args:
        spectrum: the problem as it was given.
        moments: the family's system of the same schedules with plain gradients.
        noise: what is put on the gradient.
    """

    spectrum: Spectrum
    moments: MomentumSystem
    noise: Noise

    orders = ("twice_risk",)
    affine = True

    @property
    def risk_floor(self) -> float:
        """Risk at the optimum, the variance of the noise law included."""
        return self.moments.spectrum.risk_floor

    @property
    def kinds(self) -> int:  # type: ignore[override]
        """E r^2 and tau, or the three moments, tau and upsilon."""
        return 2 if self.moments.kinds == 1 else 5

    @cached_property
    def _optimum_sq(self) -> Array:
        return self.moments.spectrum.error_sq

    def start(self) -> Array:
        """theta = 0, or spread about it; no momentum."""
        state = np.zeros((self.kinds, len(self._optimum_sq)))
        spread = self.noise.start_variance * self.moments.spectrum.multiplicity
        state[ERROR] = self._optimum_sq + spread
        state[self.kinds - 1 if self.kinds == 2 else 3] = -self._optimum_sq
        return state

    def order(self, x: Array) -> Array:
        """Twice the risk."""
        return np.asarray(
            self.offset + (x[..., ERROR, :] @ self.moments.spectrum.eigenvalues)[..., None]
        )

    @cached_property
    def offset(self) -> Array:
        """Twice the floor."""
        return np.array([2.0 * self.moments.spectrum.risk_floor])

    @cached_property
    def weights(self) -> Array:
        """Eigenvalues, on E r^2."""
        weights = np.zeros((1, self.kinds, len(self._optimum_sq)))
        weights[0, ERROR] = self.moments.spectrum.eigenvalues
        return weights

    def numbers(self, t: Array, q: Array) -> tuple[Array, Array, Array]:
        """mu, nu and the batch's own share, each (times, 1): E h = mu lambda r, and in E h^2 is
        nu n lambda + (mu^2 + own) lambda^2 rho."""
        batch = self.moments.batch_size
        one = np.ones((len(q), 1))
        return one, np.asarray(q)[:, :1] / batch, one / batch

    def _coefficients(self, t: Array) -> tuple[Coefficients, list[Array]]:
        c = Coefficients.at(self.moments.followed, np.asarray(t, dtype=np.float64))
        return c, [v[:, None] for v in (c.gamma_1, c.gamma_3, c.total, c.keep)]

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The step map less the identity."""
        c, (gamma_1, gamma_3, total, keep) = self._coefficients(t)
        along, l2 = self.moments.spectrum.eigenvalues, self.noise.l2
        mu, _, share = self.numbers(t, q)
        k, own = mu * along + l2, share * along**2
        found = np.zeros((self.kinds, self.kinds, len(c.total), len(along)))
        squared = k**2 + own
        if self.kinds == 2:
            found[0, 0] = -2.0 * total * k + total**2 * squared
            found[0, 1] = -2.0 * total * l2 + 2.0 * total**2 * k * l2
            found[1, 1] = -total * k
            return found.transpose(2, 3, 0, 1)
        tau, upsilon = 3, 4
        turned = gamma_3 * keep
        found[ERROR, ERROR] = -2.0 * total * k + total**2 * squared
        found[ERROR, tau] = -2.0 * total * l2 + 2.0 * total**2 * k * l2
        found[ERROR, MOMENTUM] = turned**2
        found[ERROR, CROSS] = -2.0 * turned * (1.0 - total * k)
        found[ERROR, upsilon] = 2.0 * total * turned * l2
        found[MOMENTUM, MOMENTUM] = keep**2 - 1.0
        found[MOMENTUM, ERROR] = gamma_1**2 * squared
        found[MOMENTUM, tau] = 2.0 * gamma_1**2 * k * l2
        found[MOMENTUM, CROSS] = 2.0 * gamma_1 * keep * k
        found[MOMENTUM, upsilon] = 2.0 * gamma_1 * keep * l2
        found[CROSS, ERROR] = gamma_1 * k - total * gamma_1 * squared
        found[CROSS, tau] = gamma_1 * l2 - 2.0 * total * gamma_1 * k * l2
        found[CROSS, MOMENTUM] = -turned * keep
        found[CROSS, CROSS] = keep - 1.0 - (total + gamma_1 * gamma_3) * keep * k
        found[CROSS, upsilon] = -(total + gamma_1 * gamma_3) * keep * l2
        found[tau, tau] = -total * k
        found[tau, upsilon] = -turned
        found[upsilon, upsilon] = keep - 1.0
        found[upsilon, tau] = gamma_1 * k
        return found.transpose(2, 3, 0, 1)

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The noise of the batch and of the gradient, and what the penalty pulls."""
        c, (gamma_1, _, total, _) = self._coefficients(t)
        spectrum, l2 = self.moments.spectrum, self.noise.l2
        count, along, optimum = spectrum.multiplicity, spectrum.eigenvalues, self._optimum_sq
        square = count * along * self.numbers(t, q)[1]
        square = square + count * self.noise.std**2 + l2**2 * optimum
        found = np.zeros((self.kinds, len(c.total), len(along)))
        found[ERROR] = total**2 * square
        if self.kinds == 2:
            found[1] = -total * l2 * optimum
            return found.transpose(1, 2, 0)
        found[MOMENTUM] = gamma_1**2 * square
        found[CROSS] = -total * gamma_1 * square
        found[3], found[4] = -total * l2 * optimum, gamma_1 * l2 * optimum
        return found.transpose(1, 2, 0)

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk without the penalty, at the iterate and at the point that is read."""
        found, readout = {"risk": 0.5 * q[..., 0]}, self.moments.readout
        if readout != "gradient":
            moved: Array | float = 0.0
            if self.kinds == 5 and self.moments.weight is not None:
                w, sums = self.moments.weight(t), x @ self.moments.spectrum.eigenvalues
                moved = w * sums[..., CROSS] + 0.5 * w**2 * sums[..., MOMENTUM]
            found[readout] = found["risk"] + moved
        return found

    def read_at(self, readout: str, *, moments: bool = False) -> System:
        """The moments that this point needs."""
        return replace(self, moments=self.moments.read_at(readout, moments=moments))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class PrivateSystem(NoisySystem):
    """The same with clipped samples, as private descent has them.

    Args:
        clip: the theory of the clipped gradients alone.
    """

    clip: ClippedSystem

    orders = ("twice_excess",)
    affine = False

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        """Whatever the rate, unless a penalty pulls without bound."""
        return self.noise.l2 == 0

    @property
    def floor(self) -> float:
        """Risk at the optimum, without what has no variance."""
        return self.clip.floor

    @property
    def risk_floor(self) -> float:
        """The same with it, infinite then."""
        return total_floor(self.spectrum)

    @cached_property
    def offset(self) -> Array:
        """None."""
        return np.zeros(1)

    def numbers(self, t: Array, q: Array) -> tuple[Array, Array, Array]:
        """Those of clipping."""
        times = np.asarray(t, dtype=np.float64)
        mu, nu, kappa = self.clip.scalars_at(times, np.asarray(q))
        return mu[:, None], nu[:, None], (kappa - mu**2)[:, None]

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """With the floor, which is no part of the order here."""
        found = super().readouts(t, x, q, drive)
        return {name: self.floor + value for name, value in found.items()}

    def caution(self, last: float) -> str:
        """Clipping's."""
        return self.clip.caution(last)


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """Noisy members of the momentum family on Gaussian rows."""
    if not isinstance(algorithm, Momentum) or not isinstance(algorithm.gradient, Noise):
        return None
    law = problem.law if isinstance(problem, Spectrum) else None
    if law is None or law.rows is not None or not law.gaussian:
        return None
    clip = algorithm.gradient.clip
    if clip is not None:
        alone = clipped.build(problem, replace(algorithm, gradient=clip), batch_size)
        assert isinstance(alone, ClippedSystem)  # of a law that is Gaussian, and so its own
        return PrivateSystem(problem, alone.moments, algorithm.gradient, alone)
    if math.isinf(total_floor(problem)):
        raise ValueError(
            "label noise without a variance has no expected risk under plain gradients: clip them "
            "(hidim.clipped) or take their signs (hidim.sign_sgd)."
        )
    plain = replace(algorithm, gradient=None)
    moments = MomentumSystem(with_floor(problem), plain, batch_size)
    return NoisySystem(problem, moments, algorithm.gradient)
