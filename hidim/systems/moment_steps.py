"""How do the family's moments take one step, and answer to the scalars in it?

The same recursion as a linear map, for blocks, and step by step, with the sums ordered so that
little is lost; momentum.py says what the letters mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.systems.base import Array
from hidim.systems.coefficients import Coefficients

ERROR, MOMENTUM, CROSS = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Recursion:
    """What a step reads of the problem.

    Args:
        along: eigenvalues, (modes,).
        spread: the batch's own share of E g^2, per unit of E r^2.
        drawn: what a unit of twice the risk adds to E g^2.
        extra: what is added to it whatever the risk, or None.
        offset: of the orders, (..., 1).
        kinds: 3, or 1 without momentum.
    """

    along: Array
    spread: Array
    drawn: Array
    extra: Array | None
    offset: Array
    kinds: int

    def change(self, c: Coefficients) -> Array:
        """The step map of the moments less the identity, (times, modes, kinds, kinds)."""
        gamma_1, gamma_3, total, keep, forget = (
            v[:, None] for v in (c.gamma_1, c.gamma_3, c.total, c.keep, c.forget)
        )  # (times, 1)
        along, curve = self.along, self.along**2 + self.spread
        step = total * along
        change = np.empty((self.kinds, self.kinds, len(c.total), len(along)))
        change[ERROR, ERROR] = -2.0 * step + total**2 * curve
        if self.kinds == 3:
            change[ERROR, MOMENTUM] = gamma_3**2 * keep**2
            change[ERROR, CROSS] = (-2.0 * gamma_3 * keep) * (1.0 - step)
            change[MOMENTUM, ERROR] = gamma_1**2 * curve
            change[MOMENTUM, MOMENTUM] = -forget * (1.0 + keep)
            change[MOMENTUM, CROSS] = (2.0 * gamma_1 * keep) * along
            change[CROSS, ERROR] = gamma_1 * along - (total * gamma_1) * curve
            change[CROSS, MOMENTUM] = -gamma_3 * keep**2
            change[CROSS, CROSS] = -forget - ((total + gamma_1 * gamma_3) * keep) * along
        return change.transpose(2, 3, 0, 1)

    def kicks(self, c: Coefficients, noise: Array) -> Array:
        """What E g^2 = noise, (modes,) or (times, modes), adds, (times, modes, kinds)."""
        scalars = [c.total**2, c.gamma_1**2, -c.total * c.gamma_1][: self.kinds]
        return (np.stack(scalars)[:, :, None] * noise).transpose(1, 2, 0)

    def advance(self, c: Coefficients, x: Array, q: Array) -> tuple[Array, Array]:
        """States and orders from before the first update to after the last, (updates + 1, ...).

        (1 - G lambda)^2 as one factor after the other: no sum of three that cancels where a step
        removes nearly all error, and no 1 - G lambda whose rounding every step would repeat.
        """
        along, spread, drawn = self.along, self.spread, self.drawn
        square, count = along**2, len(c.total)
        states = np.empty((count + 1, *x.shape))
        orders = np.empty((count + 1, *q.shape))
        states[0], orders[0] = x, q
        # No momentum, nor will there be any.
        alone = self.kinds == 1 or not (np.any(c.gamma_1) or np.any(x[..., 1:, :]))
        states[1:, ..., 1:, :] = 0.0
        pulls = c.total[:, None] * along
        scalars = np.stack([c.gamma_1, c.gamma_3, c.total, c.keep], axis=1).tolist()
        for i, (gamma_1, gamma_3, total, keep) in enumerate(scalars):
            pull, now, after = pulls[i], states[i], states[i + 1]
            error = now[..., ERROR, :]
            noise = spread * error + drawn * orders[i]
            if self.extra is not None:
                noise += self.extra
            left = error - pull * error
            if alone:
                after[..., ERROR, :] = left - pull * left + (total * total) * noise
            else:
                kept = (keep * keep) * now[..., MOMENTUM, :]
                turned = keep * now[..., CROSS, :]
                held = along * turned
                rest = turned - total * held
                cross = gamma_1 * (along * left - total * noise) - gamma_3 * kept
                after[..., CROSS, :] = cross + (rest - (gamma_1 * gamma_3) * held)
                momentum = (gamma_1 * gamma_1) * (square * error + noise) + kept
                after[..., MOMENTUM, :] = momentum + (2.0 * gamma_1) * held
                error = left - pull * left + (total * total) * noise
                after[..., ERROR, :] = error + gamma_3 * (gamma_3 * kept - 2.0 * rest)
            orders[i + 1] = self.offset + (after[..., ERROR, :] @ along)[..., None]
        return states, orders

    def slopes(self, c: Coefficients, x: Array, twice_risk: Array) -> Array:
        """d(change x + source) by gamma_1, gamma_3, G and D, (4, times, kinds, modes)."""
        along, error = self.along, x[:, ERROR]
        q = (along**2 + self.spread) * error + twice_risk[:, None] * self.drawn
        if self.extra is not None:
            q = q + self.extra
        gamma_1, gamma_3, total, keep = (
            v[:, None] for v in (c.gamma_1, c.gamma_3, c.total, c.keep)
        )
        found = np.zeros((4, *x.shape))
        pull = along * error
        found[2, :, ERROR] = 2.0 * (total * q - pull)
        if self.kinds == 1:
            return found
        momentum, cross = x[:, MOMENTUM], x[:, CROSS]
        held = along * cross
        left = cross - total * held
        found[2, :, ERROR] += (2.0 * gamma_3 * keep) * held
        found[2, :, CROSS] = -gamma_1 * q - keep * held
        found[0, :, MOMENTUM] = 2.0 * (gamma_1 * q + keep * held)
        found[0, :, CROSS] = pull - total * q - (gamma_3 * keep) * held
        found[1, :, ERROR] = 2.0 * keep * (gamma_3 * keep * momentum - left)
        found[1, :, CROSS] = -(keep**2) * momentum - (gamma_1 * keep) * held
        found[3, :, ERROR] = 2.0 * gamma_3 * (gamma_3 * keep * momentum - left)
        found[3, :, MOMENTUM] = 2.0 * (keep * momentum + gamma_1 * held)
        found[3, :, CROSS] = left - (gamma_1 * gamma_3) * held - 2.0 * gamma_3 * keep * momentum
        return found
