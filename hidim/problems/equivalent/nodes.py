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
from dataclasses import dataclass

import numpy as np

from hidim.problems.equivalent.panels import WIDTH, Panels, panels
from hidim.problems.equivalent.power_sums import power_sum
from hidim.problems.equivalent.resolvent import Resolvent, resolvent

_ACCURACY = 1e-9  # error of the rules on the fastest oscillation they are made for
_LINEAR_NODES = 4
_NOISE = 1e-11  # squared norm of a monic polynomial below which moments are rounding


@dataclass(frozen=True)
class _Rule:
    """Nodes of all panels, and how an energy on the panels' moments reaches them.

    Attributes:
        x: Gauss nodes of each panel, in its variable.
        reductions: matrices (fewer, nodes) with the range of nodes each replaces, or None.
        eigenvalues, multiplicity: (modes,) after reduction.
    """

    x: list[np.ndarray]
    reductions: list[tuple[slice, np.ndarray | None]]
    eigenvalues: np.ndarray
    multiplicity: np.ndarray


def equivalent_nodes(
    alpha: float, beta: float, d: float, v: float = math.inf, *, frequency: float = 25.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, error_sq and multiplicity that stand for the deterministic equivalent.

    Args:
        alpha: data exponent, positive; above 1/2 when v is infinite.
        beta: target exponent, any real (alpha + beta > 1/2 when v is infinite).
        d: number of parameters, at least 1.
        v: latent dimension, at least d, or ``math.inf``.
        frequency: fastest oscillation, in radians per unit of log eigenvalue, that the nodes
            resolve. Momentum makes each mode oscillate as its age grows; more nodes, in
            proportion, follow it further, until rounding in the moments ends it near 50.

    Returns:
        Three arrays (modes,), eigenvalues falling: multiplicity sums to d, the risk is
        floor + 1/2 sum eigenvalues * error_sq.

    >>> eigenvalues, error_sq, multiplicity = equivalent_nodes(1.0, 0.7, 10**9)
    >>> eigenvalues.size < 1000, bool(abs(multiplicity.sum() / 1e9 - 1) < 1e-10)
    (True, True)
    """
    rule = _rule(float(alpha), float(d), float(v), float(frequency))
    energy = _energy(float(alpha), float(beta), float(d), float(v), rule)
    return rule.eigenvalues.copy(), energy / rule.eigenvalues, rule.multiplicity.copy()


@functools.lru_cache(maxsize=16)
def _rule(alpha: float, d: float, v: float, frequency: float) -> _Rule:
    """Gauss rules of the counting measure, bands that share a panel joined."""
    cuts, res = panels(alpha, d, v), resolvent(alpha, d, v)
    # tr (K-z)^-1 dz = d/u dz = -d m dlog z; the constant -d of m = 1 - S_0/d is real on the
    # axis and integrates to nothing, so it is left out where S_0 is the small part.
    small = cuts.largest(cuts.ratio) < 0.5
    form = d * cuts.dlog_z * np.where(small, cuts.ratio, -np.exp(cuts.log_m))
    width = cuts.top - cuts.bottom
    # A band that stands alone has relative width 4/sqrt(d), and needs nodes for that only.
    width[: cuts.cells] = np.minimum(width[: cuts.cells], 4.5 / math.sqrt(d))
    orders = np.array([_order(h, frequency) for h in width[: width.size - cuts.linear]])
    if cuts.linear:
        orders = np.append(orders, _LINEAR_NODES)
    moments = cuts.moments(form, 2 * int(orders.max()))
    rules = [_gauss(moments[i, : 2 * k]) for i, k in enumerate(orders)]
    x, counts = [r[0] for r in rules], np.concatenate([r[1] for r in rules])
    place = np.concatenate(
        [((1 + t) * a + (1 - t) * b) / 2 for t, a, b in zip(x, cuts.top, cuts.bottom, strict=True)]
    )
    if cuts.linear:
        place[-x[-1].size :] = np.log(place[-x[-1].size :])
    reductions = []
    new_place, new_counts = [], []
    for part, joined in _groups(cuts, [t.size for t in x], 4.5 / math.sqrt(d), frequency):
        p, n, matrix = place[part], counts[part], None
        if joined:
            p, n, matrix = _reduce(p, n, _order(float(np.ptp(p)), frequency))
        reductions.append((part, matrix))
        new_place.append(p)
        new_counts.append(n)
    eigenvalues = res.center * np.exp(np.concatenate(new_place))
    return _Rule(x, reductions, eigenvalues, np.concatenate(new_counts))


def _order(width: float, frequency: float) -> int:
    """Gauss nodes for a panel of that log-width: (f w/4)^2k / (2k)! under the accuracy."""
    k = 1
    while 2 * k * math.log(frequency * width / 4) - math.lgamma(2 * k + 1) > math.log(_ACCURACY):
        k += 1
    return k


def _groups(
    cuts: Panels, sizes: list[int], band: float, frequency: float
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
        while last + 1 < cuts.cells and cuts.top[first] - cuts.bottom[last + 1] <= WIDTH:
            last += 1
        order = _order(float(cuts.top[first] - cuts.bottom[last]), frequency)
        enough = int(support[first : last + 1].sum()) > 1.5 * order
        groups.append((slice(start[first], start[last + 1]), enough))
        first = last + 1
    groups.append((slice(start[cuts.cells], start[-1]), False))
    return groups


def _reduce(
    place: np.ndarray, counts: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss nodes of a discrete measure (Lanczos), and the matrix that carries another to them."""
    middle, half = (place.max() + place.min()) / 2, np.ptp(place) / 2
    x = (place - middle) / half
    basis = np.zeros((x.size, order))
    basis[:, 0] = np.sqrt(counts / counts.sum())
    jacobi = np.zeros((order, order))
    for k in range(order):
        column = x * basis[:, k]
        jacobi[k, k] = basis[:, k] @ column
        for _ in range(2):  # twice is enough to stay orthogonal
            column -= basis[:, : k + 1] @ (basis[:, : k + 1].T @ column)
        if k + 1 < order:
            jacobi[k, k + 1] = jacobi[k + 1, k] = np.linalg.norm(column)
            basis[:, k + 1] = column / jacobi[k, k + 1]
    nodes, vectors = np.linalg.eigh(jacobi)
    nodes, weight = nodes[::-1], vectors[0, ::-1] ** 2
    chebvander = np.polynomial.chebyshev.chebvander
    matrix = np.linalg.solve(chebvander(nodes, order - 1).T, chebvander(x, order - 1).T)
    return middle + half * nodes, counts.sum() * weight, matrix


def _gauss(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss rule of a positive measure on [-1, 1] from its Chebyshev moments (Wheeler).

    The measure may be much narrower than [-1, 1]; then rounding in the moments ends the
    recurrence early, at a degree whose polynomial the measure cannot tell from zero.
    """
    wanted = moments.size // 2
    total = moments[0]
    above = moments / total / 2.0 ** np.maximum(np.arange(moments.size) - 1, 0)
    earlier = np.zeros_like(above)
    known = np.full(moments.size, 0.25)  # recurrence of the monic Chebyshev polynomials
    known[:2] = 0.0, 0.5
    diagonal: list[float] = [above[1]]
    off: list[float] = []
    scale = 1.0
    for k in range(1, wanted):
        now = np.zeros_like(above)
        beta = off[-1] if off else 0.0
        span = slice(k, 2 * wanted - k)
        now[span] = (
            above[k + 1 : 2 * wanted - k + 1]
            - diagonal[-1] * above[span]
            - beta * earlier[span]
            + known[span] * above[k - 1 : 2 * wanted - k - 1]
        )
        scale *= 0.25 if k > 1 else 0.5  # the same norm for a measure that fills [-1, 1]
        if now[k] <= _NOISE * scale:
            break
        diagonal.append(now[k + 1] / now[k] - above[k] / above[k - 1])
        off.append(now[k] / above[k - 1])
        earlier, above = above, now
    while True:
        root = np.sqrt(off)
        jacobi = np.diag(diagonal) + np.diag(root, 1) + np.diag(root, -1)
        x, vectors = np.linalg.eigh(jacobi)
        if np.all(np.abs(x) < 1) or not off:
            return x[::-1], total * vectors[0, ::-1] ** 2
        diagonal.pop()
        off.pop()


def _energy(alpha: float, beta: float, d: float, v: float, rule: _Rule) -> np.ndarray:
    """Energy lambda * error_sq of every node, from the panels' moments."""
    cuts, res = panels(alpha, d, v), resolvent(alpha, d, v)
    moments = cuts.moments(_energy_form(res, beta, cuts), max(t.size for t in rule.x))
    if cuts.linear:
        # The path of the last panel goes round z = 0, where the floor sits.
        moments[-1] -= 2 * res.floor(beta) * (-1.0) ** np.arange(moments.shape[1])
    parts = [
        np.linalg.solve(np.polynomial.chebyshev.chebvander(t, t.size - 1).T, row[: t.size])
        for t, row in zip(rule.x, moments, strict=True)
    ]
    energy = np.concatenate(parts)
    return np.concatenate(
        [energy[part] if m is None else m @ energy[part] for part, m in rule.reductions]
    )


def _energy_form(res: Resolvent, beta: float, cuts: Panels) -> np.ndarray:
    """S_{2 beta}(u)/m dz = -u S_{2 beta}(u) dlog z, less what is real on the axis.

    For 2 beta > 1 the sum is mostly a polynomial in u, whose coefficients are power sums;
    (-u)^k = (z/m)^k differs from the real z^k by expm1(-k log m) only.
    """
    # A quarter of a step short of p = 1 - 2 alpha, where the infinite sum would diverge.
    steps = max(0, math.ceil((2 * beta - 1) / res.exponent - 0.25))
    inner = (cuts.largest(cuts.u) < 0.3)[:, 0] & (steps > 0)
    form = np.empty_like(cuts.u)
    u = cuts.u[~inner]
    form[~inner] = -u * res.sums(u, [2 * beta])[0]
    if np.any(inner):
        u, log_m = cuts.u[inner], cuts.log_m[inner]
        total = (-u) ** (steps + 1) * res.sums(u, [2 * beta - steps * res.exponent])[0]
        for k in range(steps):
            coefficient = power_sum(2 * beta - k * res.exponent, res.v)
            total -= coefficient * (-u) ** (k + 1) * np.expm1((k + 1) * log_m)
        form[inner] = total
    return form * cuts.dlog_z
