"""Which few hundred eigenvalues stand for the spectrum of the deterministic equivalent?

Two measures live on the spectrum: the number of eigenvalues (total d) and the energy of the
target (total twice the initial risk less twice the floor),

    n = (1/pi) Im int d/u dz,      energy = (1/pi) Im int S_{2 beta}(u)/m dz.

The spectrum is cut into panels (see panels), whose moments are such integrals along a path
in u, where z is explicit. A panel's nodes are the Gauss nodes of the counting measure, so
they are inside the spectrum and their multiplicities are positive; the energy is carried to
the same nodes by interpolation. Where the two densities are smooth multiples of one another,
which they nearly are, both rules are exact to degree 2k - 1. Bands that stand alone get a
few nodes each; where many of these share a panel, the panel is reduced to Gauss nodes again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.problems.equivalent.gauss import fewer_points, gauss_rules
from hidim.problems.equivalent.panels import Panels, panels
from hidim.problems.equivalent.power_sums import power_sum
from hidim.problems.equivalent.resolvent import Resolvent
from hidim.problems.spectrum import LEVEL

FREQUENCY = 30.0  # radians per unit of log eigenvalue
_ACCURACY = 1e-9  # error of the rules on the fastest oscillation they are made for
_WIDTH = 3.0  # log-width of a panel; rounding in its moments ends it at a frequency near 50
_WIDEST = 36.0  # highest frequency on panels of that width; on halves of them, of twice as much
_LINEAR_NODES = 4

# Frequencies of the usual rule (0), of the one below, and of those above it.
RESOLUTIONS = {k: FREQUENCY * LEVEL**k for k in range(-1, 17)}


@dataclass(frozen=True)
class _Rule:
    """Nodes of all panels, and how an energy on the panels' moments reaches them.

    Attributes:
        sizes: (panels,) Gauss nodes of each panel.
        vander: for each size, the panels that have it and their (panels, size, size) matrices of
            Chebyshev polynomials at the nodes.
        reductions: matrices (fewer, nodes) with the range of nodes each replaces, or None.
        eigenvalues, multiplicity: (modes,) after reduction.
    """

    sizes: np.ndarray
    vander: list[tuple[np.ndarray, np.ndarray]]
    reductions: list[tuple[slice, np.ndarray | None]]
    eigenvalues: np.ndarray
    multiplicity: np.ndarray

    def energy(self, moments: np.ndarray) -> np.ndarray:
        """(modes,) energies of the nodes whose panels have the Chebyshev moments (panels, .)."""
        start = np.cumsum(self.sizes) - self.sizes
        found = np.empty(int(self.sizes.sum()))
        for rows, vander in self.vander:
            size = vander.shape[1]
            values = np.linalg.solve(vander.transpose(0, 2, 1), moments[rows, :size, None])
            found[start[rows][:, None] + np.arange(size)] = values[..., 0]
        return np.concatenate(
            [found[part] if m is None else m @ found[part] for part, m in self.reductions]
        )


class Equivalent:
    """The deterministic equivalent of (alpha, d, v): its resolvent, its panels and its rules.

    What does not depend on the target (beta) is worked out once, on first use.

    Args:
        alpha: data exponent, positive; above 1/2 when v is infinite.
        d: number of parameters, at least 1.
        v: latent dimension, at least d, or ``math.inf``.

    >>> eigenvalues, error_sq, multiplicity = Equivalent(1.0, 10**9, math.inf).nodes(0.7)
    >>> eigenvalues.size < 1000, bool(abs(multiplicity.sum() / 1e9 - 1) < 1e-10)
    (True, True)
    """

    def __init__(self, alpha: float, d: float, v: float) -> None:
        self.resolvent = Resolvent(alpha, d, v)
        kept = functools.lru_cache(maxsize=2)
        self._cuts = kept(functools.partial(panels, self.resolvent))
        self._counts, self._single = kept(self._count_moments), kept(self._energy_moments)
        self._row: dict[tuple[float, float], np.ndarray] = {}
        self._rule = functools.lru_cache(maxsize=4)(self._new_rule)

    def nodes(
        self, beta: float, frequency: float = FREQUENCY
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Eigenvalues, error_sq and multiplicity that stand for the spectrum.

        Args:
            beta: target exponent, any real (alpha + beta > 1/2 when v is infinite).
            frequency: fastest oscillation, in radians per unit of log eigenvalue, that the nodes
                resolve. Momentum makes each mode oscillate as its age grows; more nodes, in
                proportion, follow it further.

        Returns:
            Three arrays (modes,), eigenvalues falling: multiplicity sums to d, the risk is
            floor + 1/2 sum eigenvalues * error_sq.
        """
        halved = max(0, math.ceil(math.log2(frequency / _WIDEST) - 1e-9))
        width = _WIDTH * 0.5**halved
        rule = self._rule(width, frequency)
        energy = rule.energy(self._energies(width, beta))
        return rule.eigenvalues.copy(), energy / rule.eigenvalues, rule.multiplicity.copy()

    def prepare(self, betas: Sequence[float]) -> None:
        """Work out a row of targets at once: the sums of all powers share their poles.

        The next calls of `nodes` at these beta, at the usual width of panels, find it done.
        """
        cuts = self._cuts(_WIDTH)
        forms = _energy_forms(self.resolvent, betas, cuts)
        self._row = {
            (_WIDTH, beta): self._moments_of(form, _WIDTH, beta)
            for beta, form in zip(betas, forms, strict=True)
        }

    def floor(self, beta: float) -> float:
        """Risk no parameters go below, with the 1/2."""
        return self.resolvent.floor(beta)

    def _orders(self, width: float, frequency: float) -> np.ndarray:
        """(panels,) Gauss nodes of each panel."""
        cuts = self._cuts(width)
        spans = cuts.top - cuts.bottom
        # A band that stands alone has relative width 4/sqrt(d), and needs nodes for that only.
        spans[: cuts.cells] = np.minimum(spans[: cuts.cells], self._band)
        orders = [_order(h, frequency) for h in spans[: spans.size - cuts.linear]]
        return np.array(orders + [_LINEAR_NODES] * cuts.linear)

    @property
    def _band(self) -> float:
        return 4.5 / math.sqrt(self.resolvent.d)

    def _most(self, width: float) -> np.ndarray:
        """(panels,) nodes of the finest rule on panels of that width: moments serve all rules."""
        return self._orders(width, _WIDEST * _WIDTH / width)

    def _count_moments(self, width: float) -> np.ndarray:
        """Moments of the number of eigenvalues, (panels, degrees)."""
        cuts, d = self._cuts(width), self.resolvent.d
        # tr (K-z)^-1 dz = d/u dz = -d m dlog z; the constant -d of m = 1 - S_0/d is real on the
        # axis and integrates to nothing, so it is left out where S_0 is the small part.
        small = cuts.largest(cuts.ratio) < 0.5
        form = d * cuts.dlog_z * np.where(small, cuts.ratio, -np.exp(cuts.log_m))
        return cuts.moments(form, 2 * self._most(width))

    def _energies(self, width: float, beta: float) -> np.ndarray:
        """Moments of the energy lambda * error_sq, (panels, degrees)."""
        found = self._row.get((width, beta))
        return self._single(width, beta) if found is None else found

    def _energy_moments(self, width: float, beta: float) -> np.ndarray:
        form = _energy_forms(self.resolvent, [beta], self._cuts(width))[0]
        return self._moments_of(form, width, beta)

    def _moments_of(self, form: np.ndarray, width: float, beta: float) -> np.ndarray:
        cuts, res = self._cuts(width), self.resolvent
        moments = cuts.moments(form, self._most(width))
        if cuts.linear:
            # The path of the last panel goes round z = 0, where the floor sits.
            moments[-1] -= 2 * res.floor(beta) * (-1.0) ** np.arange(moments.shape[1])
        return moments

    def _new_rule(self, width: float, frequency: float) -> _Rule:
        """Gauss rules of the counting measure, bands that share a panel joined."""
        cuts, moments = self._cuts(width), self._counts(width)
        orders = self._orders(width, frequency)
        x: list[np.ndarray] = [np.empty(0)] * cuts.count
        weights = x.copy()
        for order in sorted(set(orders.tolist())):
            rows = np.flatnonzero(orders == order)
            for row, rule in zip(rows, gauss_rules(moments[rows, : 2 * order]), strict=True):
                x[row], weights[row] = rule
        sizes = np.array([t.size for t in x])
        top, bottom = np.repeat(cuts.top, sizes), np.repeat(cuts.bottom, sizes)
        flat, counts = np.concatenate(x), np.concatenate(weights)
        place = ((1 + flat) * top + (1 - flat) * bottom) / 2
        if cuts.linear:
            place[-sizes[-1] :] = np.log(place[-sizes[-1] :])
        reductions = []
        new_place, new_counts = [], []
        for part, joined in _groups(cuts, sizes, self._band, frequency):
            p, n, matrix = place[part], counts[part], None
            if joined:
                p, n, matrix = fewer_points(p, n, _order(float(np.ptp(p)), frequency))
            reductions.append((part, matrix))
            new_place.append(p)
            new_counts.append(n)
        eigenvalues = self.resolvent.center * np.exp(np.concatenate(new_place))
        chebvander, vander = np.polynomial.chebyshev.chebvander, []
        for size in sorted(set(sizes.tolist())):
            rows = np.flatnonzero(sizes == size)
            vander.append((rows, chebvander(np.stack([x[row] for row in rows]), size - 1)))
        return _Rule(sizes, vander, reductions, eigenvalues, np.concatenate(new_counts))


