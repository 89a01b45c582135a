"""Which optimizer learned faster, by how much, and how sure is that?

One record of all that the runs of a folder say: a row per optimizer and size (`groups`), the lower
envelopes over sizes (`frontiers`), the best options at every size, every optimizer at the
baseline's own rate, and SGD with momentum beside SGD. What each number is stands where it is
measured; every one comes with its interval over seeds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.lab.reports.comparisons import at_baseline_rate, compute_saved, matched_momentum
from hidim.lab.reports.frontiers import Frontier, frontiers, shared_floor
from hidim.lab.reports.groups import (
    Estimate,
    Group,
    best_groups,
    difference,
    late_slope,
    slopes_by_seed,
    token_exponent,
)
from hidim.lab.reports.measured import MeasuredRun
from hidim.support.checks import choice


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
    found = frontiers(groups)
    return {
        "baseline": baseline,
        "groups": [_group_row(group, base.get(group.parameters)) for group in groups],
        "frontiers": _frontier_rows(found, baseline),
        "shared_floor": Estimate.of(shared_floor(found).floors.values()),
        "best_options": _best_options(groups),
        "at_baseline_rate": [row for one in base.values() for row in at_baseline_rate(runs, one)],
        "matched_momentum": matched_momentum(runs),
    }


def _group_row(group: Group, base: Group | None) -> dict[str, Any]:
    other = None if base is group else base
    seconds = [run.tokens_per_second for run in group.runs]
    return {
        "optimizer": group.label,
        "parameters": group.parameters,
        "lr": group.lr,
        "lr_at_edge": group.edge,
        "seeds": len(group.runs),
        "diverged": sum(run.status != "ok" for run in group.runs),
        "loss": group.final,
        "exponent_tokens": token_exponent(group),
        "slope_tokens": late_slope(group),
        "steeper_than_baseline": None
        if other is None
        else difference(slopes_by_seed(group), slopes_by_seed(other)),
        "compute_saved": None if other is None else compute_saved(group, other),
        "tokens_per_second": float(np.mean(seconds)),
    }


def _best_options(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Of an optimizer that ran with several options: the best at every size, so that one sees
    whether it stays the same."""
    cells: dict[tuple[str, int], list[Group]] = defaultdict(list)
    for group in groups:
        cells[group.runs[0].settings.optimizer, group.parameters].append(group)
    found = []
    for (optimizer, parameters), several in cells.items():
        # Of what diverged none is best, and nothing is ahead of it by a number.
        own = [group for group in several if np.isfinite(group.final.mean)]
        if len(own) >= 2:
            first, second = sorted(own, key=lambda group: group.final.mean)[:2]
            lead = second.final.mean - first.final.mean
            row = {"optimizer": optimizer, "parameters": parameters, "best": first.label}
            found.append({**row, "loss": first.final, "next": second.label, "lead": lead})
    return found


def _frontier_rows(found: Sequence[Frontier], baseline: str) -> list[dict[str, Any]]:
    base = next((one for one in found if one.label == baseline), None)
    shared = shared_floor(found).powers
    return [
        {
            "optimizer": one.label,
            "sizes": one.sizes,
            "seeds": len(one.seeds),
            "slope": Estimate.of(-one.slopes),
            "steeper_than_baseline": None if base in (None, one) else one.slope_over(base),
            "exponent_flops": Estimate.of(one.powers),
            "exponent_shared_floor": Estimate.of(shared[one.label].values()),
            "exponent_over_baseline": None
            if base in (None, one)
            else difference(shared[one.label], shared[baseline]),
        }
        for one in found
    ]
