"""Which rate had a run before the first row of its log, if another run says so?

A log that was resumed in a second file, or a run that branched off another, begins late, and what
its rate was before counts: in the intrinsic time, and in what a drop gives back. Another run whose
rows lead up to that first row, at its rate and its loss, says it. Nothing else is taken from it.
Limits: rows are neither joined nor left out; where runs that differ lead there, none is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hidim.fitting.logs import repairs
from hidim.fitting.logs.averages import Logged, logged_schedule
from hidim.fitting.logs.rates import Rate
from hidim.fitting.logs.runs import Run

_LATE = 0.1  # a first row beyond this share of the run says too little of what was before
_APART = 5  # rows' distance from step 0 within which a first row is the first that was logged
_WARM = 1.5  # warm-ups within which it is
_LEADING = 8  # rows before the first of another
_GAP = 3.0  # rows' distance that may lie between
_RATE = 0.02  # of the peak
_LOSS = 0.03  # in log
_TIME = 0.02  # in which histories may differ
# Share of the steps that is missing, and rate after it over the peak of runs of the same model, at
# which it cannot have been that from the start and what it was decides. Beside a constant run, a
# cosine that begins at step 8,000 of 24,000 (.84 of the peak) leaves the end of a WSD .008 off, at
# 10,000 (.73) .04, and at 14,000 (.48) .08, far out of its band.
_MISSING, _FALLEN = 0.2, 0.8


def known_from(run: Run) -> float:
    """Step from which on the rate of a run is known; before it, it is assumed."""
    first = float(run.steps[0])
    if isinstance(run.schedule, Logged):
        return min(first, run.schedule.steps[0])
    return first if run.schedule is None else 0.0


def begins_late(run: Run) -> bool:
    """Whether so much of a run's rate is not known that a law would feel it."""
    return _begins_inside(run) and known_from(run) > _LATE * float(run.steps[-1])


def _begins_inside(run: Run) -> bool:
    """Whether a run's first row is not the first that was logged, however little is missing."""
    usual = repairs.usual_width(run.steps)
    return known_from(run) > max(_APART * usual, _WARM * run.warmup_steps)


def fell_before(run: Run, like: Sequence[Run]) -> str:
    """That the rate of a run fell before its first row, if runs of its model had a higher one."""
    first, highest = known_from(run), max(like, key=lambda other: other.rate.peak)
    peak = highest.rate.peak
    if first < _MISSING * float(run.steps[-1]) or run.lr[0] >= _FALLEN * peak:
        return ""
    return (
        f"the rows of {run.label} begin at step {first:,g} of {run.steps[-1]:,g} at a rate of "
        f"{run.lr[0]:.3g}, and {highest.label} had {peak:.3g}: what the rate fell from before, "
        "and when, decides what a law makes of it"
    )


def assumed(run: Run) -> str:
    """What is taken of the rate of a run that begins late, as a note."""
    warmup = f" after {run.warmup_steps:g} steps of warm-up" if run.warmup_steps else ""
    return (
        f"the first row is step {run.steps[0]:,.0f}: before it the rate is taken to be "
        f"{run.lr[0]:.3g}{warmup}; --schedule says what it was"
    )


def with_histories(runs: Sequence[Run]) -> list[tuple[Run, Run | None]]:
    """The runs in their order, and beside each the run that its rate before its rows is taken of.

    >>> import numpy as np
    >>> steps = np.arange(100.0, 2001.0, 100.0)
    >>> trunk = Run(steps, np.minimum(steps / 500, 1.0), 2 + 9 / steps, label="trunk")
    >>> branch = Run(steps[12:], np.ones(8), 2 + 9 / steps[12:], label="branch")
    >>> [(run.rate.ready_step, of and of.label) for run, of in with_histories([branch, trunk])]
    [(500.0, 'trunk'), (500.0, None)]
    """
    found: list[tuple[Run, Run | None]] = [(run, None) for run in runs]
    for i in sorted(range(len(runs)), key=lambda k: float(runs[k].steps[0])):
        run = runs[i]
        if run.loss is None or not _begins_inside(run):
            continue
        others = [
            one
            for k, (one, _) in enumerate(found)
            if k != i and one.loss is not None and not begins_late(one) and _leads_to(one, run)
        ]
        times = [float(one.rate.time(run.steps[:1])[0]) for one in others]
        if others and max(times) <= (1 + _TIME) * min(times):
            found[i] = (_after(others[0], run), others[0])
    return found


def _leads_to(before: Run, run: Run) -> bool:
    """Whether rows of a run come to where another begins, at its rate and its loss."""
    first = float(run.steps[0])
    count = int(np.searchsorted(before.steps, first, side="right"))
    width = max(repairs.usual_width(before.steps), repairs.usual_width(run.steps))
    if count < _LEADING or len(run.steps) < 3 or first - before.steps[count - 1] > _GAP * width:
        return False
    near = slice(count - 2, count + 1)
    rate = float(np.interp(first, before.steps, before.lr))
    slack = _RATE * before.rate.peak + np.ptp(before.lr[near]) + abs(run.lr[1] - run.lr[0])
    if abs(rate - run.lr[0]) > slack:
        return False
    log_loss, its = np.log(run.measured()[:3]), np.log(before.measured())
    apart = [np.median(log_loss) - np.median(its[max(count - 5, 0) : count])]
    if before.steps[-1] >= run.steps[2]:  # where both go on, a loss may fall fast
        apart.append(np.median(log_loss - np.interp(run.steps[:3], before.steps, its)))
    return bool(np.min(np.abs(apart)) < _LOSS)


def _after(before: Run, run: Run) -> Run:
    """A run whose rate before its rows is that of another."""
    own, its = run.rate, before.rate
    last = int(np.searchsorted(before.steps, run.steps[0], side="left")) - 1
    keep = its.steps < before.steps[last]
    at = (float(before.steps[last]), float(before.lr[last]))
    rate = Rate(
        np.concatenate([its.steps[keep], at[:1], own.steps]),
        np.concatenate([its.before[keep], at[1:], own.before]),
        np.concatenate([its.after[keep], at[1:], own.after]),
        its.warmup_steps,
    )
    schedule = logged_schedule(rate)
    return replace(
        run,
        lr=np.asarray(schedule(run.steps), dtype=np.float64),
        warmup_steps=its.warmup_steps,
        schedule=schedule,
        notes=(*run.notes, f"its rate before step {run.steps[0]:,.6g} is that of {before.label}"),
    )
