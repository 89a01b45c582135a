"""The surface of log loss over budgets and sizes near its valley, fitted with or without a floor.

    log(loss - floor) = const - eta u + g(z) + u h(z),    z = (log d - xi u - middle) / log 10

in log budget u, with g of sixth order and h of second and third, for |z| < 1, by least squares of
relative errors of the loss. All but xi and the floor enter linearly; these two by Gauss-Newton
steps, and the middle moves until the lowest point of g lies at z = 0. measure/valley.py says what
is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebvander

from hidim.measure.reading import LN10

REACH = LN10  # in log d: how far from the valley a run still counts
_ORDER = 6
_ROUNDS = 60
_PRECISION = 1e-7
_FINE = np.linspace(-0.6, 0.6, 121)  # of z, where the lowest point is; beyond, little holds it
_SHAPES = chebvander(_FINE, _ORDER)[:, 1:]
# Coefficients of the slope of g, from those of g without its constant.
_SLOPES = np.stack([chebder(row) for row in np.eye(_ORDER + 1)[1:]], axis=1)
_NEAREST = 1e-4  # share of the lowest loss that a floor stays below it


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted surface.

    Attributes:
        ridge: (xi, middle, bend) of log d* = xi u + middle + bend u^2.
        eta: minus the power of the loss along it.
        bend: that of -log loss along it.
        floor: what was taken off the loss, None where none was fitted.
        level: log(loss - floor) at every budget and size, shape (n, k); None without a floor.
    """

    ridge: np.ndarray
    eta: float
    bend: float
    floor: float | None = None
    level: np.ndarray | None = None

    @property
    def powers(self) -> np.ndarray:
        """(eta, xi), and the floor where it was fitted."""
        fitted = [] if self.floor is None else [self.floor]
        return np.array([self.eta, self.ridge[0], *fitted])

    @property
    def bends(self) -> np.ndarray:
        """Half the second derivatives of -log loss and of log size along the ridge."""
        return np.array([self.bend, self.ridge[2]])

    def without(self, size: int) -> Fit:
        """The fit to start from where one size is left out."""
        level = None if self.level is None else np.delete(self.level, size, axis=1)
        return Fit(self.ridge, self.eta, self.bend, self.floor, level)


@dataclass(frozen=True, eq=False)
class Surface:
    """Log loss of all sizes over the budgets of a window, around its middle.

    Attributes:
        log_flops: shape (n,).
        x: log sizes, shape (k,).
        table: log loss, shape (n, k), NaN where a size is not running.
    """

    log_flops: np.ndarray
    x: np.ndarray
    table: np.ndarray

    @property
    def u(self) -> np.ndarray:
        """Log budgets from the middle of the window, shape (n,)."""
        return self.log_flops - (self.log_flops[0] + self.log_flops[-1]) / 2

    def without(self, size: int) -> Surface:
        """The same of all other sizes."""
        keep = np.arange(len(self.x)) != size
        return Surface(self.log_flops, self.x[keep], self.table[:, keep])

    def less(self, floor: float) -> Surface:
        """The same of the loss less a floor; what lies below it is unknown."""
        with np.errstate(invalid="ignore", divide="ignore"):
            left = np.log(np.exp(self.table) - floor)
        return Surface(self.log_flops, self.x, np.where(np.isfinite(left), left, np.nan))

    def sizes_near(self, start: Fit) -> np.ndarray:
        """Places of the sizes that run within reach of the valley at some budget."""
        z = self.x - start.ridge[0] * self.u[:, None] - start.ridge[1]
        return np.flatnonzero(np.any((np.abs(z) <= REACH) & np.isfinite(self.table), axis=0))

    def fit(self, start: Fit, *, bent: bool = False) -> Fit | None:
        """The surface, found from the ridge, and the floor if it has one, of another.

        None where the ridge leaves the runs, or has no lowest point.
        """
        ridge = start.ridge.copy()
        u, x = np.broadcast_arrays(self.u[:, None], self.x)
        running = np.isfinite(self.table)
        shape = np.zeros(_ORDER)
        excess = None if start.floor is None else _Excess.of(self.table, start)
        for _ in range(_ROUNDS):
            z = (x - ridge[0] * u - ridge[1] - ridge[2] * u**2) / REACH
            use = running & (np.abs(z) < 1)
            root = 1 - z[use] ** 2  # of the weight, which fades towards the ends
            rows = _columns(u[use], z[use], shape, bent)
            count = len(rows) - (0 if not shape.any() else 2 if bent else 1)
            if use.sum() <= len(rows):
                return None
            try:
                if excess is None:
                    found = _solve(rows * root, self.table[use] * root)
                else:
                    found = excess.step(rows, use, root)
            except np.linalg.LinAlgError:
                return None
            if excess is not None:
                excess.level = found @ _columns(u.ravel(), z.ravel(), shape, bent)
                excess.level = np.clip(excess.level.reshape(u.shape), -300, 300)
            shape, move = found[2 : 2 + _ORDER], np.clip(found[count:], -0.1, 0.1)
            ridge[[0, 2][: len(move)]] += move
            lowest = int(np.argmin(_SHAPES @ shape))
            if lowest in (0, len(_FINE) - 1):
                return None
            ridge[1] += 0.7 * _FINE[lowest] * REACH
            if excess is not None and excess.moved >= _PRECISION:
                continue
            if len(move) and np.abs(move).max() < _PRECISION and abs(_FINE[lowest]) < 0.02:
                break
        bend = float(found[2 + _ORDER]) if bent else 0.0
        if excess is None:
            return Fit(ridge, float(found[1]), bend)
        return Fit(ridge, float(found[1]), bend, excess.floor, excess.level)


