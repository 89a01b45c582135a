"""Can these rows be runs of one model?

A wrong column, a unit changed between files or the same run given twice fits something, and
that something is wrong without a sign. What cannot be right is refused here, before any fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.alike import (
    changes_unit,
    counts_tokens,
)
from hidim.fitting.schedules.laws import ScheduleLaw
from hidim.fitting.schedules.search import settled

_FEWEST = 12
_ROWS = 4
_UNITS = 30  # peak rates this far apart are a change of unit, not of setting
_SPAN = 0.6  # share of the intrinsic time that may pass before the first row of every run
_COPIED = 8  # rows of a log that are in another by no accident


def check_runs(runs: list[Run], law: ScheduleLaw, *, force: bool = False) -> list[Run]:
    """The runs, labelled, or a complaint about what cannot be one family of runs.

    Args:
        runs: what was given.
        law: what will be fitted.
        force: accept peak rates that look like different units.

    Raises:
        ValueError: empty, mixed, doubled or rising runs, or too few rows for `law`.
    """
    if not runs:
        raise ValueError("`curves` is empty: give at least one run.")
    for i, run in enumerate(runs):
        run.measured()
        if not run.label:
            runs[i] = replace(run, label=f"run {i + 1}")
    labels = [run.label for run in runs]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"two curves are called {twice!r}: the same run given twice?")
    _check_alike(runs, force=force)
    for run in runs:
        if len(run.steps) < _ROWS:
            raise ValueError(
                f"{run.label} has {len(run.steps)} row(s): a run needs at least {_ROWS}. "
                "A truncated file?"
            )
        if run.warmup_steps >= run.steps[-1]:
            raise ValueError(
                f"`warmup_steps` = {run.warmup_steps:g} leaves no row of {run.label}, which ends "
                f"at step {run.steps[-1]:g}."
            )
    total = sum(len(run.steps) for run in runs)
    least = max(_FEWEST, 2 * law.told)
    if total < least:
        raise ValueError(
            f"law {law.name!r} needs at least {least} rows of loss, got {total} in {len(runs)} "
            "run(s). Log more often, or give more runs."
        )
    if law.response != "none" and not any(len(run.rate.events().time) for run in runs):
        raise ValueError(
            f"law {law.name!r} needs a run whose learning rate changes after the warm-up, and "
            "none of these does. Add one; for constant rates alone, --law intrinsic-time."
        )
    for run in runs:
        _check_falls(run)
    _check_span(runs)
    return runs


def rounded(count: float) -> int:
    """Two digits of a count."""
    return int(float(f"{count:.2g}"))


def _check_span(runs: Sequence[Run]) -> None:
    """A power law needs rows over more than the end of a run."""
    seen = [_first_time(run) for run in runs]
    if min(seen) < _SPAN:
        return
    run = runs[int(np.argmin(seen))]
    raise ValueError(
        f"the rows of {run.label} begin at step {run.steps[0]:,g} of {run.steps[-1]:,g}: the end "
        "of a run does not tell the power law before it. Give the rows from about step "
        f"{rounded(0.1 * float(run.steps[-1])):,} on; where these are lost, another run of the "
        "model that has its own, beside this one and its --schedule."
    )


def _first_time(run: Run) -> float:
    """Intrinsic time of the first row, over that of the last."""
    first, last = run.rate.time(run.steps[[0, -1]])
    return float(first / last) if last > 0 else 0.0


def _check_alike(runs: Sequence[Run], *, force: bool) -> None:
    for a, b in combinations(runs, 2):
        if np.array_equal(a.steps, b.steps) and np.array_equal(a.measured(), b.measured()):
            raise ValueError(f"{a.label} and {b.label} hold the same rows: give each run once.")
        short, long = sorted((a, b), key=lambda run: len(run.steps))
        if _holds(long, short):
            raise ValueError(
                f"the rows of {short.label} are in {long.label}, too: leave {short.label} out."
            )
    if not force and (apart := counts_tokens(runs)):
        raise ValueError(f"{apart} If they are right, use force (--force).")
    peaks = sorted((run.rate.peak, run.label) for run in runs)
    if peaks[-1][0] >= _UNITS * peaks[0][0] and not force:
        raise ValueError(
            f"peak learning rates run from {peaks[0][0]:g} ({peaks[0][1]}) to {peaks[-1][0]:g} "
            f"({peaks[-1][1]}): different units, or a wrong column? If they are right, use force "
            "(--force)."
        )


def _holds(long: Run, short: Run) -> bool:
    """Whether a log has all rows of another, as where a resumed run goes on in a copy of its log.

    Runs off one trunk have its rows in common and others besides.
    """
    place = np.searchsorted(long.steps, short.steps)
    if len(short.steps) < _COPIED or place[-1] == len(long.steps):
        return False
    if not np.array_equal(long.steps[place], short.steps):
        return False
    return np.array_equal(long.measured()[place], short.measured())


def _check_falls(run: Run) -> None:
    """A loss that rises under a rate that does not, or stands still, is no run to learn from."""
    if np.ptp(run.measured()) == 0:
        raise ValueError(
            f"the loss of {run.label} is {run.measured()[0]:g} in every row: not the loss column?"
        )
    steps, log_loss, _ = run.binned()
    log_loss = log_loss[steps >= settled(run)]
    quarter = len(log_loss) // 4
    if quarter < 3 or run.lr[-1] > run.lr[len(run.lr) // 4]:
        return
    rise = float(np.median(log_loss[-quarter:]) - np.median(log_loss[:quarter]))
    if rise > 0.01:
        raise ValueError(
            f"the loss of {run.label} rises by {np.expm1(rise):.1%} from its first quarter to its "
            "last: "
            + (
                changes_unit(run)
                or "a diverged run, or not the loss column? End its log before the rise, or name "
                "the column."
            )
        )
