"""How does signSGD move a matrix, entry by entry, at small signals and at strong ones?

In the modes of sign_modes.py, with rho summed over the outputs, m n^sign for the noise and

    mu = sqrt(2 / pi) E sqrt(sum_b a_b^2 c_b^2) / sqrt(2P),   a, c independent and normal,

since an entry's gradient is a sum of e_b u_b x_b. Where signals are not small the drift of a mode
with the share p_i = omega_i rho_i / (n_i 2P) of the residual is that over

    sqrt(1 + B p_i / m + (2 - 1/B) p_i):

the signal beside the noise of its entries, and the noise that it makes itself, E e^2 x_i^2 = 2P
lambda_i (1 + 2 p_i). Where coordinates mix the modes, all have the gain of the mean p.
Source: derived for this project, docs/theory/muon.md. Limits: Gaussian noise; columns of the
optimum in unrelated directions; 5 % of the excess where one mode holds most of the residual.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from hidim.algorithms.changed import Sign
from hidim.algorithms.schedules import Schedule
from hidim.problems.coordinates import coordinates_of
from hidim.problems.matrix import MatrixLeastSquares
from hidim.systems.base import Array, Drive, System
from hidim.systems.momentum import MomentumSystem
from hidim.systems.saturating import Saturating
from hidim.systems.sign import modes_of
from hidim.systems.sign_modes import SignModes, scattered
from hidim.systems.transformed import Transformed, total_floor

# How much too fast descent under a linear drift may be at the start.
TOO_FAST = 0.01
# As far as "auto" takes every step by itself, and a share of the residual that is most of it.
_STEPS, _MOST = 1e5, 0.4
_SETTLING = 400


@dataclass(frozen=True, eq=False)
class MatrixSystem(Transformed):
    """What theories of a matrix share that follow the schedules of the family.

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
class Entries:
    """What signs of a matrix' entries see.

    Args:
        modes: of the columns.
        count: (modes,), how often each occurs.
        mixed: whether coordinates mix the modes.
        outputs, batch: rows of the matrix, samples per step.
    """

    modes: SignModes
    count: Array
    mixed: bool
    outputs: int
    batch: float

    @cached_property
    def lean(self) -> float:
        """mu sqrt(2P) at small signals."""
        return math.sqrt(2.0 / math.pi) * product_norm(self.batch)

    @cached_property
    def noise(self) -> Array:
        """Of every mode, all outputs together."""
        return self.outputs * self.modes.noise

    def shares(self, error_sq: Array, twice: float) -> Array:
        """p of every mode, or of all alike."""
        omega = self.modes.omega
        if self.mixed:
            mean = float(omega**2 @ error_sq) / (self.modes.root_trace * twice)
            return np.full(len(omega), max(mean, 0.0))
        return np.maximum(omega * error_sq / (np.maximum(np.abs(self.count), 1.0) * twice), 0.0)

    def gains(self, shares: Array) -> Array:
        """The drift over that at small signals."""
        batch = self.batch
        return np.asarray(1.0 / np.sqrt(1.0 + (batch / self.outputs + 2.0 - 1.0 / batch) * shares))


@dataclass(frozen=True, eq=False)
class MatrixSigns(MatrixSystem):
    """Signs of a matrix' entries, by the linear drift.

    Args:
        entries: what signs see.
        exact: what is followed in its place on runs short enough for it, or None.
    """

    entries: Entries
    exact: SaturatedEntries | None = None

    @property
    def error_sq(self) -> Array:
        """In the modes of signs."""
        return self.entries.modes.error_sq

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """omega, omega, m n^sign and nothing."""
        omega = self.entries.modes.omega
        return omega, omega, self.entries.noise, np.zeros_like(omega)

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """Gaussian noise, a batch of rank-one rows."""
        twice = np.maximum(2.0 * self.floor + excess, 1e-300)
        mu = self.held(t, self.entries.lean / np.sqrt(twice))
        return mu, np.ones_like(mu), np.zeros_like(mu)

    def resting(self, t: float) -> Array | None:
        """By the law that needs no small signal, where that is known."""
        return None if self.exact is None else self.exact.resting(t)

    def sharper(self, last: float) -> System:
        """Without the linear drift, where every step can be taken by itself."""
        return self if self.exact is None or last > _STEPS else self.exact

    def facts(self, last: float) -> dict[str, str]:
        """Which law of the drift this is."""
        return {"drift": "linear"}

    @cached_property
    def too_fast(self) -> float:
        """By which share the linear drift lowers the risk too fast at the start."""
        omega, x = self.entries.modes.omega, np.maximum(self.error_sq, 0.0)
        twice = max(2.0 * self.floor + float(omega @ self.error_sq), 1e-300)
        pulls = omega**2 * x
        kept = float(pulls @ self.entries.gains(self.entries.shares(x, twice)))
        return float(pulls.sum()) / kept - 1.0 if kept > 0 else 0.0

    def caution(self, last: float) -> str:
        """Whether some entry's signal is too large at the start, or modes are too few."""
        told = [self.entries.modes.told(), too_linear("signs", self.too_fast)]
        return "; ".join(filter(None, told))


