"""Which powers does the valley of compute-optimal sizes follow, and over which budgets?

Near the best size d*(f) ~ f^xi the loss of all sizes at all budgets is one surface,

    log loss(f, d) = const - eta log f + g(z) + log f h(z),    z = log d / d*,  |z| <= log 10.

g is a polynomial of sixth order whose lowest point is the frontier. Where loss is a power of d plus
a power of the steps, that is exact with h = 0; h, of second and third order, lets the valley open
or close on its way, as it does while one term of the loss takes over from another. eta and xi come
from one least-squares fit to all runs, which needs no size to be the best itself.

The window. Budgets count whose lowest run is neither the smallest nor the largest that is
running; of these, the longest stretch. Windows end where it ends. The shortest holds two
decades of budgets, or half the stretch where it has less than four; each further one is half as
long again. A window is taken as long as its eta and xi differ from those of every shorter one by
no more than two standard errors of the shorter one, or `SAME`; the longest such is the window. So
it is as long as the powers stay the same within what the later budgets alone can tell (Lepski's
rule). What every window gave, and the drift within the chosen one, are part of the result.

Errors. Runs of one size share their errors over the whole curve, so each size is one cluster:
standard errors come from leaving out one size after another, intervals from Student's t with as
many degrees of freedom as sizes, less three: for the level, the power, and how the valley opens.

Limits: at least five sizes near the valley. A floor that all runs share flattens the valley: take
it off first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import chebder, chebval, chebvander

from hidim.measure.reading import LN10
from hidim.measure.slopes import LEVEL, jackknife, student

REACH = LN10  # in log d: how far from the valley a run still counts
SAME = (0.001, 0.003)  # differences of eta and of xi that mean nothing
FEWEST = 5  # sizes
_ORDER = 6
_COMPARED = 3  # sizes that are running where one of them is the best
_GAP = 3  # budgets
_SHORTEST = 2 * LN10
_LONGER = 1.5
_AGREE = 0.99  # level: several windows are compared, in two powers
_ROUNDS = 60
_PRECISION = 1e-7


@dataclass(frozen=True, eq=False)
class Valley:
    """eta and xi over one window of budgets; each array is (eta, xi).

    Attributes:
        window: places of the first and the last budget.
        values: the powers.
        errors: their standard errors.
        sizes: how many sizes entered.
    """

    window: tuple[int, int]
    values: np.ndarray
    errors: np.ndarray
    sizes: int
    _surface: _Surface
    _fit: _Fit
    _counted: np.ndarray

    def drifts(self) -> tuple[np.ndarray, np.ndarray]:
        """Powers of the later half of the window minus the earlier half's, and their errors."""
        bent = self._surface.fit(self._fit.ridge, bent=True)
        if bent is None:
            return np.full(2, np.nan), np.full(2, np.inf)
        rows = [self._surface.without(k).fit(bent.ridge, bent=True) for k in self._counted]
        # A power changes by 2 x bend x distance of the halves' middles, half the window.
        half = (self._surface.u[-1] - self._surface.u[0]) / 2
        return _with_errors(bent, rows, lambda one: 2 * half * one.bends)

    def quantile(self, level: float = LEVEL) -> float:
        """How many standard errors an interval holds on either side."""
        return student(self.sizes - 2, level)

    def agrees_with(self, shorter: Valley) -> bool:
        """Whether both powers are a shorter window's within its errors."""
        most = np.maximum(shorter.quantile(_AGREE) * shorter.errors, SAME)
        return bool(np.all(np.abs(self.values - shorter.values) <= most))


def inside(table: np.ndarray) -> tuple[int, int] | None:
    """The longest stretch of budgets whose lowest size is an inner one: first place and end.

    A run that a larger one had overtaken before it ended is past its best: it counts with its last
    loss. Gaps of up to three budgets are noise and are closed.

    Args:
        table: log loss, shape (budgets, sizes), NaN where a size is not running.
    """
    known = table.copy()
    for k in range(table.shape[1]):
        last = np.flatnonzero(np.isfinite(table[:, k]))[-1:]
        if len(last) and np.any(table[last[0], k + 1 :] < table[last[0], k]):
            known[last[0] :, k] = table[last[0], k]
    running = np.isfinite(known)
    best = np.argmin(np.where(running, known, np.inf), axis=1)
    first = np.argmax(running, axis=1)
    last = table.shape[1] - 1 - np.argmax(running[:, ::-1], axis=1)
    inner = (running.sum(axis=1) >= _COMPARED) & (first < best) & (best < last)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inner.astype(int), [0]])))
    starts, ends = list(edges[::2]), list(edges[1::2])
    for k in range(len(starts) - 1, 0, -1):
        if starts[k] - ends[k - 1] <= _GAP:
            del starts[k], ends[k - 1]
    if not starts:
        return None
    longest = int(np.argmax(np.array(ends) - np.array(starts)))
    return int(starts[longest]), int(ends[longest])


def chosen_valley(
    u: np.ndarray, x: np.ndarray, table: np.ndarray, start: int, end: int, near: np.ndarray
) -> tuple[Valley, list[Valley]]:
    """The valley over the window that the rule of this module chooses, and over every one tried.

    Args:
        u: log budgets, shape (n,), evenly spaced.
        x: log sizes, shape (k,).
        table: log loss, shape (n, k).
        start: first place of the stretch whose lowest size is an inner one.
        end: the place after its last.
        near: rough log best size at every budget of the stretch.
    """
    tried: list[Valley] = []
    chosen = None
    for first in _starts(u, start, end):
        try:
            found = valley(u, x, table, first, end, near[first - start :])
        except ValueError:
            if first == start and not tried:
                raise
            continue  # too few sizes, or too much noise, for a window as short as this
        tried.append(found)
        if chosen is None or all(found.agrees_with(shorter) for shorter in tried[:-1]):
            chosen = found
        else:
            break
    assert chosen is not None
    return chosen, tried


