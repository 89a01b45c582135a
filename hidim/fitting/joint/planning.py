"""Which size, how many tokens and which learning-rate schedule, for a budget of flops?

By a law over sizes and schedules, flops = 6 x parameters x tokens and tokens = steps x tokens per
step. At every size the rate stays high and falls in the last fifth; the size with the lowest final
loss is found between and up to ten times beyond the fitted ones, once for the law and once for each
of its refits, which is its interval. The schedule is then planned for that size.
Limits: one batch size; a size at an end of the range looked at is a bound, and said to be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hidim.fitting.joint.law import JointLaw
from hidim.fitting.logs.rates import Rate
from hidim.fitting.schedules.planning import PlannedSchedule, best_schedule
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN
from hidim.support.checks import positive

_BEYOND = 10.0  # sizes looked at, over the largest and under the smallest fitted
_LONGER = 10.0  # and steps, over the longest fitted run
_SIZES = 41
_FEWEST_STEPS = 50
_DECAY = 0.2  # share of the run in which the rate falls


@dataclass(frozen=True, eq=False)
class JointPlan:
    """Size, tokens and schedule for a budget.

    Attributes:
        flops: the budget.
        params: size of the model.
        params_interval: 90 % of the refits.
        tokens: steps x tokens per step.
        steps: length of the run.
        schedule: the planned learning rate, with the predicted final loss and its band.
        bound: "" or which limit of what was looked at the size lies at.
        beyond: how far size and steps lie beyond the fitted ones, as ratios.
        sizes: sizes looked at, shape (n,).
        losses: final loss at each, under a rate that falls in the last fifth, shape (n,).
    """

    flops: float
    params: float
    params_interval: tuple[float, float] | None
    tokens: float
    steps: float
    schedule: PlannedSchedule
    bound: str
    beyond: dict[str, float]
    sizes: np.ndarray
    losses: np.ndarray

    def __repr__(self) -> str:
        size = f"{self.params:.3g} parameters on {self.tokens:.3g} tokens"
        return f"JointPlan({self.flops:.3g} flops: {size}, {self.schedule!r})"


def plan_budget(
    law: JointLaw,
    flops: float,
    *,
    tokens_per_step: float | None = None,
    warmup_steps: float = 0.0,
) -> JointPlan:
    """Size, tokens and schedule with the lowest predicted final loss at a budget.

    Args:
        law: fitted over sizes and schedules.
        flops: budget, 6 x parameters x tokens.
        tokens_per_step: batch size in tokens; that of the fit by default.
        warmup_steps: linear warm-up from zero, not optimised.

    Raises:
        ValueError: no tokens per step, or a budget too small for any size.
    """
    flops = positive("flops", flops)
    batch = law.provenance.get("tokens_per_step") if tokens_per_step is None else tokens_per_step
    if batch is None:
        raise ValueError(
            "`tokens_per_step` is needed, the batch size in tokens: say it here or in the fit "
            "(--tokens-per-step)."
        )
    per_step = FLOPS_PER_TOKEN * positive("tokens_per_step", batch)
    longest = _LONGER * law.units.steps
    least = max(law.reach["first_step"], 2 * warmup_steps, _FEWEST_STEPS)
    low = max(law.reach["smallest"] / _BEYOND, flops / per_step / longest)
    high = min(law.reach["largest"] * _BEYOND, flops / per_step / least)
    if low >= high:
        small, large = law.reach["smallest"] / _BEYOND, law.reach["largest"] * _BEYOND
        cheap, dear = per_step * small * least, per_step * large * longest
        raise ValueError(
            f"{flops:.3g} flops at {batch:g} tokens per step leave no size between {small:.3g} and "
            f"{large:.3g} parameters a run of {least:g} to {longest:g} steps, of which the law "
            f"says something: ask for {cheap:.2g} to {dear:.2g} flops, or give a "
            f"{'larger' if flops >= dear else 'smaller'} batch (--tokens-per-step)."
        )
    sizes = np.geomspace(low, high, _SIZES)
    rates = [_falling(law, n, flops / per_step / n, warmup_steps) for n in sizes]

    def final(vector: np.ndarray) -> np.ndarray:
        out = []
        for n, (rate, steps) in zip(sizes, rates, strict=True):
            clock = law.units.at(n).clock(rate, np.array([steps]))
            out.append(law.form.evaluate(vector, law.units.log_size(n), clock)[0][0])
        return np.array(out)

    losses = final(law.vector)
    params = _lowest(sizes, losses)
    found = [_lowest(sizes, final(vector)) for vector in law.replicas]
    ends = (float(np.quantile(found, 0.05)), float(np.quantile(found, 0.95))) if found else None
    steps = flops / per_step / params
    schedule = best_schedule(law.at(params), steps, warmup_steps=warmup_steps)
    bound = ""
    if params <= sizes[0] * 1.001 or params >= sizes[-1] * 0.999:
        side = "smallest" if params <= sizes[0] * 1.001 else "largest"
        looked = f"{sizes[0]:.3g} to {sizes[-1]:.3g}"
        bound = f"the {side} size looked at ({looked}): a bound, no optimum"
    return JointPlan(
        flops,
        params,
        ends,
        steps * batch,
        steps,
        schedule,
        bound,
        {
            "params": max(params / law.reach["largest"], law.reach["smallest"] / params, 1.0),
            "steps": max(steps / law.units.steps, 1.0),
        },
        sizes,
        losses,
    )


def _falling(law: JointLaw, size: float, steps: float, warmup: float) -> tuple[Rate, float]:
    """The highest rate of this size, falling to the lowest fitted share in the last fifth."""
    peak = law.units.at(size).rate
    knots = np.array([warmup, steps - _DECAY * (steps - warmup), steps])
    lr = peak * np.array([1.0, 1.0, law.reach["lowest_rate"]])
    return Rate(knots, lr, lr, warmup), steps


def _lowest(sizes: np.ndarray, losses: np.ndarray) -> float:
    """Size of the lowest loss, between the looks by a parabola in log size."""
    i = int(np.argmin(losses))
    if i in (0, len(sizes) - 1):
        return float(sizes[i])
    x, y = np.log(sizes[i - 1 : i + 2]), losses[i - 1 : i + 2]
    curvature = y[0] - 2 * y[1] + y[2]
    shift = 0.5 * (y[0] - y[2]) / curvature if curvature > 0 else 0.0
    return float(math.exp(x[1] + shift * (x[1] - x[0])))
