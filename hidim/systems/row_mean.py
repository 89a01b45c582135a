"""How does the mean of a run on measured rows move? Like full batches, which no noise reaches.

    m   +=  -G lambda m - gamma_3 D m_y,        m_y  +=  gamma_1 lambda m - (1 - D) m_y,

per mode and output, from m = -theta*, signed. It drives the covariance (rows.py, row_matrix.py).
Source: derived for this project, docs/theory/rows.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hidim.problems.rows import Rows
from hidim.systems import kernel_norm
from hidim.systems.base import Array, Drive
from hidim.systems.descent import Descent
from hidim.systems.moment_steps import CROSS, ERROR, MOMENTUM
from hidim.systems.momentum import MomentumSystem


@dataclass(frozen=True, eq=False)
class MeanSystem(Descent):
    """The mean of the error, which no noise reaches: modes are modes of every output in turn.

    Args:
        rows: measured rows.
        moments: the family's system on their modes, for its algorithm and readout.
    """

    rows: Rows
    moments: MomentumSystem

    @cached_property
    def along(self) -> Array:
        """Eigenvalues, (modes x outputs,)."""
        return np.repeat(self.moments.spectrum.eigenvalues, self.rows.outputs)

    def start(self) -> Array:
        """Minus the optimum, no momentum."""
        state = np.zeros((self.kinds, self.rows.start.size))
        state[ERROR] = self.rows.start.ravel()
        return state

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk of the mean, at the iterate and at the point theta + w y that is read."""
        floor, readout = self.moments.spectrum.risk_floor, self.moments.readout
        found = {"risk": floor + 0.5 * x[..., ERROR, :] ** 2 @ self.along}
        if readout != "gradient":
            found[readout] = floor + 0.5 * self.point(t, x) ** 2 @ self.along
        return found

    def with_spread(self, t: Array, drive: Drive, spread: Array) -> dict[str, Array]:
        """The readouts of mean and covariance together.

        Args:
            drive: states and orders of the mean.
            spread: (times, kinds, k), the three moments of the covariance, summed over outputs.
        """
        found = self.readouts(t, *drive)
        along, readout = self.moments.spectrum.eigenvalues, self.moments.readout
        variance = spread[..., ERROR, :] @ along
        found["risk"] = found["risk"] + 0.5 * variance
        if readout != "gradient":
            if spread.shape[-2] == 3 and self.moments.weight is not None:
                w, sums = self.moments.weight(t), spread @ along
                variance = variance + 2.0 * w * sums[..., CROSS] + w**2 * sums[..., MOMENTUM]
            found[readout] = found[readout] + 0.5 * variance
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
