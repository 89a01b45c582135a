"""Which few hundred eigenvalues stand for the spectrum of the deterministic equivalent?

Two measures live on the spectrum: the number of eigenvalues (total d) and the energy of the
target (total twice the initial risk less twice the floor). The axis is cut into panels of
log-width about one; on each the moments of both measures, up to the degree the panel needs,
are contour integrals along an arc that leaves the real axis only between panels:

    n = (1/pi) Im int d/u dz,      energy = (1/pi) Im int S_{2 beta}(u)/m dz.

The arc is drawn in u (see resolvent), where z is explicit, so nothing is solved on it. The
panel's nodes are the Gauss nodes of the counting measure (positive, inside the spectrum), the
energy is carried to the same nodes by interpolation. Where both densities are smooth
multiples of one another, which they nearly are, both rules integrate degree 2k - 1.

Isolated bands, near eigenvalues 1, 2, 3, ..., are panels of their own with a few nodes each.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from hidim.problems.power_sums import power_sum
from hidim.problems.resolvent import Resolvent, resolvent

_WIDTH = 1.0  # log-width of a panel
_NODES = 12  # Gauss nodes of a full panel
_BANDS = 40  # a full panel holds at least so many bands; below, every band is its own panel
_SEGMENT = 16  # Gauss-Legendre points per piece of an arc
_HEIGHT = 0.15  # height of the arc over a full panel, in panels: keeps T_23 under 1e3
_CELL_HEIGHT = 0.45  # the same over a single band, whose degree is lower
_CELL_NODES = 8
_CUT = 1e-32  # eigenvalues below this fraction of the largest share one linear panel
_EPS = 1e-11  # squared norm of a monic polynomial below which a panel has no more nodes


@dataclass(frozen=True)
class _Plan:
    """Panels from high to low, and the path in w = log(-u) over each.

    Attributes:
        top, bottom: (panels,) ends of the panel in log lambda (in lambda when `linear`).
        nodes: (panels,) Gauss nodes asked for.
        start, stop: (pieces,) complex ends of each straight piece of a path.
        panel: (pieces,) the panel a piece belongs to, not falling.
        linear: whether the last panel is [0, top] with polynomials in lambda itself.
    """

    top: np.ndarray
    bottom: np.ndarray
    nodes: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    panel: np.ndarray
    linear: bool


@dataclass(frozen=True)
class _Path:
    """Quadrature points of all paths, (pieces, points), with everything free of beta."""

    u: np.ndarray
    log_m: np.ndarray
    ratio: np.ndarray  # S_0(u)/d = 1 - m
    dlog_z: np.ndarray  # weight of the point included
    x: np.ndarray  # panel variable, real and in [-1, 1] on the panel
    first: np.ndarray  # (panels,) first piece of each panel


def equivalent_nodes(
    alpha: float, beta: float, d: float, v: float = math.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, error_sq and multiplicity that stand for the deterministic equivalent.

    Args:
        alpha: data exponent, positive; above 1/2 when v is infinite.
        beta: target exponent, any real (alpha + beta > 1/2 when v is infinite).
        d: number of parameters, at least 1.
        v: latent dimension, at least d, or ``math.inf``.

    Returns:
        Three arrays (modes,), eigenvalues falling: multiplicity sums to d, the risk is
        floor + 1/2 sum eigenvalues * error_sq.

    >>> eigenvalues, error_sq, multiplicity = equivalent_nodes(1.0, 0.7, 10**9)
    >>> eigenvalues.size < 1000, bool(abs(multiplicity.sum() / 1e9 - 1) < 1e-10)
    (True, True)
    """
    alpha, beta, d, v = float(alpha), float(beta), float(d), float(v)
    plan = _plan(alpha, d, v)
    x, multiplicity, panel = _count_rule(alpha, d, v)
    place = ((1 + x) * plan.top[panel] + (1 - x) * plan.bottom[panel]) / 2
    linear = plan.linear & (panel == plan.top.size - 1)
    eigenvalues = np.where(linear, place, np.exp(np.where(linear, 0.0, place)))
    return eigenvalues, _energy(alpha, beta, d, v) / eigenvalues, multiplicity


