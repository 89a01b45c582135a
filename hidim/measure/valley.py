"""Which powers does the valley of compute-optimal sizes follow, and over which budgets?

Near the best size d*(f) ~ f^xi the loss of all sizes at all budgets is one surface,

    log loss(f, d) = const - eta log f + g(z) + log f h(z),    z = log d / d*,  |z| <= log 10.

g is a polynomial of sixth order whose lowest point is the frontier. Where loss is a power of d plus
a power of the steps, that is exact with h = 0; h, of second and third order, lets the valley open
or close on its way, as it does while one term of the loss takes over from another. eta and xi come
from one least-squares fit to all runs, which needs no size to be the best itself.

The window. Budgets count whose lowest run is neither the smallest nor the largest that is
running (measure/brackets.py); of these, the longest stretch. Windows end where it ends. The
shortest holds two decades of budgets, or half the stretch where it has less than four; each further
one is half as long again. A window is taken as long as its eta and xi differ from those of every
shorter one by no more than the shorter one's 99 % interval, or `SAME`; the longest such is the
window. So it is as long as the powers stay the same within what the later budgets alone can tell
(Lepski's rule). What every window gave, and the drift within the chosen one, are part of the
result.

Errors. Runs of one size share their errors over the whole curve, so each size is one cluster:
standard errors come from leaving out one size after another, intervals from Student's t with as
many degrees of freedom as sizes, less three: for the level, the power, and how the valley opens.
Where points are so sparse that a run is interpolated, what straight lines between them would have
given is an error too.

A floor that all runs share flattens the valley. It is taken off first, or fitted with the powers,
in every window and without every size: then one size more is needed, one degree of freedom less is
left, and the intervals say how little is known of powers and floor together.

Limits: at least five sizes near the valley.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hidim.measure.reading import LN10
from hidim.measure.slopes import LEVEL, jackknife, student
from hidim.measure.surfaces import Fit, Surface

# Differences of eta, of xi, and of a fitted floor as a share of it, that mean nothing.
SAME = (0.001, 0.003, 0.001)
FEWEST = 5  # sizes
_SHORTEST = 2 * LN10
_LONGER = 1.5
_AGREE = 0.99  # level: several windows are compared, in two powers
_ALIKE = 1e-9  # of log losses: two readings of the runs that are one


@dataclass(frozen=True, eq=False)
class Runs:
    """What the ladder shows at every budget.

    Attributes:
        u: log budgets, evenly spaced, shape (n,).
        x: log sizes, shape (k,).
        table: log loss, shape (n, k), NaN where a size is not running.
        straight: the same with straight lines between sparse points.
        near: rough log best size at each budget, shape (n,), NaN where it was not bracketed.
        floor: a first guess of a floor that is to be fitted, None where none is.
    """

    u: np.ndarray
    x: np.ndarray
    table: np.ndarray
    straight: np.ndarray
    near: np.ndarray
    floor: float | None = None

    def surface(self, start: int, end: int, *, straight: bool = False) -> Surface:
        """The surface over the budgets from one place to before another."""
        part = slice(start, end)
        return Surface(self.u[part], self.x, (self.straight if straight else self.table)[part])


@dataclass(frozen=True, eq=False)
class Valley:
    """eta and xi over one window of budgets; each array is (eta, xi), or (eta, xi, floor).

    Attributes:
        window: places of the first and the last budget.
        values: the powers, and the floor where it was fitted.
        errors: their standard errors.
        sizes: how many sizes entered.
    """

    window: tuple[int, int]
    values: np.ndarray
    errors: np.ndarray
    sizes: int
    _surface: Surface
    _fit: Fit
    _counted: np.ndarray

    def drifts(self) -> tuple[np.ndarray, np.ndarray]:
        """Powers of the later half of the window minus the earlier half's, and their errors.

        A fitted floor is held: it would take up the drift of eta.
        """
        fit = self._fit
        surface = self._surface if fit.floor is None else self._surface.less(fit.floor)
        start = Fit(fit.ridge, fit.eta, fit.bend)
        bent = surface.fit(start, bent=True)
        if bent is None:
            return np.full(2, np.nan), np.full(2, np.inf)
        rows = [surface.without(k).fit(bent, bent=True) for k in self._counted]
        # A power changes by 2 x bend x distance of the halves' middles, half the window.
        half = (surface.u[-1] - surface.u[0]) / 2
        return _with_errors(bent, rows, lambda one: 2 * half * one.bends)

    def quantile(self, level: float = LEVEL) -> float:
        """How many standard errors an interval holds on either side."""
        return student(self.sizes - len(self.values), level)

    def agrees_with(self, shorter: Valley) -> bool:
        """Whether all values are a shorter window's within its errors."""
        same = np.array(SAME[: len(self.values)])
        same[2:] *= self.values[2:]
        most = np.maximum(shorter.quantile(_AGREE) * shorter.errors, same)
        return bool(np.all(np.abs(self.values - shorter.values) <= most))


