"""How does a full-batch run of the momentum family move? Nothing is random: by its state itself.

Error r and momentum y of every mode, in units of the error at the start, move by

    r  +=  -G lambda r - gamma_3 D y,        y  +=  gamma_1 lambda r - forgetting y,

and the risk is quadratic in them. Second moments would say the same, but lose what lies 16 digits
below the past: E r^2, E y^2 and E r y of one (r, y) cancel. No mode meets another, so there are no
orders. Notation as in momentum.py; derivation: docs/theory/moments.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.systems.base import Array, Drive, System, size_of
from hidim.systems.coefficients import Coefficients
from hidim.systems.descent import ERROR, MOMENTUM, Descent
from hidim.systems.kernel_norm import growth_rate
from hidim.systems.powers import states_by_powers


@dataclass(frozen=True, eq=False)
class FullBatch(Descent):
    """The state of one algorithm on one spectrum, at full batches.

    Args:
        moments: the same run as its moments, which say what is read.

    >>> from hidim.algorithms import sgd
    >>> from hidim.problems.spectrum import Spectrum
    >>> from hidim.systems.momentum import MomentumSystem
    >>> system = FullBatch(MomentumSystem(Spectrum([1.0], [1.0], 0.0), sgd(0.5), math.inf))
    >>> system.step(0, system.start(), system.order(system.start()))
    array([[0.5]])
    """

    moments: Any  # a MomentumSystem, which is defined on top of this one

    @property
    def spectrum(self) -> object:
        """Whose modes these are."""
        return self.moments.spectrum

    @property
    def along(self) -> Array:
        """Eigenvalues."""
        found: Array = self.moments.spectrum.eigenvalues
        return found

    @cached_property
    def _energy(self) -> Array:
        return self.moments.spectrum.eigenvalues * self.moments.spectrum.error_sq

    def start(self) -> Array:
        """All error, no momentum."""
        state = np.zeros((self.kinds, len(self._energy)))
        state[ERROR] = 1.0
        return state

    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """Risk at the iterate, and at the point theta + w y that is read."""
        floor = self.moments.spectrum.risk_floor
        found = {"risk": floor + 0.5 * x[..., ERROR, :] ** 2 @ self._energy}
        if self.moments.readout != "gradient":
            point = self._point(t, x)
            found[self.moments.readout] = floor + 0.5 * point**2 @ self._energy
        return found

    def _point(self, t: Array, x: Array) -> Array:
        """r + w y."""
        weight = self.moments.weight
        if weight is None or self.kinds == 1:
            return x[..., ERROR, :]
        return np.asarray(x[..., ERROR, :] + weight(t)[:, None] * x[..., MOMENTUM, :])

    def reading(self, t: Array, x: Array, shown: str) -> Array | None:
        """The point itself, and w times it."""
        point = x[:, ERROR] if shown == "risk" else self._point(t, x)
        found = np.zeros_like(x)
        found[:, ERROR] = point * self._energy
        if self.kinds == 2 and shown != "risk" and self.moments.weight is not None:
            found[:, MOMENTUM] = self.moments.weight(t)[:, None] * found[:, ERROR]
        return found

    def tail_error(
        self, t: Array, x: Array, q: Array, tails: Array, drive: Drive | None = None
    ) -> float:
        """As `System.tail_error`, relative to the risk at every point of the block."""
        found = self._doubt(x[:, ERROR], size_of(tails[:, ERROR]))
        weight = self.moments.weight
        if weight is not None and self.kinds == 2:
            w = weight(t)
            sizes = [size_of(tails[:, ERROR] + end * tails[:, MOMENTUM]) for end in (w[0], w[-1])]
            found = max(found, self._doubt(self._point(t, x), np.maximum(*sizes)))
        if self.moments.moments and self.kinds == 2:
            kept = np.max(np.abs(x[:, MOMENTUM]) @ np.abs(self._energy)) + 1e-290
            found = max(found, float(size_of(tails[:, MOMENTUM]) @ np.abs(self._energy) / kept))
        return found

    def _doubt(self, point: Array, size: Array) -> float:
        energy = np.abs(self._energy)
        risk = self.moments.spectrum.risk_floor + 0.5 * point**2 @ self._energy
        doubt = (np.abs(point) * size + 0.5 * size**2) @ energy
        return float(np.max(np.where(risk < -1e-290, np.inf, doubt / (np.abs(risk) + 1e-290))))

    def loop_gain(
        self,
        t: Array,
        w: float = 0.0,
        *,
        x: Array | None = None,
        q: Array | None = None,
        drive: Drive | None = None,
    ) -> Array:
        """0, or infinite where a mode grows; w is growth of the risk, the square of the state."""
        return self.moments.loop_gain(t, w)

    @cached_property
    def has_closed_form(self) -> bool:
        """Whether no rate moves and no mode grows, though it may ring for ever."""
        if not self.steady:
            return False
        m = self.moments
        return growth_rate(m.spectrum, m.followed, math.inf, 0.0) == 0.0

    def closed(self, at: Array) -> Array | None:
        """By powers of each mode's own map, at constant rates."""
        if not self.has_closed_form:
            return None
        followed, spectrum = self.moments.followed, self.moments.spectrum
        return states_by_powers(spectrum, followed, at)[:, : self.kinds]

    def kept(self, x: Array) -> Array:
        """The moments r^2, y^2 and r y, in the problem's own units."""
        r = x[..., ERROR, :]
        y = x[..., MOMENTUM, :] if self.kinds == 2 else np.zeros_like(r)
        return np.stack([r**2, y**2, r * y], axis=-2) * self.moments.spectrum.error_sq

    def coarse(self, last: float) -> System:
        """On the spectrum's coarser quadrature, if it has one."""
        return self._of(self.moments.coarse(last))

    def resolving(self, faster: float, most: int) -> System:
        """On more nodes."""
        return self._of(self.moments.resolving(faster, most))

    def _of(self, moments: System) -> System:
        return self if moments is self.moments else replace(self, moments=moments)


def flips(moments: Any, last: float) -> bool:
    """Whether some mode keeps flipping its sign, so that its state is no smooth function of time.

    Looked at from where blocks may begin, at times spread in log and beside every breakpoint.
    """
    edges = [b for b in moments.breakpoints if _FIRST < b < last]
    both = [t for b in edges for t in (math.nextafter(b, 0.0), b)]
    times = np.array([*np.geomspace(_FIRST, max(last, _FIRST), 64), *both])
    along = moments.spectrum.eigenvalues[[0, -1]]  # the fastest flip first
    c = Coefficients.at(moments.followed, times)
    pulled = c.total[:, None] * along
    own = pulled - (c.gamma_1 * c.gamma_3)[:, None] * along  # gamma_2 lambda
    trace = 2.0 - pulled - c.forget[:, None]
    determinant = (1.0 - own) * c.keep[:, None]
    root = 0.5 * (trace - np.sqrt(np.maximum(trace**2 - 4.0 * determinant, 0.0)))
    return bool(np.any(root < _LASTING))


_FIRST = 128.0  # step from which a walk may take blocks
_LASTING = -0.95  # a flipping mode that loses less than this per step outlives single steps
