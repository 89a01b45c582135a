"""What was measured: the steps, learning rate and loss of one training run, checked.

Limits: rows must increase in step; nothing is reordered or filled in silently, because a log
of two mixed or resumed runs would then be fitted as if it were one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from hidim.fitting.logs.rates import Rate, rate_from_log, rate_from_schedule
from hidim.support.checks import finite_array, non_negative
from hidim.support.results import Saved

_POINTS = 512  # a curve with more points is averaged into this many bins before a fit


@dataclass(frozen=True, eq=False)
class Run(Saved, format="hidim-run/1"):
    """One measured or planned training run.

    Args:
        steps: optimizer steps, increasing, shape (n,).
        lr: learning rate at each step, shape (n,).
        loss: loss at each step, positive, shape (n,); None for a planned run.
        warmup_steps: linear warm-up from zero that the rows leave out.
        label: name for tables and figures.
        notes: what a reader did to the file (rows dropped, columns chosen).

    Raises:
        ValueError: shapes differ, steps do not increase, a loss is not positive and finite.

    >>> Run([0, 100], [0.1, 0.1], [2.0, 1.5], label="a").rate.peak
    0.1
    """

    steps: np.ndarray
    lr: np.ndarray
    loss: np.ndarray | None = None
    warmup_steps: float = 0.0
    label: str = ""
    notes: tuple[str, ...] = ()
    rate: Rate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = _checked_steps(self.steps, self.label)
        rate = rate_from_log(steps, self.lr, warmup_steps=self.warmup_steps, label=self.label)
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "lr", finite_array("lr", self.lr, ndim=1))
        object.__setattr__(self, "rate", rate)
        if self.loss is not None:
            loss = finite_array("loss", self.loss, ndim=1)
            if loss.shape != steps.shape:
                raise ValueError(f"`loss` has {len(loss)} values for {len(steps)} steps.")
            if np.any(loss <= 0):
                raise ValueError(
                    f"`loss` must be positive{_of(self.label)}, got {loss.min():g}. "
                    "Is this the loss column?"
                )
            object.__setattr__(self, "loss", loss)

    def measured(self) -> np.ndarray:
        """The loss, shape (n,).

        Raises:
            ValueError: the run is planned and has none.
        """
        if self.loss is None:
            raise ValueError(f"this needs a loss column{_of(self.label)}, and there is none.")
        return self.loss

    def until(self, step: float) -> Run:
        """The rows up to and including `step`, as if the run had been stopped there."""
        keep = self.steps <= step
        loss = None if self.loss is None else self.loss[keep]
        return Run(self.steps[keep], self.lr[keep], loss, self.warmup_steps, self.label)

    def binned(self, points: int = _POINTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps, mean log loss and row counts of at most `points` bins of equal width in step."""
        log_loss = np.log(self.measured())
        if len(self.steps) <= points:
            return self.steps, log_loss, np.ones(len(self.steps))
        edges = np.linspace(self.steps[0], self.steps[-1], points + 1)
        which = np.clip(np.searchsorted(edges, self.steps, side="right") - 1, 0, points - 1)
        count = np.bincount(which, minlength=points)
        some = count > 0
        step = np.bincount(which, self.steps, points)[some] / count[some]
        mean = np.bincount(which, log_loss, points)[some] / count[some]
        return step, mean, count[some].astype(np.float64)


def as_rate(schedule: Any, steps: np.ndarray, warmup_steps: float = 0.0) -> Rate:
    """The rate behind whatever names a schedule: a Run, a Rate, a callable, or (steps, lr)."""
    if isinstance(schedule, Run):
        return schedule.rate
    if isinstance(schedule, Rate):
        return schedule
    if callable(schedule):
        call = cast("Callable[[np.ndarray], Any]", schedule)
        return rate_from_schedule(call, float(np.max(steps)), warmup_steps=warmup_steps)
    if isinstance(schedule, Sequence | np.ndarray) and len(schedule) == 2:
        return rate_from_log(schedule[0], schedule[1], warmup_steps=warmup_steps)
    raise ValueError(
        "`schedule` must be a Run, a schedule such as hidim.Cosine(...), or a pair (steps, lr); "
        f"got {type(schedule).__name__}."
    )


def check_steps(steps: Any) -> np.ndarray:
    """Steps at which a prediction is asked for: finite, not negative, shape (n,)."""
    steps = np.atleast_1d(finite_array("steps", steps))
    if steps.size:
        non_negative("steps", float(steps.min()))
    return steps


def _checked_steps(steps: Any, label: str) -> np.ndarray:
    steps = finite_array("steps", steps, ndim=1)
    if len(steps) == 0:
        raise ValueError(f"a run needs at least one row{_of(label)}.")
    if steps[0] < 0:
        raise ValueError(f"`steps` must not be negative{_of(label)}, got {steps[0]:g}.")
    back = np.flatnonzero(np.diff(steps) <= 0)
    if len(back):
        i = int(back[0])
        what = "repeats" if steps[i + 1] == steps[i] else "goes back"
        raise ValueError(
            f"the step {what} at row {i + 2}{_of(label)} ({steps[i]:g} then {steps[i + 1]:g}): "
            "a resumed, shuffled or mixed log. Keep one row per step, in order."
        )
    return steps


def _of(label: str) -> str:
    return f" in {label}" if label else ""