@functools.lru_cache(maxsize=16)
def _plan(alpha: float, d: float, v: float) -> _Plan:
    """Cut the spectrum: single bands, then panels of log-width about one."""
    res = resolvent(alpha, d, v)
    exponent = res.exponent
    # Half-integers J between the bands, u = -J^(-2 alpha).
    most = math.exp(min(-res.log_r_min / exponent, 60.0))
    count = int(min(math.ceil(_BANDS * exponent / _WIDTH), 0.95 * most - 1.0, v - 1))
    cells = -exponent * np.log(np.arange(1, count + 1) + 0.5) if count > 0 else np.zeros(0)
    cells = cells[cells < res.log_r_max - 1e-3]
    gap = 0.4 * (res.log_r_max - cells[0]) if cells.size else 0.3
    cells = np.concatenate([[res.log_r_max + gap], cells])
    bulk, linear = _bulk_cuts(res, float(cells[-1]))
    log_r = np.concatenate([cells, *(part[1:] for part in bulk)])
    is_cut = np.zeros(log_r.size, dtype=bool)
    is_cut[: cells.size] = True
    position = cells.size - 1
    for part in bulk:
        position += part.size - 1
        is_cut[position] = True
    inner_end = not linear
    phi, value = res.border(log_r)
    return _draw(res, log_r, phi, value, is_cut, cells.size - 1, linear, inner_end)


def _bulk_cuts(res: Resolvent, start: float) -> tuple[list[np.ndarray], bool]:
    """Touching points of each panel below log r = `start`, and whether a linear one follows."""
    low, high = res.edges
    end = res.log_r_min
    linear = False
    if res.nearly_square and low < _CUT * high:
        # A hard edge: lambda ~ u^2 there, and r = lambda is beyond it.
        linear = True
        end = max(end, math.log(_CUT * high))
    grid = np.linspace(start, end, 2 + math.ceil((start - end) / 0.2))
    _, value = res.border(grid[:-1] if not linear else grid)
    log_value = np.log(value) if linear else np.log(np.append(value, low))
    floor = max(math.log(_CUT * high), float(log_value[-1])) if linear else float(log_value[-1])
    panels = max(1, math.ceil((log_value[0] - floor) / _WIDTH))
    targets = np.linspace(log_value[0], floor, panels + 1)
    cuts = np.interp(-targets, -log_value, grid)
    parts = []
    for a, b in itertools.pairwise(cuts):
        parts.append(np.linspace(a, b, 1 + max(4, math.ceil((a - b) / 0.25))))
    if not linear:
        # The last path ends on u > 0 between the lowest edge and u_0, where z = 0.
        margin = 0.4 * (math.log(res.u_0) - res.log_r_min)
        last = parts[-1]
        parts[-1] = np.append(last[:-1], res.log_r_min + min(margin, 0.5 * (last[-2] - last[-1])))
    return parts, linear


