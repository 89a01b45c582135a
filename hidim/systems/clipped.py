"""How does clipped descent move? By Stein's identities for Gaussian rows.

With e = <a, r> - eps the residual of a sample and psi the cut-off at c,

    mu = P(|e| <= c),   nu = E min(e^2, c^2),   kappa = 2 P(|e| <= c) - 2 c (p(c) + p(-c)),

p the density of e: the mean of a clipped gradient is mu K r, and the second moment along a mode is
nu n lambda + kappa lambda^2 rho for one sample. Over a batch B: nu / B and kappa / B + (1 - 1/B)
mu^2. At c = infinity these are 1, 2P, 2, plain gradients. A threshold C on the norm of a sample's
gradient is c = C / sqrt(tr K), since |a|^2 is nearly tr K where many modes share it.
Source: arXiv 2406.11733 for clipping by the intrinsic dimension; identities derived for this
project, docs/theory/clipping.md. Limits: Gaussian rows; the norm's theory wants tr K
well above the largest eigenvalue, and says so where it is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.changed import Clip
from hidim.algorithms.momentum import Momentum
from hidim.problems.noise import Gaussian, Mixture
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, System
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.tabulated import Tabulated
from hidim.systems.thresholds import best_clip, clip_numbers
from hidim.systems.transformed import Transformed

# Below this many modes' worth of trace the length of a row is no constant.
_MANY = 10.0
# Of a mixture, from which on a table is quicker than its sums.
_MANY_PARTS = 32
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(80)
_HALF_NODES, _HALF_WEIGHTS = 0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS  # on 0..1


@dataclass(frozen=True, eq=False)
class ClippedSystem(Transformed):
    """The moments under clipped residuals, or under clipped norms of samples' gradients.

    Args:
        clip: the threshold and what it is of.
        unit: what "best" measures nu in, in place of 2P, where the noise has no variance.
    """

    clip: Clip
    unit: float | None = None

    @cached_property
    def _law(self) -> Mixture:
        noise = self.spectrum.law.noise or Gaussian(0.0)
        return noise.mixture.wider(2.0 * self.spectrum.risk_floor)

    @cached_property
    def _of_residual(self) -> float:
        """A residual's threshold over that of the clip."""
        return 1.0 if self.clip.kind == "residual" else 1.0 / math.sqrt(self.spectrum.trace)

    @cached_property
    def _table(self) -> Tabulated | None:
        """The three numbers, computed once, at one threshold and for a law of many parts."""
        held = getattr(self.clip.threshold, "constant", None)
        if held is None or len(self._law.weights) < _MANY_PARTS:
            return None
        law, c = self._law, self._of_residual * float(held)
        return Tabulated(lambda S: np.stack(clip_numbers(law, S, np.full(len(S), c)), axis=1))

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Those of plain gradients."""
        along = self.spectrum.eigenvalues
        return along, along, self.spectrum.multiplicity * along, along**2

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """By Stein's identities."""
        batch, threshold, rate = self.moments.batch_size, self.clip.threshold, np.ones(len(excess))
        if isinstance(threshold, str):
            best = best_clip(self.spectrum.law.noise, self.spectrum.risk_floor, self.unit)
            mu, nu, kappa, rate = best(excess)
        elif self._table is not None:
            mu, nu, kappa = self._table(excess).T
        else:
            mu, nu, kappa = clip_numbers(self._law, excess, self._of_residual * threshold(t))
        second = kappa / batch + (1.0 - 1.0 / batch) * mu**2
        return rate * mu, rate**2 * nu / batch, rate**2 * second

    def caution(self, last: float) -> str:
        """Whether rows are too short of modes for their length to be a constant."""
        if self.clip.kind == "residual":
            return ""
        modes = self.spectrum.trace / float(self.spectrum.eigenvalues[0])
        if modes >= _MANY:
            return ""
        return (
            f"clipping by the norm of a gradient is predicted for rows of nearly one length, and "
            f"the trace is only {modes:.2g} times the largest eigenvalue: off by up to a third "
            "below 10"
        )


