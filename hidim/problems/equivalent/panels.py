"""Where are the two measures of the deterministic equivalent cut, and along which paths?

The spectrum is cut, from high to low, into panels: one for each of the first bands (between
half-integers J, u = -J^(-2 alpha), where gaps are), then panels of log-width about three. A
panel's moments are contour integrals in w = log(-u): up from the cut, along the border of
the spectrum at a small height, down to the next cut. Heights stay a few times the distance
of the poles -j^(-2 alpha) and small against the panel, so that Chebyshev polynomials of the
panel stay bounded on the path. See resolvent for the border, equivalent for the rules.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass

import numpy as np

from hidim.problems.equivalent.power_sums import PointSums
from hidim.problems.equivalent.resolvent import Resolvent

_BANDS = 30  # bands per unit of log eigenvalue from which panels hold many bands
_SEGMENT = 16  # Gauss-Legendre points per piece of a path
_HEIGHT = 0.15  # height of a path over a panel, in log r: |T_55| stays under 4000 on it
_CELL_HEIGHT = 0.25  # the same over a single band, where degrees are lower
_CUT = 1e-30  # below this fraction of the top a hard edge is one panel, linear in lambda
_EDGE = 1e-8  # and so far below the smallest j^(-2 alpha)
_INNER = 0.3  # |u| below which sums of large powers are mostly polynomials in u
_TOUCH = 0.25  # spacing in log r at which a path follows the border


@dataclass(frozen=True)
class Panels:
    """Panels from high to low, with the quadrature points of their paths.

    Logarithms of eigenvalues are relative to the resolvent's `center`.

    Attributes:
        width: the largest log-width of a panel that holds many bands.
        top, bottom: (panels,) ends in log lambda (in lambda itself for a linear last panel).
        linear: whether the last panel is [0, top], with polynomials in lambda.
        cells: how many of the first panels are single bands.
        piece: (panels,) first piece of each panel's path.
        inner: (pieces,) whether the path of the piece's panel keeps to small u.
        sums: S_p on the pieces that are not inner, and on those that are.
        u: (pieces, points), as are all below.
        ratio: S_0(u)/d.
        log_m: log(1 - S_0/d).
        dlog_z: differential of log z times the quadrature weight.
        x: panel variable, real and in [-1, 1] on the panel itself.
    """

    width: float
    top: np.ndarray
    bottom: np.ndarray
    linear: bool
    cells: int
    piece: np.ndarray
    inner: np.ndarray
    sums: tuple[PointSums, PointSums]
    u: np.ndarray
    ratio: np.ndarray
    log_m: np.ndarray
    dlog_z: np.ndarray
    x: np.ndarray

    @property
    def count(self) -> int:
        """Number of panels."""
        return self.top.size

    def moments(self, form: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """Chebyshev moments of the measure with resolvent one-form `form`.

        Args:
            degrees: (panels,) how many each panel needs.

        Returns:
            (panels, largest of degrees), zero beyond a panel's own.
        """
        total = np.zeros((self.count, int(degrees.max())))
        sizes = np.diff(np.append(self.piece, self.x.shape[0]))
        for count in sorted(set(degrees.tolist())):
            rows = np.flatnonzero(degrees == count)
            part = np.repeat(degrees == count, sizes)
            start = np.cumsum(sizes[rows]) - sizes[rows]
            x, along = self.x[part], form[part]
            twice_x, before, now = 2 * x, np.zeros_like(x), along
            for degree in range(count):
                total[rows, degree] = np.add.reduceat(now.imag.sum(axis=1), start)
                step = x if degree == 0 else twice_x
                before, now = now, step * now - before
        return -total / math.pi

    def largest(self, value: np.ndarray) -> np.ndarray:
        """(pieces, 1) largest modulus of `value` over the whole panel of each piece."""
        return _largest(value, self.piece)


def panels(res: Resolvent, width: float) -> Panels:
    """Cut the spectrum of `res`, with panels of log-width `width` where bands are many."""
    cells = _cell_cuts(res)
    bulk, linear = _bulk_cuts(res, float(cells[-1]), width)
    log_r = np.concatenate([cells, *(part[1:] for part in bulk)])
    cuts = np.cumsum([0] + [1] * (cells.size - 1) + [part.size - 1 for part in bulk])
    phi, place = res.border(log_r)
    edge = place[cuts]
    if not linear:
        edge[-1] = res.log_edges[0]
    edge[0] = res.log_edges[1]
    paths = []
    for index, (a, b) in enumerate(itertools.pairwise(cuts)):
        last = b == cuts[-1] and not linear
        part = slice(a, b + 1)
        paths.append(_path(res, log_r[part], phi[part], index < cells.size - 1, last))
    top, bottom = edge[:-1], edge[1:]
    if linear:
        paths.append(log_r[-1] + 1j * np.linspace(phi[-1], math.pi, 7))
        top, bottom = np.append(top, math.exp(edge[-1])), np.append(bottom, 0.0)
    return _evaluate(res, width, top, bottom, linear, cells.size - 1, paths)


def _cell_cuts(res: Resolvent) -> np.ndarray:
    """log r of a point above the spectrum and of the half-integers between single bands."""
    most = math.exp(min(-res.log_r_min / res.exponent, 60.0))
    count = int(min(math.ceil(_BANDS * res.exponent), 0.95 * most - 1.0, res.v - 1))
    between = -res.exponent * np.log(np.arange(1, max(count, 0) + 1) + 0.5)
    between = between[between < res.log_r_max - 1e-3]
    gap = 0.4 * (res.log_r_max - between[0]) if between.size else 0.3
    return np.concatenate([[res.log_r_max + gap], between])


def _bulk_cuts(res: Resolvent, start: float, width: float) -> tuple[list[np.ndarray], bool]:
    """Touching points of each panel below log r = `start`, and whether a linear one follows."""
    low, high = res.log_edges
    end, linear = res.log_r_min, False
    # Far under the smallest j^(-2 alpha) only a hard edge is left, density lambda^(-1/2).
    floor = min(high, -res.exponent * math.log(res.v) if res.nearly_square else 0.0)
    floor = min(high + math.log(_CUT), floor + math.log(_EDGE))
    if res.nearly_square and low < floor:
        # lambda ~ u^2 there, so that r = lambda is beyond it.
        end, linear = max(end, floor), True
    grid = np.linspace(start, end, 2 + math.ceil((start - end) / 0.2))
    place = res.border(grid)[1]
    if not linear:
        floor = place[-1] = low
    count = max(1, math.ceil((place[0] - floor) / width))
    cuts = np.interp(-np.linspace(place[0], floor, count + 1), -place, grid)
    parts = [
        np.linspace(a, b, 1 + max(4, math.ceil((a - b) / _TOUCH)))
        for a, b in itertools.pairwise(cuts)
    ]
    if not linear:
        # The last path ends on u > 0 between the lowest edge and u_0, where z = 0.
        margin = 0.4 * (math.log(res.u_0) - res.log_r_min)
        step = 0.5 * (parts[-1][-2] - parts[-1][-1])
        parts[-1][-1] += min(margin, step)
    return parts, linear


def _path(res: Resolvent, log_r: np.ndarray, phi: np.ndarray, cell: bool, last: bool) -> np.ndarray:
    """Corners in w = log(-u) of the path over one panel, from its upper to its lower cut."""
    width = log_r[0] - log_r[-1]
    height = _CELL_HEIGHT * width if cell else min(_HEIGHT, 0.075 * width)
    angle = np.minimum(phi + height, (phi + math.pi) / 2)
    # Poles on the real axis are half a spacing away from a half-integer.
    spacing = res.exponent * np.exp(np.minimum(log_r[[0, -1]] / res.exponent, 0.0))
    reach = np.hypot(phi[[0, -1]], spacing / 2)
    up = log_r[0] + 1j * _ladder(phi[0], angle[0], reach[0])
    if last:
        away = math.log(res.u_0) - log_r[-1]
        down = math.pi - _ladder(0.0, math.pi - angle[-1], away)
    else:
        down = _ladder(phi[-1], angle[-1], reach[-1])
    along = _refine(log_r + 1j * angle, 0.8 * height)
    return np.concatenate([up[:-1], along, (log_r[-1] + 1j * down[::-1])[1:]])


def _refine(line: np.ndarray, longest: float) -> np.ndarray:
    """The same polyline in equal pieces no longer than `longest`."""
    step = np.diff(line)
    count = np.ceil(np.abs(step) / longest).astype(int)
    ahead = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    points = np.repeat(line[:-1], count) + np.repeat(step / count, count) * ahead
    return np.append(points, line[-1])


def _ladder(start: float, stop: float, step: float) -> np.ndarray:
    """Breakpoints from `start` to `stop`, each piece twice as long as the one before."""
    points = [start]
    while points[-1] + 1.4 * step < stop:
        points.append(points[-1] + step)
        step *= 2
    return np.array([*points, stop])


def _evaluate(
    res: Resolvent,
    width: float,
    top: np.ndarray,
    bottom: np.ndarray,
    linear: bool,
    cells: int,
    paths: list[np.ndarray],
) -> Panels:
    start = np.concatenate([path[:-1] for path in paths])
    stop = np.concatenate([path[1:] for path in paths])
    sizes = [path.size - 1 for path in paths]
    piece = np.cumsum([0, *sizes[:-1]])
    t, weight, slope = _segment()
    half = (stop - start)[:, None] / 2
    w = (stop + start)[:, None] / 2 + half * t
    u = -np.exp(w)
    inner = (_largest(u, piece) < _INNER)[:, 0]
    sums = res.sums.at(u[~inner]), res.sums.at(u[inner])
    ratio, log_m, log_z = np.empty_like(u), np.empty_like(u), np.empty_like(u)
    for part, points in zip((~inner, inner), sums, strict=True):
        ratio[part], log_m[part], log_z[part] = res.logs(points, w[part])
    dlog_z = weight * (log_z @ slope if res.narrow else half + log_m @ slope)
    owner = np.repeat(np.arange(top.size), sizes)[:, None]
    place = log_z
    if linear:
        place = np.where(owner == top.size - 1, np.exp(log_z), log_z)
    x = (2 * place - top[owner] - bottom[owner]) / (top[owner] - bottom[owner])
    return Panels(width, top, bottom, linear, cells, piece, inner, sums, u, ratio, log_m, dlog_z, x)


def _largest(value: np.ndarray, piece: np.ndarray) -> np.ndarray:
    size = np.maximum.reduceat(np.abs(value).max(axis=1), piece)
    return np.repeat(size, np.diff(np.append(piece, value.shape[0])))[:, None]


@functools.cache
def _segment() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Legendre points and weights of a piece, and the matrix values @ matrix = slopes."""
    legendre = np.polynomial.legendre
    t, weight = legendre.leggauss(_SEGMENT)
    # Differentiate what is not w itself through its Legendre interpolant on the piece.
    slope = legendre.legvander(t, _SEGMENT - 2) @ legendre.legder(np.eye(_SEGMENT), axis=0)
    slope = slope @ np.linalg.inv(legendre.legvander(t, _SEGMENT - 1))
    return t, weight, slope.T
