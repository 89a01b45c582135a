"""How do the family's moments take one step, and answer to the scalars in it?

The same recursion as a linear map, for blocks, and step by step, with the sums ordered so that
little is lost; momentum.py says what the letters mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hidim.compiled.moments import advance
from hidim.systems.base import Array
from hidim.systems.coefficients import Coefficients
from hidim.systems.factors import Factors

ERROR, MOMENTUM, CROSS = 0, 1, 2
DRAWN, EXTRA = 3, 4  # among the features


@dataclass(frozen=True, eq=False)
class Recursion:
    """What a step reads of the problem.

    Args:
        along: eigenvalues, (modes,).
        spread: the batch's own share of E g^2, per unit of E r^2.
        drawn: what a unit of each order adds to E g^2, (modes, orders), or (modes,) of twice the
            risk.
        extra: what is added to it whatever the risk, or None.
        offset: of the orders, (..., 1).
        kinds: 3, or 1 without momentum.
        reads: how the orders read E r^2, (modes, orders); by the eigenvalues, the risk, if None.
    """

    along: Array
    spread: Array
    drawn: Array
    extra: Array | None
    offset: Array
    kinds: int
    reads: Array | None = None

    @cached_property
    def features(self) -> Array:
        """1, lambda, E g^2 per unit of E r^2 and of twice the risk, and what is always in it."""
        parts = [np.ones_like(self.along), self.along, self.along**2 + self.spread, self.drawn]
        return np.stack(parts if self.extra is None else [*parts, self.extra], axis=1)

    def factors(self, c: Coefficients) -> Factors:
        """The step map of the moments less the identity, and what is added, at some times."""
        parts, shape = self.features.shape[1], (len(c.total), self.kinds)
        gamma_1, gamma_3, total, keep = c.gamma_1, c.gamma_3, c.total, c.keep
        change = np.zeros((parts, *shape, self.kinds))
        plain, linear, squared = change[:3]
        linear[:, ERROR, ERROR] = -2.0 * total
        squared[:, ERROR, ERROR] = total**2
        if self.kinds == 3:
            turned = gamma_3 * keep
            plain[:, ERROR, MOMENTUM] = turned**2
            plain[:, ERROR, CROSS] = -2.0 * turned
            linear[:, ERROR, CROSS] = 2.0 * turned * total
            squared[:, MOMENTUM, ERROR] = gamma_1**2
            plain[:, MOMENTUM, MOMENTUM] = -c.forget * (1.0 + keep)
            linear[:, MOMENTUM, CROSS] = 2.0 * gamma_1 * keep
            linear[:, CROSS, ERROR] = gamma_1
            squared[:, CROSS, ERROR] = -total * gamma_1
            plain[:, CROSS, MOMENTUM] = -turned * keep
            plain[:, CROSS, CROSS] = -c.forget
            linear[:, CROSS, CROSS] = -(total + gamma_1 * gamma_3) * keep
        kicks = self.kicks(c)
        gains, source = np.zeros((2, parts, *shape))
        gains[DRAWN] = kicks
        if self.extra is None:
            return Factors(self.features, change, gains[..., None], None)
        source[EXTRA] = kicks
        return Factors(self.features, change, gains[..., None], source)

    def kicks(self, c: Coefficients) -> Array:
        """What a unit of E g^2 adds, (times, kinds)."""
        parts = [c.total**2, c.gamma_1**2, -c.total * c.gamma_1]
        return np.stack(parts[: self.kinds], axis=1)

    def advance(
        self, c: Coefficients, x: Array, q: Array, added: Array | None = None
    ) -> tuple[Array, Array]:
        """States and orders from before the first update to after the last, (updates + 1, ...).

        Args:
            added: (updates, modes), more E g^2 at every update, or None.

        (1 - G lambda)^2 as one factor after the other: no sum of three that cancels where a step
        removes nearly all error, and no 1 - G lambda whose rounding every step would repeat.
        """
        count = len(c.total)
        states = np.empty((count + 1, *x.shape))
        orders = np.empty((count + 1, *q.shape))
        states[0], orders[0] = x, q
        # No momentum, nor will there be any.
        alone = self.kinds == 1 or not (np.any(c.gamma_1) or np.any(x[..., 1:, :]))
        if added is not None or not self._compiled(c, states, orders, alone=alone):
            (self._advance_alone if alone else self._advance_all)(c, states, orders, added)
        return states, orders

    def _compiled(self, c: Coefficients, states: Array, orders: Array, *, alone: bool) -> bool:
        """Where the library takes the steps: one target, and one order, the risk."""
        if states.ndim != 3 or self.drawn.ndim != 1 or self.reads is not None:
            return False
        extra = np.zeros_like(self.along) if self.extra is None else self.extra
        scalars = np.stack([c.total, c.gamma_1, c.gamma_3, c.keep], axis=1)
        modes = np.stack(np.broadcast_arrays(self.along, self.spread, self.drawn, extra))
        return advance(scalars, modes, float(self.offset[0]), states, orders[..., 0], alone=alone)

    def _noise(self, error: Array, order: Array, added: Array | None, into: Array) -> None:
        """E g^2 less the part that is the mode's own."""
        np.multiply(self.spread, error, out=into)
        into += self.drawn * order if self.drawn.ndim == 1 else self.drawn @ order
        if self.extra is not None:
            into += self.extra
        if added is not None:
            into += added

    def _order(self, error: Array) -> Array:
        if self.reads is not None:
            return np.asarray(self.offset + error @ self.reads)
        return np.asarray(self.offset + (error @ self.along)[..., None])

    def _advance_alone(
        self, c: Coefficients, states: Array, orders: Array, added: Array | None
    ) -> None:
        """Plain descent: states[0] and orders[0] are given."""
        along, squared = self.along, (c.total**2).tolist()
        noise = np.empty(states[0, ..., ERROR, :].shape)
        states[1:, ..., 1:, :] = 0.0
        for i, pull in enumerate(c.total[:, None] * along):
            error = states[i, ..., ERROR, :]
            self._noise(error, orders[i], None if added is None else added[i], noise)
            left = error - pull * error
            error = left - pull * left + squared[i] * noise
            states[i + 1, ..., ERROR, :] = error
            orders[i + 1] = self._order(error)

    def _advance_all(
        self, c: Coefficients, states: Array, orders: Array, added: Array | None
    ) -> None:
        """The same with momentum: what a step needs is put together by one product."""
        along, square = self.along, self.along**2
        parts = np.empty((*states.shape[1:-2], 8, len(along)))
        left, twice, noise, _, rest, held, pulled, curved = (parts[..., k, :] for k in range(8))
        fades = np.stack([c.keep**2, c.keep], axis=1)[:, :, None]
        combine = self._combined(c)
        for i, pull in enumerate(c.total[:, None] * along):
            now, after = states[i], states[i + 1]
            error = now[..., ERROR, :]
            np.multiply(now[..., 1:, :], fades[i], out=parts[..., 3:5, :])
            np.multiply(along, rest, out=held)
            rest -= pull * rest
            np.subtract(error, pull * error, out=left)
            np.multiply(pull, left, out=twice)
            np.multiply(along, left, out=pulled)
            np.multiply(square, error, out=curved)
            self._noise(error, orders[i], None if added is None else added[i], noise)
            np.matmul(combine[i], parts, out=after)
            orders[i + 1] = self._order(after[..., ERROR, :])

    @staticmethod
    def _combined(c: Coefficients) -> Array:
        """How the moments after a step are made up, (times, 3, 8), of these parts:

        left = (1 - G lambda) E r^2, G lambda left, the noise, D^2 E y^2,
        (1 - G lambda) D E r y, lambda D E r y, lambda left, lambda^2 E r^2.
        """
        gamma_1, gamma_3, total = c.gamma_1, c.gamma_3, c.total
        found = np.zeros((len(total), 3, 8))
        found[:, ERROR, 0], found[:, ERROR, 1], found[:, ERROR, 2] = 1.0, -1.0, total**2
        found[:, ERROR, 3], found[:, ERROR, 4] = gamma_3**2, -2.0 * gamma_3
        found[:, MOMENTUM, 2] = found[:, MOMENTUM, 7] = gamma_1**2
        found[:, MOMENTUM, 3], found[:, MOMENTUM, 5] = 1.0, 2.0 * gamma_1
        found[:, CROSS, 2], found[:, CROSS, 3] = -gamma_1 * total, -gamma_3
        found[:, CROSS, 4], found[:, CROSS, 5] = 1.0, -gamma_1 * gamma_3
        found[:, CROSS, 6] = gamma_1
        return found

    def slopes(self, rates: Array, c: Coefficients, x: Array, twice_risk: Array) -> Array:
        """d(change x + source) by parameters that move the scalars, (names, times, kinds, modes).

        Args:
            rates: (times, names, 4), of gamma_1, gamma_3, G and D by every parameter.
            x: (times, kinds, modes).
            twice_risk: (times,).
        """
        along, error = self.along, x[:, ERROR]
        noise = self.features[:, 2] * error + twice_risk[:, None] * self.drawn
        if self.extra is not None:
            noise += self.extra
        parts = [noise, along * error]
        if self.kinds == 3:
            parts += [along * x[:, CROSS], x[:, MOMENTUM], x[:, CROSS]]
        made = np.einsum("tnk,tkab->tnab", rates, self._made_of(c))
        flat = made.reshape(len(x), -1, made.shape[-1]) @ np.stack(parts, axis=1)
        return flat.reshape(len(x), -1, *x.shape[1:]).swapaxes(0, 1)

    def _made_of(self, c: Coefficients) -> Array:
        """What the slopes by gamma_1, gamma_3, G and D are made of, (times, 4, kinds, parts):

        E g^2, lambda E r^2, and with momentum lambda E r y, E y^2 and E r y.
        """
        noise, pull, held, momentum, cross = range(5)
        gamma_1, gamma_3, total, keep = c.gamma_1, c.gamma_3, c.total, c.keep
        if self.kinds == 1:
            found = np.zeros((len(total), 4, 1, 2))
            found[:, 2, ERROR, noise], found[:, 2, ERROR, pull] = 2.0 * total, -2.0
            return found
        found = np.zeros((len(total), 4, 3, 5))
        first, third, whole, kept = (found[:, k] for k in range(4))
        first[:, MOMENTUM, noise], first[:, MOMENTUM, held] = 2.0 * gamma_1, 2.0 * keep
        first[:, CROSS, noise], first[:, CROSS, pull] = -total, 1.0
        first[:, CROSS, held] = -gamma_3 * keep
        third[:, ERROR, momentum], third[:, ERROR, cross] = 2.0 * gamma_3 * keep**2, -2.0 * keep
        third[:, ERROR, held] = 2.0 * keep * total
        third[:, CROSS, momentum], third[:, CROSS, held] = -(keep**2), -gamma_1 * keep
        whole[:, ERROR, noise], whole[:, ERROR, pull] = 2.0 * total, -2.0
        whole[:, ERROR, held] = 2.0 * gamma_3 * keep
        whole[:, CROSS, noise], whole[:, CROSS, held] = -gamma_1, -keep
        kept[:, ERROR, momentum] = 2.0 * gamma_3**2 * keep
        kept[:, ERROR, cross], kept[:, ERROR, held] = -2.0 * gamma_3, 2.0 * gamma_3 * total
        kept[:, MOMENTUM, momentum], kept[:, MOMENTUM, held] = 2.0 * keep, 2.0 * gamma_1
        kept[:, CROSS, cross], kept[:, CROSS, momentum] = 1.0, -2.0 * gamma_3 * keep
        kept[:, CROSS, held] = -(total + gamma_1 * gamma_3)
        return found
