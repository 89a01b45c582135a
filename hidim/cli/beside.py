"""Where do other schedules end that are set beside a plan, and are they its like?

Each is counted at the plan's last step, one that ends before at its own; one of another length,
peak or warm-up, or beyond what the law was fitted to, says so in its line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.algorithms.words import Words, read_words, with_warmup
from hidim.cli.reach import reach_text, refuse_steps, refuse_units, warmup_apart
from hidim.fitting.logs.rates import Rate, rate_from_schedule
from hidim.fitting.schedules.law import FittedLaw

_NOTHING = 1e-9  # share of the peak that is no rate
_SAME = 0.005  # lengths and peaks within this share are one


def beside(
    law: FittedLaw, texts: Sequence[str], steps: float, warmup: float, peak: float
) -> dict[str, dict[str, Any]]:
    """Loss and band of schedules in words at the end of a plan of so many steps.

    Those that do not say how long they are, or their warm-up, have those of the plan.

    Args:
        law: of the plan.
        texts: the schedules.
        steps: last step of the plan.
        warmup: its warm-up.
        peak: its highest rate.

    Raises:
        ValueError: no schedule, or one in another unit than the fitted runs.
    """
    return {text: _one(law, text, float(steps), warmup, peak) for text in texts}


def _one(law: FittedLaw, text: str, steps: float, warmup: float, peak: float) -> dict[str, Any]:
    words = read_words(text, steps=steps)
    length = _length(words, steps)
    refuse_steps(law, repr(text), length)
    words, left = with_warmup(words, warmup if words.warmup is None else 0.0)
    end = min(length, steps)
    rate = rate_from_schedule(words.schedule, end, warmup_steps=left)
    at = np.array([end])
    refuse_units(law, repr(text), rate, length)
    reach = law.extrapolation(rate, at)
    low, high = law.band(rate, at)
    loss = float(law.predict(rate, at)[0])
    notes = _notes(law, words, rate, (length, steps), peak)
    if (told := reach_text(reach)) != reach_text({}):
        notes.append(told)
    return {
        "loss": loss,
        "low": float(low[0]),
        "high": float(high[0]),
        "step": end,
        "notes": notes,
        "extrapolation": reach,
    }


def _length(words: Words, steps: float) -> float:
    """How long a schedule is: as it says, or to where its formula last changes beyond the plan, or
    before it to nothing."""
    if words.steps is not None and math.isfinite(words.steps):
        return words.steps
    bends = [b for b in words.schedule.breakpoints if math.isfinite(b)]
    if not bends or words.meant:
        return steps
    over = max(bends)
    before, after = (words.schedule(np.linspace(a, b, 9)) for a, b in ((0, over), (over, steps)))
    ended = over < steps and float(np.max(after)) < _NOTHING * float(np.max(before))
    return over if over > steps or ended else steps


def _notes(
    law: FittedLaw, words: Words, rate: Rate, lengths: tuple[float, float], peak: float
) -> list[str]:
    """What sets a schedule apart from the plan."""
    length, steps = lengths
    notes = [f"read as {words.read_as}"] if words.read_as else []
    if length > (1 + _SAME) * steps:
        notes.append(
            f"cut at the plan's step {steps:,.0f}, where it is not over: it runs to {length:,.0f}, "
            f"{length / steps:.3g} x as long"
        )
    elif length < (1 - _SAME) * steps:
        notes.append(
            f"at its own end, step {length:,.0f}: it has {length / steps:.3g} of the plan's "
            f"{steps:,.0f} steps"
        )
    if abs(rate.peak / peak - 1) > _SAME:
        notes.append(f"its peak is {rate.peak:.4g}, that of the plan {peak:.4g}")
    return [*notes, *warmup_apart(law, rate.ready_step, length)]


def beside_text(found: dict[str, dict[str, Any]]) -> list[str]:
    """The same, a line each."""
    return [
        f"{text}: {one['loss']:.4f} ({one['low']:.4f} to {one['high']:.4f})"
        + "".join(f"; {note}" for note in one["notes"])
        for text, one in found.items()
    ]
