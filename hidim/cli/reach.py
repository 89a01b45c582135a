"""What a law adds to a plan, and how far the plan reaches beyond what the law was fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hidim.algorithms.words import read_words, with_warmup
from hidim.fitting.logs.planned import planned
from hidim.fitting.logs.rates import rate_from_schedule
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw

_APART = 0.005  # of the length of the fitted runs: another warm-up than theirs


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


def warmup_apart(law: FittedLaw, steps: float) -> tuple[str, ...]:
    """A note where the warm-up is none that the fitted runs had: no number of reach tells it."""
    curves = law.provenance.get("curves", ())
    found = [max(float(c.get(k, 0.0)) for k in ("warmup_steps", "ready_step")) for c in curves]
    if not found:
        return ()
    low, high = min(found), max(found)
    off = max(low / 1.1 - steps, steps - 1.1 * high)
    if off <= _APART * law.units.steps:
        return ()
    had = f"{low:g}" if high <= 1.1 * low else f"{low:g} to {high:g}"
    return (
        f"the warm-up ends at step {steps:g}, in the fitted runs at {had}: they do not say what "
        "another one changes, and the band leaves it out",
    )


def reach_text(reach: dict[str, float]) -> str:
    """How far a forecast goes beyond the fitted runs, in one line."""
    words = {
        "steps": "optimizer steps",
        "time": "intrinsic time",
        "peak_rate": "peak learning rate",
        "lowest_rate": "depth of decay",
        "params": "size of the model",
    }
    beyond = [
        "decays to zero" if np.isinf(v) else f"{words[k]} {v:.3g} x"
        for k, v in reach.items()
        if v > 1.005
    ]
    if not beyond:
        return "inside what the fitted runs cover"
    return "extrapolates beyond the fitted runs: " + ", ".join(beyond)


def beside(
    law: FittedLaw, texts: Sequence[str], steps: float, warmup: float
) -> dict[str, dict[str, float]]:
    """Final loss and band of schedules in words, each to the same last step.

    Those that do not say how long they are, or their warm-up, have those of the plan.
    """
    found = {}
    end = np.array([float(steps)])
    for text in texts:
        kind, _, rest = text.strip().partition(" ")
        said = "steps=" in rest.replace(" ", "") or kind.lower().startswith("file:") or "(" in text
        words = read_words(text if said else f"{text.rstrip(' ,')} steps={steps:.12g}")
        words, left = with_warmup(words, warmup if words.warmup is None else 0.0)
        rate = rate_from_schedule(words.schedule, float(steps), warmup_steps=left)
        low, high = law.band(rate, end)
        loss = float(law.predict(rate, end)[0])
        found[text] = {"loss": loss, "low": float(low[0]), "high": float(high[0])}
    return found


def beside_text(found: dict[str, dict[str, float]]) -> list[str]:
    """The same, a line each."""
    return [
        f"{text}: {one['loss']:.4f} ({one['low']:.4f} to {one['high']:.4f})"
        for text, one in found.items()
    ]
