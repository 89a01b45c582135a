"""How do the mean and the covariance of a run on measured rows move?

The mean m of the error follows full batches exactly, per mode and output:

    m   +=  -G lambda m - gamma_3 D m_y,        m_y  +=  gamma_1 lambda m - (1 - D) m_y.

It drives the covariance, whose diagonal, and some patterns beside it (row_patterns.py), have the
three moments of momentum.py, summed over outputs, from zero. Row i with residual z_i . m - e_i
brings noise, so that with phi_ij = z_ij^2 along mode j, and a form of z_i in a pattern,

    E g_j^2 = (1 - 1/B) lambda_j^2 c_j + (f_j + (M c)_j) / B,
    f_j = mean_i phi_ij |z_i . m - e_i|^2 - lambda_j^2 |m_j|^2,     M_jk = mean_i phi_ij phi_ik,

f exactly, and M by its 12 leading directions, the orders, and the diagonal that these leave.
Neither Gaussian rows nor any law of the residuals is assumed. Source: derived for this project,
docs/theory/rows.md. Limits: rows drawn with replacement; what the patterns do not catch of the
off-diagonals, half a percent at a gain of 1/2 (row_gain.py), and no judge of stability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum, is_plain
from hidim.problems.law import DataLaw
from hidim.problems.rows import Rows
from hidim.problems.spectrum import Spectrum
from hidim.systems import kernel_norm
from hidim.systems.base import Array, Drive, System
from hidim.systems.coefficients import Coefficients
from hidim.systems.factors import Factors, Intake
from hidim.systems.moment_steps import ERROR, Recursion
from hidim.systems.momentum import MomentumSystem
from hidim.systems.of_family import OfFamily
from hidim.systems.row_gain import RowLoop, looks
from hidim.systems.row_matrix import MatrixSystem
from hidim.systems.row_mean import MeanSystem
from hidim.systems.row_patterns import Followed, followed

# Directions of the rows' fourth moments that are followed; the diagonal of the rest is kept.
RANK = 12
_MOST_HELD = 1 << 22  # residuals worked out at once


@dataclass(frozen=True, eq=False)
class RowsSystem(OfFamily):
    """The covariance of one algorithm on measured rows, behind its mean.

    Args:
        rows: measured rows.
        moments: the family's system on their modes, for its algorithm, batch and readout.
        spectrum: the problem, modes without curvature included.

    >>> import hidim
    >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> spectrum = hidim.Spectrum.from_data(X, [1.0, 2.0, 0.0], rows=True)
    >>> system = build(spectrum, hidim.sgd(0.1), 1)
    >>> system.kinds, len(system.orders), system.driver.kinds  # two modes and a pattern
    (1, 3, 1)
    """

    rows: Rows
    moments: MomentumSystem
    spectrum: Spectrum

    affine = True
    steady = False  # the mean moves

    @property
    def _modes(self) -> Spectrum:
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
    def _still(self) -> bool:
        """Whether no rate moves; the mean does all the same."""
        return self.moments.steady

    @cached_property
    def _followed(self) -> Followed:
        """What of the covariance is followed."""
        features, along = self.rows.features, self._modes.eigenvalues
        scaled = features**2 / np.sqrt(along)
        _, vectors = np.linalg.eigh(scaled.T @ scaled)
        return followed(features, along, np.abs(scaled @ vectors[:, -1]))

    @cached_property
    def _split(self) -> tuple[Array, Array]:
        """F and the rest: M is nearly F F^T + diag(rest). Relative to lambda, for small modes."""
        root = np.sqrt(self._followed.along)
        scaled = self._followed.squares / (math.sqrt(len(self.rows)) * root)
        values, vectors = np.linalg.eigh(scaled.T @ scaled)
        count = min(RANK, len(root))
        leading = vectors[:, -count:] * np.sqrt(np.maximum(values[-count:], 0.0))
        # Which sign a direction has is nobody's choice: the one with a positive sum.
        signs = leading[: len(self._modes)].sum(axis=0)
        leading = leading * np.where(signs < 0, -1.0, 1.0)
        left = np.maximum(np.sum(scaled**2, axis=0) - np.sum(leading**2, axis=1), 0.0)
        return root[:, None] * leading, root**2 * left

    @property
    def _directions(self) -> Array:
        return self._split[0]

    @cached_property
    def _recursion(self) -> Recursion:
        along, batch = self._followed.along, self.moments.batch_size
        spread = (self._split[1] - self._followed.product) / batch
        spread += self._followed.product - along**2
        fed, none = self._directions / batch, np.zeros(len(self.orders))
        return Recursion(along, spread, fed, None, none, self.kinds, self._directions)

    def _noise(self, drive: Drive) -> Array:
        """f, (times, modes): what the mean's residuals bring."""
        rows, along = self.rows, self._modes.eigenvalues
        k, squares = len(along), self._followed.squares
        mean = drive[0][:, ERROR].reshape(-1, k, rows.outputs)
        found = np.empty((len(mean), squares.shape[1]))
        held = max(1, _MOST_HELD // (len(rows) * rows.outputs))  # times at once
        for first in range(0, len(mean), held):
            m = mean[first : first + held]
            left = rows.features @ m.transpose(1, 0, 2).reshape(k, -1)
            left = left.reshape(len(rows), len(m), -1) - rows.residual[:, None]
            squared = np.einsum("ito,ito->ti", left, left)
            found[first : first + held] = squared @ squares / len(rows)
        pulled = along[:, None] * mean
        found -= self._followed.forms(pulled.swapaxes(1, 2)).sum(axis=1)
        found[:, :k] = np.maximum(found[:, :k], 0.0)
        return found

    def start(self) -> Array:
        """No spread."""
        return np.zeros((self.kinds, len(self._followed.along)))

    @cached_property
    def weights(self) -> Array:
        """Directions, on the variance of the error."""
        weights = np.zeros((len(self.orders), self.kinds, len(self._followed.along)))
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
        return self._changes(self._at(t))

    def _changes(self, c: Coefficients) -> Array:
        factors = self._alone(c)
        return factors.of_modes(factors.change)

    def _alone(self, c: Coefficients) -> Factors:
        """Of the moments, without what comes back by others, and a unit of noise as the gain."""
        along, spread = self._recursion.along, self._recursion.spread
        ones = np.ones_like(along)
        return Recursion(along, spread, ones, None, np.zeros(1), self.kinds).factors(c)

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
        factors, added, carried = self.intake(t, drive)
        change, _, unit = factors.dense()
        return change, unit[..., 0] * added[..., None], unit * carried[:, None, :]

    def intake(self, t: Array, drive: Drive | None = None) -> Intake:
        """As `System.intake`: what the modes take in is noise."""
        assert drive is not None
        added = self._noise(drive) / self.moments.batch_size
        return Intake(self._alone(self._at(t)), added, self._recursion.drawn)

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """The plain recursion, with the noise of all steps worked out at once."""
        assert drive is not None
        noise = self._noise((drive[0][:count], drive[1][:count])) / self.moments.batch_size
        times = first + np.arange(count, dtype=np.float64)
        return self._recursion.advance(self._at(times), x, self.order(x), noise)

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate, and at the point theta + w y that is read."""
        assert drive is not None
        return self.driver.with_spread(t, drive, x[..., : len(self._modes)])

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
        batch, along = self.moments.batch_size, self._followed.along
        transfer = kernel_norm.transfers(along, self.moments.followed, times, w)
        alive = np.isfinite(transfer).all(axis=1)
        transfer = np.where(np.isfinite(transfer), transfer, 0.0)
        own = transfer * (self._recursion.spread / along**2)
        alive &= (own < 1.0).all(axis=1)
        passed = transfer / batch / np.where(own < 1.0, 1.0 - own, 1.0)
        directions = self._directions / along[:, None]
        loop = (passed[:, None] * directions.T) @ directions  # (times, orders, orders)
        return np.where(alive, np.linalg.eigvalsh(loop)[:, -1], np.inf)

    @cached_property
    def loop(self) -> RowLoop:
        """The exact loop of the rows."""
        return RowLoop(self.rows, self._modes.eigenvalues)

    def whole(self) -> System:
        """The covariance with its off-diagonals (row_matrix.py)."""
        return MatrixSystem(self.driver)

    def caution(self, last: float) -> str:
        """Whether the exact gain reaches 1 on the way, and which rows carry it."""
        algorithm, batch = self.moments.followed, self.moments.batch_size
        holds = self.loop.below(1.0, batch)
        for t in np.zeros(1) if self._still else looks(last, self.breakpoints):
            if not holds(algorithm, float(t)):
                found = self.loop.gain(algorithm, batch, float(t))
                told = f"mean-square unstable at step {t:g}: {self.loop.told(found)}"
                return f"{told}; hidim.stability says which rates hold"
        return ""

    def read_at(self, readout: str, *, moments: bool = False) -> System:
        """The moments that this point needs."""
        if moments:
            raise ValueError(
                "`moments` are not kept on measured rows, where mean and covariance move apart: "
                "take Spectrum.from_data(X, y, rows=False), or leave `moments` out."
            )
        return replace(self, moments=self.moments.read_at(readout))  # type: ignore[arg-type]


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
    return RowsSystem(rows, MomentumSystem(seen, algorithm, batch_size), problem)
