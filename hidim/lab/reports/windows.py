"""Does a claim over sizes hold in every window, and by how many independent runs?

    windows    how much steeper than the baseline's an envelope over sizes falls, from other starts
    pooled     the last loss minus the baseline's, over all sizes, clustered by seed

The window of a report's slopes is that of `frontiers.py`, stated there before any run: from 2 % of
the largest budget on. Another start may say another thing, so all of them are shown, in shares of
the smallest size's whole budget; before 1 an envelope is one size's curve more than a choice.
Sizes share their seeds, so sizes x seeds differences are no independent ones: each seed's mean over
sizes counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.lab.reports.comparisons import same_scale
from hidim.lab.reports.frontiers import Frontier, complete_ladders
from hidim.lab.reports.groups import Estimate, Group, difference
from hidim.measure import lowest, measure_exponent

STARTS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def window_table(groups: Sequence[Group], found: Sequence[Frontier], base: str) -> dict[str, Any]:
    """Every optimizer's slope over the baseline's from several starts.

    Returns:
        `smallest`, the budget of which the starts are shares; `start`, that of the report's own
        window; `rows`, one per optimizer, with `steeper`, an Estimate per start (None where an
        envelope begins later), and `sign_holds`.
    """
    ladders = complete_ladders(groups)
    if base not in ladders or len(ladders) < 2:
        return {"smallest": None, "start": None, "rows": []}
    smallest = min(float(run.flops[-1]) for own in ladders.values() for g in own for run in g.runs)
    largest = float(found[0].flops[-1])
    slopes = {
        label: [_slopes(own, share * smallest, largest) for share in STARTS]
        for label, own in ladders.items()
    }
    rows = []
    for label, own in slopes.items():
        if label == base:
            continue
        # Falling is negative: the baseline's minus ours is how much steeper ours is.
        steeper = [
            difference(theirs, mine) if mine and theirs else None
            for mine, theirs in zip(own, slopes[base], strict=True)
        ]
        signs = {bool(one.mean > 0) for one in steeper if one is not None}
        rows.append({"optimizer": label, "steeper": steeper, "sign_holds": len(signs) == 1})
    return {"smallest": smallest, "start": float(found[0].flops[0]) / smallest, "rows": rows}


def _slopes(own: Sequence[Group], start: float, end: float) -> dict[int, float]:
    """Slope of the envelope of every seed from a start on; empty where it begins later."""
    seeds = set.intersection(*(set(group.by_seed) for group in own))
    begun = min(max(float(run.flops[0]) for run in group.runs) for group in own)
    if start < begun * (1 - 1e-9) or start >= end / 2:
        return {}
    flops = np.geomspace(start, end, 40)
    return {
        seed: measure_exponent(flops, lowest([g.by_seed[seed].curve for g in own], flops)).value
        for seed in sorted(seeds)
    }


def pooled(groups: Sequence[Group], base: str) -> list[dict[str, Any]]:
    """The loss over the baseline's at all sizes that both have: clustered by seed, and by size."""
    by_label: dict[str, dict[int, Group]] = defaultdict(dict)
    for group in groups:
        by_label[group.label][group.parameters] = group
    rows = []
    for label, own in sorted(by_label.items()):
        shared = sorted(own.keys() & by_label[base].keys())
        if label == base or len(shared) < 2:
            continue
        cells: dict[tuple[int, int], float] = {}
        for parameters in shared:
            mine, theirs = own[parameters].by_seed, by_label[base][parameters].by_seed
            for seed in mine.keys() & theirs.keys():
                level = same_scale(theirs[seed].final, theirs[seed], mine[seed])
                if level is not None and np.isfinite(mine[seed].final - level):
                    cells[parameters, seed] = mine[seed].final - level
        whole = [s for s in {s for _, s in cells} if all((p, s) in cells for p in shared)]
        if whole:
            table = np.array([[cells[p, s] for s in sorted(whole)] for p in shared])
            rows.append(
                {
                    "optimizer": label,
                    "sizes": len(shared),
                    "seeds": len(whole),
                    "over_baseline": Estimate.of(table.mean(axis=0)),
                    "by_size": Estimate.of(table.mean(axis=1)),
                }
            )
    return rows