@dataclass(eq=False)
class _Excess:
    """What the loss has above a floor that is fitted with the surface, by Gauss-Newton steps.

    log loss = log(floor + exp level) at every budget and size, so no point need lie above it.
    """

    table: np.ndarray
    floor: float
    level: np.ndarray
    moved: float = 1.0

    @classmethod
    def of(cls, table: np.ndarray, start: Fit) -> _Excess:
        assert start.floor is not None
        level = start.level
        if level is None:
            loss = np.exp(table)
            level = np.log(np.maximum(loss - start.floor, 1e-3 * loss))
        return cls(table, start.floor, level)

    def step(self, rows: np.ndarray, use: np.ndarray, root: np.ndarray) -> np.ndarray:
        """The coefficients of the surface; the floor moves with them, as far as it may."""
        level = self.level[use]
        part = np.exp(level)
        total = self.floor + part
        share = part / total
        target = (self.table[use] - np.log(total) + share * level) * root
        least = share * root
        most = float(np.exp(np.nanmin(self.table[use]))) * (1 - _NEAREST)
        columns = np.concatenate([rows * least, (root / total)[None]])
        found = _solve(columns, target)
        move, room = float(found[-1]), max(most - self.floor, _NEAREST * most)
        if self.floor + move <= 0 and self.floor == 0.0:
            found, move = np.append(_solve(columns[:-1], target), 0.0), 0.0  # it stays at its bound
        floor = float(np.clip(self.floor + np.clip(move, -room, room / 2), 0.0, most))
        self.moved = abs(floor - self.floor) / room
        self.floor = floor
        return found[:-1]


def _columns(u: np.ndarray, z: np.ndarray, shape: np.ndarray, bent: bool) -> np.ndarray:
    """What the surface is a sum of, shape (terms, n); the last ones move the ridge."""
    waves = chebvander(z, _ORDER).T
    columns = np.empty((_ORDER + 4 + (3 if bent else 1), len(z)))
    columns[0], columns[1], columns[2 : 2 + _ORDER] = 1.0, -u, waves[1:]
    k = 2 + _ORDER
    if bent:
        columns[k], k = -(u**2), k + 1
    columns[k] = u * z**2  # the valley opens or closes on its way
    columns[k + 1] = columns[k] * z
    k += 2
    if not shape.any():
        return columns[:k]
    falls = -(_SLOPES @ shape) @ waves[:-1] / REACH
    columns[k] = u * falls
    if bent:
        columns[k + 1] = u * columns[k]
    return columns


def _solve(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.linalg.solve(rows @ rows.T, rows @ target)
