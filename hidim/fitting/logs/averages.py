"""Which step does a smoothed loss speak of?

A mean over all steps since the row before is the loss of about their middle, and stands there;
the rate stays where it was logged. A moving average, y = b y_before + (1 - b) x, is undone row by
row, or moved back by its lag where it was taken at steps that are not logged.

    no             losses of single steps
    window         means over all steps since the row before; window:N over the last N steps
    ema:0.9        a moving average over rows; ema:0.9/step over optimizer steps

Limits: what an average has smoothed away of a kink stays smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.fitting.logs.rates import Rate

_ALIKE = 0.6  # estimated b from which on neighbouring rows are said to err alike
_ENOUGH = 100  # rows for that


@dataclass(frozen=True)
class Average:
    """How losses were averaged.

    Attributes:
        kind: "no", "window" or "ema".
        size: steps of a window, or None for those since the row before.
        beta: share that a moving average keeps.
        per_step: whether it keeps it per optimizer step, or per row.
    """

    kind: str = "no"
    size: float | None = None
    beta: float = 0.0
    per_step: bool = False


def read_average(text: str, known: bool) -> Average:
    """What `averaged` says; "auto" is what is known of the program.

    >>> read_average("ema:0.98/step", False)
    Average(kind='ema', size=None, beta=0.98, per_step=True)
    """
    kind, _, size = text.strip().lower().partition(":")
    if kind == "auto":
        return Average("window" if known else "no")
    try:
        if kind == "no" and not size:
            return Average()
        if kind == "window":
            width = float(size) if size else None
            if width is None or width >= 1:
                return Average("window", width)
        if kind == "ema":
            beta = float(size.removesuffix("/step"))
            if 0 < beta < 1:
                return Average("ema", None, beta, size.endswith("/step"))
    except ValueError:
        pass
    raise ValueError(
        f"`averaged` must be auto, no, window, window:STEPS, ema:0.9 (over rows) or ema:0.9/step, "
        f"got {text!r}."
    )


def centred(
    average: Average, steps: np.ndarray, loss: np.ndarray
) -> tuple[np.ndarray, np.ndarray, str]:
    """Steps and losses of single steps behind averages, each (n,), and what to note."""
    width = np.diff(steps, prepend=0.0)
    if len(steps) > 1:
        width[0] = min(steps[0], width[1]) if steps[0] > 0 else 1.0
    width = np.maximum(width, 1.0)
    if average.kind == "window":
        width = width if average.size is None else np.full(len(steps), average.size)
        what = "since the row before" if average.size is None else f"over {average.size:g} steps"
        if width.max() <= 1:
            return steps, loss, ""
        note = f"losses are means {what}: each stands in the middle of them"
        return np.maximum(steps - (width - 1) / 2, 0.0), loss, note
    kept = average.beta ** (width if average.per_step else np.ones(len(steps)))
    single = loss.copy()
    single[1:] = (loss[1:] - kept[1:] * loss[:-1]) / (1 - kept[1:])
    note = f"moving average of {average.beta:g} undone"
    if average.per_step:
        # What is new in a row is a mean over the steps since the last, the later ones foremost.
        lag = average.beta / (1 - average.beta) - width * kept / (1 - kept)
        steps = np.maximum(steps - np.maximum(lag, 0.0), 0.0)
    keep = (single > 0) & np.concatenate([[True], np.diff(steps) > 0])
    return steps[keep], single[keep], note


@dataclass(frozen=True)
class Logged(Schedule):
    """A logged rate: straight pieces with jumps between them, held beyond both ends.

    Args:
        steps: knots, ascending.
        before: rate just before each knot.
        after: rate from each knot on.

    >>> Logged((0.0, 10.0, 20.0), (1.0, 1.0, 0.5), (1.0, 0.5, 0.5))([5, 10])
    array([1. , 0.5])
    """

    steps: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]

    def __call__(self, t: Any) -> np.ndarray:  # type: ignore[override]
        time = np.asarray(t, dtype=np.float64)
        steps, before, after = (np.array(x) for x in (self.steps, self.before, self.after))
        i = np.clip(np.searchsorted(steps, time, side="right") - 1, 0, len(steps) - 1)
        j = np.minimum(i + 1, len(steps) - 1)
        width = np.where(j > i, steps[j] - steps[i], 1.0)
        share = np.clip((time - steps[i]) / width, 0.0, 1.0)
        inside = after[i] + share * np.where(j > i, before[j] - after[i], 0.0)
        return np.where(time < steps[0], before[0], inside)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.steps


def logged_schedule(rate: Rate) -> Logged:
    """A logged rate as a schedule, with a warm-up that it holds from step 0 on."""
    steps, before, after = (x.tolist() for x in (rate.steps, rate.before, rate.after))
    if len(steps) > 1 and steps[0] > 0 and before[1] > after[0]:
        slope = (before[1] - after[0]) / (steps[1] - steps[0])
        start = max(after[0] - slope * steps[0], 0.0)
        steps, before, after = [0.0, *steps], [start, *before], [start, *after]
    return Logged(tuple(steps), tuple(before), tuple(after))


def looks_smoothed(loss: np.ndarray) -> bool:
    """Whether neighbouring rows err alike, as those of a moving average do.

    Changes from row to row of independent noise are correlated by -1/2, of a moving average by
    -(1 - b)/2; without noise the trend makes them alike, and nothing is said.
    """
    late = loss[len(loss) // 2 :]
    if len(late) < _ENOUGH or np.any(late <= 0):
        return False
    late = np.log(late)
    change = np.diff(late)
    change = change - change.mean()
    power = float(np.mean(change**2))
    if power <= 1e-14:
        return False
    correlation = float(np.mean(change[1:] * change[:-1])) / power
    return _ALIKE < 1 + 2 * correlation < 1.2
