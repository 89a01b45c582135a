"""Which optimizer learned faster, by how much, and how sure is that?

Of every optimizer and size the longest runs count, at the learning rate of the lowest mean loss
among those with the most seeds. Exponents are fitted to each seed's curves and every number comes
with a 95 % interval of Student's t over seeds; with one seed there is none, and it says so.

    loss ~ c + A tokens^-b       one size
    loss ~ c + A flops^-b        the lower envelope over sizes, at least two of them
    compute saved                1 - flops to reach the baseline's last loss / the baseline's flops

Limits: an envelope is compute-optimal only where its best size is neither the smallest nor the
largest; with a free floor c the power b is loosely known, so the plain log-log slope stands beside
it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.lab.measured import MeasuredRun
from hidim.studies.exponents import saturating_fit
from hidim.support.checks import choice

_BURN_IN = 0.02  # of a run's tokens: the first steps follow no power law


@dataclass(frozen=True)
class Estimate:
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


@dataclass(frozen=True)
class Group:
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

    @property
    def by_seed(self) -> dict[int, MeasuredRun]:
        """The runs under their seeds."""
        return {run.settings.seed: run for run in self.runs}


def best_groups(runs: Sequence[MeasuredRun]) -> list[Group]:
    """The runs that count, one group per optimizer and size, smallest first."""
    cells: dict[tuple[str, str, int], list[MeasuredRun]] = defaultdict(list)
    for run in runs:
        cells[run.label, run.settings.model, run.result["parameters"]].append(run)
    groups = []
    for (label, _, parameters), cell in cells.items():
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
    """b of loss = c + A tokens^-b, over the seeds."""
    return Estimate.of(_power(run.tokens, run.loss) for run in group.runs)


def compute_saved(group: Group, baseline: Group) -> Estimate | None:
    """Share of the baseline's compute not needed for its last loss; None if not every seed gets
    there or a seed is missing."""
    shares = []
    for seed, run in group.by_seed.items():
        other = baseline.by_seed.get(seed)
        needed = None if other is None else flops_to(run, other.final)
        if other is None or needed is None:
            return None
        shares.append(1 - needed / float(other.flops[-1]))
    return Estimate.of(shares)


def flops_to(run: MeasuredRun, loss: float) -> float | None:
    """Compute at which a run first has this loss, log-log between its evaluations."""
    below = np.flatnonzero(run.loss <= loss)
    if len(below) == 0:
        return None
    k = int(below[0])
    if k == 0:
        return float(run.flops[0])
    x, y = np.log(run.flops[k - 1 : k + 1]), np.log(run.loss[k - 1 : k + 1])
    share = (math.log(loss) - y[0]) / (y[1] - y[0])
    return float(np.exp(x[0] + share * (x[1] - x[0])))


@dataclass(frozen=True)
class Frontier:
    """The lower envelope over sizes of one optimizer.

    Attributes:
        label: the optimizer.
        flops: budgets, shape (n,).
        losses: envelope of each seed, shape (seeds, n).
        seeds: of the rows.
        slopes: of log loss in log flops, one per seed, shape (seeds,); falling is negative.
        powers: b of c + A flops^-b, one per seed, shape (seeds,).
    """

    label: str
    flops: np.ndarray
    losses: np.ndarray
    seeds: tuple[int, ...]
    slopes: np.ndarray
    powers: np.ndarray

    def slope_over(self, other: Frontier) -> Estimate:
        """How much steeper than another optimizer this one falls, seed by seed."""
        shared = [seed for seed in self.seeds if seed in other.seeds]
        mine = [self.slopes[self.seeds.index(seed)] for seed in shared]
        theirs = [other.slopes[other.seeds.index(seed)] for seed in shared]
        return Estimate.of(b - a for a, b in zip(mine, theirs, strict=True))


def frontiers(groups: Sequence[Group]) -> list[Frontier]:
    """The envelope of every optimizer that has at least two sizes, on one grid of budgets."""
    by_label: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if all(run.result["status"] == "ok" for run in group.runs):
            by_label[group.label].append(group)
    ladders = {label: own for label, own in by_label.items() if len(own) >= 2}
    if not ladders:
        return []
    every = [run for own in ladders.values() for group in own for run in group.runs]
    low = max(_BURN_IN * float(run.flops[-1]) for run in every)
    flops = np.geomspace(low, max(float(run.flops[-1]) for run in every), 40)
    found = []
    for label, own in ladders.items():
        seeds = tuple(sorted(set.intersection(*(set(group.by_seed) for group in own))))
        if not seeds:
            continue
        losses = np.array([_envelope([g.by_seed[s] for g in own], flops) for s in seeds])
        slopes = np.array([np.polyfit(np.log(flops), np.log(row), 1)[0] for row in losses])
        powers = np.array([saturating_fit(flops, row).b for row in losses])
        found.append(Frontier(label, flops, losses, seeds, slopes, powers))
    return found


def report(runs: Sequence[MeasuredRun], *, baseline: str = "sgd") -> dict[str, Any]:
    """Everything the runs say, as plain data.

    Args:
        runs: finished runs.
        baseline: label of the optimizer that the others are compared with.

    Raises:
        ValueError: the baseline was not run; those that were are named.
    """
    groups = best_groups(runs)
    labels = list(dict.fromkeys(group.label for group in groups))
    choice("baseline", baseline, labels)
    base = {group.parameters: group for group in groups if group.label == baseline}
    rows = []
    for group in groups:
        against = base.get(group.parameters)
        other = against if against is not None and against is not group else None
        rows.append(
            {
                "optimizer": group.label,
                "parameters": group.parameters,
                "lr": group.lr,
                "lr_at_edge": group.edge,
                "seeds": len(group.runs),
                "diverged": sum(run.result["status"] != "ok" for run in group.runs),
                "loss": group.final,
                "exponent_tokens": token_exponent(group),
                "compute_saved": None if other is None else compute_saved(group, other),
                "tokens_per_second": float(
                    np.mean([run.result["tokens_per_second"] for run in group.runs])
                ),
            }
        )
    return {
        "baseline": baseline,
        "groups": rows,
        "frontiers": _frontier_rows(groups, baseline),
        "best_options": _best_options(groups),
    }


def _best_options(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Of an optimizer that ran with several options: the best at every size, so that one sees
    whether it stays the same."""
    cells: dict[tuple[str, int], list[Group]] = defaultdict(list)
    for group in groups:
        cells[group.runs[0].settings.optimizer, group.parameters].append(group)
    found = []
    for (optimizer, parameters), own in cells.items():
        if len(own) >= 2:
            first, second = sorted(own, key=lambda group: group.final.mean)[:2]
            lead = second.final.mean - first.final.mean
            row = {"optimizer": optimizer, "parameters": parameters, "best": first.label}
            found.append({**row, "loss": first.final, "next": second.label, "lead": lead})
    return found


def _frontier_rows(groups: Sequence[Group], baseline: str) -> list[dict[str, Any]]:
    found = frontiers(groups)
    base = next((one for one in found if one.label == baseline), None)
    return [
        {
            "optimizer": one.label,
            "seeds": len(one.seeds),
            "slope": Estimate.of(-one.slopes),
            "steeper_than_baseline": None if base in (None, one) else one.slope_over(base),
            "exponent_flops": Estimate.of(one.powers),
        }
        for one in found
    ]


def _envelope(runs: Sequence[MeasuredRun], flops: np.ndarray) -> np.ndarray:
    """The lowest loss any size had reached within each budget, shape (n,)."""
    curves = [
        np.interp(np.log(flops), np.log(run.flops), np.log(run.loss), left=np.inf) for run in runs
    ]
    return np.exp(np.min(curves, axis=0))


def _power(tokens: np.ndarray, loss: np.ndarray) -> float:
    keep = (tokens >= _BURN_IN * tokens[-1]) & np.isfinite(loss)
    return saturating_fit(tokens[keep], loss[keep]).b if np.count_nonzero(keep) >= 4 else math.nan
