"""Does a fitted law deserve trust?

What a law misses beyond the noise of rows is a wrong column, a unit, another model or data that
changed; which, is said here. A law that describes no curve is refused, and what merely looks odd
becomes a warning that stays with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hidim.fitting.logs.histories import fell_before, known_from
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.alike import (
    began_again,
    changes_unit,
    counts_otherwise,
    goes_on_in,
    what_differs,
)
from hidim.fitting.schedules.laws import ScheduleLaw
from hidim.fitting.schedules.plausible import rounded
from hidim.fitting.schedules.search import settled
from hidim.fitting.schedules.shifts import shift_of
from hidim.fitting.schedules.smoothed import decay_of

_FEWEST = 12
_ROWS = 4
_APART = 10  # peak rates this far apart deserve a look
# Systematic error of one curve, a fraction. Laws fit good logs to 0.0005, synthetic ones with
# noise to 0.002; a wrong column, unit or model leaves 0.02 and more.
_MISFIT = 0.005  # above which the law is doubtful
_WRONG = 0.015  # and above which it does not describe the curve
_WRONG_HOW = "a wrong column or unit, shuffled losses, or a run of another model?"
_EXPLAINED = 0.5  # share of a curve's variance that is not noise if the law describes it
_BLOCKS = 16  # stretches of a curve over which noise of rows is averaged away
_OUTLIER = 0.05
_DAMAGED, _FEW = 12.0, 0.05  # medians of the error beyond which a row is, and share that may be
_SIGMAS = 4.0  # standard errors within which a slope is what it should be
_NOISY = 0.01  # scatter of rows that deserves a word
_KNOWN = 0.002  # and to which the curve behind them should be known
_LATE = 0.05  # of the steps before the first row, from which on what came before deserves a word
# Of a run that diverged: rows that fell before, as a share, and how far the log loss rises.
_FALLING, _CLIMB = 0.7, 0.02
_NOTHING = 1e-5  # of the length of a run: no warm-up is that short


def check_fit(
    runs: Sequence[Run],
    residuals: Sequence[tuple[np.ndarray, np.ndarray]],
    noise: float,
    law: ScheduleLaw,
    *,
    params: Sequence[float] | None = None,
    force: bool = False,
) -> tuple[str, ...]:
    """Warnings about curves the law misses and rows far from it.

    Args:
        runs: fitted runs.
        residuals: steps and log residuals of each run, after its warm-up.
        noise: standard deviation of a row about the law, a fraction.
        law: what was fitted.
        params: size of each run, if there are several: runs of one size are alike.
        force: warn where a law would be refused.

    Raises:
        ValueError: a law that sees the schedule does not describe a curve.
    """
    out = [*_peaks_apart(runs), *_warm_in_steps(runs), *_begin_late(runs)]
    sizes = [0.0] * len(runs) if params is None else list(params)
    for run, size, (steps, error) in zip(runs, sizes, residuals, strict=True):
        like = [other for other, n in zip(runs, sizes, strict=True) if n == size]
        if not force and law.response != "none" and (untold := fell_before(run, like)):
            raise ValueError(
                f"{untold}. Give its schedule, --schedule, in its place among those of all logs (- "
                "where a log has its own), or leave the run out. Or use force (--force) to fit as "
                "if its rate had been that from the start."
            )
        if missed := _missed(run, like, steps, error, law, force=force):
            out.append(missed)
        far = np.abs(error) > max(_OUTLIER, 8 * noise)
        if far.any():
            out.append(
                f"{np.count_nonzero(far)} row(s) of {run.label} lie far from the law, the first at "
                f"step {steps[np.argmax(far)]:g}: a spike, a damaged row, or another run?"
            )
    return (*out, *_scatter(sum(len(error) for _, error in residuals), noise, law))


def _missed(
    run: Run,
    like: Sequence[Run],
    steps: np.ndarray,
    error: np.ndarray,
    law: ScheduleLaw,
    *,
    force: bool,
) -> str:
    """What a law misses of a run beyond noise, and why, in a sentence; "" where nothing.

    Raises:
        ValueError: a law that sees the schedule does not describe it at all.
    """
    near = _near(error)
    rest = (steps[near], error[near])
    missed, explained = _systematic(rest[1]), _explained(run, *rest)
    row = float(np.mean(np.abs(rest[1]))) if len(rest[1]) else 0.0
    unlike = row > _WRONG and explained < _EXPLAINED and not _follows(run, *rest)
    diverged = _climbs(run) if missed > _MISFIT or unlike else ""
    cause = decay_of(run) or shift_of(run)
    if not ((missed > _WRONG or unlike or diverged) and law.response != "none"):
        if cause:
            return f"{cause.told(run.label)}. {cause.remedy}"
        if missed <= _MISFIT:
            return ""
        why = (
            _blind_to(like, law)
            or what_differs(like)
            or "is this the loss column, as measured and not smoothed (--averaged), "
            "and a run of the same model as the others?"
        )
        return f"the law misses {run.label} by {missed:.1%} on average: {why}"
    why = (
        diverged
        or changes_unit(run)
        or goes_on_in(run, like)
        or counts_otherwise(run, like)
        or began_again(like)
        or what_differs(like)
    )
    text = (
        f"law {law.name!r} misses {run.label} by {row:.1%} on average and explains "
        f"{max(explained, 0.0):.0%} of its variance: "
        + (why or (cause.told(run.label) + "." if cause else _WRONG_HOW))
    )
    if force:
        return text
    remedy = "Or leave the run out." if why.endswith(".") else "Leave it out."
    if cause and not why:
        remedy = cause.remedy
    raise ValueError(f"{text} {remedy} Or use force (--force) to fit anyway.")


def _scatter(rows: int, noise: float, law: ScheduleLaw) -> list[str]:
    """How many rows would tell the curve, where these scatter too much to."""
    known = noise * np.sqrt(law.told / max(rows, 1))
    if noise <= _NOISY or known <= _KNOWN:
        return []
    wanted = rows * (known / _KNOWN) ** 2
    return [
        f"rows scatter by {noise:.1%} about the law: {rows:,} of them tell the curve to about "
        f"{known:.1%}. Some {rounded(wanted):,} rows, or as many averaged into these, would "
        f"tell it to {_KNOWN:.1%}."
    ]


def _blind_to(runs: Sequence[Run], law: ScheduleLaw) -> str:
    """That a baseline sees no change of rate, where there is one."""
    if law.response != "none" or not any(len(run.rate.events().time) for run in runs):
        return ""
    return f"{law.name!r} knows no answer to a rate that changes; fit fsl."


def _near(error: np.ndarray) -> np.ndarray:
    """Which rows judge the law, (n,): a few damaged ones, far from the others, are named apart.

    Those that the run ends with may be its divergence, and count.
    """
    if not len(error):
        return np.zeros(0, dtype=bool)
    off = np.abs(error - np.median(error))
    near: np.ndarray = off <= max(_OUTLIER, _DAMAGED * float(np.median(off)))
    near[np.flatnonzero(near)[-1] :] = True
    return near if np.mean(near) >= 1 - _FEW else np.ones(len(error), dtype=bool)


def _systematic(error: np.ndarray) -> float:
    """Mean size of the medians of stretches, or nothing where noise of rows explains them."""
    if not len(error):
        return 0.0
    blocks = np.array_split(error, max(min(_BLOCKS, len(error) // 4), 1))
    medians = np.array([np.median(block) for block in blocks])
    # A median of n rows scatters 1.25 times as far as their mean; the sum of its squares over 16
    # stretches is twice what it should be once in a thousand times.
    scatter = np.mean([1.57 * np.var(block, ddof=1) / len(block) for block in blocks])
    if len(blocks) > 1 and np.mean(medians**2) < 2 * scatter:
        return 0.0
    return float(np.mean(np.abs(np.expm1(medians))))


def _follows(run: Run, steps: np.ndarray, error: np.ndarray) -> bool:
    """Whether log loss rises and falls with what is predicted, as it does under honest noise.

    Regressed on the prediction it has slope one; shuffled rows and wrong columns have none.
    """
    if len(error) < _FEWEST:
        return False
    log_loss = np.log(run.measured()[np.searchsorted(run.steps, steps)])
    predicted = log_loss + error
    x = predicted - predicted.mean()
    if np.ptp(x) < 1e-12 * (1.0 + float(np.abs(predicted).max())):
        return False  # one loss at all steps
    slope = float(x @ log_loss / (x @ x))
    left = log_loss - log_loss.mean() - slope * x
    width = float(np.sqrt(left @ left / (len(x) - 2) / (x @ x)))
    return abs(slope - 1.0) < _SIGMAS * width and slope > _SIGMAS * width


def _explained(run: Run, steps: np.ndarray, error: np.ndarray) -> float:
    """Share of the variance of log loss at `steps` that is not in `error`."""
    if len(error) < 2:
        return 1.0
    log_loss = np.log(run.measured()[np.searchsorted(run.steps, steps)])
    total = float(np.var(log_loss))
    return 1.0 - float(np.mean(error**2)) / total if total > 0 else 0.0


def _warm_in_steps(runs: Sequence[Run]) -> list[str]:
    """A warm-up that is nothing beside the run was counted in steps, and the log in tokens."""
    for run in runs:
        if 0 < run.warmup_steps < _NOTHING * float(run.steps[-1]):
            return [
                f"a warm-up of {run.warmup_steps:g} is nothing beside the {run.steps[-1]:,g} of "
                f"{run.label}: does the log count tokens? Give the warm-up in its unit, or the "
                "steps per token, `step_scale`."
            ]
    return []


def _begin_late(runs: Sequence[Run]) -> list[str]:
    """What is taken of a schedule before the first row, where much of the run is missing."""
    out = []
    for run in runs:
        first = known_from(run)
        if first > max(2 * settled(run), _LATE * float(run.steps[-1])):
            out.append(
                f"the rows of {run.label} begin at step {first:,g} of {run.steps[-1]:,g}: before, "
                f"a rate of {run.lr[0]:g} is assumed"
                + (
                    f" after {run.warmup_steps:g} steps of warm-up. If it was another, give the "
                    if run.warmup_steps
                    else ". After a warm-up say its steps, --warmup-steps; if it was another, the "
                )
                + "schedule; bands are wider for the missing rows."
            )
    return out


def _peaks_apart(runs: Sequence[Run]) -> list[str]:
    peaks = sorted((run.rate.peak, run.label) for run in runs)
    if peaks[-1][0] < _APART * peaks[0][0]:
        return []
    return [
        f"peak learning rates run from {peaks[0][0]:g} ({peaks[0][1]}) to {peaks[-1][0]:g} "
        f"({peaks[-1][1]}): the same unit in all files?"
    ]


def _climbs(run: Run) -> str:
    """That a run fell and then rose to its end, which too few rows or another run hide."""
    keep = run.steps >= settled(run)
    steps, log_loss, lr = run.steps[keep], np.log(run.measured()[keep]), run.lr[keep]
    low = int(np.argmin(log_loss)) if len(log_loss) else 0
    before, after = np.diff(log_loss[: low + 1]), log_loss[low + 1 :] - log_loss[low:][:1]
    if len(before) < _ROWS or not len(after) or lr[-1] > lr[low]:
        return ""
    if np.mean(before < 0) < _FALLING or after.min() < 0 or after[-1] < _CLIMB:
        return ""
    first = low + 1 + int(np.argmax(after > _CLIMB / 4))
    where = f"from step {steps[first]:,g} to its end"
    if first == len(steps) - 1:
        where = f"in its last row, step {steps[first]:,g}"
    return (
        f"its loss rises by {np.expm1(after.max()):.0%} {where}: a run that diverged? End its log "
        f"at step {steps[low]:,g}."
    )
