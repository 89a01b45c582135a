"""How do the moments move when the gradient is changed before the step? One frame for all.

A theory of a changed gradient h says, per mode and given the excess S = 2R = sum_j w_j rho_j,

    E h_j = mu(S) D_j r_j,        E h_j^2 = nu(S) N_j + kappa(S) C_j rho_j,

with fixed arrays w, D, N, C and three scalars. What momentum then does is momentum.py's recursion,
with mu D for lambda and this E h^2: twice the excess is the one order parameter, and everything
nonlinear lives in it. Plain gradients are w = D = lambda, N = n lambda, C = lambda^2, mu = 1,
nu = (2P_inf + S) / B, kappa = 1 + 1/B.
Source: derived for this project, docs/theory/changed-gradients.md. Limits: the scalars are taken at
the mean excess, which errs by O(1/d).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, Drive, System
from hidim.systems.coefficients import Coefficients
from hidim.systems.moment_steps import CROSS, DRAWN, ERROR, MOMENTUM, Recursion
from hidim.systems.momentum import MomentumSystem
from hidim.systems.of_family import OfFamily


@dataclass(frozen=True, eq=False)
class Transformed(OfFamily):
    """The moments of a member of the family under a changed gradient.

    Args:
        spectrum: the problem as it was given.
        moments: the family's system of the same schedules with plain gradients.
    """

    spectrum: Spectrum
    moments: MomentumSystem

    orders = ("twice_excess",)
    steady = False  # a threshold may move
    bounded = True

    @abstractmethod
    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """w, D, N and C, each (modes,)."""

    @abstractmethod
    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """mu, nu and kappa at the times where twice the excess is `excess`, each (times,)."""

    def scalars_at(self, t: Array, q: Array) -> tuple[Array, Array, Array]:
        """The same at all orders, for who has more than that one."""
        return self.scalars(t, np.maximum(q[:, 0], 0.0))

    def reads(self) -> Array:
        """How the orders read E r^2, (orders, modes): by w."""
        return self._arrays[0][None]

    @cached_property
    def error_sq(self) -> Array:
        """rho at step 0."""
        return self.moments.spectrum.error_sq

    @property
    def kinds(self) -> int:  # type: ignore[override]
        """As many as the family has."""
        return self.moments.kinds

    @cached_property
    def _arrays(self) -> tuple[Array, Array, Array, Array]:
        return self.arrays()

    @cached_property
    def _recursion(self) -> Recursion:
        _, drift, noise, squares = self._arrays
        return Recursion(drift, squares - drift**2, noise, None, np.zeros(1), self.kinds)

    @property
    def floor(self) -> float:
        """Risk at the optimum, without what has no variance."""
        return self.moments.spectrum.risk_floor

    @property
    def risk_floor(self) -> float:
        """The same with it, infinite then."""
        return total_floor(self.spectrum)

    def start(self) -> Array:
        """All error, no momentum."""
        state = np.zeros((self.kinds, len(self.error_sq)))
        state[ERROR] = self.error_sq
        return state

    def order(self, x: Array) -> Array:
        """Twice the excess."""
        return np.asarray(x[..., ERROR, :] @ self._reads.T)

    @cached_property
    def _reads(self) -> Array:
        return self.reads()

    @cached_property
    def weights(self) -> Array:
        """w, on E r^2."""
        weights = np.zeros((len(self.orders), self.kinds, len(self.error_sq)))
        weights[:, ERROR] = self._reads
        return weights

    def _at(self, t: Array, q: Array) -> tuple[Coefficients, tuple[Array, Array, Array]]:
        t = np.asarray(t, dtype=np.float64)
        return Coefficients.at(self.moments.followed, t), self.scalars_at(t, np.asarray(q))

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The step map less the identity, with the scalars at these orders."""
        c, (mu, _, kappa) = self._at(t, q)
        factors = self._recursion.factors(c)
        parts = factors.change.copy()
        parts[1] *= mu[:, None, None]
        parts[2] *= kappa[:, None, None]
        return factors.of_modes(parts)

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The noise that is not the mode's own."""
        c, (_, nu, _) = self._at(t, q)
        kicks = self._recursion.kicks(c) * nu[:, None]
        return kicks[:, None, :] * self._recursion.features[:, DRAWN][:, None]

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """Step by step, the recursion written out where there is no momentum."""
        if self.kinds != 1:
            return super().steps(first, count, x, drive)
        _, drift, noise, squares = self._arrays
        times = first + np.arange(count, dtype=np.float64)
        rates = Coefficients.at(self.moments.followed, times).total.tolist()
        states, orders = np.empty((count + 1, *x.shape)), np.empty((count + 1, len(self.orders)))
        states[0], orders[0] = x, self.order(x)
        reads = self._reads.T
        for i, rate in enumerate(rates):
            mu, nu, kappa = (
                float(v[0]) for v in self.scalars_at(times[i : i + 1], orders[i : i + 1])
            )
            rho = states[i, ERROR]
            states[i + 1, ERROR] = (
                rho * (1.0 - 2.0 * rate * mu * drift + rate**2 * kappa * squares)
                + rate**2 * nu * noise
            )
            orders[i + 1] = states[i + 1, ERROR] @ reads
        return states, orders

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate, and at the point theta + w y that is read."""
        readout = self.moments.readout
        found = {"risk": self.floor + 0.5 * q[..., 0]}
        if readout != "gradient":
            moved: Array | float = 0.0
            if self.kinds == 3 and self.moments.weight is not None:
                w, sums = self.moments.weight(t), x @ self._arrays[0]
                moved = w * sums[..., CROSS] + 0.5 * w**2 * sums[..., MOMENTUM]
            found[readout] = found["risk"] + moved
        return found

    def read_at(self, readout: str, *, moments: bool = False) -> System:
        """The moments that this point needs."""
        return replace(self, moments=self.moments.read_at(readout, moments=moments))  # type: ignore[arg-type]


def total_floor(spectrum: Spectrum) -> float:
    """The risk floor with half the variance of the noise law in it, infinite where that is."""
    return spectrum.risk_floor + spectrum.law.noise_risk
