"""Which law describes these runs, and how well would it have predicted them unseen?

`fit(curves, law)` searches the parameters, then predicts every curve from the others and the
second half of all runs from their first: these hold-outs are reported with the law and set the
width of its bands.
Limits: one model, data set and batch size per fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from hidim._version import __version__
from hidim.fitting.logs.inputs import as_runs
from hidim.fitting.logs.runs import Run
from hidim.fitting.robust import HUBER
from hidim.fitting.schedules.bands import Member
from hidim.fitting.schedules.clock import Units, feel_alike
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.laws import LAWS, START, ScheduleLaw, schedule_law
from hidim.fitting.schedules.misfit import check_fit
from hidim.fitting.schedules.plausible import check_runs
from hidim.fitting.schedules.search import (
    BURN_IN,
    Points,
    covariance,
    log_ratio,
    points_of,
    search,
    settled,
    units_of,
)
from hidim.fitting.schedules.variation import luck, pooled, variation
from hidim.support.checks import positive
from hidim.support.progress import Progress

# Laws whose disagreement says how far a law's form may be wrong.
PEERS = ("fsl", "mpl", "mtl")
# Growth of the error per unit of log time where it could not be measured.
_GROWTH = 4e-3
_BLOCKS = 4
_NOWHERE = "in the fit"  # instead of a hold-out, where what is left feels no change of rate
_FEWEST = 12  # rows a stopped run must have left to be fitted
_SCORED = 50_000


def fit(
    curves: Any,
    law: str = "fsl",
    *,
    warmup_steps: float = 0.0,
    lr: float | None = None,
    delta: float = HUBER,
    force: bool = False,
    progress: bool | None = None,
) -> FittedLaw:
    """Fit a schedule-aware law to measured runs.

    Args:
        curves: one or several runs with loss, of one model, data set and batch size, each a Run,
            the path of a log, a triple (steps, lr, loss), a mapping with these columns, a
            hidim.Curve, or a hidim.lab.RunFolder. `Run.of` says how the rate of a Curve is found.
        law: "fsl", "fsl-7", "mpl", "mtl", "intrinsic-time" or "step".
        warmup_steps: linear warm-up that paths, triples, mappings and columns "lr" leave out.
        lr: constant learning rate of logs and Curves that hold none.
        delta: Huber scale of log residuals.
        force: fit peak rates thirty times apart and curves the law does not describe, which are
            otherwise refused as wrong units, columns or models; the law keeps the warnings.
        progress: show a progress line; None means on a terminal.

    Returns:
        The fitted law, with bands and hold-out errors.

    Raises:
        ValueError: no such law, too few points, two curves under one label, no change of
            rate where the law needs one, a Curve that diverged or whose rate nobody says, or a
            curve that the law does not describe.

    Source: arXiv 2509.19189 (functional scaling laws), 2503.12811 (multi-power law).

    >>> steps = np.arange(100, 3000, 50)
    >>> run = Run(steps, np.full(len(steps), 1e-3), 2 + (steps / 1000.0) ** -0.5)
    >>> law = fit(run, "intrinsic-time")
    >>> round(float(law.predict(run, [10_000])[0]), 2)
    2.32
    """
    form = schedule_law(law)
    delta = positive("delta", delta)
    given = as_runs(curves, warmup_steps, lr=lr)
    runs = check_runs(given, form, force=force)
    units = units_of(runs)
    points = [points_of(run, units) for run in runs]
    groups = _groups(points, [run.label for run in runs])
    others = [] if form.response == "none" else [LAWS[n] for n in PEERS if n != form.name]
    with Progress((len(groups) + 2) * (1 + len(others)), f"fitting {law}", enabled=progress) as bar:
        best = search(form, points, delta=delta)
        residuals = [_residual(form, best, run, units, settled(run)) for run in runs]
        noise, between = variation([error for _, error in residuals])
        warnings = check_fit(runs, residuals, noise, form, force=force)
        bar.advance()
        # Where the law describes the runs, what is left of them has its minimum near theirs; where
        # it does not there may be several, and only the grid finds the lowest.
        data = _Data(runs, units, points, groups, delta, bar)
        own = _hold_out(form, best, data, grid=bool(warnings))
        rivals = []
        for other in others:
            vector = search(other, points, delta=delta)
            bar.advance()
            held = _hold_out(other, vector, data).errors
            rivals.append((other, vector, held or {_NOWHERE: _misfit(other, vector, points)}))
        errors = own.errors or {_NOWHERE: _misfit(form, best, points)}
    lucky = luck(list(own.errors.values()), len(runs))
    return FittedLaw(
        form,
        best,
        units,
        np.array(own.replicas).reshape(-1, len(best)),
        float(np.hypot(noise, lucky)),
        own.growth,
        _reach(runs),
        own.errors,
        {run.label: _misfit(form, best, [p]) for run, p in zip(runs, points, strict=True)},
        _provenance(runs, delta),
        warnings,
        float(np.hypot(between, lucky)),
        _members(errors, rivals),
        {run.label: run.rate for run in runs},
        covariance(form, best, points, delta),
    )


@dataclass(frozen=True)
class _Data:
    """What a law is fitted to and held out from."""

    runs: Sequence[Run]
    units: Units
    points: Sequence[Points]
    groups: Sequence[tuple[str, list[Points], Points]]
    delta: float
    bar: Progress


@dataclass(frozen=True)
class _HeldOut:
    """Refits without a group each, growth of the error, and mean errors on what was left out."""

    replicas: list[np.ndarray]
    growth: float
    errors: dict[str, float]


def _hold_out(form: ScheduleLaw, best: np.ndarray, data: _Data, *, grid: bool = False) -> _HeldOut:
    """Refit without each group and without the second half, from the best or from the grid."""
    near = None if grid else best
    replicas, errors = [], {}
    for label, rest, test in data.groups:
        if _identified(form, rest, data.points):
            replicas.append(search(form, rest, near=near, delta=data.delta))
            if label:
                errors[label] = _misfit(form, replicas[-1], [test])
        data.bar.advance()
    growth, ordered = _stopped_half_way(form, data.runs, data.units, near, data.delta)
    data.bar.advance()
    return _HeldOut(replicas, growth, errors | ordered)


def _members(
    own: dict[str, float], rivals: Sequence[tuple[ScheduleLaw, np.ndarray, dict[str, float]]]
) -> tuple[Member, ...]:
    """The rivals, weighted by their errors on what was left out, or in the fit where nothing was.

    Errors on n hold-outs whose common size is unknown have a likelihood that falls as the nth
    power of their root mean square.
    """
    labels = sorted(set(own).intersection(*(errors for _, _, errors in rivals))) if rivals else []
    if not labels:
        return ()

    def size(errors: dict[str, float]) -> float:
        return float(np.sqrt(np.mean([errors[k] ** 2 for k in labels])) + 1e-12)

    first = size(own)
    odds = [(size(errors) / first) ** -len(labels) for _, _, errors in rivals]
    total = 1.0 + sum(odds)
    return tuple(
        Member(law, vector, odd / total) for (law, vector, _), odd in zip(rivals, odds, strict=True)
    )


def _groups(points: list[Points], labels: list[str]) -> list[tuple[str, list[Points], Points]]:
    """(label or "", what is left, what is left out): each curve of three or more in turn, else
    each quarter of each curve; only the last quarter is a forecast and has a label."""
    if len(points) >= 3:
        return [
            (label, [p for j, p in enumerate(points) if j != i], points[i])
            for i, label in enumerate(labels)
        ]
    groups = []
    for i, run in enumerate(points):
        cuts = np.linspace(0, len(run.steps), _BLOCKS + 1).astype(int)
        for a, b in pairwise(cuts):
            keep = np.ones(len(run.steps), dtype=bool)
            keep[a:b] = False
            rest = [p.where(keep) if j == i else p for j, p in enumerate(points)]
            label = f"last quarter of {labels[i]}" if b == len(run.steps) else ""
            groups.append((label, rest, run.where(~keep)))
    return groups


def _misfit(law: ScheduleLaw, vector: np.ndarray, points: Sequence[Points]) -> float:
    """Mean relative error on bins, which average the noise of single rows away."""
    errors = [
        np.expm1(log_ratio(law.evaluate(vector, p.clock)[0], np.exp(p.log_loss))) for p in points
    ]
    return float(np.mean(np.abs(np.concatenate(errors))))


def _identified(law: ScheduleLaw, points: Sequence[Points], whole: Sequence[Points]) -> bool:
    """Whether these points feel enough of the changes of rate in all of them."""
    clocks = ([p.clock for p in some] for some in (points, whole))
    return law.response == "none" or feel_alike(*clocks)


def _stopped_half_way(
    law: ScheduleLaw, runs: Sequence[Run], units: Units, near: np.ndarray | None, delta: float
) -> tuple[float, dict[str, float]]:
    """Growth of the error with log time when all runs stop half-way, and the mean error.

    Bins are compared, so that the noise of single rows does not count as growth.
    """
    half = units.steps / 2
    stopped = [run.until(half) for run in runs if np.count_nonzero(run.steps <= half) >= _FEWEST]
    points = [points_of(run, units) for run in stopped]
    whole = [points_of(run, units) for run in runs]
    if not stopped or not _identified(law, points, whole):
        return _GROWTH, {}
    vector = search(law, points, near=near, delta=delta)
    errors, reach = [], []
    for later in whole:
        later = later.where(later.steps > half)
        value = law.evaluate(vector, later.clock)[0]
        errors.append(log_ratio(value, np.exp(later.log_loss)))
        reach.append(np.log(later.steps / half))
    error, x = np.concatenate(errors), np.concatenate(reach)
    if not np.any(x > 0):
        return _GROWTH, {}
    growth = float(np.sqrt(np.sum(error**2) / np.sum(x**2)))
    growth = pooled(growth, _GROWTH, len(runs))
    return growth, {"second half of every run": float(np.mean(np.abs(np.expm1(error))))}


def _rows(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Steps and loss of a run, at most 50,000 rows of it."""
    steps, loss = run.steps, run.measured()
    if len(steps) > _SCORED:
        pick = np.linspace(0, len(steps) - 1, _SCORED).astype(np.int64)
        steps, loss = steps[pick], loss[pick]
    return steps, loss


