"""What a law adds to a plan, and how far the plan reaches beyond what the law was fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hidim.fitting.logs.planned import planned
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw


def warmed(reading: Reading, law: FittedLaw) -> Run:
    """The plan with the warm-up of the fitted runs, where nothing says one."""
    plan = reading.run
    if reading.warmup_known:
        return plan
    steps = known_warmup(law)
    if not steps:
        return plan
    if reading.words is not None and plan.loss is None:
        words = reading.words.text
        plan = planned(words, warmup_steps=steps, steps=float(plan.steps[-1])).run
    else:
        plan = replace(plan, warmup_steps=steps)
    note = f"warm-up of {steps:g} steps, as in the fitted runs: --warmup-steps changes it"
    return replace(plan, notes=(*plan.notes, note))


def known_warmup(law: FittedLaw) -> float:
    """The warm-up of the fitted runs, or a refusal where they differ."""
    if law.warmup_steps is None:
        raise ValueError(
            "the fitted runs differ in their warm-up: say that of the plan, --warmup-steps N "
            "(0 for none)."
        )
    return law.warmup_steps


def reach_text(reach: dict[str, float]) -> str:
    """How far a forecast goes beyond the fitted runs, in one line."""
    words = {
        "steps": "optimizer steps",
        "time": "intrinsic time",
        "peak_rate": "peak learning rate",
        "lowest_rate": "depth of decay",
    }
    beyond = [
        "decays to zero" if np.isinf(v) else f"{words[k]} {v:.3g} x"
        for k, v in reach.items()
        if v > 1.005
    ]
    if not beyond:
        return "inside what the fitted runs cover"
    return "extrapolates beyond the fitted runs: " + ", ".join(beyond)
