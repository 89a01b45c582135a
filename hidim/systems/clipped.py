"""How does clipped descent move? By Stein's identities for Gaussian rows.

With e = <a, r> - eps the residual of a sample and psi the cut-off at c,

    mu = P(|e| <= c),   nu = E min(e^2, c^2),   kappa = 2 P(|e| <= c) - 2 c (p(c) + p(-c)),

p the density of e: the mean of a clipped gradient is mu K r, and the second moment along a mode is
nu n lambda + kappa lambda^2 rho for one sample. Over a batch B: nu / B and kappa / B + (1 - 1/B)
mu^2. At c = infinity these are 1, 2P, 2, plain gradients. A threshold C on the norm of a sample's
gradient is c = C / sqrt(tr K), since |a|^2 is nearly tr K where many modes share it.
Source: arXiv 2406.11733 for clipping by the intrinsic dimension; identities derived for this
project, docs/theory/changed-gradients.md. Limits: Gaussian rows; the norm's theory wants tr K
well above the largest eigenvalue, and says so where it is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import erf

from hidim.algorithms.changed import Clip
from hidim.algorithms.momentum import Momentum
from hidim.problems.noise import Gaussian, Mixture
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, System
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.transformed import Transformed

# Below this many modes' worth of trace the length of a row is no constant.
_MANY = 10.0


def clip_numbers(law: Mixture, excess: Array, c: Array) -> tuple[Array, Array, Array]:
    """mu, nu and kappa of one sample, each of the shape of `excess`, twice the excess risk.

    >>> law = Gaussian(1.0).mixture
    >>> [float(v[0]) for v in clip_numbers(law, np.array([1.0]), np.array([1e9]))]
    [1.0, 2.0, 2.0]
    """
    spread = excess[:, None] + law.variances  # of e around -mean, given the component
    sd = np.sqrt(np.maximum(spread, 1e-300))
    if not law.means.any():
        x = c[:, None] / sd
        inside = erf(x / math.sqrt(2))
        density = 2.0 * np.exp(-0.5 * x**2) / (sd * math.sqrt(2 * math.pi))
        square = spread * _gamma_3_2(0.5 * x**2, inside)
    else:
        above, below = ((c[:, None] + law.means) / sd, (-c[:, None] + law.means) / sd)
        inside = 0.5 * (erf(above / math.sqrt(2)) - erf(below / math.sqrt(2)))
        up, down = (np.exp(-0.5 * x**2) / (sd * math.sqrt(2 * math.pi)) for x in (above, below))
        density = up + down
        square = (spread + law.means**2) * inside
        square += sd**3 * (below * down - above * up) + 2.0 * law.means * sd**2 * (up - down)
    mu = inside @ law.weights
    nu = square @ law.weights + c**2 * (1.0 - mu)
    return mu, nu, 2.0 * (mu - c * (density @ law.weights))


def _gamma_3_2(y: Array, error: Array) -> Array:
    """The regularised lower incomplete gamma function at 3/2; `error` is erf(sqrt(y)).

    E e^2 on |e| <= c over the variance. By a series where the difference would cancel.
    """
    small = np.minimum(y, 0.25)
    series = np.ones_like(small)
    for k in range(9, 0, -1):
        series = 1.0 + small / (1.5 + k) * series
    series *= small * np.sqrt(small) * np.exp(-small) * (4.0 / (3.0 * math.sqrt(math.pi)))
    return np.where(y < 0.25, series, error - 2.0 / math.sqrt(math.pi) * np.sqrt(y) * np.exp(-y))


@dataclass(frozen=True, eq=False)
class ClippedSystem(Transformed):
    """The moments under clipped residuals, or under clipped norms of samples' gradients.

    Args:
        clip: the threshold and what it is of.
    """

    clip: Clip

    @cached_property
    def _law(self) -> Mixture:
        noise = self.spectrum.law.noise or Gaussian(0.0)
        return noise.mixture.wider(2.0 * self.spectrum.risk_floor)

    @cached_property
    def _unit(self) -> float:
        """A residual's threshold over that of the clip."""
        return 1.0 if self.clip.kind == "residual" else 1.0 / math.sqrt(self.spectrum.trace)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Those of plain gradients."""
        along = self.spectrum.eigenvalues
        return along, along, self.spectrum.multiplicity * along, along**2

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """By Stein's identities."""
        batch = self.moments.batch_size
        mu, nu, kappa = clip_numbers(self._law, excess, self._unit * self.clip.threshold(t))
        return mu, nu / batch, kappa / batch + (1.0 - 1.0 / batch) * mu**2

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


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """Clipped members of the momentum family on Gaussian rows."""
    if not isinstance(algorithm, Momentum) or not isinstance(algorithm.gradient, Clip):
        return None
    law = problem.law if isinstance(problem, Spectrum) else None
    if (
        law is None
        or law.rows is not None
        or not law.gaussian
        or algorithm.gradient.kind == "batch"
    ):
        return None
    plain = replace(algorithm, gradient=None)
    moments = MomentumSystem(with_floor(problem), plain, batch_size)
    return ClippedSystem(problem, moments, algorithm.gradient)
