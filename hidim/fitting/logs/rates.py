"""At which intrinsic time, and after which changes of rate, is a training run at a given step?

A learning rate is held as straight pieces with possible jumps between them. From it follow the
intrinsic time T(t) = integral of the rate, and the list of rate changes that the
schedule-aware laws sum over (functional scaling laws, arXiv 2509.19189, integrated by parts).
Limits: a rate known only at logged steps is taken as straight between them, except for a jump
between two flat stretches of a log, which is placed at the later logged step. Knots of a plan, far
apart or unevenly spaced, and the first and last interval of anything are straight lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from hidim.support.checks import finite_array, non_negative, real_array

_NOTHING = 1e-15  # share of the peak that is rounding
_FLAT = 1e-9  # changes of rate below this fraction of the peak are rounding, not schedule
_EVENT = 0.01  # one event carries at most this fraction of the peak rate
_PEAK = 0.995  # of what a warm-up rises to, from which on it is over
_ALONG = 0.1  # of the peak, within which rows follow a warm-up that is told
_RISES = 0.25  # of the first rate, within which a line through the first rows begins at zero
_FLOOR = 1e-4  # rates below this fraction of the peak count as this in rate**-exponent
_JUMP = 0.005  # a change of rate from row to row that counts when runs may be mixed
_EVENTS = 10_000  # rates up and down more than a hundred times are no schedule
_WIDE = 0.05  # an interval beyond this share of the run is between knots, not logged rows
_EVEN = 3.0  # and so is one this much wider or narrower than the one beside it
_MANY = 4000  # knots beyond which a log is thinned before its rate is simplified


@dataclass(frozen=True)
class Rate:
    """A learning rate as straight pieces: limits from the left and the right at every knot.

    Attributes:
        steps: knots in optimizer steps, increasing, shape (knots,).
        before: rate just before each knot, shape (knots,).
        after: rate just after each knot, shape (knots,).
        warmup_steps: length of a linear warm-up from zero that ends at or before the first
            knot and is not among the knots.
    """

    steps: np.ndarray
    before: np.ndarray
    after: np.ndarray
    warmup_steps: float = 0.0
    _time: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        widths = np.diff(self.steps)
        pieces = widths * (self.after[:-1] + self.before[1:]) / 2
        start = self.before[0] * (self.steps[0] - self.warmup_steps / 2)
        object.__setattr__(self, "_time", start + np.concatenate([[0.0], np.cumsum(pieces)]))

    @property
    def peak(self) -> float:
        """Largest rate."""
        return float(max(self.before.max(), self.after.max()))

    @property
    def lowest(self) -> float:
        """Smallest rate once the warm-up is over."""
        first = self._warm()
        return float(min(self.after[first:].min(), self.before[first + 1 :].min(initial=np.inf)))

    @property
    def sudden_fall(self) -> float:
        """Largest ratio by which the rate falls at once after the warm-up, 1 where it never does;
        infinite where it falls to zero."""
        before, after = self.before[self._warm() :], self.after[self._warm() :]
        if not np.any(fell := before > after):
            return 1.0
        with np.errstate(divide="ignore"):
            return float(np.max(before[fell] / after[fell]))

    @property
    def ready_step(self) -> float:
        """Step at which the warm-up is over, whether the knots hold it or leave it out."""
        first = self._warm()
        return float(max(self.warmup_steps, self.steps[first] if first else 0.0))

    def time(self, steps: np.ndarray) -> np.ndarray:
        """Intrinsic time at `steps`: the sum of the rate over the steps before."""
        steps = np.asarray(steps, dtype=np.float64)
        i = np.clip(np.searchsorted(self.steps, steps, side="right") - 1, 0, len(self.steps) - 1)
        last = len(self.steps) - 1
        j = np.minimum(i + 1, last)
        width = np.where(i < last, self.steps[j] - self.steps[i], 1.0)
        slope = np.where(i < last, (self.before[j] - self.after[i]) / width, 0.0)
        x = steps - self.steps[i]
        inside = self._time[i] + self.after[i] * x + slope * x * x / 2
        return np.where(steps < self.steps[0], self._ramp(steps), inside)

    def _ramp(self, steps: np.ndarray) -> np.ndarray:
        # Before the first knot: a linear warm-up, then the first rate.
        warmup = self.warmup_steps
        flat = np.maximum(steps - warmup, 0.0)
        ramp = np.minimum(steps, warmup) ** 2 / (2 * warmup) if warmup > 0 else 0.0
        return self.before[0] * (ramp + flat)

    def events(self) -> Events:
        """The changes of rate after the warm-up, each at most one percent of the peak."""
        peak, first = self.peak, self._warm()
        jump = first + np.flatnonzero(
            np.abs(self.after[first:] - self.before[first:]) > _FLAT * peak
        )
        old, new = self.after[first:-1], self.before[first + 1 :]
        change = np.abs(new - old) / peak
        count = np.where(change > _FLAT, np.ceil(change / _EVENT), 0).astype(np.int64)
        if count.sum() + len(jump) > _EVENTS:
            raise ValueError(
                f"the learning rate goes up and down too often for a schedule: {count.sum():,} "
                "changes of 1 % of its peak. Several runs in one file, or not the rate?"
            )
        piece = np.repeat(np.arange(len(count)), count)  # which straight piece, (events,)
        inside = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
        low, high = inside / count[piece], (inside + 1) / count[piece]
        start, width = self.steps[first:-1][piece], np.diff(self.steps[first:])[piece]
        slope = (new - old)[piece]
        steps = np.concatenate([start + width * (low + high) / 2, self.steps[jump]])
        before = np.concatenate([old[piece] + slope * low, self.before[jump]])
        after = np.concatenate([old[piece] + slope * high, self.after[jump]])
        order = np.argsort(steps, kind="stable")
        steps, before, after = steps[order], before[order], after[order]
        return Events(steps, self.time(steps), before / peak, after / peak)

    def _warm(self) -> int:
        # A log that holds its own warm-up: changes before the rate first stops rising are
        # part of reaching the peak, not of the noise response.
        i = 0
        while (
            i + 1 < len(self.steps)
            and self.before[i + 1] > self.after[i]
            and self.after[i + 1] >= self.before[i + 1]
        ):
            i += 1
        # A row logs the rate of the step before it: one short of the peak it is there all but so.
        while i > 0 and self.after[i - 1] >= _PEAK * self.after[i]:
            i -= 1
        return i


@dataclass(frozen=True)
class Events:
    """Changes of rate: where they happen and the rate before and after, over the peak.

    Attributes:
        steps: optimizer steps, shape (events,).
        time: intrinsic time, shape (events,).
        old: rate before over the peak rate, shape (events,).
        new: rate after over the peak rate, shape (events,).
    """

    steps: np.ndarray
    time: np.ndarray
    old: np.ndarray
    new: np.ndarray

    @property
    def level(self) -> np.ndarray:
        """Rate during the response, over the peak, kept above a floor."""
        return np.maximum(self.new, _FLOOR)


def rate_from_log(steps: Any, lr: Any, *, warmup_steps: float = 0.0, label: str = "") -> Rate:
    """A Rate from logged pairs of step and learning rate.

    Args:
        steps: increasing optimizer steps, shape (n,).
        lr: learning rate at each step, same shape, not negative.
        warmup_steps: linear warm-up from zero that the log leaves out, in optimizer steps; rows
            before its end follow the warm-up, whatever constant rate they hold.
        label: name of the run in complaints.

    Raises:
        ValueError: steps do not increase, a rate is negative or zero throughout, rates jump
            to and fro between rows as in a log of several runs, or the rows hold the warm-up.

    >>> rate = rate_from_log([100, 200], [1e-3, 1e-3], warmup_steps=100)
    >>> round(float(rate.time(200)), 6)
    0.15
    """
    steps = _finite("steps", steps)
    lr = _finite("lr", lr)
    warmup_steps = non_negative("warmup_steps", warmup_steps)
    if len(steps) != len(lr) or len(steps) == 0:
        raise ValueError(f"`lr` has {len(lr)} values for {len(steps)} steps; give one per step.")
    if np.any(np.diff(steps) <= 0):
        raise ValueError("`steps` must increase from row to row.")
    if np.any(lr < 0) or not np.any(lr > 0):
        raise ValueError(
            "`lr` must not be negative and must be positive somewhere. A rate that was rounded to "
            "0, or not logged, is given in words: schedule (--schedule)."
        )
    _refuse_mixed(steps, lr, label)
    if warmup_steps > steps[0] and _holds_warmup(warmup_steps, steps, lr):
        warmup_steps = 0.0
    if warmup_steps > steps[0]:
        steps, lr = _after(warmup_steps, steps, lr)
    elif warmup_steps == 0:
        steps, lr = _from_zero(steps, lr)
    keep = _thin(steps, lr)
    steps, lr = steps[keep], lr[keep]
    before = lr.copy()
    jump = _jumps(steps, lr)
    before[1:][jump] = lr[:-1][jump]
    return _simplify(steps, before, lr, warmup_steps)


def _finite(name: str, values: Any) -> np.ndarray:
    """As `finite_array`, without a copy of what may be long and is not kept."""
    array = real_array(name, values, ndim=1, copy=False)
    return array if np.all(np.isfinite(array)) else finite_array(name, array, ndim=1)


def _jumps(steps: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """Which intervals of a log hold a jump, (n - 1,): it stands still on both sides of them."""
    width, flat = np.diff(steps), np.abs(np.diff(lr)) <= _FLAT * lr.max()
    jump = ~flat & (width <= _WIDE * (steps[-1] - steps[0]))
    jump[:1] = jump[-1:] = False  # nobody says what was on the other side
    ratio = width[1:] / width[:-1]
    logged = (ratio <= _EVEN) & (ratio >= 1 / _EVEN)  # rows of one interval, beside the next
    jump[1:] &= flat[:-1] & logged
    jump[:-1] &= flat[1:] & logged
    return jump


def rate_from_schedule(
    schedule: Callable[[np.ndarray], Any], steps: float, *, warmup_steps: float = 0.0
) -> Rate:
    """A Rate from a schedule, a callable on float arrays of steps counted from zero.

    Args:
        schedule: learning rate at step t >= 0; its `breakpoints`, if it has any, become knots.
        steps: last optimizer step.
        warmup_steps: linear warm-up multiplied onto the first `warmup_steps` steps.
    """
    steps = non_negative("steps", steps)
    start = non_negative("warmup_steps", warmup_steps)
    inner = [float(b) for b in getattr(schedule, "breakpoints", ()) if start < float(b) < steps]
    knots = np.unique(np.concatenate([np.linspace(start, max(steps, start + 1), 401), inner]))
    after = np.broadcast_to(np.asarray(schedule(knots), dtype=np.float64), knots.shape)
    left = np.maximum(np.nextafter(knots, -np.inf), 0.0)
    before = np.broadcast_to(np.asarray(schedule(left), dtype=np.float64), knots.shape)
    if not np.all(np.isfinite(after)) or np.any(after < 0):
        raise ValueError("`schedule` gives a negative or non-finite learning rate.")
    if not np.any(after > 0):
        raise ValueError("`schedule` gives no positive learning rate.")
    before, after = before.copy(), after.copy()
    before[0] = after[0]
    for rate in (before, after):  # the rounding of a cosine's end is no rate
        rate[rate < _NOTHING * after.max()] = 0.0
    return _simplify(knots, before, after, start)


def _holds_warmup(warmup_steps: float, steps: np.ndarray, lr: np.ndarray) -> bool:
    """Whether rows rise from step 0 to the end of this very warm-up, as of one log among others."""
    early = int(np.searchsorted(steps, warmup_steps))
    if np.count_nonzero(steps[:early] > 0) < 2 or early == len(steps):
        return False
    if lr[early] < (1 - _ALONG) * lr.max():
        return False  # rises further
    line = lr[early] * np.minimum(steps[: early + 1] / warmup_steps, 1.0)
    return bool(np.all(np.abs(lr[: early + 1] - line) <= _ALONG * lr[early]))


def _after(warmup_steps: float, steps: np.ndarray, lr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log from the end of the warm-up on, with a row at that step."""
    early = int(np.searchsorted(steps, warmup_steps))
    if np.any(np.diff(lr[: early + 1]) > 10 * _FLAT * lr.max()):
        raise ValueError(
            f"`warmup_steps` = {warmup_steps:g} ends after the first logged step ({steps[0]:g}), "
            "and the rate rises before: the log already holds its warm-up. Leave it at 0."
        )
    start = float(np.interp(warmup_steps, steps, lr))
    if early < len(steps) and steps[early] == warmup_steps:
        return steps[early:], lr[early:]
    return np.append(warmup_steps, steps[early:]), np.append(start, lr[early:])