def chosen_valley(runs: Runs, start: int, end: int) -> tuple[Valley, list[Valley]]:
    """The valley over the window that the rule of this module chooses, and over every one tried.

    Args:
        runs: the ladder.
        start: first place of the stretch whose lowest size is an inner one.
        end: the place after its last.
    """
    tried: list[Valley] = []
    chosen = None
    for first in _starts(runs.u, start, end):
        try:
            found = valley(runs, first, end)
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


def valley(runs: Runs, start: int, end: int) -> Valley:
    """The valley over one window; the arguments are those of `chosen_valley`.

    Raises:
        ValueError: fewer than five sizes run near it, or the fit finds no valley.
    """
    surface = runs.surface(start, end)
    guess = _guess(surface.u, runs.near[start:end], runs.floor)
    counted = surface.sizes_near(guess)
    fewest = FEWEST if runs.floor is None else FEWEST + 1
    if len(counted) < fewest:
        floor = "" if runs.floor is None else " and a fitted floor"
        raise ValueError(
            f"`curves` hold {len(counted)} sizes within a decade of the compute-optimal ones; "
            f"exponents with error bars{floor} need {fewest}. Run more sizes"
            + (", or give the floor." if floor else ".")
        )
    found = surface.fit(guess)
    if found is None:
        raise ValueError("`curves` show no valley over sizes: more sizes, or less noise, may.")
    rows = [surface.without(k).fit(found.without(k)) for k in counted]
    values, errors = _with_errors(found, rows, lambda one: one.powers)
    if not np.all(np.isfinite(errors)):
        raise ValueError(
            "`curves` show a valley with all sizes together only: without one of them there is "
            "none, so its powers have no error bars. Run more sizes."
        )
    other = runs.surface(start, end, straight=True)
    if not np.allclose(other.table, surface.table, rtol=0, atol=_ALIKE, equal_nan=True):
        straight = other.fit(found)
        if straight is None:
            raise ValueError(
                "`curves` have too few points: with straight lines between them they show no "
                "valley over sizes. Keep the loss more often."
            )
        # What lies between sparse points is as unknown as two ways to read it differ.
        errors = np.hypot(errors, straight.powers - values)
    return Valley((start, end - 1), values, errors, len(counted), surface, found, counted)


def _guess(u: np.ndarray, near: np.ndarray, floor: float | None) -> Fit:
    """Where a fit over a window begins: a straight line through the sizes that are known there."""
    known = np.isfinite(near)
    if np.count_nonzero(known) < 2:
        raise ValueError(
            "`curves` reach too few budgets together to show which size is the best: run the "
            "small ones for longer."
        )
    straight = np.polynomial.polynomial.polyfit(u[known], near[known], 1)
    return Fit(np.array([straight[1], straight[0], 0.0]), 0.0, 0.0, floor)


def _with_errors(
    found: Fit, rows: list[Fit | None], read: Callable[[Fit], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """What is read from a fit, and its error by the fits without each size."""
    kept = np.array([read(row) for row in rows if row is not None])
    values = read(found)
    return values, jackknife(kept) if len(kept) == len(rows) else np.full(len(values), np.inf)