@functools.lru_cache(maxsize=8)
def equivalent(alpha: float, d: float, v: float) -> Equivalent:
    """The Equivalent of (alpha, d, v), kept for the next call."""
    return Equivalent(alpha, d, v)


def equivalent_nodes(
    alpha: float, beta: float, d: float, v: float = math.inf, *, frequency: float = FREQUENCY
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`Equivalent.nodes` by the numbers of the problem.

    >>> eigenvalues, error_sq, multiplicity = equivalent_nodes(1.0, 0.7, 10**9)
    >>> eigenvalues.size < 1000, bool(abs(multiplicity.sum() / 1e9 - 1) < 1e-10)
    (True, True)
    """
    return equivalent(float(alpha), float(d), float(v)).nodes(float(beta), float(frequency))


def _order(width: float, frequency: float) -> int:
    """Gauss nodes for a panel of that log-width: (f w/4)^2k / (2k)! under the accuracy."""
    k = 1
    while 2 * k * math.log(frequency * width / 4) - math.lgamma(2 * k + 1) > math.log(_ACCURACY):
        k += 1
    return k


def _groups(
    cuts: Panels, sizes: np.ndarray, band: float, frequency: float
) -> list[tuple[slice, bool]]:
    """Ranges of nodes, and whether each holds enough bands to be worth joining."""
    start = np.concatenate([[0], np.cumsum(sizes)])
    # A band that stands alone is one point of support, however many nodes it has: a rule with
    # more nodes than points would put two into one band, with weights of either sign.
    alone = band < 0.5 * (cuts.top - cuts.bottom)
    support = np.where(alone, 1, sizes)
    groups = []
    first = 0
    while first < cuts.cells:
        last = first
        while last + 1 < cuts.cells and cuts.top[first] - cuts.bottom[last + 1] <= cuts.width:
            last += 1
        order = _order(float(cuts.top[first] - cuts.bottom[last]), frequency)
        enough = int(support[first : last + 1].sum()) > 1.5 * order
        groups.append((slice(start[first], start[last + 1]), enough))
        first = last + 1
    groups.append((slice(start[cuts.cells], start[-1]), False))
    return groups


def _energy_forms(res: Resolvent, betas: Sequence[float], cuts: Panels) -> np.ndarray:
    """S_{2 beta}(u)/m dz = -u S_{2 beta}(u) dlog z, less what is real on the axis, (betas, ...).

    For 2 beta > 1 the sum is mostly a polynomial in u, whose coefficients are power sums;
    (-u)^k = (z/m)^k differs from the real z^k by expm1(-k log m) only.
    """
    # A quarter of a step short of p = 1 - 2 alpha, where the infinite sum would diverge.
    steps = [max(0, math.ceil((2 * beta - 1) / res.exponent - 0.25)) for beta in betas]
    outer_sums, inner_sums = cuts.sums
    forms = np.empty((len(betas), *cuts.u.shape), dtype=cuts.u.dtype)
    forms[:, ~cuts.inner] = -outer_sums.u * outer_sums([2 * beta for beta in betas])
    u = inner_sums.u
    if u.size:
        left = [2 * beta - k * res.exponent for beta, k in zip(betas, steps, strict=True)]
        log_m = cuts.log_m[cuts.inner]
        for form, beta, count, rest in zip(forms, betas, steps, inner_sums(left), strict=True):
            total = -u * rest if count == 0 else (-u) ** (count + 1) * rest
            for k in range(count):
                coefficient = power_sum(2 * beta - k * res.exponent, res.v)
                total -= coefficient * (-u) ** (k + 1) * np.expm1((k + 1) * log_m)
            form[cuts.inner] = total
    return forms * cuts.dlog_z
