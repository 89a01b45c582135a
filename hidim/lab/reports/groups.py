"""Which runs speak for an optimizer at a size, and how fast do they fall?

Of every optimizer, size and horizon (the number of steps) the runs count at the learning rate, and
the values of the options that were tuned with it, of the lowest mean loss among those with the most
seeds. A seed that ran at three points or more chose between them: the others count where there are
any. Runs of another length than those of the most seeds are no horizon but tuning where they have
none of the seeds that count there, fewer of them, and several rates. Everything is measured on each
seed by itself and comes with a 95 % interval of Student's t over seeds; with one seed there is
none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hidim.lab.reports.measured import MeasuredRun
from hidim.measure import measure_exponent, saturating_fit
from hidim.support.results import Saved

_TUNED = 3  # points of one seed: a choice and both its neighbours
BURN_IN = 0.02  # of a run's tokens: the first steps follow no power law


@dataclass(frozen=True, eq=False)
class Estimate(Saved, format="hidim-lab-estimate/1"):
    """A mean over seeds and the half-width of its 95 % interval, None with one seed."""

    mean: float
    half_width: float | None

    @classmethod
    def of(cls, values: Iterable[float]) -> Estimate:
        """From one value per seed.

        >>> Estimate.of([1.0, 2.0, 3.0])
        Estimate(mean=2.0, half_width=2.484...)
        """
        from scipy.stats import t

        x = np.array(list(values), dtype=np.float64)
        if len(x) < 2 or not np.all(np.isfinite(x)):
            return cls(float(x.mean()) if len(x) else math.nan, None)
        spread = float(x.std(ddof=1)) / math.sqrt(len(x))
        return cls(float(x.mean()), float(t.ppf(0.975, len(x) - 1)) * spread)

    def times(self, factor: float) -> Estimate:
        """In another unit."""
        half = None if self.half_width is None else self.half_width * factor
        return Estimate(self.mean * factor, half)

    def __str__(self) -> str:
        if not math.isfinite(self.mean):
            return "-"
        bar = "" if self.half_width is None else f" ±{self.half_width:.2g}"
        return f"{self.mean:.4g}{bar}"


@dataclass(frozen=True, eq=False)
class Group(Saved, format="hidim-lab-group/1"):
    """The runs of one optimizer at one size and horizon that differ by their seed alone.

    Attributes:
        label: the optimizer.
        parameters: size of the model.
        lr: the learning rate that was best.
        runs: by seed.
        edge: whether that rate is the lowest or highest that was tried, with these options where
            they were tuned too.
        verified: whether a lower and a higher rate were tried at this very horizon.
    """

    label: str
    parameters: int
    lr: float
    runs: tuple[MeasuredRun, ...]
    edge: bool
    verified: bool = False

    @property
    def steps(self) -> int:
        """The horizon: the steps that the runs were to make."""
        return self.runs[0].settings.steps

    @property
    def above_guessing(self) -> int:
        """How many runs ended above the loss of guessing, and may be called ok all the same."""
        return sum(run.above_guessing for run in self.runs)

    @property
    def final(self) -> Estimate:
        """The last validation loss."""
        return Estimate.of(run.final for run in self.runs)

    def final_over(self, other: Group) -> Estimate | None:
        """The last loss minus another's, seed by seed; None where they share no seed."""
        mine = {seed: run.final for seed, run in self.by_seed.items()}
        return difference(mine, {seed: run.final for seed, run in other.by_seed.items()})

    @property
    def by_seed(self) -> dict[int, MeasuredRun]:
        """The runs under their seeds."""
        return {run.settings.seed: run for run in self.runs}


def best_groups(runs: Sequence[MeasuredRun]) -> list[Group]:
    """The longest runs that count, one group per optimizer and size, smallest first."""
    longest: dict[tuple[str, int], Group] = {}
    for group in horizon_groups(runs):
        longest[group.label, group.parameters] = group  # they come with ascending steps
    return sorted(longest.values(), key=lambda group: (group.parameters, group.label))


def horizon_groups(runs: Sequence[MeasuredRun]) -> list[Group]:
    """The runs that count, one group per optimizer, size and horizon, by size and steps."""
    cells: dict[tuple[str, int], list[MeasuredRun]] = defaultdict(list)
    for run in runs:
        cells[run.label, run.parameters].append(run)
    groups = []
    for (label, parameters), cell in cells.items():
        by_steps: dict[int, list[MeasuredRun]] = defaultdict(list)
        for run in cell:
            by_steps[run.settings.steps].append(run)
        longest = max(by_steps)
        fullest = by_steps[max(by_steps, key=lambda steps: (_seeds(by_steps[steps]), steps))]
        for steps, own in by_steps.items():
            if own is not fullest and is_tuning(own, fullest):
                continue
            # Rates were tried for the longest runs by the shorter ones, too.
            beside = cell if steps == longest else own
            full = _fullest(own)
            best = min(full, key=lambda point: float(np.mean([run.final for run in full[point]])))
            lr, options = best
            tried = sorted({run.settings.lr for run in beside if _point(run)[1] == options})
            chosen = tuple(sorted(_fresh(full[best], own), key=lambda run: run.settings.seed))
            edge = len(tried) > 1 and lr in (tried[0], tried[-1])
            here = {run.settings.lr for run in own if _point(run)[1] == options}
            verified = min(here) < lr < max(here)
            groups.append(Group(label, parameters, lr, chosen, edge, verified))
    return sorted(groups, key=lambda group: (group.parameters, group.steps, group.label))


