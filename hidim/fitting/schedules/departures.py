"""Where does a run leave its law, and what does that say of the rest?

Rows are compared with the law, spikes set aside, and the others read in medians of stretches.
`conditioned` turns the errors seen into those to expect, as unfinished.py describes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from hidim.fitting.logs.rates import Rate, rate_from_log
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw

_BINS = 40
OUT = 3  # stretches outside in a row that make a departure
ALIKE = 1.35  # a factor on the loss beyond which a law is of no such model
_LENGTH = 1.0  # of correlation, in log steps
_OTHER_RATE = 2.0  # by which it falls, in log, from a rate to none
RUN_TO_RUN = 1e-3  # by which two runs of one configuration differ, a fraction
_SPIKE = 0.03  # rows this far above their neighbours, and six times their noise, are a spike
_RATE = 0.02  # share of the peak by which a logged rate may differ from the schedule's
_RISE = 0.02  # by which a loss has risen that climbs
_SHIFT = 0.1  # standard deviation of what a departure shifts the loss by, a fraction
_SEEN = 0.5  # log of the odds from which on an error counts that leaves the run inside its band


def row_noise(residual: np.ndarray) -> float:
    """Standard deviation of a row, from changes between neighbours, few of which are spikes."""
    change = np.abs(np.diff(residual))
    return float(np.median(change)) / 0.954 + 1e-6


def as_run(log: Run, plan: Run) -> Rate:
    """The rate that was logged, and from there on the schedule's."""
    later = plan.steps > log.steps[-1]
    steps = np.concatenate([log.steps, plan.steps[later]])
    lr = np.concatenate([log.lr, plan.lr[later]])
    warmup = 0.0 if log.rate.warmup_steps == 0 < log.rate.ready_step else plan.rate.ready_step
    return rate_from_log(steps, lr, warmup_steps=warmup)


