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

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hidim.problems.spectrum import Spectrum
from hidim.systems.base import STEP, Array, Drive, System
from hidim.systems.coefficients import Coefficients
from hidim.systems.moment_steps import CROSS, DRAWN, ERROR, MOMENTUM, Recursion
from hidim.systems.momentum import MomentumSystem
from hidim.systems.of_family import OfFamily

# Times its start a run is at before steps of it are left out: beyond the 1e18 of engines/march.py.
_LOST = 4e18


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

    def held(self, t: Array, mu: Array) -> Array:
        """mu no larger than 1 / (2 G D), where E r^2 of some mode would turn negative.

        For steps whose squares are known whatever the drift, kappa = 0: E r h <= (E r^2 + G^2 E
        h^2) / 2G, so where this holds a drift linear in r is out of its depth.
        """
        if self.kinds > 1:
            return mu
        total = Coefficients.at(self.moments.followed, np.asarray(t, dtype=np.float64)).total
        return np.minimum(mu, 0.5 / np.maximum(total * np.max(self._arrays[1]), 1e-300))

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

    def linearised(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> tuple[Array, Array | None, Array]:
        """As in System; only the scalars are moved."""
        if self.affine:
            return super().linearised(t, x, q, drive)
        c, (mu, nu, kappa) = self._at(t, q)
        factors, kicks = self._recursion.factors(c), self._recursion.kicks(c)
        features = self._recursion.features
        parts = factors.change.copy()
        parts[1] *= mu[:, None, None]
        parts[2] *= kappa[:, None, None]
        pulled, squared = (
            np.einsum("tab,tbj->tja", factors.change[k], x) * features[:, k][:, None]
            for k in (1, 2)
        )
        drawn = kicks[:, None, :] * features[:, DRAWN][:, None]
        gains = np.empty((*pulled.shape, len(self.orders)))
        for k in range(len(self.orders)):
            moved = np.zeros_like(q)
            moved[:, k] = STEP * (np.abs(q[:, k]) + 1e-3 * np.max(np.abs(q), axis=1) + 1e-290)
            above, below = (self.scalars_at(t, at) for at in (q + moved, q - moved))
            with np.errstate(over="ignore"):  # without risk and noise, mu jumps
                slopes = [(a - b) / (2.0 * moved[:, k]) for a, b in zip(above, below, strict=True)]
            d_mu, d_nu, d_kappa = np.clip(slopes, -1e300, 1e300)[:, :, None, None]
            gains[..., k] = d_mu * pulled + d_kappa * squared + d_nu * drawn
        return factors.of_modes(parts), nu[:, None, None] * drawn, gains

    def loop_gain(
        self,
        t: Array,
        w: float = 0.0,
        *,
        x: Array | None = None,
        q: Array | None = None,
        drive: Drive | None = None,
    ) -> Array:
        """As in System, without the eigenvalues of every mode's own matrix."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        x = self.start() if x is None else x
        q = np.asarray(self.order(x) if q is None else q)
        states = np.broadcast_to(x, (len(t), *x.shape))
        change, _, gains = self.linearised(t, states, np.broadcast_to(q, (len(t), len(q))), drive)
        held = np.all(within(change, w), axis=1)
        resolved = np.linalg.solve((w + 1e-300) * np.eye(self.kinds) - change, gains)
        loop = np.einsum("oaj,tjap->top", self.weights, resolved)
        found = loop[:, 0, 0] if loop.shape[1] == 1 else np.linalg.eigvals(loop).real.max(axis=1)
        return np.where(held, found, np.inf)

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """Step by step, the recursion written out where there is no momentum."""
        kind, own = type(self), ("change", "source", "_at", "step")  # what is written out here
        if self.kinds != 1 or any(getattr(kind, n) is not getattr(Transformed, n) for n in own):
            return super().steps(first, count, x, drive)
        _, drift, noise, squares = self._arrays
        times = first + np.arange(count, dtype=np.float64)
        rates = Coefficients.at(self.moments.followed, times).total.tolist()
        states, orders = np.empty((count + 1, *x.shape)), np.empty((count + 1, len(self.orders)))
        states[0], orders[0] = x, self.order(x)
        reads, most = self._reads.T, _LOST * (2.0 * self.floor + float(self.order(self.start())[0]))
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
            if not orders[i + 1, 0] < most:  # given up by whoever walks: scalars there are dear
                states[i + 2 :], orders[i + 2 :] = math.inf, math.inf
                break
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


def within(change: Array, w: float) -> Array:
    """Whether no eigenvalue of 1 + change (..., n, n), n up to 3, is larger than 1 + w.

    By Hurwitz' conditions on the characteristic polynomial of what is left of the circle, and by
    the eigenvalues where these are too close to tell.

    >>> within(np.array([[[-0.5, 2.0], [0.0, -0.1]], [[-1.0, 2.0], [-1.0, -1.0]]]), 0.0).tolist()
    [True, False]
    """
    n = change.shape[-1]
    if n > 3:
        return np.asarray(np.max(np.abs(1.0 + np.linalg.eigvals(change)), axis=-1) <= 1.0 + w)
    u = np.zeros((3, 3, *change.shape[:-2]))
    u[:n, :n] = np.moveaxis(change, (-2, -1), (0, 1)) / (1.0 + w)
    for i in range(3):
        u[i, i] -= w / (1.0 + w) if i < n else 1.0  # what is not there decays at once
    a = -(u[0, 0] + u[1, 1] + u[2, 2])
    b = sum(u[i, i] * u[j, j] - u[i, j] * u[j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    c = -sum(
        u[0, i] * (u[1, j] * u[2, k] - u[1, k] * u[2, j])
        for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    )
    # u = 2 s / (1 - s) takes the circle |1 + u| = 1 to the imaginary axis of s.
    top, second, first = 8.0 - 4.0 * a + 2.0 * b - c, 4.0 * a - 4.0 * b + 3.0 * c, 2.0 * b - 3.0 * c
    inner, outer = second * first, c * top
    least = np.minimum(np.minimum(top, second), np.minimum(first, c))
    found = np.asarray((least > 0.0) & (inner > outer))
    near = np.abs(inner - outer) <= 1e-9 * (np.abs(inner) + np.abs(outer))
    if near.any():
        found[near] = np.max(np.abs(1.0 + np.linalg.eigvals(change[near])), axis=-1) <= 1.0 + w
    return found


def total_floor(spectrum: Spectrum) -> float:
    """The risk floor with half the variance of the noise law in it, infinite where that is."""
    return spectrum.risk_floor + spectrum.law.noise_risk
