"""Can these rows be runs of one model, and does the fitted law deserve trust?

A wrong column, a unit changed between files or the same run given twice fits something, and
that something is wrong without a sign. Each is looked for here: what cannot be right is
refused, what merely looks odd becomes a warning that stays with the law.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from hidim.fitting.runs import Run
from hidim.fitting.schedule_laws import ScheduleLaw
from hidim.fitting.search import settled

_FEWEST = 12
_ROWS = 4
_UNITS = 1e3  # peak rates further apart than this are a change of unit, not of setting
_MISFIT = 0.02  # mean relative error of bins above which the law is doubtful
_HOPELESS = 0.1  # and above which a law that sees the schedule is no description at all
_OUTLIER = 0.05


def check_runs(runs: list[Run], law: ScheduleLaw) -> list[Run]:
    """The runs, labelled, or a complaint about what cannot be one family of runs.

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
    _check_alike(runs)
    for run in runs:
        if len(run.steps) < _ROWS:
            raise ValueError(
                f"{run.label} has {len(run.steps)} row(s): a run needs at least {_ROWS}. "
                "A truncated file?"
            )
    total = sum(len(run.steps) for run in runs)
    least = max(_FEWEST, 2 * len(law.parameters))
    if total < least:
        raise ValueError(
            f"law {law.name!r} needs at least {least} rows of loss, got {total} in {len(runs)} "
            "run(s). Log more often, or give more runs."
        )
    if law.response != "none" and not any(len(run.rate.events().time) for run in runs):
        raise ValueError(
            f"law {law.name!r} needs a run whose learning rate changes after the warm-up, and "
            "none of these does. Add one, or use --law intrinsic-time."
        )
    for run in runs:
        _check_falls(run)
    return runs


def check_fit(
    runs: Sequence[Run],
    residuals: Sequence[tuple[np.ndarray, np.ndarray]],
    in_sample: Mapping[str, float],
    noise: float,
    law: ScheduleLaw,
) -> tuple[str, ...]:
    """Warnings about curves the law misses and rows far from it.

    Args:
        runs: fitted runs.
        residuals: steps and log residuals of each run, after its warm-up.
        in_sample: mean relative error of each run's bins.
        noise: standard deviation of a row about the law, a fraction.
        law: what was fitted.

    Raises:
        ValueError: a law that sees the schedule misses a curve by a tenth.
    """
    worst = max(in_sample, key=lambda label: in_sample[label])
    if law.response != "none" and in_sample[worst] > _HOPELESS:
        raise ValueError(
            f"law {law.name!r} misses {worst} by {in_sample[worst]:.0%} on average: a wrong "
            "column, or a run of another model?"
        )
    out = []
    for run, (steps, error) in zip(runs, residuals, strict=True):
        missed = in_sample[run.label]
        if missed > _MISFIT:
            out.append(
                f"the law misses {run.label} by {missed:.1%} on average: is this the loss column, "
                "and a run of the same model as the others?"
            )
        far = np.flatnonzero(np.abs(error) > max(_OUTLIER, 8 * noise))
        if len(far):
            out.append(
                f"{len(far)} row(s) of {run.label} lie far from the law, the first at step "
                f"{steps[far[0]]:g}: a spike, a damaged row, or another run?"
            )
    return tuple(out)


def _check_alike(runs: Sequence[Run]) -> None:
    for a, b in combinations(runs, 2):
        if np.array_equal(a.steps, b.steps) and np.array_equal(a.measured(), b.measured()):
            raise ValueError(f"{a.label} and {b.label} hold the same rows: give each run once.")
    peaks = sorted((run.rate.peak, run.label) for run in runs)
    if peaks[-1][0] > _UNITS * peaks[0][0]:
        raise ValueError(
            f"peak learning rates run from {peaks[0][0]:g} ({peaks[0][1]}) to {peaks[-1][0]:g} "
            f"({peaks[-1][1]}): different units, or a wrong column?"
        )


def _check_falls(run: Run) -> None:
    """A loss that rises under a rate that does not is no run these laws describe."""
    steps, log_loss, _ = run.binned()
    log_loss = log_loss[steps >= settled(run)]
    quarter = len(log_loss) // 4
    if quarter < 3 or run.lr[-1] > run.lr[len(run.lr) // 4]:
        return
    rise = float(np.median(log_loss[-quarter:]) - np.median(log_loss[:quarter]))
    if rise > 0.01:
        raise ValueError(
            f"the loss of {run.label} rises by {np.expm1(rise):.1%} from its first quarter to its "
            "last: a diverged run, or not the loss column?"
        )
