"""Stop or go on: where will a run end that is not finished, and did it leave its band?

A fitted law says what the schedule should give, and how far a run may lie from that. What was
measured narrows the rest: errors of a law at steps t and t' are taken to be correlated by
(1 + exp(-|log t/t'|)) / 2 times exp(-2 |lr - lr'| / peak), so a run above its law so far is
expected to end above it, and less so the farther the end and the other its rate. A departure from
the band that lasts is taken to last to the end, to err by a share of itself, and may as well be an
error of the law's response to the rate; one from the first row on is a law of another model, and
drifts. What was seen says which, and how wide the band is. The run is read in medians of stretches
of rows, without its spikes; where it was not run at the rate of its schedule, it is judged by the
rate it was run at, and the schedule is what is still to come.
Limits: a law of another model that first shows in what is still to come (a decay) is in no band,
nor is what a run meets later (a spike, other data).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.logs.inputs import given_run
from hidim.fitting.logs.planned import given_plan
from hidim.fitting.logs.rates import Rate
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.departures import (
    ALIKE,
    OUT,
    Ahead,
    as_run,
    conditioned,
    departures_of,
    diverged_from,
    first_row,
    other_rates,
    rate_at,
    response_of,
    rise_of,
    row_noise,
    spikes_of,
    spread_of,
    state_of,
    stretches,
)
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.verdicts import beside_of, verdict_of
from hidim.support.checks import finite, instance
from hidim.support.results import Saved

_FEWEST = 8  # rows that a run must have beyond the burn-in
_SURE = 2.58  # standard deviations outside which a stretch has left its band
_FUTURE = 60
_COUNTS = (1e6, 1e4, 1e3, 100.0, 10.0)  # steps that a step of a log may stand for
_SAME = 0.02  # of the peak, within which a rate is the schedule's
_BITS = (1 / np.log(2), np.log(2))  # one unit over the other


@dataclass(frozen=True, eq=False)
class SoFar(Saved, format="hidim-so-far/1"):
    """What is known of a run that is not finished.

    Attributes:
        verdict: "go on", "look" or "stop".
        reasons: why, in words.
        state: "inside" its band, "above" or "below" it at the end of the log.
        since: step from which on it was outside to the end of the log; None inside.
        offset: measured over predicted loss, less one, in the last stretches.
        spikes: first and last step of each spike that returned or not.
        departures: first and last step of each departure from the band that is over, and by how
            much at most, a fraction.
        lr_since: step from which on the logged rate is not the schedule's; None where it is.
        end: last step of the schedule.
        loss: loss expected there, given the log.
        band: lower and upper end of its band.
        planned: loss there by the law alone.
        planned_band: lower and upper end of that.
        steps: some steps to the end, shape (n,); `expected`, `low` and `high` there.
        seen: steps of the stretches, shape (m,); `measured`, the median loss there, `by_law`, what
            the law says, and `seen_low` and `seen_high`, the band of such medians.
        law_fits: whether the law is one of this run: its band is not left from the first row on,
            nor by another response to the rate.
        match: comparison with the run it should match: `difference` (a fraction, in the last
            quarter of the steps both have), `error` of it, `end`, its last loss, at `end_step`,
            and `lr_since`, from which step on their rates differ, if they do; or None.
    """

    verdict: str
    reasons: tuple[str, ...]
    state: str
    since: float | None
    offset: float
    spikes: tuple[tuple[float, float], ...]
    lr_since: float | None
    end: float
    loss: float
    band: tuple[float, float]
    planned: float
    planned_band: tuple[float, float]
    steps: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seen: np.ndarray
    measured: np.ndarray
    by_law: np.ndarray
    seen_low: np.ndarray
    seen_high: np.ndarray
    match: dict[str, float] | None = None
    law_fits: bool = True
    departures: tuple[tuple[float, float, float], ...] = ()

    def __repr__(self) -> str:
        low, high = self.band
        end = f"{self.loss:.4g} at step {self.end:,.0f}, {low:.4g} to {high:.4g}"
        return f"SoFar({self.verdict}: {'; '.join(self.reasons)}; {end})"


def so_far(
    law: FittedLaw,
    log: Any,
    plan: Any,
    *,
    level: float = 0.9,
    match: Any = None,
) -> SoFar:
    """Whether to go on with a run, by a law and its log so far.

    Args:
        law: fitted to runs of the same model, data and batch size.
        log: the run so far, with loss: a Run, a Curve, a data frame or the path of a log.
        plan: the whole schedule, or the words for it; its last step is the end.
        level: share that the bands hold.
        match: a run that this one should repeat.

    Raises:
        ValueError: a log that is too short, longer than its schedule, or in another unit than the
            law.
    """
    from scipy.special import ndtri

    if not 0 < finite("level", level) < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
    instance("law", law, FittedLaw, "as fit gives and FittedLaw.load reads")
    log, plan = given_run("log", log), given_plan(plan, law.warmup_steps)
    match = None if match is None else given_run("match", match)
    end = float(plan.steps[-1])
    last = float(log.steps[-1])
    if last > 1.001 * end:
        raise ValueError(
            f"the log goes on to step {last:g}, beyond the schedule's {end:g}: another schedule, "
            "or steps counted otherwise (`step_scale`)?"
        )
    others = other_rates(log, plan.rate)
    rate = as_run(log, plan) if others else plan.rate
    begins = max(law.begins(plan.rate), law.begins(rate))  # rows tell an end of warm-up to a row
    kept = log.steps >= begins
    if np.count_nonzero(kept) < _FEWEST:
        raise ValueError(
            f"the log has {np.count_nonzero(kept)} row(s) from step {begins:g} on, where the law "
            f"begins: {_FEWEST} are needed.{_counts_less(log, plan.rate, end)}"
        )
    steps, loss = log.steps[kept], log.measured()[kept]
    lr_since = others[-1][0] if others and others[-1][1] == last else None
    residual = np.log(loss) - np.log(law.predict(rate, steps))
    row = row_noise(residual)
    spikes, calm = spikes_of(steps, residual, row)
    seen, shift, error = stretches(steps[calm], residual[calm], row)
    spread = spread_of(law, rate, seen)
    wide = max(float(ndtri((1 + level) / 2)), _SURE)
    outside = np.abs(shift) > wide * np.hypot(spread, error)
    state, first = state_of(outside, shift)
    begin = float(np.median(residual[calm][: max(OUT, np.count_nonzero(calm) // 10)]))
    _refuse_unit(shift, begin)
    over = tuple(
        (
            float(steps[first_row(steps, seen, a)]),
            float(steps[first_row(steps, seen, b + 1) - 1]),
            float(np.expm1(max(shift[a : b + 1], key=abs))),
        )
        for a, b in departures_of(outside, shift, first)
    )
    by_law = law.predict(rate, seen)
    gone = diverged_from(shift, np.exp(shift) * by_law, begin, first == 0)
    if gone is not None:
        state, first = "above", first or gone
    elif first is not None and first < OUT:
        first = 0  # so few rows before it tell nothing

    rates = rate_at(rate, seen) / rate.peak
    rise = rise_of(np.exp(shift) * by_law, error, rates) if state == "above" and first else None

    ahead = np.unique(np.append(np.geomspace(last, end, _FUTURE), end)) if last < end else [end]
    ahead = np.asarray(ahead, dtype=np.float64)
    future = Ahead(
        ahead,
        spread_of(law, rate, ahead),
        (rates, rate_at(rate, ahead) / rate.peak),
        (response_of(law, rate, seen), response_of(law, rate, ahead)),
    )
    mean, deviation, otherwise = conditioned((seen, shift, error, spread), future, first)
    otherwise = otherwise and rise is None
    half = ndtri((1 + level) / 2) * deviation
    predicted = law.predict(rate, ahead)
    planned = law.predict(plan.rate, ahead[-1:])
    expected = predicted * np.exp(mean)
    low, high = expected * np.exp(-half), expected * np.exp(half)
    ends = law.band(plan.rate, ahead[-1:], level=level)
    beside = None if match is None else beside_of(log, match)
    found: dict[str, Any] = {
        "state": state,
        "since": None if first is None else float(steps[first_row(steps, seen, first)]),
        "offset": float(np.expm1(np.median(shift[-OUT:]))),
        "spikes": spikes,
        "departures": over,
        "lr_since": lr_since,
        "end": end,
        "loss": float(expected[-1]),
        "band": (float(low[-1]), float(high[-1])),
        "planned": float(planned[0]),
        "planned_band": (float(ends[0][0]), float(ends[1][0])),
        "law_fits": gone is not None or (first != 0 and not (state != "inside" and otherwise)),
    }
    verdict, reasons = verdict_of(found, last, beside, otherwise, others, gone is not None)
    if rise is not None:
        verdict = "stop"
        reasons += (
            f"its loss climbs, by {rise[0]:+.1%} since step {seen[rise[1]]:,.0f}: it diverges, or "
            "a spike is not over",
        )
    beyond = float(ndtri((1 + level) / 2)) * np.hypot(spread, error)
    return SoFar(
        verdict,
        reasons,
        **found,
        steps=ahead,
        expected=expected,
        low=low,
        high=high,
        seen=seen,
        measured=np.exp(shift) * by_law,
        by_law=by_law,
        seen_low=by_law * np.exp(-beyond),
        seen_high=by_law * np.exp(beyond),
        match=beside,
    )


def _counts_less(log: Run, rate: Rate, end: float) -> str:
    """That the steps of a log are thousands, or log calls, by its rate, as a sentence; or ""."""
    for factor in _COUNTS:
        at = log.steps * factor
        if at[-1] <= 1.001 * end and np.all(
            np.abs(rate_at(rate, at) - log.lr) <= _SAME * rate.peak
        ):
            return (
                f" By its rate its steps count {factor:g} of the schedule's: give them so "
                f"(`step_scale`, --step-scale {factor:g})."
            )
    return ""


def _refuse_unit(shift: np.ndarray, begin: float) -> None:
    """Refuse losses so far from the law that they are of another unit, or of no model like it.

    A unit is another from the first rows on: what fits there and leaves later has diverged.
    """
    middle = float(np.median(shift))
    if min(abs(middle), abs(begin)) <= np.log(ALIKE) or middle * begin < 0:
        return
    factor = float(np.exp(middle))
    bits = next(
        (f" (bits? --loss-scale {1 / b:.4f})" for b in _BITS if abs(factor / b - 1) < 0.1), ""
    )
    raise ValueError(
        f"the losses of the log are {factor:.3g} times those of the law: another unit{bits}, or a "
        "law of another model. Give one fitted to runs of this model, or leave LAW.json out."
    )