@dataclass(frozen=True, eq=False)
class SaturatedEntries(Saturating):
    """Mean square error of every mode, step by step.

    Args:
        spectrum: the matrix problem.
        entries: what signs see.
        floor: the risk's, with the variance of the noise law in it.
        eta: the rate.
    """

    spectrum: MatrixLeastSquares
    entries: Entries
    floor: float
    eta: Schedule

    kinds = 1

    def start(self) -> Array:
        """W = 0."""
        return self.entries.modes.error_sq[None].copy()

    @cached_property
    def weights(self) -> Array:
        """omega."""
        return self.entries.modes.omega[None, None].copy()

    def order(self, x: Array) -> Array:
        """Twice the excess."""
        return np.asarray((x[..., 0, :] @ self.entries.modes.omega)[..., None])

    def step(self, t: float, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """One step of every mode."""
        eta, entries = float(self.eta(float(t))), self.entries
        twice = max(2.0 * self.floor + float(q[0]), 1e-300)
        gain = entries.gains(entries.shares(x[0], twice)) * (entries.lean / math.sqrt(twice))
        kept = np.maximum(1.0 - 2.0 * eta * entries.modes.omega * gain, 0.0)
        return np.asarray((kept * x[0] + eta**2 * entries.noise)[None])

    def resting(self, t: float) -> Array | None:
        """Where every mode's noise is what its drift takes away."""
        eta, entries = float(self.eta(t)), self.entries
        omega, moving = entries.modes.omega, entries.modes.omega > 0
        if eta == 0.0:
            return None
        rest = np.where(moving, eta**2 * entries.noise, 0.0)
        for _ in range(_SETTLING):
            twice = 2.0 * self.floor + float(omega @ rest)
            gain = entries.gains(entries.shares(rest, twice)) * (entries.lean / math.sqrt(twice))
            after = eta * entries.noise / np.maximum(2.0 * omega * gain, 1e-300)
            after = np.where(moving, np.sqrt(after * rest), 0.0)  # halfway, in the logarithm
            if np.allclose(after, rest, rtol=1e-13, atol=0.0):
                break
            rest = after
        swings = 2.0 * eta * float(np.max(omega * gain)) > 1.0
        return None if swings else rest[None]

    def caution(self, last: float) -> str:
        """Whether modes are too few, or one holds most of the residual."""
        x = self.entries.modes.error_sq
        twice = max(2.0 * self.floor + float(x @ self.entries.modes.omega), 1e-300)
        most = float(np.max(self.entries.shares(x, twice)))
        told = [self.entries.modes.told()]
        if most > _MOST:
            told.append(
                f"one mode holds {most:.0%} of the residual at the start: the excess may be off by "
                "5 %"
            )
        return "; ".join(filter(None, told))


def too_linear(what: str, too_fast: float) -> str:
    """What is against a linear drift that lowers the risk too fast by this share, if anything."""
    if too_fast <= TOO_FAST:
        return ""
    return (
        f"the drift of {what} is taken as linear in the signal, which at the start makes "
        f"descent {too_fast:.1%} too fast: the excess is too low, by as much for every factor e "
        "that it has fallen"
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


def of_signs(problem: MatrixLeastSquares, moments: MomentumSystem, signs: Sign) -> System:
    """signSGD on a matrix problem with Gaussian noise.

    Raises:
        ValueError: coordinates that are not known.
    """
    known = None if signs.basis is not None else coordinates_of(problem.law.basis)
    mixed = signs.basis == "generic" or (known is not None and known.covariance.ndim == 2)
    if known is not None and known.covariance.ndim == 2:
        modes, count = scattered(known), np.ones(0)
    else:
        name = moments.algorithm.name
        modes = modes_of(problem.spectrum, signs.basis, name=name)
        count = problem.spectrum.multiplicity
    if known is not None:
        count = np.ones(len(modes.omega))
    entries = Entries(modes, count, mixed, problem.outputs, float(moments.batch_size))
    linear = MatrixSigns(problem, moments, entries)
    plain = moments.algorithm
    alone = not (plain.has_momentum or plain.readouts)
    if signs.drift == "saturated" and not alone:
        raise ValueError('`drift`="saturated" follows signs without momentum. Use drift="linear".')
    if signs.drift == "linear" or not alone:
        return linear
    exact = SaturatedEntries(problem, entries, moments.spectrum.risk_floor, plain.gamma_2)
    if signs.drift == "saturated":
        return exact
    return linear if linear.too_fast <= TOO_FAST else replace(linear, exact=exact)
