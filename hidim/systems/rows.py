"""How do the mean and the covariance of a run on measured rows move?

The mean m of the error follows full batches exactly, per mode and output:

    m   +=  -G lambda m - gamma_3 D m_y,        m_y  +=  gamma_1 lambda m - (1 - D) m_y.

It drives the covariance, whose diagonal has the three moments of momentum.py, summed over outputs,
from zero. Row i with residual z_i . m - e_i brings noise, so that along mode j

    E g_j^2 = (1 - 1/B) lambda_j^2 C_j + (f_j + (M C)_j) / B,
    f_j = mean_i z_ij^2 |z_i . m - e_i|^2 - lambda_j^2 |m_j|^2,     M_jk = mean_i z_ij^2 z_ik^2,

f exactly, and M by its 8 leading directions, the orders, and the diagonal that these leave. Neither
Gaussian rows nor any law of the residuals is assumed. Source: derived for this project,
docs/theory/rows.md. Limits: rows drawn with replacement; what off-diagonals of the covariance feed
back is left out, a percent or two at a gain of 1/2 (row_gain.py), and no judge of stability.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum, is_plain
from hidim.algorithms.schedules import Schedule
from hidim.problems.law import DataLaw
from hidim.problems.rows import Rows
from hidim.problems.spectrum import Spectrum
from hidim.systems import kernel_norm
from hidim.systems.base import Array, Drive, System
from hidim.systems.coefficients import Coefficients
from hidim.systems.factors import Factors
from hidim.systems.moment_steps import CROSS, ERROR, MOMENTUM, Recursion
from hidim.systems.momentum import MomentumSystem
from hidim.systems.row_gain import RowLoop

# Directions of the rows' fourth moments that are followed; the diagonal of the rest is kept.
RANK = 8


@dataclass(frozen=True, eq=False)
class MeanSystem(System):
    """The mean of the error, which no noise reaches: modes are modes of every output in turn.

    Args:
        rows: measured rows.
        moments: the family's system on their modes, for its algorithm and readout.
    """

    rows: Rows
    moments: MomentumSystem

    orders = ()
    affine = True

    @property
    def kinds(self) -> int:  # type: ignore[override]
        """The error, and the momentum where there is one."""
        return 1 if self.moments.kinds == 1 else 2

    @property
    def breakpoints(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where a schedule changes its formula."""
        return self.moments.breakpoints

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """Whether no rate moves."""
        return self.moments.steady

    @property
    def watched(self) -> Sequence[Schedule]:
        """Schedules that may do something between the points of a block."""
        return self.moments.watched

    @cached_property
    def along(self) -> Array:
        """Eigenvalues, (modes x outputs,)."""
        return np.repeat(self.moments.spectrum.eigenvalues, self.rows.outputs)

    def start(self) -> Array:
        """Minus the optimum, no momentum."""
        state = np.zeros((self.kinds, self.rows.start.size))
        state[ERROR] = self.rows.start.ravel()
        return state

    def order(self, x: Array) -> Array:
        """Nothing: the mean feeds nothing back."""
        return np.zeros((*x.shape[:-2], 0))

    @cached_property
    def weights(self) -> Array:
        """Of no order."""
        return np.zeros((0, self.kinds, len(self.along)))

    def factors(self, t: Array) -> Factors:
        """As `System.factors`."""
        c = Coefficients.at(self.moments.followed, np.asarray(t, dtype=np.float64))
        change = np.zeros((2, len(c.total), self.kinds, self.kinds))
        plain, linear = change
        linear[:, ERROR, ERROR] = -c.total
        if self.kinds == 2:
            plain[:, ERROR, MOMENTUM] = -(c.gamma_3 * c.keep)
            linear[:, MOMENTUM, ERROR] = c.gamma_1
            plain[:, MOMENTUM, MOMENTUM] = -c.forget
        features = np.stack([np.ones_like(self.along), self.along], axis=1)
        return Factors(features, change, np.empty((2, len(c.total), self.kinds, 0)), None)

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The step map of (m, m_y) less the identity."""
        factors = self.factors(t)
        return factors.of_modes(factors.change)

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """Nothing is added."""
        return np.zeros((len(t), len(self.along), self.kinds))

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk of the mean, at the iterate and at the point theta + w y that is read."""
        floor, readout = self.moments.spectrum.risk_floor, self.moments.readout
        found = {"risk": floor + 0.5 * x[..., ERROR, :] ** 2 @ self.along}
        if readout != "gradient":
            found[readout] = floor + 0.5 * self.point(t, x) ** 2 @ self.along
        return found

    def point(self, t: Array, x: Array) -> Array:
        """The mean of the point that is read, (times, modes)."""
        weight = self.moments.weight
        if weight is None or self.kinds == 1:
            return np.asarray(x[..., ERROR, :])
        return np.asarray(x[..., ERROR, :] + weight(t)[:, None] * x[..., MOMENTUM, :])

    def loop_gain(
        self,
        t: Array,
        w: float = 0.0,
        *,
        x: Array | None = None,
        q: Array | None = None,
        drive: Drive | None = None,
    ) -> Array:
        """0, or infinite where a mode grows by more than w per step."""
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        both = (1.0 + w) ** 2 - 1.0  # of the square
        return kernel_norm.gain(self.moments.spectrum, self.moments.followed, math.inf, times, both)


