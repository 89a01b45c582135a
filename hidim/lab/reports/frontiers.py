"""How does the best loss over sizes fall with compute, and how much faster than another's?

    loss ~ c + A flops^-b        the lower envelope over sizes, at least two of them

Limits: an envelope is compute-optimal only where its best size is neither the smallest nor the
largest, and flat where one size has ended and the next has not caught up. With a floor c of its own
the power b of one curve is loosely known. All optimizers learn the same text, so `shared_floor`
fits one c to all of them and a b to each; c is then the floor of the text and of the model family
together, and its error goes the same way into every b.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.lab.reports.groups import BURN_IN, Estimate, Group, fitted_power
from hidim.lab.reports.measured import MeasuredRun
from hidim.measure import lowest, measure_exponent, shared_saturation
from hidim.support.results import Saved


@dataclass(frozen=True, eq=False)
class Frontier(Saved, format="hidim-lab-frontier/1"):
    """The lower envelope over sizes of one optimizer.

    Attributes:
        label: the optimizer.
        sizes: how many entered; where some diverged an envelope is no match for a full one.
        flops: budgets, shape (n,).
        losses: envelope of each seed, shape (seeds, n).
        seeds: of the rows.
        slopes: of log loss in log flops, one per seed, shape (seeds,); falling is negative.
        powers: b of c + A flops^-b, one per seed, shape (seeds,).
    """

    label: str
    sizes: int
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
    ladders = complete_ladders(groups)
    if not ladders:
        return []
    every = [run for own in ladders.values() for group in own for run in group.runs]
    # Every envelope must have begun: that of a short ladder begins late.
    begun = max(min(_begin(group) for group in own) for own in ladders.values())
    low = max(begun, *(BURN_IN * float(run.flops[-1]) for run in every))
    flops = np.geomspace(low, max(float(run.flops[-1]) for run in every), 40)
    found = []
    for label, own in ladders.items():
        seeds = tuple(sorted(set.intersection(*(set(group.by_seed) for group in own))))
        if not seeds:
            continue
        losses = np.array([_lowest([g.by_seed[s] for g in own], flops) for s in seeds])
        slopes = np.array([measure_exponent(flops, row).value for row in losses])
        powers = np.array([fitted_power(flops, row) for row in losses])
        found.append(Frontier(label, len(own), flops, losses, seeds, slopes, powers))
    return found


def complete_ladders(groups: Sequence[Group]) -> dict[str, list[Group]]:
    """The groups of every optimizer that has at least two sizes, those with a lost run left out."""
    by_label: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if all(run.status == "ok" for run in group.runs):
            by_label[group.label].append(group)
    return {label: own for label, own in by_label.items() if len(own) >= 2}


def _begin(group: Group) -> float:
    """Compute at the first evaluation of the last of its seeds to have one."""
    return max(float(run.flops[0]) for run in group.runs)


def _lowest(runs: Sequence[MeasuredRun], flops: np.ndarray) -> np.ndarray:
    """The lowest loss over sizes at each budget, shape (n,); an ended run keeps its last."""
    return lowest([run.curve for run in runs], flops)


@dataclass(frozen=True, eq=False)
class SharedFloor(Saved, format="hidim-lab-shared-floor/1"):
    """loss = c + A flops^-b with one c for all optimizers.

    Attributes:
        floors: c of every seed.
        powers: b of every optimizer by its label, of every seed.
    """

    floors: dict[int, float]
    powers: dict[str, dict[int, float]]


def shared_floor(found: Sequence[Frontier]) -> SharedFloor:
    """Fit one c to all optimizers and a b to each, seed by seed.

    Only seeds that all optimizers have are fitted.
    """
    seeds = sorted(set.intersection(*(set(one.seeds) for one in found))) if found else []
    shared = SharedFloor({}, {one.label: {} for one in found})
    for seed in seeds:
        rows = [one.losses[one.seeds.index(seed)] for one in found]
        shared.floors[seed], slopes = shared_saturation(found[0].flops, rows)
        for one, b in zip(found, slopes, strict=True):
            shared.powers[one.label][seed] = b
    return shared