def _starts(u: np.ndarray, start: int, end: int) -> list[int]:
    """Where the windows of a stretch begin, the shortest window first."""
    whole = u[end - 1] - u[start]
    length, found = min(_SHORTEST, whole / 2), []
    while length < whole:
        found.append(int(np.searchsorted(u, u[end - 1] - length - 1e-9)))
        length *= _LONGER
    return [*found, start]


def valley(
    u: np.ndarray, x: np.ndarray, table: np.ndarray, start: int, end: int, near: np.ndarray
) -> Valley:
    """The valley over one window; the arguments are those of `chosen_valley`.

    Raises:
        ValueError: fewer than five sizes run near it, or the fit finds no valley.
    """
    part = slice(start, end)
    surface = _Surface(u[part], x, table[part])
    straight = np.polynomial.polynomial.polyfit(surface.u, near, 1)
    guess = np.array([straight[1], straight[0], 0.0])
    counted = surface.sizes_near(guess)
    if len(counted) < FEWEST:
        raise ValueError(
            f"`curves` hold {len(counted)} sizes within a decade of the compute-optimal ones; "
            f"exponents with error bars need {FEWEST}. Run more sizes."
        )
    found = surface.fit(guess)
    if found is None:
        raise ValueError("`curves` show no valley over sizes: more sizes, or less noise, may.")
    rows = [surface.without(k).fit(found.ridge) for k in counted]
    values, errors = _with_errors(found, rows, lambda one: one.powers)
    if not np.all(np.isfinite(errors)):
        raise ValueError(
            "`curves` show a valley with all sizes together only: without one of them there is "
            "none, so its powers have no error bars. Run more sizes."
        )
    return Valley((start, end - 1), values, errors, len(counted), surface, found, counted)


def _with_errors(
    found: _Fit, rows: list[_Fit | None], read: Callable[[_Fit], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What is read from a fit, and its error by the fits without each size."""
    kept = np.array([read(row) for row in rows if row is not None])
    values = read(found)
    return values, jackknife(kept) if len(kept) == len(rows) else np.full(len(values), np.inf)


@dataclass(frozen=True, eq=False)
class _Surface:
    """Log loss of all sizes over the budgets of a window, around its middle."""

    log_flops: np.ndarray
    x: np.ndarray
    table: np.ndarray

    @property
    def u(self) -> np.ndarray:
        return self.log_flops - (self.log_flops[0] + self.log_flops[-1]) / 2

    def without(self, size: int) -> _Surface:
        keep = np.arange(len(self.x)) != size
        return _Surface(self.log_flops, self.x[keep], self.table[:, keep])

    def sizes_near(self, guess: np.ndarray) -> np.ndarray:
        """Places of the sizes that run within reach of the valley at some budget."""
        z = self.x - guess[0] * self.u[:, None] - guess[1]
        return np.flatnonzero(np.any((np.abs(z) <= REACH) & np.isfinite(self.table), axis=0))

    def fit(self, ridge: np.ndarray, *, bent: bool = False) -> _Fit | None:
        """Gauss-Newton on the ridge log d* = xi u + middle + bend u^2, from the one given.

        None where it leaves the runs or finds no lowest point.
        """
        ridge = ridge.copy()
        u, x = np.broadcast_arrays(self.u[:, None], self.x)
        running = np.isfinite(self.table)
        fine = np.linspace(-0.6, 0.6, 121)  # beyond, little holds the polynomial
        shapes = chebvander(fine, _ORDER)[:, 1:]
        shape = np.zeros(_ORDER)
        for _ in range(_ROUNDS):
            z = (x - ridge[0] * u - ridge[1] - ridge[2] * u**2) / REACH
            use = running & (np.abs(z) < 1)
            zz, uu = z[use], u[use]
            root = 1 - zz**2  # of the weight, which fades towards the ends
            columns = [np.ones_like(uu), -uu, *chebvander(zz, _ORDER).T[1:]]
            columns += [-(uu**2)] if bent else []
            columns += [uu * zz**2, uu * zz**3]  # the valley opens or closes on its way
            count = len(columns)
            if shape.any():
                falls = -chebval(zz, chebder(np.append(0.0, shape))) / REACH
                columns += [uu * falls, uu**2 * falls] if bent else [uu * falls]
            if use.sum() <= len(columns):
                return None
            rows = np.stack(columns) * root
            try:
                found = np.linalg.solve(rows @ rows.T, rows @ (self.table[use] * root))
            except np.linalg.LinAlgError:
                return None
            shape, move = found[2 : 2 + _ORDER], np.clip(found[count:], -0.1, 0.1)
            ridge[[0, 2][: len(move)]] += move
            lowest = int(np.argmin(shapes @ shape))
            if lowest in (0, len(fine) - 1):
                return None
            ridge[1] += 0.7 * fine[lowest] * REACH
            if len(move) and np.abs(move).max() < _PRECISION and abs(fine[lowest]) < 0.02:
                break
        return _Fit(ridge, float(found[1]), float(found[2 + _ORDER]) if bent else 0.0)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A fitted surface: its ridge (xi, middle, bend), eta, and the bend of -log loss along it."""

    ridge: np.ndarray
    eta: float
    bend: float

    @property
    def powers(self) -> np.ndarray:
        return np.array([self.eta, self.ridge[0]])

    @property
    def bends(self) -> np.ndarray:
        return np.array([self.bend, self.ridge[2]])