def _draw(
    res: Resolvent,
    log_r: np.ndarray,
    phi: np.ndarray,
    value: np.ndarray,
    is_cut: np.ndarray,
    cells: int,
    linear: bool,
    inner_end: bool,
) -> _Plan:
    """The paths: up from a cut, along the border at some height, down to the next cut."""
    cuts = np.flatnonzero(is_cut)
    start: list[complex] = []
    stop: list[complex] = []
    panel: list[int] = []

    def add(points: np.ndarray, index: int) -> None:
        start.extend(points[:-1])
        stop.extend(points[1:])
        panel.extend([index] * (points.size - 1))

    spacing = res.exponent * np.exp(np.minimum(log_r / res.exponent, 0.0))
    for index, (a, b) in enumerate(itertools.pairwise(cuts)):
        width = log_r[a] - log_r[b]
        height = (_CELL_HEIGHT if index < cells else _HEIGHT) * width
        angle = np.minimum(phi[a : b + 1] + height, (phi[a : b + 1] + math.pi) / 2)
        reach = np.hypot(phi, spacing / 2)
        up = _ladder(phi[a], angle[0], reach[a])
        add(log_r[a] + 1j * up, index)
        line = log_r[a : b + 1] + 1j * angle
        add(_refine(line, 0.8 * height), index)
        if b == cuts[-1] and inner_end:
            away = math.log(res.u_0) - log_r[b]
            down = math.pi - _ladder(0.0, math.pi - angle[-1], away)
        else:
            down = _ladder(phi[b], angle[-1], reach[b])
        add(log_r[b] + 1j * down[::-1], index)
    edge = np.log(value[cuts])
    if inner_end:
        edge[-1] = math.log(res.edges[0])
    nodes = np.where(np.arange(cuts.size - 1) < cells, _CELL_NODES, _NODES)
    top, bottom = edge[:-1], edge[1:]
    if linear:
        last = cuts[-1]
        turn = np.linspace(phi[last], math.pi, 7)
        add(log_r[last] + 1j * turn, cuts.size - 1)
        top, bottom = np.append(top, value[last]), np.append(bottom, 0.0)
        nodes = np.append(nodes, 4)
    return _Plan(top, bottom, nodes, np.array(start), np.array(stop), np.array(panel), linear)


def _refine(line: np.ndarray, longest: float) -> np.ndarray:
    """The same polyline in equal pieces no longer than `longest`."""
    parts = [
        np.linspace(a, b, 1 + math.ceil(abs(b - a) / longest))[:-1]
        for a, b in itertools.pairwise(line)
    ]
    return np.concatenate([*parts, line[-1:]])


def _ladder(start: float, stop: float, step: float) -> np.ndarray:
    """Breakpoints from `start` to `stop`, each piece twice as long as the one before."""
    points = [start]
    while points[-1] + 1.4 * step < stop:
        points.append(points[-1] + step)
        step *= 2
    points.append(stop)
    return np.array(points)


@functools.lru_cache(maxsize=8)
def _path(alpha: float, d: float, v: float) -> _Path:
    plan = _plan(alpha, d, v)
    res = resolvent(alpha, d, v)
    t, weight = np.polynomial.legendre.leggauss(_SEGMENT)
    half = (plan.stop - plan.start)[:, None] / 2
    w = (plan.stop + plan.start)[:, None] / 2 + half * t
    u = -np.exp(w)
    ratio, m = res.m(u)
    log_m = np.where(np.abs(ratio) < 0.5, np.log1p(-ratio), np.log(m))
    vander = np.polynomial.legendre.legvander(t, _SEGMENT - 1)
    slope = np.polynomial.legendre.legder(np.eye(_SEGMENT), axis=0)
    slope = np.polynomial.legendre.legvander(t, _SEGMENT - 2) @ slope @ np.linalg.inv(vander)
    dlog_z = weight * (half + log_m @ slope.T)
    log_z = w + log_m
    top, bottom = plan.top[plan.panel, None], plan.bottom[plan.panel, None]
    if plan.linear:
        last = plan.panel == plan.top.size - 1
        log_z[last] = np.exp(log_z[last])  # polynomials in z itself there
    x = (2 * log_z - top - bottom) / (top - bottom)
    first = np.searchsorted(plan.panel, np.arange(plan.top.size))
    return _Path(u, log_m, ratio, dlog_z, x, first)


def _moments(path: _Path, form: np.ndarray, count: int) -> np.ndarray:
    """(panels, count) Chebyshev moments of the measure whose resolvent form is given."""
    total = np.empty((path.first.size, count))
    before, now = np.ones_like(path.x), path.x
    for degree in range(count):
        piece = np.sum((before * form).imag, axis=1)
        total[:, degree] = -np.add.reduceat(piece, path.first) / math.pi
        before, now = now, 2 * path.x * now - before
    return total