def spikes_of(
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
    if climbs(residual, groups[-1], row):
        calm[groups.pop()] = True
    return tuple((float(steps[g[0]]), float(steps[g[-1]])) for g in groups), calm


def climbs(residual: np.ndarray, rows: np.ndarray, row: float) -> bool:
    """Whether rows far above the others are the end of a log whose loss goes on rising."""
    if rows[-1] < len(residual) - 2 or len(rows) < 2 * OUT:
        return False
    third = len(rows) // 3
    rise = np.median(residual[rows[-third:]]) - np.median(residual[rows[:third]])
    return bool(rise > max(_SPIKE, 6 * row / np.sqrt(third)))


def stretches(
    steps: np.ndarray, residual: np.ndarray, row: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle step, median and its standard error of stretches of rows, each (m,)."""
    parts = np.array_split(np.arange(len(steps)), min(_BINS, max(len(steps) // 3, 1)))
    middle = np.array([float(np.mean(steps[p])) for p in parts])
    median = np.array([float(np.median(residual[p])) for p in parts])
    error = np.array([1.2533 * row / np.sqrt(len(p)) for p in parts])
    return middle, median, error


def spread_of(law: FittedLaw, rate: Rate, at: np.ndarray) -> np.ndarray:
    """Standard deviation of a run's curve about the law, without the noise of single rows."""
    low, high = law.band(rate, at, level=0.6827)
    rows = np.log(high / low) / 2
    return np.sqrt(np.maximum(rows**2 - law.noise**2, 0.0) + RUN_TO_RUN**2)


def state_of(outside: np.ndarray, shift: np.ndarray) -> tuple[str, int | None]:
    """Where the run is at the end of its log, and the first stretch of a departure that lasts."""
    count = 0
    while count < len(outside) and outside[-1 - count] and shift[-1 - count] * shift[-1] > 0:
        count += 1
    if count < min(OUT, len(outside)):
        return "inside", None
    return ("above" if shift[-1] > 0 else "below"), len(outside) - count


def departures_of(
    outside: np.ndarray, shift: np.ndarray, last: int | None
) -> list[tuple[int, int]]:
    """First and last stretch of each departure from the band that is over, one of the last
    stretches being told by `state_of`, one of the first by the law of another model.

    Args:
        outside: whether a stretch lies outside, shape (m,).
        shift: by how much, in log, shape (m,).
        last: first stretch of the departure that lasts, or None.
    """
    side = np.where(outside, np.sign(shift), 0.0)
    ends = [0, *(np.flatnonzero(np.diff(side)) + 1), len(side)]
    spans = [(int(a), int(b) - 1) for a, b in pairwise(ends) if side[a] != 0.0]
    return [
        (a, b)
        for a, b in spans
        if b - a + 1 >= OUT and a > 0 and b < (len(side) - 1 if last is None else last)
    ]


def diverged_from(shift: np.ndarray, loss: np.ndarray, begin: float, other: bool) -> int | None:
    """First of the last stretches that lie beyond any law of the model, where the first rows do
    not; None where there is none.

    Where the run is outside its band from the first row on, the law may be that of an `other`
    model: its own loss must have risen as far, too.
    """
    near = np.flatnonzero(shift <= np.log(ALIKE))
    if begin > np.log(ALIKE) or not len(near) or near[-1] == len(shift) - 1:
        return None
    return None if other and loss[-1] < ALIKE * np.min(loss) else int(near[-1]) + 1


def rise_of(loss: np.ndarray, error: np.ndarray, rates: np.ndarray) -> tuple[float, int] | None:
    """By how much the loss itself has risen from its lowest stretch to the end of the log, and
    that stretch; None where it does not go on rising, or the rate rose with it.

    No law of any model rises by `_RISE` under a rate that does not.

    Args:
        loss: medians of stretches, shape (m,).
        error: their standard errors, a fraction, shape (m,).
        rates: there, over the peak, shape (m,).
    """
    low = int(np.argmin(loss))
    if len(loss) - low <= OUT or rates[-1] > rates[low] + _RATE:
        return None
    rise = float(loss[-1] / loss[low]) - 1
    late = np.log(loss[-1] / loss[-OUT:-1])
    goes_on = np.all(late > 3 * np.hypot(error[-1], error[-OUT:-1]))
    return (rise, low) if rise > _RISE and goes_on else None


def first_row(steps: np.ndarray, seen: np.ndarray, stretch: int) -> int:
    if stretch == 0:
        return 0
    return int(np.searchsorted(steps, (seen[stretch - 1] + seen[stretch]) / 2))


def other_rates(log: Run, rate: Rate) -> tuple[tuple[float, float], ...]:
    """First and last step of each stretch of rows whose logged rate differs from the schedule's."""
    apart = np.abs(log.lr - rate_at(rate, log.steps)) > _RATE * rate.peak
    apart &= log.steps > rate.ready_step
    where = np.flatnonzero(apart)
    groups = np.split(where, np.flatnonzero(np.diff(where) > 1) + 1)
    return tuple((float(log.steps[g[0]]), float(log.steps[g[-1]])) for g in groups if len(g) >= OUT)


def rate_at(rate: Rate, steps: np.ndarray) -> np.ndarray:
    """The rate at steps, as a mean over one."""
    low = np.maximum(steps - 0.5, 0.0)
    return np.asarray(rate.time(low + 1.0) - rate.time(low))


@dataclass(frozen=True)
class Ahead:
    """What is asked, and what the law says of it.

    Attributes:
        steps: shape (n,).
        spread: of the law there, shape (n,).
        rates: over the peak, of what was seen (m,) and there (n,).
        response: by how much the law has the loss lowered by falls of the rate, in log, of what was
            seen (m,) and there (n,).
    """

    steps: np.ndarray
    spread: np.ndarray
    rates: tuple[np.ndarray, np.ndarray]
    response: tuple[np.ndarray, np.ndarray]


def response_of(law: FittedLaw, rate: Rate, at: np.ndarray) -> np.ndarray:
    """By how much a law has the log loss lowered by falls of the rate, shape (n,): beside a run at
    the peak that has come as far in intrinsic time."""
    ready, peak = rate.ready_step, rate.peak
    level = np.full(2, peak)
    ends = np.array([max(ready, 1.0), max(float(at[-1]), ready) + 1.0])
    flat = Rate(ends, level, level, ready)
    same = np.maximum(rate.time(at) / peak + ready / 2, law.begins(flat))
    return np.asarray(np.log(law.predict(flat, same) / law.predict(rate, at)))


def conditioned(
    past: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    future: Ahead,
    departed: int | None,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Mean and standard deviation of the law's error ahead, given what was seen of it, and whether
    what was seen is an error of the law's response to the rate.

    Args:
        past: steps, errors, their standard errors, and the law's spread there, each (m,).
        future: what is asked.
        departed: first of the past that lies outside for good, or None.
    """
    seen, shift, error, spread = past
    later, rates = future.spread, future.rates

    def alike(a: np.ndarray, b: np.ndarray, lr: np.ndarray) -> np.ndarray:
        near = 0.5 + 0.5 * np.exp(-np.abs(np.log(a[:, None] / b[None, :])) / _LENGTH)
        return near * np.exp(-_OTHER_RATE * np.abs(lr[:, None] - rates[0][None, :]))

    # Where the run lies farther off than the law says, so may the rest.
    before = slice(departed or None)
    size = shift[before] ** 2 / (spread[before] ** 2 + error[before] ** 2)
    scale = np.sqrt(max(1.0, float(np.mean(size)))) if departed != 0 else 1.0
    within, across = alike(seen, seen, rates[0]), alike(future.steps, seen, rates[1])
    found: list[tuple[float, np.ndarray, np.ndarray, bool]] = []
    for way in _ways(shift, departed):
        own, its = (scale if way.response == 0 else 1.0) * spread, way.response * future.response[0]
        gone = np.zeros(len(seen))
        if departed is not None:
            gone[departed:] = way.jump
        inner = within * (np.outer(own, own) + way.wrong**2) + np.diag(error**2)
        drift, on = (way.drift * np.log(t / seen[-1]) for t in (seen, future.steps))
        inner += np.outer(gone, gone) + np.outer(its, its) + np.outer(drift, drift)
        wide, far = scale * later, way.response * future.response[1]
        over = across * (np.outer(wide, own) + way.wrong**2) + way.jump * gone
        over += np.outer(far, its) + np.outer(on, drift)
        weight = np.linalg.solve(inner, over.T).T
        variance = wide**2 + way.wrong**2 + way.jump**2 + far**2 + on**2
        variance -= np.sum(weight * over, axis=1)
        evidence = -0.5 * (shift @ np.linalg.solve(inner, shift) + np.linalg.slogdet(inner)[1])
        if found and departed is None and evidence < found[0][0] + _SEEN:
            continue  # inside its band, and nothing seen of such an error
        found.append((float(evidence), weight @ shift, np.maximum(variance, 0.0), way.response > 0))
    weights = np.exp([one[0] - max(one[0] for one in found) for one in found])
    weights /= weights.sum()
    means, variances = np.array([one[1] for one in found]), np.array([one[2] for one in found])
    mean = weights @ means
    told = float(weights @ [float(one[3]) for one in found]) > 0.5
    return mean, np.sqrt(weights @ (variances + (means - mean) ** 2)), told


@dataclass(frozen=True)
class _Way:
    """How a run may differ from its law beyond the law's own spread, by standard deviations of:

    Attributes:
        jump: a change that lasts.
        wrong: an error that changes with time and rate.
        response: a factor on the response to the rate.
        drift: a change per unit of log step.
    """

    jump: float = 0.0
    wrong: float = 0.0
    response: float = 0.0
    drift: float = 0.0


def _ways(shift: np.ndarray, departed: int | None) -> list[_Way]:
    """Inside its band the law is right. A run that left it has jumped, and errs a little more
    besides, or it answers otherwise to the rate than its law says."""
    offset = abs(float(np.median(shift[-OUT:])))
    answers = [_Way(0.0, share * offset, size) for share in (0.15, 0.5) for size in (0.3, 1.0)]
    if departed is None:
        return [_Way(), *answers]
    jumped = [_Way(_SHIFT, share * offset) for share in (0.15, 0.3, 0.6)]
    if departed:
        return jumped + answers
    wander = max(offset, float(np.ptp(shift)))  # a law of another course than the run's
    return [*jumped, *(_Way(_SHIFT, 0.15 * wander, drift=size) for size in (0.01, 0.03))]
