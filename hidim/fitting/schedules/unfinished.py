"""Stop or go on: where will a run end that is not finished, and did it leave its band?

A fitted law says what the schedule should give, and how far a run may lie from that. What was
measured narrows the rest: errors of a law at steps t and t' are taken to be correlated by
(1 + exp(-|log t/t'|)) / 2 times exp(-2 |lr - lr'| / peak), so a run above its law so far is
expected to end above it, and less so the farther the end and the other its rate. A departure from
the band that lasts is taken to last to the end. The run is read in medians of stretches of rows,
without its spikes; where it was not run at the rate of its schedule, it is judged by the rate it
was run at, and the schedule is what is still to come.
Limits: the law must be of the same model, data and batch size; what a run meets later (a spike,
other data) is in no band.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.logs.rates import Rate, rate_from_log
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw
from hidim.support.checks import finite
from hidim.support.results import Saved

_BINS = 40
_FEWEST = 8  # rows that a run must have beyond the burn-in
_OUT = 3  # stretches outside in a row that make a departure
_LENGTH = 1.0  # of correlation, in log steps
_OTHER_RATE = 2.0  # by which it falls, in log, from a rate to none
_SURE = 2.58  # standard deviations outside which a stretch has left its band
_RUN_TO_RUN = 1e-3  # by which two runs of one configuration differ, a fraction
_SPIKE = 0.03  # rows this far above their neighbours, and six times their noise, are a spike
_RATE = 0.02  # share of the peak by which a logged rate may differ from the schedule's
_FUTURE = 60
_SHIFT = 0.1  # standard deviation of what a departure shifts the loss by, a fraction


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
        lr_since: step from which on the logged rate is not the schedule's; None where it is.
        end: last step of the schedule.
        loss: loss expected there, given the log.
        band: lower and upper end of its band.
        planned: loss there by the law alone.
        planned_band: lower and upper end of that.
        steps: some steps to the end, shape (n,); `expected`, `low` and `high` there.
        seen: steps of the stretches, shape (m,); `measured`, the median loss there, `by_law`, what
            the law says, and `seen_low` and `seen_high`, the band of such medians.
        match: comparison with the run it should match: `difference` (a fraction, in the last
            quarter of the steps both have), `error` of it, and `end`, its last loss; or None.
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


def so_far(
    law: FittedLaw, log: Run, plan: Run, *, level: float = 0.9, match: Run | None = None
) -> SoFar:
    """Whether to go on with a run, by a law and its log so far.

    Args:
        law: fitted to runs of the same model, data and batch size.
        log: the run so far, with loss.
        plan: the whole schedule; its last step is the end.
        level: share that the bands hold.
        match: a run that this one should repeat.

    Raises:
        ValueError: a log that is too short, or longer than its schedule.
    """
    from scipy.special import ndtri

    if not 0 < finite("level", level) < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
    end = float(plan.steps[-1])
    last = float(log.steps[-1])
    if last > 1.001 * end:
        raise ValueError(
            f"the log goes on to step {last:g}, beyond the schedule's {end:g}: another schedule, "
            "or steps counted otherwise (`step_scale`)?"
        )
    begins = law.begins(plan.rate)
    kept = log.steps >= begins
    if np.count_nonzero(kept) < _FEWEST:
        raise ValueError(
            f"the log has {np.count_nonzero(kept)} row(s) from step {begins:g} on, where the law "
            f"begins: {_FEWEST} are needed."
        )
    steps, loss = log.steps[kept], log.measured()[kept]
    lr_since = _other_rate(log, plan.rate)
    rate = plan.rate if lr_since is None else _as_run(log, plan)
    residual = np.log(loss) - np.log(law.predict(rate, steps))
    row = _row_noise(residual)
    spikes, calm = _spikes(steps, residual, row)
    seen, shift, error = _stretches(steps[calm], residual[calm], row)
    spread = _spread(law, rate, seen)
    wide = max(float(ndtri((1 + level) / 2)), _SURE)
    outside = np.abs(shift) > wide * np.hypot(spread, error)
    state, first = _state(outside, shift)

    ahead = np.unique(np.append(np.geomspace(last, end, _FUTURE), end)) if last < end else [end]
    ahead = np.asarray(ahead, dtype=np.float64)
    mean, deviation = _conditioned(
        (seen, shift, error, spread),
        (ahead, _spread(law, rate, ahead)),
        (_rate_at(rate, seen) / rate.peak, _rate_at(rate, ahead) / rate.peak),
        first,
    )
    half = ndtri((1 + level) / 2) * deviation
    predicted = law.predict(rate, ahead)
    planned = law.predict(plan.rate, ahead[-1:])
    expected = predicted * np.exp(mean)
    low, high = expected * np.exp(-half), expected * np.exp(half)
    ends = law.band(plan.rate, ahead[-1:], level=level)
    beside = None if match is None else _beside(log, match)
    found: dict[str, Any] = {
        "state": state,
        "since": None if first is None else float(steps[_first_row(steps, seen, first)]),
        "offset": float(np.expm1(np.median(shift[-_OUT:]))),
        "spikes": spikes,
        "lr_since": lr_since,
        "end": end,
        "loss": float(expected[-1]),
        "band": (float(low[-1]), float(high[-1])),
        "planned": float(planned[0]),
        "planned_band": (float(ends[0][0]), float(ends[1][0])),
    }
    verdict, reasons = _verdict(found, last, beside)
    by_law = law.predict(rate, seen)
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


def _row_noise(residual: np.ndarray) -> float:
    """Standard deviation of a row, from changes between neighbours, few of which are spikes."""
    change = np.abs(np.diff(residual))
    return float(np.median(change)) / 0.954 + 1e-6


def _as_run(log: Run, plan: Run) -> Rate:
    """The rate that was logged, and from there on the schedule's."""
    later = plan.steps > log.steps[-1]
    steps = np.concatenate([log.steps, plan.steps[later]])
    lr = np.concatenate([log.lr, plan.lr[later]])
    warmup = 0.0 if log.rate.warmup_steps == 0 < log.rate.ready_step else plan.rate.ready_step
    return rate_from_log(steps, lr, warmup_steps=warmup)


