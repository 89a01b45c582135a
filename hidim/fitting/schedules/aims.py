"""What does a plan aim at, and which shape comes nearest to it?

Of a shape every judge (the law, its refits, its rivals) predicts the final loss; what counts is
the worst of their ratios to the best fitted shape, and what the distance from that shape has to
earn. Shapes fall between floor and peak on a grid of knots; many of them are judged at once, by
cutting every straight piece into as many events. Limits: for a search; plans are judged by `of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hidim.fitting.logs.rates import Events, Rate
from hidim.fitting.schedules.bands import RUN_TO_RUN
from hidim.fitting.schedules.clock import Clock
from hidim.fitting.schedules.laws import ScheduleLaw
from hidim.fitting.schedules.shapes import apart, shape_of, stretched
from hidim.fitting.schedules.signal_time import SignalTime

if TYPE_CHECKING:
    from hidim.fitting.schedules.law import FittedLaw

HEARD = 0.05  # weight from which another law is heard
_SOFT = RUN_TO_RUN  # regrets closer than two runs count alike when the worst is looked for
_APART = 0.5  # distance of shapes at which a law is as wrong as on a run left out of a refit
_CUTS = 32  # events into which a straight piece is cut while a shape is sought
_STEP = 1e-6  # of a share, for slopes
_TRIES, _GAINED = 8, 1e-6  # descents from where the last one stopped, while they gain as much
SHARE = np.linspace(0.0, 1.0, 101)  # where shapes are compared


@dataclass(frozen=True)
class Task:
    """What is planned: the run, the grid of its knots, and who judges it."""

    law: FittedLaw
    steps: float
    peak: float
    floor: float
    warmup: float
    share: np.ndarray
    judges: tuple[tuple[ScheduleLaw, np.ndarray], ...]

    def rate(self, shape: np.ndarray) -> Rate:
        """The schedule behind a shape between floor and peak, (knots,) between 0 and 1."""
        lr = self.floor + (self.peak - self.floor) * shape
        return Rate(self.warmup + (self.steps - self.warmup) * self.share, lr, lr, self.warmup)

    def shape(self, rate: Rate) -> np.ndarray:
        """The shape of a schedule at the knots."""
        lr = shape_of(rate, self.steps, self.share) * rate.peak
        return np.clip((lr - self.floor) / max(self.peak - self.floor, 1e-300), 0.0, 1.0)

    def ended(self, rate: Rate) -> Rate:
        """The schedule with its last knot on the floor."""
        before, after = rate.before.copy(), rate.after.copy()
        before[-1] = after[-1] = self.floor
        return replace(rate, before=before, after=after)

    def fitted(self, name: str) -> Rate:
        """The shape of a fitted run on this one, its rates not below this one's floor."""
        run = self.law.schedules[name]
        last = float(run.steps[-1])
        rate = stretched(run, last, self.steps, warmup=self.warmup, peak=self.peak)
        before, after = (np.maximum(lr, self.floor) for lr in (rate.before, rate.after))
        return Rate(rate.steps, before, after, self.warmup)

    def lowest(self, rates: Iterable[Rate]) -> np.ndarray:
        """The lowest of these schedules at each knot, as a shape that does not rise."""
        low: np.ndarray = np.minimum.accumulate(np.min([self.shape(r) for r in rates], axis=0))
        return low

    def judged(self, rates: Iterable[Rate]) -> Task:
        """The same task, judged by those who predict a loss for all these schedules."""
        sound = np.all([self.finals(rate) > 0 for rate in rates], axis=0)
        keep = [
            j for j, good in zip(self.judges[1:], np.atleast_1d(sound)[1:], strict=True) if good
        ]
        return replace(self, judges=(self.judges[0], *keep))

    def finals(self, rate: Rate) -> np.ndarray:
        """Final loss by the law, its refits and its rivals, shape (judges,)."""
        clock = self.law.units.clock(rate, np.array([self.steps]))
        return np.array([float(form.loss(v, clock)[0]) for form, v in self.judges])