@dataclass(frozen=True, eq=False)
class RowsSystem(System):
    """The covariance of one algorithm on measured rows, behind its mean.

    Args:
        rows: measured rows.
        moments: the family's system on their modes, for its algorithm, batch and readout.

    >>> import hidim
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> spectrum = hidim.Spectrum.from_data(X, [1.0, 2.0, 0.0], rows=True)
    >>> system = build(spectrum, hidim.sgd(0.1), 1)
    >>> system.kinds, len(system.orders), system.driver.kinds
    (1, 2, 1)
    """

    rows: Rows
    moments: MomentumSystem

    affine = True

    @property
    def spectrum(self) -> Spectrum:
        """The modes of the rows."""
        return self.moments.spectrum

    @cached_property
    def driver(self) -> MeanSystem:  # type: ignore[override]
        """The mean."""
        return MeanSystem(self.rows, self.moments)

    @property
    def kinds(self) -> int:  # type: ignore[override]
        """As many as the family has."""
        return self.moments.kinds

    @cached_property
    def orders(self) -> tuple[str, ...]:  # type: ignore[override]
        """One for each direction of the fourth moments that is followed."""
        return tuple(f"direction_{r + 1}" for r in range(self._directions.shape[1]))

    @property
    def breakpoints(self) -> tuple[float, ...]:  # type: ignore[override]
        """Where a schedule changes its formula."""
        return self.moments.breakpoints

    @property
    def watched(self) -> Sequence[Schedule]:
        """Schedules that may do something between the points of a block."""
        return self.moments.watched

    @cached_property
    def _squares(self) -> Array:
        """z_ij^2, (rows, modes)."""
        return self.rows.features**2

    @cached_property
    def _split(self) -> tuple[Array, Array]:
        """F and the rest: M is nearly F F^T + diag(rest). Relative to lambda, for small modes."""
        root = np.sqrt(self.spectrum.eigenvalues)
        scaled = self._squares / (math.sqrt(len(self.rows)) * root)
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        count = min(RANK, len(root))
        leading = vectors[:, -count:] * np.sqrt(np.maximum(values[-count:], 0.0))
        # Which sign a direction has is nobody's choice: the one with a positive sum.
        leading = leading * np.where(leading.sum(axis=0) < 0, -1.0, 1.0)
        left = np.maximum(np.sum(scaled**2, axis=0) - np.sum(leading**2, axis=1), 0.0)
        return root[:, None] * leading, root**2 * left

    @property
    def _directions(self) -> Array:
        return self._split[0]

    @cached_property
    def _recursion(self) -> Recursion:
        along, batch = self.spectrum.eigenvalues, self.moments.batch_size
        spread = (self._split[1] - along**2) / batch
        return Recursion(along, spread, np.zeros_like(along), None, np.zeros(1), self.kinds)

    def _noise(self, drive: Drive) -> Array:
        """f, (times, modes): what the mean's residuals bring."""
        rows, along = self.rows, self.spectrum.eigenvalues
        mean = drive[0][:, ERROR].reshape(-1, len(along), rows.outputs)
        found = np.empty((len(mean), len(along)))
        for i, m in enumerate(mean):
            squared = np.sum((rows.features @ m - rows.residual) ** 2, axis=1)
            found[i] = squared @ self._squares / len(rows)
        found -= along**2 * np.sum(mean**2, axis=2)
        return np.maximum(found, 0.0)

    def start(self) -> Array:
        """No spread."""
        return np.zeros((self.kinds, len(self.spectrum)))

    @cached_property
    def weights(self) -> Array:
        """Directions, on the variance of the error."""
        weights = np.zeros((len(self.orders), self.kinds, len(self.spectrum)))
        weights[:, ERROR] = self._directions.T
        return weights

    @cached_property
    def offset(self) -> Array:
        """None."""
        return np.zeros(len(self.orders))

    def order(self, x: Array) -> Array:
        """What the variance has along every direction."""
        return np.asarray(x[..., ERROR, :] @ self._directions)

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The step map of the moments less the identity, without what comes back by others."""
        factors = self._recursion.factors(self._at(t))
        return factors.of_modes(factors.change)

    def _at(self, t: Array) -> Coefficients:
        return Coefficients.at(self.moments.followed, np.asarray(t, dtype=np.float64))

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The noise of the rows that is not the mode's own."""
        assert drive is not None
        noise = self._noise(drive) + np.asarray(q) @ self._directions.T
        noise /= self.moments.batch_size
        return self._recursion.kicks(self._at(t))[:, None, :] * noise[:, :, None]

    def linearised(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> tuple[Array, Array | None, Array]:
        """As `System.linearised`, without asking twice for what is known."""
        assert drive is not None
        c, r, batch = self._at(t), self._recursion, self.moments.batch_size
        factors, kicks = r.factors(c), r.kicks(c)[:, None, :]
        gains = kicks[..., None] * (self._directions / batch)[:, None, :]
        source = kicks * (self._noise(drive) / batch)[:, :, None]
        return factors.of_modes(factors.change), source, gains

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate, and at the point theta + w y that is read."""
        assert drive is not None
        found = self.driver.readouts(t, drive[0], drive[1])
        along, readout = self.spectrum.eigenvalues, self.moments.readout
        variance = x[..., ERROR, :] @ along
        found["risk"] = found["risk"] + 0.5 * variance
        if readout != "gradient":
            if self.kinds == 3 and self.moments.weight is not None:
                w = self.moments.weight(t)
                sums = x @ along
                variance = variance + 2.0 * w * sums[..., CROSS] + w**2 * sums[..., MOMENTUM]
            found[readout] = found[readout] + 0.5 * variance
        return found

    def loop_gain(
        self,
        t: Array,
        w: float = 0.0,
        *,
        x: Array | None = None,
        q: Array | None = None,
        drive: Drive | None = None,
    ) -> Array:
        """Of the closed covariance, for the length of blocks: the gain of the rows may be larger.

        sum_j F_rj F_sj / lambda_j^2 (T_j / B) / (1 - own_j T_j), T of kernel_norm.py.
        """
        times = np.atleast_1d(np.asarray(t, dtype=np.float64))
        batch, along = self.moments.batch_size, self.spectrum.eigenvalues
        transfer = kernel_norm.transfers(along, self.moments.followed, times, w)
        alive = np.isfinite(transfer).all(axis=1)
        transfer = np.where(np.isfinite(transfer), transfer, 0.0)
        own = transfer * (self._recursion.spread / along**2)
        alive &= (own < 1.0).all(axis=1)
        passed = transfer / batch / np.where(own < 1.0, 1.0 - own, 1.0)
        directions = self._directions / along[:, None]
        loop = np.einsum("tj,jr,js->trs", passed, directions, directions)
        return np.where(alive, np.linalg.eigvalsh(loop)[:, -1], np.inf)

    @cached_property
    def loop(self) -> RowLoop:
        """The exact loop of the rows."""
        return RowLoop(self.rows, self.spectrum.eigenvalues)

    def read_at(self, readout: str, *, moments: bool = False) -> System:
        """The moments that this point needs."""
        if moments:
            raise ValueError(
                "`moments` are not kept on measured rows, where mean and covariance move apart: "
                "take Spectrum.from_data(X, y, rows=False), or leave `moments` out."
            )
        return RowsSystem(self.rows, self.moments.read_at(readout))  # type: ignore[arg-type]


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """Mean and covariance of a member of the momentum family on measured rows."""
    if not (isinstance(algorithm, Momentum) and is_plain(algorithm)):
        return None
    if not isinstance(problem, Spectrum) or not isinstance(problem.law.rows, Rows):
        return None
    if problem.law.noise is not None:
        return None
    rows, modes = problem.law.rows, problem.law.rows.features.shape[1]
    seen = Spectrum(
        problem.eigenvalues[:modes],
        problem.error_sq[:modes],
        problem.risk_floor,
        label=problem.label,
        provenance=problem.provenance,
        law=DataLaw(),
    )
    return RowsSystem(rows, MomentumSystem(seen, algorithm, batch_size))
