"""Which optimizer learned faster, by how much, and how sure is that?

One record of all that the runs of a folder say: a row per optimizer, size and horizon (`groups`),
what becomes of a gain with the horizon (`horizons`), the loss over the baseline's at all sizes
(`pooled`), the lower envelopes over sizes (`frontiers`) and what other windows would have said of
them (`windows`), the best options at every size, every optimizer at the baseline's own rate, SGD
with momentum beside SGD, and what the texts are worth. What each number is stands where it is
measured; every one comes with its interval over seeds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.lab.reports.comparisons import (
    at_baseline_rate,
    compute_saved,
    finishes,
    losses_of,
    matched_momentum,
    saved_by_chance,
)
from hidim.lab.reports.frontiers import Frontier, frontiers, shared_floor
from hidim.lab.reports.groups import (
    Estimate,
    Group,
    best_groups,
    counted,
    difference,
    horizon_groups,
    late_slope,
    slopes_by_seed,
    token_exponent,
)
from hidim.lab.reports.horizons import horizon_exponents, saved_by_horizon
from hidim.lab.reports.measured import MeasuredRun
from hidim.lab.reports.windows import pooled, window_table
from hidim.support.checks import choice


def report(
    runs: Sequence[MeasuredRun], *, baseline: str = "sgd", tuned: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything the runs say, as plain data.

    Args:
        runs: finished runs.
        baseline: label of the optimizer that the others are compared with.
        tuned: what `measured_runs` was told; the values that were best are in every row. Then
            nothing is said of best options, and of the baseline's own rate, at which the others
            were not tuned alike.

    Raises:
        ValueError: the baseline was not run; those that were are named.
    """
    groups = best_groups(runs)
    labels = list(dict.fromkeys(group.label for group in groups))
    choice("baseline", baseline, labels)
    base = {group.parameters: group for group in groups if group.label == baseline}
    every = horizon_groups(runs)
    found = frontiers(groups)
    return {
        "baseline": baseline,
        "counted": counted(runs, every),
        "groups": [
            {**_group_row(group, every, baseline), "tuned": _values(group, tuned)}
            for group in every
        ],
        "horizons": horizon_exponents(every, baseline),
        "pooled": pooled(groups, baseline),
        "windows": window_table(groups, found, baseline),
        "texts": _texts(runs),
        "frontiers": _frontier_rows(found, baseline),
        "shared_floor": Estimate.of(shared_floor(found).floors.values()),
        "best_options": [] if tuned else _best_options(groups),
        "at_baseline_rate": []
        if tuned
        else [row for one in base.values() for row in at_baseline_rate(runs, one)],
        "matched_momentum": matched_momentum(runs),
    }


def _group_row(group: Group, every: Sequence[Group], baseline: str) -> dict[str, Any]:
    here = [g for g in every if (g.parameters, g.steps) == (group.parameters, group.steps)]
    other = next((g for g in here if g.label == baseline and g is not group), None)
    seconds = [run.tokens_per_second for run in group.runs]
    own = [g for g in every if (g.label, g.parameters) == (group.label, group.parameters)]
    saved, midway = _saved(group, other, own)
    return {
        "optimizer": group.label,
        "parameters": group.parameters,
        "steps": group.steps,
        "lr": group.lr,
        "lr_at_edge": group.edge,
        "lr_verified": group.verified,
        "seeds": len(group.runs),
        "diverged": sum(run.status != "ok" for run in group.runs),
        "above_guessing": group.above_guessing,
        **losses_of(group.final, group.runs[0]),
        "exponent_tokens": token_exponent(group),
        "slope_tokens": late_slope(group),
        "steeper_than_baseline": None
        if other is None
        else difference(slopes_by_seed(group), slopes_by_seed(other)),
        "compute_saved": saved,
        "compute_saved_midway": midway,
        "compute_saved_by_chance": saved_by_chance(group) if group.label == baseline else None,
        "tokens_per_second": float(np.mean(seconds)),
    }


def _values(group: Group, tuned: Sequence[str]) -> dict[str, Any]:
    """The tuned options of a group."""
    options = group.runs[0].settings.options
    return {name: options[name] for name in tuned if name in options}


def _saved(
    group: Group, other: Group | None, own: Sequence[Group]
) -> tuple[Estimate | None, Estimate | None]:
    """Compute saved between finished schedules, and, where there is none, within the schedule."""
    if other is None:
        return None, None
    if len(own) > 1 and (found := saved_by_horizon(group, other, own)) is not None:
        return found, None
    within = compute_saved(group, other)
    return (None, within) if finishes(group) else (within, None)


def _texts(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """What the runs know of their texts, each text and vocabulary once, and its most passes."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        text, s = run.text, run.settings
        if "overlap" in text:
            row = {"data": s.data, "tokens": s.tokens, "passes": 0.0, **text}
            row = found.setdefault(f"{s.data} {text['fingerprint']}", row)
            passes = s.tokens_before(s.steps) / (text.get("train_tokens") or math.inf)
            row["passes"] = max(row["passes"], passes)
    return list(found.values())


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
            row |= losses_of(first.final, first.runs[0])
            found.append({**row, "next": second.label, "lead": lead})
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