@dataclass(frozen=True)
class Aim:
    """What is minimised: the worst regret by all judges, and what the distance has to earn."""

    task: Task
    reference: np.ndarray
    base: np.ndarray
    bounded: bool

    def of(self, rate: Rate) -> float:
        """The aim of one schedule."""
        own = shape_of(rate, self.task.steps, SHARE)
        return float(self._worst(self.task.finals(rate)[None], own[None])[0])

    def of_shapes(self, shapes: np.ndarray) -> np.ndarray:
        """The aim of many shapes at once, (n, knots) to (n,)."""
        task = self.task
        clock = _ends(task, shapes)
        finals = np.stack([form.loss(vector, clock) for form, vector in task.judges], axis=1)
        lr = task.floor + (task.peak - task.floor) * shapes
        own = np.stack([np.interp(SHARE, task.share, one / task.peak) for one in lr])
        return self._worst(finals, own)

    def _worst(self, finals: np.ndarray, own: np.ndarray) -> np.ndarray:
        sound = finals.min(axis=1) > 0  # where a law predicts no loss it says nothing
        regret = np.log(np.maximum(finals, 1e-300) / self.reference)
        top = regret.max(axis=1, keepdims=True)
        # Smoothed, so that a descent sees more than the one that is worst.
        spread = np.log(np.mean(np.exp((regret - top) / _SOFT), axis=1))
        out = top[:, 0] + _SOFT * spread
        if self.bounded:
            out = out + _doubt(self.task.law, self.task.steps) * apart(own, self.base, SHARE)
        return np.where(sound, out, 1.0)


def _ends(task: Task, shapes: np.ndarray) -> Clock:
    """The ends of runs with these shapes, (n, knots), every straight piece cut into some events."""
    units, lr = task.law.units, task.floor + (task.peak - task.floor) * shapes
    knots = task.warmup + (task.steps - task.warmup) * task.share
    width, rise = np.diff(knots), np.diff(lr, axis=1)
    area = np.cumsum(width * (lr[:, :-1] + lr[:, 1:]) / 2, axis=1)
    passed = lr[:, :1] * task.warmup / 2 + np.pad(area, ((0, 0), (1, 0)))  # (n, knots)
    low, high = (np.arange(_CUTS) + end for end in (0, 1))
    middle = (low + high) / (2 * _CUTS)

    def cut(places: np.ndarray) -> np.ndarray:
        pieces = lr[:, :-1, None] + rise[:, :, None] * places / _CUTS
        return pieces.reshape(len(lr), -1) / task.peak  # (n, events)

    inside = width[:, None] * (lr[:, :-1, None] * middle + rise[:, :, None] * middle**2 / 2)
    events = Events(
        (knots[:-1, None] + width[:, None] * middle).ravel() / units.steps,
        (passed[:, :-1, None] + inside).reshape(len(lr), -1) / units.time,
        cut(low),
        cut(high),
    )
    end = np.full(len(lr), task.steps / units.steps)
    own = np.pad(lr, ((0, 0), (1, 0)), mode="edge") / units.rate
    widths = np.append(task.warmup / 2, width) * units.rate / units.time
    signal = SignalTime(own[:, :-1], own[:, 1:], widths, None)
    return Clock(passed[:, -1] / units.time, end, events, task.peak / units.rate, signal)


def _doubt(law: FittedLaw, steps: float) -> float:
    """Relative loss that a step of distance 1 away from a fitted shape has to earn.

    What the law missed on runs left out of a refit was missed about `_APART` from the others, and
    beyond the fitted runs the error grows as the band says. A law that predicted nothing it had
    not seen moves nothing.
    """
    if not law.holdout:
        return 1.0
    beyond = max(steps / law.units.steps, 1.0)
    missed = [*law.holdout.values(), RUN_TO_RUN]
    size = float(np.sqrt(np.mean(np.square(missed)))) + law.growth * float(np.log(beyond))
    return size / _APART


def descend(
    aim: Callable[[np.ndarray], np.ndarray], start: np.ndarray, lowest: np.ndarray
) -> np.ndarray:
    """The best falling shape above `lowest`: each knot keeps a share of what is left above it."""
    from scipy.optimize import minimize

    count = len(lowest) - 1

    def unpack(shares: np.ndarray) -> np.ndarray:
        shapes = np.ones((len(shares), count + 1))
        for i in range(count):
            shapes[:, i + 1] = lowest[i + 1] + shares[:, i] * (shapes[:, i] - lowest[i + 1])
        return shapes

    def both(shares: np.ndarray) -> tuple[float, np.ndarray]:
        # Steps inwards, so that no share leaves its bounds.
        step = np.where(shares > 0.5, -_STEP, _STEP)
        values = aim(unpack(shares + np.vstack([np.zeros(count), np.diag(step)])))
        return float(values[0]), (values[1:] - values[0]) / step

    room = np.maximum(start[:-1] - lowest[1:], 1e-9)
    shares, value = np.clip((start[1:] - lowest[1:]) / room, 0.02, 0.998), np.inf
    for _ in range(_TRIES):
        # The worst of several judges has kinks, at which a descent stops short.
        found = minimize(
            both,
            np.clip(shares, 1e-3, 1 - 1e-3),
            method="L-BFGS-B",
            jac=True,
            bounds=[(0.0, 1.0)] * count,
            options={"maxiter": 60, "ftol": 1e-12},
        )
        if found.fun > value - _GAINED:
            break
        shares, value = found.x, found.fun
    shape: np.ndarray = unpack(shares[None])[0]
    return shape