def taken(runs: Sequence[MeasuredRun], groups: Sequence[Group]) -> tuple[str, ...]:
    """What `best_groups` took of runs at several horizons or rates, a line each; else nothing."""
    out = []
    horizons = {run.settings.steps for run in runs}
    if len(horizons) > 1:
        used = sorted({group.steps for group in groups})
        shown = ", ".join(f"{steps:,}" for steps in used)
        every = ", ".join(f"{steps:,}" for steps in sorted(horizons))
        out.append(f"runs of {shown} steps, the longest of each size (there are {every})")
    count = sum(len(group.runs) for group in groups)
    rates = {(run.label, run.parameters, run.settings.lr) for run in runs}
    if len(rates) > len({rate[:2] for rate in rates}):
        out.append(f"{count} of {len(runs)} runs: at each size those at its best learning rate")
    return tuple(out)


def is_tuning(runs: Sequence[MeasuredRun], counting: Sequence[MeasuredRun]) -> bool:
    """Whether runs of one length only choose a rate: fewer seeds than those of another length that
    count, at several rates, and none of the seeds counts there."""
    seeds = {run.settings.seed for run in runs}
    points = _fullest(counting).values()
    others = {run.settings.seed for point in points for run in _fresh(point, counting)}
    several = len({run.settings.lr for run in runs}) > 1
    return several and not seeds & others and _seeds(runs) < _seeds(counting)


def _seeds(runs: Sequence[MeasuredRun]) -> int:
    """Of how many seeds the runs are at the point that has the most."""
    return max(map(len, _fullest(runs).values()))


def counted(runs: Sequence[MeasuredRun], groups: Sequence[Group]) -> dict[str, int]:
    """What became of all runs: those in `groups`, shorter ones that tuned, and at other rates."""
    shown = {id(run) for group in groups for run in group.runs}
    horizons = {(group.label, group.parameters, group.steps) for group in groups}
    rest = [run for run in runs if id(run) not in shown]
    other = sum((run.label, run.parameters, run.settings.steps) in horizons for run in rest)
    return {
        "runs": len(runs),
        "shown": len(shown),
        "at_other_rates": other,
        "tuning": len(rest) - other,
    }


def _point(run: MeasuredRun) -> tuple[float, str]:
    """What was tuned; runs of one label and length differ by it and by their seed alone."""
    return run.settings.lr, repr(sorted(run.settings.options.items()))


def _fresh(chosen: list[MeasuredRun], beside: Sequence[MeasuredRun]) -> list[MeasuredRun]:
    """The runs whose seed did not tune: it ran at fewer points than `_TUNED`; else all."""
    points: dict[int, set[tuple[float, str]]] = defaultdict(set)
    for run in beside:
        points[run.settings.seed].add(_point(run))
    return [run for run in chosen if len(points[run.settings.seed]) < _TUNED] or chosen


def _fullest(runs: Sequence[MeasuredRun]) -> dict[tuple[float, str], list[MeasuredRun]]:
    """The runs by rate and tuned options, of those with the most seeds."""
    by_point: dict[tuple[float, str], list[MeasuredRun]] = defaultdict(list)
    for run in runs:
        by_point[_point(run)].append(run)
    most = max(map(len, by_point.values()))
    return {point: own for point, own in by_point.items() if len(own) == most}


def token_exponent(group: Group) -> Estimate:
    """b of loss = c + A tokens^-b, over the seeds; no number where one of them diverged."""
    return Estimate.of(_power(run) for run in group.runs)


def late_slope(group: Group) -> Estimate:
    """-d log loss / d log tokens over the last decade of tokens, over the seeds; no number where
    one of them diverged."""
    return Estimate.of(slopes_by_seed(group).values())


def slopes_by_seed(group: Group) -> dict[int, float]:
    """`late_slope` of every seed."""
    return {seed: _late_slope(run) for seed, run in group.by_seed.items()}


def difference(first: Mapping[int, float], second: Mapping[int, float]) -> Estimate | None:
    """First minus second, seed by seed; None where they share none.

    >>> difference({0: 3.0, 1: 4.0}, {0: 1.0, 1: 2.0, 2: 9.0})
    Estimate(mean=2.0, half_width=0.0)
    """
    shared = [seed for seed in first if seed in second]
    return Estimate.of(first[seed] - second[seed] for seed in shared) if shared else None


def _power(run: MeasuredRun) -> float:
    if run.status != "ok":
        return math.nan
    keep = run.tokens >= BURN_IN * run.tokens[-1]
    if np.count_nonzero(keep) < 4:
        return math.nan
    return fitted_power(run.tokens[keep], run.loss[keep])


def fitted_power(x: np.ndarray, loss: np.ndarray) -> float:
    """b of loss = c + A x^-b, or NaN where the data do not bound it."""
    fit = saturating_fit(x, loss)
    return math.nan if fit.pinned else fit.b


def _late_slope(run: MeasuredRun) -> float:
    if run.status != "ok":
        return math.nan
    keep = run.tokens >= run.tokens[-1] / 10
    if np.count_nonzero(keep) < 3:
        return math.nan
    return -measure_exponent(run.tokens[keep], run.loss[keep]).value