def _from_zero(steps: np.ndarray, lr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log from step 0 on, where its first rows rise on a line from there, as warm-ups do.

    Of one that rises later nobody says what was before.
    """
    if len(steps) < 2 or steps[0] == 0 or lr[1] <= lr[0]:
        return steps, lr
    start = lr[0] - steps[0] * (lr[1] - lr[0]) / (steps[1] - steps[0])
    if abs(start) > _RISES * lr[0]:
        return steps, lr
    return np.append(0.0, steps), np.append(max(start, 0.0), lr)


def _refuse_mixed(steps: np.ndarray, lr: np.ndarray, label: str) -> None:
    """Complain about rates that alternate between rows: two runs sorted into one log.

    Rows of one run among those of another are spikes that return at once, or reversals every
    few rows. Restarts do not return, and cycles take more than eight rows for a reversal.
    """
    change = np.diff(lr)
    threshold = _JUMP * lr.max()
    where = np.flatnonzero((change > threshold) | (change < -threshold))
    pair = where[:-1][np.diff(where) == 1]  # two large changes, one after the other
    a, b = change[pair], change[pair + 1]
    returns = np.abs(a + b) < 0.2 * np.minimum(np.abs(a), np.abs(b))
    spikes = pair[(a * b < 0) & returns]
    turns = where[1:][np.diff(np.sign(change[where])) != 0]
    if len(spikes) < 4 and len(turns) <= max(6, len(lr) / 8):
        return
    first = float(steps[int((spikes if len(spikes) else turns)[0]) + 1])
    name = f" of {label}" if label else ""
    raise ValueError(
        f"the learning rate{name} goes up and down between rows, {max(len(spikes), len(turns))} "
        f"times from step {first:g} on: several runs in one file? Give one run per file."
    )


def _thin(steps: np.ndarray, lr: np.ndarray) -> np.ndarray:
    if len(steps) <= _MANY:
        return np.arange(len(steps))
    change = np.abs(np.diff(lr))
    sharp = np.argsort(change, kind="stable")[-_MANY // 8 :]
    regular = np.linspace(0, len(steps) - 1, _MANY // 2).astype(np.int64)
    near = np.concatenate([sharp - 1, sharp, sharp + 1, sharp + 2])
    return np.unique(np.clip(np.concatenate([regular, near]), 0, len(steps) - 1))


def _simplify(steps: np.ndarray, before: np.ndarray, after: np.ndarray, warmup: float) -> Rate:
    """Drop knots that lie on the straight line through their neighbours."""
    tolerance = 1e-2 * _EVENT * max(before.max(), after.max())
    jumps = np.abs(after - before) > tolerance
    fixed = np.unique(np.concatenate([[0], np.flatnonzero(jumps), [len(steps) - 1]]))
    keep = np.zeros(len(steps), dtype=bool)
    keep[fixed] = True
    stack = [(int(a), int(b)) for a, b in pairwise(fixed)]
    while stack:
        a, b = stack.pop()
        if b - a < 2:
            continue
        inner = slice(a + 1, b)
        share = (steps[inner] - steps[a]) / (steps[b] - steps[a])
        error = np.abs(before[inner] - (after[a] + share * (before[b] - after[a])))
        worst = int(np.argmax(error))
        if error[worst] > tolerance:
            middle = a + 1 + worst
            keep[middle] = True
            stack += [(a, middle), (middle, b)]
    return Rate(steps[keep], before[keep], after[keep], warmup)