def _residual(
    law: ScheduleLaw, vector: np.ndarray, run: Run, units: Units, after: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Steps beyond `after`, and the log of predicted over measured loss there."""
    steps, loss = _rows(run)
    keep = steps >= after
    steps, loss = steps[keep], loss[keep]
    clock = units.clock(run.rate, steps)
    size = 5000  # points times events must fit in memory
    value = [
        law.evaluate(vector, clock.part(slice(i, i + size)))[0] for i in range(0, len(steps), size)
    ]
    predicted = np.concatenate(value) if value else np.zeros(0)
    return steps, log_ratio(predicted, loss)


def _reach(runs: Sequence[Run]) -> dict[str, float]:
    return {
        "first_step": START * min(float(r.steps[-1]) for r in runs),
        "last_step": max(float(r.steps[-1]) for r in runs),
        "lowest_rate": min(r.rate.lowest for r in runs),
        "highest_rate": max(r.rate.peak for r in runs),
    }


def _provenance(runs: Sequence[Run], delta: float) -> dict[str, Any]:
    return {
        "hidim": __version__,
        "huber_delta": delta,
        "burn_in": BURN_IN,
        "curves": [
            {
                "label": run.label,
                "rows": len(run.steps),
                "first_step": float(run.steps[0]),
                "last_step": float(run.steps[-1]),
                "warmup_steps": float(run.warmup_steps),
                "ready_step": run.rate.ready_step,
                "notes": list(run.notes),
            }
            for run in runs
        ],
    }
