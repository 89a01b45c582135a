"""How do error and momentum move where no noise reaches them? The state itself, mode by mode.

    r  +=  -G lambda r - gamma_3 D y,        y  +=  gamma_1 lambda r - forgetting y.

Full batches (full_batch.py) are this and nothing else; on measured rows the mean is (row_mean.py).
No mode meets another, so there are no orders. Notation as in momentum.py; derivation:
docs/theory/moments.md.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hidim.systems.base import Array, Drive
from hidim.systems.coefficients import Coefficients
from hidim.systems.factors import Factors
from hidim.systems.of_family import OfFamily

ERROR, MOMENTUM = 0, 1


class Descent(OfFamily):
    """Error and momentum of every mode; subclasses say where they start and what is read."""

    orders = ()
    affine = True

    @property
    @abstractmethod
    def along(self) -> Array:
        """Eigenvalues, (modes,)."""

    @property
    def kinds(self) -> int:  # type: ignore[override]
        """Error and momentum, or the error alone where there is no momentum to follow."""
        return 1 if self.moments.kinds == 1 else 2

    def order(self, x: Array) -> Array:
        """There is none."""
        return np.zeros((*x.shape[:-2], 0))

    @property
    def weights(self) -> Array:
        """Of no order."""
        return np.zeros((0, self.kinds, len(self.along)))

    def factors(self, t: Array) -> Factors:
        """As `System.factors`: the modes differ by their eigenvalue alone."""
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
        """The step map of (r, y) less the identity."""
        factors = self.factors(t)
        return factors.of_modes(factors.change)

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """Nothing is added."""
        return np.zeros((len(t), len(self.along), self.kinds))

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """The plain recursion, with what a step multiplies by worked out for all steps at once."""
        c = Coefficients.at(self.moments.followed, first + np.arange(count, dtype=np.float64))
        states = np.empty((count + 1, *x.shape))
        states[0] = x
        turned, forget = (c.gamma_3 * c.keep).tolist(), c.forget.tolist()
        gamma_1, pulls = c.gamma_1.tolist(), c.total[:, None] * self.along
        for i, pull in enumerate(pulls):
            now, after = states[i], states[i + 1]
            error = now[..., ERROR, :]
            after[..., ERROR, :] = error - pull * error
            if self.kinds == 2:
                momentum = now[..., MOMENTUM, :]
                after[..., ERROR, :] -= turned[i] * momentum
                after[..., MOMENTUM, :] = momentum - forget[i] * momentum
                after[..., MOMENTUM, :] += gamma_1[i] * (self.along * error)
        return states, np.zeros((*states.shape[:-2], 0))