@functools.lru_cache(maxsize=16)
def _count_rule(alpha: float, d: float, v: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss nodes (in the panel variable), their counts, and the panel of each."""
    plan, path = _plan(alpha, d, v), _path(alpha, d, v)
    # tr (K-z)^-1 dz = d/u dz = -d m dlog z; the constant -d of m = 1 - S_0/d is real on the
    # axis and integrates to nothing, so it is left out where S_0 is the small part.
    size = np.maximum.reduceat(np.abs(path.ratio).max(axis=1), path.first)
    small = (size < 0.5)[plan.panel, None]
    form = d * path.dlog_z * np.where(small, path.ratio, -np.exp(path.log_m))
    moments = _moments(path, form, 2 * int(plan.nodes.max()))
    nodes, counts, panels = [], [], []
    for index, wanted in enumerate(plan.nodes):
        x, n = _gauss(moments[index, : 2 * wanted])
        nodes.append(x[::-1])
        counts.append(n[::-1])
        panels.append(np.full(x.size, index))
    return np.concatenate(nodes), np.concatenate(counts), np.concatenate(panels)


def _gauss(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss rule of a positive measure on [-1, 1] from its Chebyshev moments (Wheeler)."""
    wanted = moments.size // 2
    total = moments[0]
    above = moments / total / 2.0 ** np.maximum(np.arange(moments.size) - 1, 0)
    earlier = np.zeros_like(above)
    known = np.full(moments.size, 0.25)  # recurrence of the monic Chebyshev polynomials
    known[:2] = 0.0, 0.5
    diagonal: list[float] = [above[1]]
    off: list[float] = []
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
        if now[k] <= _EPS:
            break
        diagonal.append(now[k + 1] / now[k] - above[k] / above[k - 1])
        off.append(now[k] / above[k - 1])
        earlier, above = above, now
    root = np.sqrt(off)
    x, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(root, 1) + np.diag(root, -1))
    return x, total * vectors[0] ** 2


def _energy(alpha: float, beta: float, d: float, v: float) -> np.ndarray:
    """Energy lambda * error_sq of every node: interpolated from the panel's moments."""
    plan, path = _plan(alpha, d, v), _path(alpha, d, v)
    res = resolvent(alpha, d, v)
    form = _energy_form(res, beta, plan, path)
    moments = _moments(path, form, int(plan.nodes.max()))
    if plan.linear:
        # The path of the last panel goes round z = 0, where the floor sits.
        degree = np.arange(moments.shape[1])
        moments[-1] -= 2 * res.floor(beta) * (-1.0) ** degree
    x, _, panel = _count_rule(alpha, d, v)
    energy = np.empty_like(x)
    begin = 0
    for index in range(plan.top.size):
        size = int(np.searchsorted(panel, index + 1)) - begin
        here = x[begin : begin + size]
        vander = np.polynomial.chebyshev.chebvander(here, size - 1)
        energy[begin : begin + size] = np.linalg.solve(vander.T, moments[index, :size])
        begin += size
    return energy


def _energy_form(res: Resolvent, beta: float, plan: _Plan, path: _Path) -> np.ndarray:
    """S_{2 beta}(u)/m dz = -u S_{2 beta}(u) dlog z, less what is real on the axis.

    For 2 beta > 1 the sum is mostly a polynomial in u, whose coefficients are power sums;
    (-u)^k = (z/m)^k differs from the real z^k by expm1(-k log m) only.
    """
    steps = max(0, math.ceil((2 * beta - 1) / res.exponent))
    inner = np.abs(path.u).max(axis=1)
    inner = np.maximum.reduceat(inner, path.first)[plan.panel] < 0.3
    if steps == 0 or not np.any(inner):
        return -path.u * res.sums(path.u, [2 * beta])[0] * path.dlog_z
    form = np.empty_like(path.u)
    if not np.all(inner):
        form[~inner] = -path.u[~inner] * res.sums(path.u[~inner], [2 * beta])[0]
    u, log_m = path.u[inner], path.log_m[inner]
    total = (-u) ** (steps + 1) * res.sums(u, [2 * beta - steps * res.exponent])[0]
    for k in range(steps):
        coefficient = power_sum(2 * beta - k * res.exponent, res.v)
        total += coefficient * (-u) ** (k + 1) * -np.expm1((k + 1) * log_m)
    form[inner] = total
    return form * path.dlog_z