def _spikes(
    steps: np.ndarray, residual: np.ndarray, row: float
) -> tuple[tuple[tuple[float, float], ...], np.ndarray]:
    """Stretches of rows far above what was before and after them, and which rows are in none."""
    width = max(len(residual) // 10, 5)
    starts = np.clip(np.arange(len(residual)) - width, 0, max(len(residual) - 2 * width - 1, 0))
    usual = np.array([np.median(residual[i : i + 2 * width + 1]) for i in starts])
    far = np.flatnonzero(residual - usual > max(_SPIKE, 6 * row))
    calm = np.ones(len(steps), dtype=bool)
    if not len(far):
        return (), calm
    calm[far] = False
    groups = np.split(far, np.flatnonzero(np.diff(far) > 2) + 1)
    return tuple((float(steps[g[0]]), float(steps[g[-1]])) for g in groups), calm


def _stretches(
    steps: np.ndarray, residual: np.ndarray, row: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle step, median and its standard error of stretches of rows, each (m,)."""
    parts = np.array_split(np.arange(len(steps)), min(_BINS, max(len(steps) // 3, 1)))
    middle = np.array([float(np.mean(steps[p])) for p in parts])
    median = np.array([float(np.median(residual[p])) for p in parts])
    error = np.array([1.2533 * row / np.sqrt(len(p)) for p in parts])
    return middle, median, error


def _spread(law: FittedLaw, rate: Rate, at: np.ndarray) -> np.ndarray:
    """Standard deviation of a run's curve about the law, without the noise of single rows."""
    low, high = law.band(rate, at, level=0.6827)
    rows = np.log(high / low) / 2
    return np.sqrt(np.maximum(rows**2 - law.noise**2, 0.0) + _RUN_TO_RUN**2)


def _state(outside: np.ndarray, shift: np.ndarray) -> tuple[str, int | None]:
    """Where the run is at the end of its log, and the first stretch of a departure that lasts."""
    count = 0
    while count < len(outside) and outside[-1 - count] and shift[-1 - count] * shift[-1] > 0:
        count += 1
    if count < min(_OUT, len(outside)):
        return "inside", None
    return ("above" if shift[-1] > 0 else "below"), len(outside) - count


def _first_row(steps: np.ndarray, seen: np.ndarray, stretch: int) -> int:
    if stretch == 0:
        return 0
    return int(np.searchsorted(steps, (seen[stretch - 1] + seen[stretch]) / 2))


def _other_rate(log: Run, rate: Rate) -> float | None:
    """First step from which on the logged rate differs from the schedule's, to the end."""
    apart = np.abs(log.lr - _rate_at(rate, log.steps)) > _RATE * rate.peak
    apart &= log.steps > rate.ready_step
    count = 0
    while count < len(apart) and apart[-1 - count]:
        count += 1
    return float(log.steps[len(apart) - count]) if count >= _OUT else None


def _rate_at(rate: Rate, steps: np.ndarray) -> np.ndarray:
    """The rate at steps, as a mean over one."""
    low = np.maximum(steps - 0.5, 0.0)
    return np.asarray(rate.time(low + 1.0) - rate.time(low))


def _conditioned(
    past: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    future: tuple[np.ndarray, np.ndarray],
    rates: tuple[np.ndarray, np.ndarray],
    departed: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the law's error ahead, given what was seen of it.

    Args:
        past: steps, errors, their standard errors, and the law's spread there, each (m,).
        future: steps and the law's spread there, each (n,).
        rates: over the peak, in the past (m,) and in the future (n,).
        departed: first of the past that lies outside for good, or None.
    """
    seen, shift, error, spread = past
    ahead, later = future

    def alike(a: np.ndarray, b: np.ndarray, lr: np.ndarray) -> np.ndarray:
        near = 0.5 + 0.5 * np.exp(-np.abs(np.log(a[:, None] / b[None, :])) / _LENGTH)
        return near * np.exp(-_OTHER_RATE * np.abs(lr[:, None] - rates[0][None, :]))

    # Where the run lies farther off than the law says, so may the rest.
    before = slice(departed or None)
    size = shift[before] ** 2 / (spread[before] ** 2 + error[before] ** 2)
    scale = np.sqrt(max(1.0, float(np.mean(size)))) if departed != 0 else 1.0
    spread, later = scale * spread, scale * later
    gone = np.zeros(len(seen))
    if departed is not None:
        gone[departed:] = _SHIFT
    shifted = 0.0 if departed is None else _SHIFT
    inner = (
        alike(seen, seen, rates[0]) * np.outer(spread, spread)
        + np.outer(gone, gone)
        + np.diag(error**2)
    )
    across = alike(ahead, seen, rates[1]) * np.outer(later, spread) + shifted * gone
    weight = np.linalg.solve(inner, across.T).T
    variance = later**2 + shifted**2 - np.sum(weight * across, axis=1)
    return weight @ shift, np.sqrt(np.maximum(variance, 0.0))


def _beside(log: Run, match: Run) -> dict[str, float]:
    """How far the log lies from another run at the same steps."""
    last = min(log.steps[-1], match.steps[-1])
    first = max(log.steps[0], match.steps[0], 0.75 * last)
    both = (log.steps >= first) & (log.steps <= last)
    if np.count_nonzero(both) < _OUT:
        raise ValueError(
            f"the run to match has too few rows at the steps of the log, which are "
            f"{log.steps[0]:g} to {log.steps[-1]:g}."
        )
    own = np.log(log.measured()[both])
    its = np.interp(log.steps[both], match.steps, np.log(match.measured()))
    apart = own - its
    error = _row_noise(apart) / np.sqrt(len(apart)) + _RUN_TO_RUN
    tail = max(len(match.steps) // 50, 1)
    return {
        "difference": float(np.expm1(np.mean(apart))),
        "error": float(error),
        "end": float(np.median(match.measured()[-tail:])),
        "end_step": float(match.steps[-1]),
    }


_WHY = {
    "above": "a spike that has not recovered, a wrong rate or batch, or harder data",
    "below": "data repeated, easier data, or another model",
}


def _verdict(
    found: dict[str, Any], last: float, beside: dict[str, float] | None
) -> tuple[str, tuple[str, ...]]:
    reasons = []
    verdict = "go on"
    if found["state"] != "inside":
        verdict = "look"
        reasons.append(
            f"{found['state']} its band since step {found['since']:,.0f}, by "
            f"{found['offset']:+.2%} at the end: {_WHY[found['state']]}"
        )
    for first, final in found["spikes"]:
        over = final < last
        reasons.append(
            f"a spike at steps {first:,.0f} to {final:,.0f}" + ("" if over else ", not over")
        )
        verdict = verdict if over else "look"
    if found["lr_since"] is not None:
        verdict = "stop"
        reasons.append(
            f"the rate is not the schedule's from step {found['lr_since']:,.0f} on: the end "
            "expected is that of the schedule from here on"
        )
    if beside is not None and abs(beside["difference"]) > 3 * beside["error"]:
        verdict = "look" if verdict == "go on" else verdict
        reasons.append(
            f"it does not match: {beside['difference']:+.2%} beside the run it should repeat, "
            f"{beside['error']:.2%} being chance"
        )
    if found["state"] == "above" and found["band"][0] > found["planned_band"][1]:
        verdict = "stop"
        reasons.append("it will end above the band of its schedule")
    if not reasons:
        reasons.append("inside its band")
    return verdict, tuple(reasons)