@dataclass(frozen=True, eq=False)
class BatchClippedSystem(ClippedSystem):
    """The moments where the batch's mean is cut off, whose length S_2 = sum lambda^2 rho adds to.

    With |e|^2 = 2P chi^2_B of the batch's residuals and c = C / sqrt(tr K),

        s'^2 = |e|^2 + B (B - 1) S_2 / tr K,    w = min(1, c B / s'),
        mu = P(s' <= cB) + E w (1 - |e|^2 / (B s'^2)) 1{s' > cB},    nu = E w^2 |e|^2 / B,
        kappa = 2 P(s' <= cB);

    of full batches the length is sqrt(S_2) itself.
    """

    orders = ("twice_excess", "squared_gradient")  # type: ignore[assignment]

    def reads(self) -> Array:
        """lambda and lambda^2."""
        along = self.spectrum.eigenvalues
        return np.stack([along, along**2])

    def scalars_at(self, t: Array, q: Array) -> tuple[Array, Array, Array]:
        """By quadrature over the length of the batch's residuals."""
        from scipy.special import chdtr  # on use: importing hidim imports no SciPy

        assert not isinstance(self.clip.threshold, str)  # refused where it is made
        batch, c = self.moments.batch_size, self.clip.threshold(t)
        squared = np.maximum(q[:, 1], 0.0)
        if math.isinf(batch):
            mu = np.minimum(1.0, c / np.sqrt(np.maximum(squared, 1e-300)))
            return mu, np.zeros_like(mu), mu**2
        twice = 2.0 * self.floor + np.maximum(q[:, 0], 1e-300)
        shift = batch * (batch - 1.0) * squared / self.spectrum.trace
        c = c * self._of_residual
        edge = np.maximum(((c * batch) ** 2 - shift) / twice, 0.0)  # of chi^2
        inside = chdtr(batch, edge)
        # Beyond the edge, over chi: its density is smooth and no wider than the nodes reach.
        ends = math.sqrt(batch) + np.array([-9.0, 10.0])
        low = np.clip(np.sqrt(edge), max(ends[0], 0.0), ends[1])[:, None]
        u = low + (ends[1] - low) * _HALF_NODES
        log = (batch - 1.0) * np.log(u) - 0.5 * u**2 - (0.5 * batch - 1.0) * math.log(2.0)
        weight = _HALF_WEIGHTS * (ends[1] - low) * np.exp(log - math.lgamma(0.5 * batch))
        squares = twice[:, None] * u**2
        length = squares + shift[:, None]
        w = np.minimum(1.0, c[:, None] * batch / np.sqrt(length))
        mu = inside + np.sum(weight * w * (1.0 - squares / (batch * length)), axis=1)
        nu = twice * chdtr(batch + 2.0, edge)
        nu += np.sum(weight * w**2 * squares, axis=1) / batch
        return mu, nu / batch, 2.0 * inside / batch + (1.0 - 1.0 / batch) * mu**2


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """Clipped members of the momentum family on Gaussian rows."""
    if not isinstance(algorithm, Momentum) or not isinstance(algorithm.gradient, Clip):
        return None
    law, clip = (problem.law if isinstance(problem, Spectrum) else None), algorithm.gradient
    if law is None or law.rows is not None or not law.gaussian:
        return None
    if problem.trace == 0.0:  # rows of length zero: no norm is ever cut
        clip = replace(clip, kind="residual")
    if clip.kind == "batch" and not (law.noise is None or isinstance(law.noise, Gaussian)):
        raise ValueError(
            f'`kind`="batch" is predicted for Gaussian noise alone, not {law.noise!r}: clip the '
            'residuals or the samples (kind="norm"), or run it by hidim.simulate.'
        )
    if isinstance(clip.threshold, str) and law.noise_risk == math.inf:
        raise ValueError(
            f'`threshold`="best" multiplies the rate by mu / nu, nu in units of a variance, which '
            f"{law.noise!r} has not: give a number, such as that of hidim.best_threshold."
        )
    moments = MomentumSystem(with_floor(problem), replace(algorithm, gradient=None), batch_size)
    if clip.kind == "batch":
        # All noise is Gaussian, so its law may go into the floor.
        return BatchClippedSystem(moments.spectrum, moments, clip)
    return ClippedSystem(problem, moments, clip)
