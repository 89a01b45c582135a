"""What is gained over a baseline: in compute, at its own learning rate, by classical momentum?

compute saved        1 - flops to reach the baseline's last loss / the baseline's flops
at the same rate     the recipe of arXiv 2505.16098 puts DANA in SGD's place without tuning
matched momentum     SGD with momentum m and rate lr beside SGD at lr / (1 - m)
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np

from hidim.lab.reports.groups import BURN_IN, Estimate, Group, difference
from hidim.lab.reports.measured import MeasuredRun
from hidim.measure import first_crossing

_MOMENTUM = 0.9  # what `sgd-momentum` has unless its options say otherwise


def compute_saved(group: Group, baseline: Group) -> Estimate | None:
    """Share of the baseline's compute not needed for its last loss; None if not every seed gets
    there, or a seed is missing or diverged on either side.

    Of a rate that falls over the run this is read before the end of its schedule, where a run of
    that length would be lower: `horizons.saved_by_horizon` compares finished schedules.
    """
    shares = []
    for seed, run in group.by_seed.items():
        other = baseline.by_seed.get(seed)
        if other is None or not run.status == other.status == "ok":
            return None
        level = same_scale(other.final, other, run)
        needed = None if level is None else flops_to(run, level)
        if needed is None:
            return None
        shares.append(1 - needed / float(other.flops[-1]))
    return Estimate.of(shares)


def saved_by_chance(group: Group) -> Estimate | None:
    """`compute_saved` of every seed of a group over every other that it overtakes; None if none.

    What the noise of seeds and of single evaluations makes of two runs that are alike. A seed that
    never has the other's last loss would be left out of a comparison too.
    """
    good = [run for run in group.runs if run.status == "ok" and len(run.loss)]
    shares = []
    for run, other in permutations(good, 2):
        needed = flops_to(run, other.final)
        if needed is not None:
            shares.append(1 - needed / float(other.flops[-1]))
    # The pairs share their seeds: no interval.
    return Estimate(float(np.mean(shares)), None) if shares else None


def finishes(group: Group) -> bool:
    """Whether the rate has a schedule that ends with the run."""
    return group.runs[0].settings.schedule in ("cosine", "wsd")


def same_scale(loss: float, of: MeasuredRun, to: MeasuredRun) -> float | None:
    """A loss per token of one run in tokens of another; None where bytes are not known.

    On one vocabulary it is the same number.
    """
    if of.settings.tokens == to.settings.tokens:
        return loss
    mine, theirs = to.bits_per_byte, of.bits_per_byte
    return None if mine is None or theirs is None else loss * theirs / mine


def losses_of(loss: Estimate, run: MeasuredRun) -> dict[str, Estimate | None]:
    """A loss of such runs as it stands in every table: nats per token, and bits per byte."""
    bits = run.bits_per_byte
    return {"loss": loss, "bits_per_byte": None if bits is None else loss.times(bits)}


def flops_to(run: MeasuredRun, loss: float) -> float | None:
    """Compute at which a run first has this loss, None if it never has."""
    found = first_crossing(run.flops, run.loss, loss).value
    return None if math.isnan(found) else found


def at_baseline_rate(runs: Sequence[MeasuredRun], base: Group) -> list[dict[str, Any]]:
    """Every optimizer of that size and schedule at the baseline's best rate, most seeds first.

    Of the lengths that were run, the one with the most optimizers counts: where rates were tuned
    on shorter runs these are the tuning runs, usually of one seed.
    """
    ours = _beside(base.runs[0])
    cells: dict[int, list[MeasuredRun]] = defaultdict(list)
    for run in runs:
        if math.isclose(run.settings.lr, base.lr) and _beside(run) == ours:
            cells[run.settings.steps].append(run)
    steps = max(cells, key=lambda n: (len({run.label for run in cells[n]}), n))
    by_label: dict[str, dict[int, float]] = defaultdict(dict)
    for run in cells[steps]:
        by_label[run.label][run.settings.seed] = run.final
    if len(by_label) < 2 or base.label not in by_label:
        return []
    return [
        {
            "parameters": base.parameters,
            "lr": base.lr,
            "steps": steps,
            "optimizer": label,
            **losses_of(Estimate.of(losses.values()), base.runs[0]),
            "over_baseline": difference(losses, by_label[base.label]),
        }
        for label, losses in sorted(by_label.items())
    ]


def matched_momentum(runs: Sequence[MeasuredRun]) -> list[dict[str, Any]]:
    """SGD with momentum against SGD at the rate that theory calls equal, wherever both were run.

    Momentum alone counts, without a Nesterov step, dampening or weight decay. `loss_over_sgd` is
    the difference of the last losses and `largest_gap` the largest relative difference anywhere on
    the two curves, both seed by seed.
    """
    sgd = (run for run in runs if run.settings.optimizer == "sgd" and not run.settings.options)
    plain = {_key(run, run.settings.lr): run for run in sgd}
    # The label keeps apart what is not one method: other momenta, batches, texts.
    cells: dict[tuple[int, float, str, int], list[tuple[MeasuredRun, MeasuredRun]]]
    cells = defaultdict(list)
    for run in runs:
        if run.settings.optimizer != "sgd-momentum" or set(run.settings.options) - {"momentum"}:
            continue
        momentum = run.settings.options.get("momentum", _MOMENTUM)
        if not 0 <= momentum < 1:
            continue
        other = plain.get(_key(run, run.settings.lr / (1 - momentum)))
        if other is not None:
            key = (run.parameters, run.settings.lr, run.label, run.settings.steps)
            cells[key].append((run, other))
    return [
        {
            "parameters": parameters,
            "lr": lr,
            "steps": steps,
            "seeds": len(pairs),
            **losses_of(Estimate.of(run.final for run, _ in pairs), pairs[0][0]),
            "loss_over_sgd": Estimate.of(run.final - other.final for run, other in pairs),
            "largest_gap": Estimate.of(_gap(run, other) for run, other in pairs),
        }
        for (parameters, lr, _, steps), pairs in sorted(cells.items())
    ]


def _beside(run: MeasuredRun) -> str:
    """Equal for runs that differ by their optimizer, rate, length and seed alone."""
    return run.beside(optimizer="sgd", options={}, lr=1.0, steps=1, seed=0)


def _key(run: MeasuredRun, lr: float) -> str:
    """Equal for runs that differ by their optimizer alone and have this rate."""
    return run.beside(optimizer="sgd", options={}, lr=float(f"{lr:.5g}"))


def _gap(run: MeasuredRun, other: MeasuredRun) -> float:
    if not run.status == other.status == "ok":
        return math.nan
    both, mine, theirs = np.intersect1d(run.tokens, other.tokens, return_indices=True)
    keep = both >= BURN_IN * both[-1]
    return float(np.max(np.abs(run.loss[mine][keep] / other.loss[theirs][keep] - 1)))
