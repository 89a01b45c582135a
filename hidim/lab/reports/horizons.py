"""What does an optimizer gain when every run is as long as it was planned to be?

    saved by horizon   1 - T / T', T the horizon at which the optimizer would end at the loss at
                       which the baseline ends with T'
    exponent           of T'(T), the baseline's horizon that ends where the optimizer ends with T:
                       above 1 the gain grows with the horizon

Runs of several lengths at one size, each tuned for itself and with its schedule at its end. Between
horizons the last loss is a power law; nothing is extrapolated, so a horizon counts where the
other's losses lie on both sides. The window is every horizon that counts, as said here before any
run; beside it stand all windows that leave out short ones, and where their signs differ none is
claimed. Each seed has its own exponent; the interval is Student's over seeds, which are the
independent ones: sizes and horizons share theirs. With three seeds a bootstrap over seeds would
give the span of the three, which covers the truth three times in four, and no 95 %.

The null is the baseline against itself, every seed against the next one in a circle: its mean is
near 1 by that, and its spread is what the noise of seeds alone makes of the measurement.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.lab.reports.comparisons import same_scale
from hidim.lab.reports.groups import Estimate, Group
from hidim.measure import measure_exponent

_FEWEST = 3  # horizons of an exponent


def saved_by_horizon(group: Group, baseline: Group, ladder: Sequence[Group]) -> Estimate | None:
    """Share of the baseline's steps that a run of this optimizer of another length would not need.

    Args:
        group: of the optimizer, at the baseline's horizon.
        baseline: ends at the loss in question.
        ladder: groups of the optimizer at all its horizons.
    """
    shares = []
    for seed, other in baseline.by_seed.items():
        curve = _ends(ladder, seed)
        level = same_scale(other.final, other, group.runs[0])
        steps = math.nan if level is None else _horizon_of(*curve, level)
        if math.isnan(steps):
            return None
        shares.append(1 - steps / baseline.steps)
    return Estimate.of(shares)


def horizon_exponents(groups: Sequence[Group], baseline: str) -> list[dict[str, Any]]:
    """The exponent of T'(T) of every optimizer and size with at least three horizons that count."""
    ladders: dict[tuple[str, int], list[Group]] = defaultdict(list)
    for group in groups:
        ladders[group.label, group.parameters].append(group)
    for own in ladders.values():  # a horizon that is under way has fewer seeds
        most = max(len(group.runs) for group in own)
        own[:] = [group for group in own if len(group.runs) == most]
    rows = []
    for (label, parameters), own in sorted(ladders.items(), key=lambda one: one[0][::-1]):
        base = ladders.get((baseline, parameters), [])
        if len(own) < _FEWEST or len(base) < _FEWEST:
            continue
        null = label == baseline
        pairs = _pairs(own, base, against_next=null)
        windows = _windows(pairs)
        if not windows:
            continue
        means = [estimate.mean for _, estimate in windows]
        rows.append(
            {
                "optimizer": label,
                "parameters": parameters,
                "seeds": len(pairs),
                "horizons": len(next(iter(pairs.values()))),
                "from_steps": windows[0][0],
                "to_steps": max(next(iter(pairs.values()))),
                "exponent": windows[0][1],
                "by_seed": dict(zip(pairs, _slopes(pairs, 0), strict=True)),
                "gain": Estimate.of(_gains(pairs)),
                "null": null,
                "windows": [{"from_steps": t, "exponent": one} for t, one in windows],
                "sign_holds": all(mean > 1 for mean in means) or all(mean < 1 for mean in means),
            }
        )
    return rows


Pairs = dict[int, dict[int, float]]  # seed, horizon T, T'


def _pairs(own: Sequence[Group], base: Sequence[Group], *, against_next: bool = False) -> Pairs:
    """T' of every horizon T that has one in all seeds that both sides have throughout.

    Args:
        own: groups of the optimizer at its horizons.
        base: of the baseline.
        against_next: read every seed against the baseline's next one, not its own.
    """
    seeds = sorted(set.intersection(*(set(group.by_seed) for group in (*own, *base))))
    if against_next and len(seeds) < 2:
        return {}
    found: Pairs = {seed: {} for seed in seeds}
    for place, seed in enumerate(seeds):
        curve = _ends(base, seeds[(place + 1) % len(seeds)] if against_next else seed)
        for group in own:
            run = group.by_seed[seed]
            level = same_scale(run.final, run, base[0].runs[0])
            steps = math.nan if level is None else _horizon_of(*curve, level)
            if not math.isnan(steps):
                found[seed][group.steps] = steps
    shared = set.intersection(*map(set, found.values())) if found else set()
    return {seed: {t: at[t] for t in sorted(shared)} for seed, at in found.items()}


def _windows(pairs: Pairs) -> list[tuple[int, Estimate]]:
    """The exponent from every horizon on that leaves enough of them, the whole window first."""
    horizons = list(next(iter(pairs.values()), {}))
    starts = range(len(horizons) - _FEWEST + 1)
    return [(horizons[first], Estimate.of(_slopes(pairs, first))) for first in starts]


def _slopes(pairs: Pairs, first: int) -> list[float]:
    """The power of T'(T) of every seed, from the horizon of that place on."""
    slopes = []
    for own in pairs.values():
        x = np.array(list(own), dtype=np.float64)[first:]
        slopes.append(measure_exponent(x, np.array(list(own.values()))[first:]).value)
    return slopes


def _gains(pairs: Pairs) -> list[float]:
    """T' / T of every seed at the longest horizon that counts."""
    return [own[max(own)] / max(own) for own in pairs.values()]


def _ends(ladder: Sequence[Group], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Horizons and last losses of one seed; runs that diverged are left out."""
    runs = [group.by_seed[seed] for group in ladder if seed in group.by_seed]
    good = sorted((run.settings.steps, run.final) for run in runs if run.status == "ok")
    steps, losses = np.array(good, dtype=np.float64).reshape(-1, 2).T
    return steps, losses


def _horizon_of(steps: np.ndarray, losses: np.ndarray, level: float) -> float:
    """The horizon that ends at this loss, by a power law between two; NaN outside."""
    below = np.flatnonzero(losses <= level)
    if not len(below) or not math.isfinite(level):
        return math.nan
    k = int(below[0])
    if losses[k] == level:
        return float(steps[k])
    if k == 0:
        return math.nan
    x, y = np.log(steps[k - 1 : k + 1]), np.log(losses[k - 1 : k + 1])
    return float(np.exp(np.interp(math.log(level), y[::-1], x[::-1])))
