"""Which run does a schedule in words describe, before a step of it is done?"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from hidim.algorithms.words import Words, read_words, with_warmup
from hidim.curve import Curve
from hidim.fitting.logs.inputs import given_run
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.support.checks import non_negative

_ROWS = 200


def planned(text: str, *, warmup_steps: float | None = None, steps: float | None = None) -> Reading:
    """A run to come, at some two hundred steps evenly to its end and where the schedule bends.

    Args:
        text: the schedule in words, such as "cosine peak=3e-4 warmup=2000 steps=24000".
        warmup_steps: linear warm-up where the words say none; None for not known.
        steps: length of the run where the words say none.

    Raises:
        ValueError: no schedule, or nobody says how long it is.

    >>> float(planned("cosine peak=3e-4 end=3e-5 steps=1000").run.steps[-1])
    1000.0
    """
    words = read_words(text, steps=steps)
    last = words.steps if words.steps is not None else steps
    if last is None or not math.isfinite(last):
        raise ValueError(
            f"the schedule {text!r} does not say how long the run is: add steps=24000."
        )
    return planned_run(words, float(last), warmup_steps)


def planned_run(words: Words, last: float, warmup_steps: float | None) -> Reading:
    """The same, of words that were read."""
    given = None if warmup_steps is None else non_negative("warmup_steps", warmup_steps)
    said = given is not None or words.warmup is not None
    words, warmup = with_warmup(words, given or 0.0)
    bends = [b for b in words.schedule.breakpoints if 0 < b < last]
    even = np.linspace(0.0, last, min(_ROWS, max(int(last), 1)) + 1)[1:]
    steps = np.unique(np.concatenate([np.round(even), bends if len(bends) < _ROWS else []]))
    steps = np.unique(np.append(steps[steps < last], last))
    lr = np.asarray(words.schedule(steps), dtype=np.float64)
    label = words.text
    if words.text.lower().startswith("file:"):
        label = os.path.splitext(os.path.basename(words.text))[0]
    notes = (f"the schedule is read as {words.read_as}",) if words.read_as else ()
    run = Run(steps, lr, None, warmup, label, notes, schedule=words.schedule)
    known = said or bool(run.rate.ready_step)
    lines = (f"{label}: a schedule to step {last:,.6g}", "  no loss", "  nothing mended")
    return Reading(run, lines, known, words)


def given_plan(value: Any, warmup_steps: float | None) -> Run:
    """The argument `plan` as a run: the same, or words, with this warm-up where they say none."""
    if isinstance(value, str):
        said = read_words(value).warmup is not None
        return planned(value, warmup_steps=None if said else warmup_steps).run
    if value is None:
        raise ValueError("`plan` is needed, how the run goes on: 'cosine peak=3e-4 steps=24000'.")
    if callable(value) and not isinstance(value, Curve):
        raise ValueError("`plan` must say where it ends: a Run of its steps and lr, or words.")
    return given_run("plan", value, loss="optional")
