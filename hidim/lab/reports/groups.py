"""Which runs speak for an optimizer at a size, and how fast do they fall?

Of every optimizer and size the longest runs count, at the learning rate of the lowest mean loss
among those with the most seeds. Everything is measured on each seed by itself and comes with a
95 % interval of Student's t over seeds; with one seed there is none.
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

    def __str__(self) -> str:
        if not math.isfinite(self.mean):
            return "-"
        bar = "" if self.half_width is None else f" ±{self.half_width:.2g}"
        return f"{self.mean:.4g}{bar}"


@dataclass(frozen=True, eq=False)
class Group(Saved, format="hidim-lab-group/1"):
    """The runs of one optimizer at one size that differ by their seed alone.

    Attributes:
        label: the optimizer.
        parameters: size of the model.
        lr: the learning rate that was best.
        runs: by seed.
        edge: whether that rate is the lowest or highest that was tried.
    """

    label: str
    parameters: int
    lr: float
    runs: tuple[MeasuredRun, ...]
    edge: bool

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
    """The runs that count, one group per optimizer and size, smallest first."""
    cells: dict[tuple[str, int], list[MeasuredRun]] = defaultdict(list)
    for run in runs:
        cells[run.label, run.parameters].append(run)
    groups = []
    for (label, parameters), cell in cells.items():
        tried = sorted({run.settings.lr for run in cell})
        longest = max(run.settings.steps for run in cell)
        by_rate: dict[float, list[MeasuredRun]] = defaultdict(list)
        for run in cell:
            if run.settings.steps == longest:
                by_rate[run.settings.lr].append(run)
        most = max(map(len, by_rate.values()))
        full = {lr: own for lr, own in by_rate.items() if len(own) == most}
        lr = min(full, key=lambda rate: float(np.mean([run.final for run in full[rate]])))
        chosen = tuple(sorted(full[lr], key=lambda run: run.settings.seed))
        groups.append(
            Group(label, parameters, lr, chosen, len(tried) > 1 and lr in (tried[0], tried[-1]))
        )
    return sorted(groups, key=lambda group: (group.parameters, group.label))


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
