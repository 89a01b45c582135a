"""Where does a run leave its law, and what does that say of the rest?

Rows are compared with the law, spikes set aside, and the others read in medians of stretches.
`conditioned` turns the errors seen into those to expect, as unfinished.py describes.
"""

from __future__ import annotations

import numpy as np

from hidim.fitting.logs.rates import Rate, rate_from_log
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw

_BINS = 40
OUT = 3  # stretches outside in a row that make a departure
_LENGTH = 1.0  # of correlation, in log steps
_OTHER_RATE = 2.0  # by which it falls, in log, from a rate to none
RUN_TO_RUN = 1e-3  # by which two runs of one configuration differ, a fraction
_SPIKE = 0.03  # rows this far above their neighbours, and six times their noise, are a spike
_RATE = 0.02  # share of the peak by which a logged rate may differ from the schedule's
_SHIFT = 0.1  # standard deviation of what a departure shifts the loss by, a fraction


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
    return tuple((float(steps[g[0]]), float(steps[g[-1]])) for g in groups), calm


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


def first_row(steps: np.ndarray, seen: np.ndarray, stretch: int) -> int:
    if stretch == 0:
        return 0
    return int(np.searchsorted(steps, (seen[stretch - 1] + seen[stretch]) / 2))


def other_rate(log: Run, rate: Rate) -> float | None:
    """First step from which on the logged rate differs from the schedule's, to the end."""
    apart = np.abs(log.lr - rate_at(rate, log.steps)) > _RATE * rate.peak
    apart &= log.steps > rate.ready_step
    count = 0
    while count < len(apart) and apart[-1 - count]:
        count += 1
    return float(log.steps[len(apart) - count]) if count >= OUT else None


def rate_at(rate: Rate, steps: np.ndarray) -> np.ndarray:
    """The rate at steps, as a mean over one."""
    low = np.maximum(steps - 0.5, 0.0)
    return np.asarray(rate.time(low + 1.0) - rate.time(low))


def conditioned(
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
