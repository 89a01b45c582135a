"""Does the loss of a run jump for good at some step, where its rate does not?

A smooth law takes a change of data, batch or unit for its own curve, and its errors then lie to
one side before the step and to the other after it. What is left of the log loss after the fit is
compared over some rows before and after every step, with how far such differences go elsewhere in
the run, so that noise that is like from row to row does not count.
Limits: jumps below 0.7 %, and runs of fewer than 40 rows, are not told.
"""

from __future__ import annotations

import math

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.search import settled

_ROWS = 40
_BINS = 160
_SHARE = 16  # of the rows of a run is compared on either side
_LEAST = 0.007  # of the loss
_FOLD = 5.0  # times as far as differences go elsewhere
_LASTS = 0.5  # share of the jump that is still there later
_UNIT = 0.25  # of the log loss, from which on a jump is of the unit
_SUDDEN = 0.03  # of the highest rate, by which a rate that is no jump's reason may change


def jump_of(steps: np.ndarray, log_loss: np.ndarray, lr: np.ndarray) -> tuple[float, float] | None:
    """Step of the first row after the largest jump, and the jump in log loss; None without one.

    Args:
        steps: of the rows, shape (n,).
        log_loss: what a law leaves of it, measured less predicted, shape (n,).
        lr: rate, shape (n,).
    """
    if len(steps) < _ROWS:
        return None
    parts = np.array_split(np.arange(len(steps)), min(len(steps), _BINS))
    left = np.array([np.median(log_loss[part]) for part in parts])
    rate = np.array([lr[part[-1]] for part in parts])
    width = max(len(left) // _SHARE, 4)
    places = np.arange(width, len(left) - width + 1)
    before, after, later = (
        np.array([np.median(left[i + a : i + b]) for i in places])
        for a, b in ((-width, 0), (0, width), (width // 2, 2 * width))
    )
    jumps = after - before
    # Beside what the errors drift around it, too: few rows bend a law far to meet a jump.
    drift = np.pad(jumps, width, mode="edge")
    beside = jumps - (drift[: len(jumps)] + drift[2 * width :]) / 2
    changes = np.concatenate([[0.0], np.abs(np.diff(rate)) > _SUDDEN * rate.max()])
    calm = np.array([not changes[i - width : i + width].any() for i in places])
    lasting = calm & ((later - before) * np.sign(jumps) > _LASTS * np.abs(jumps))
    found = []
    for moved in (jumps, beside):
        usual = 1.4826 * float(np.median(np.abs(moved)))
        size = np.where(lasting, np.abs(moved), 0.0) / max(_LEAST, _FOLD * usual)
        found.append((float(size.max()), int(np.argmax(size))))
    fold, best = max(found)
    if fold < 1:
        return None
    return float(steps[parts[places[best]][0]]), float(jumps[best])


def told_jump(run: Run, steps: np.ndarray, error: np.ndarray) -> str:
    """That a run jumps beside its law, in a sentence; "" where it does not.

    Args:
        run: a fitted run.
        steps: of its rows after the transient, shape (n,).
        error: predicted over measured loss there, its log, shape (n,).
    """
    found = jump_of(steps, -error, run.lr[np.searchsorted(run.steps, steps)])
    if found is None:
        return ""
    return (
        f"the loss of {run.label} jumps by {np.expm1(found[1]):+.1%} at step {found[0]:,g}, where "
        "its rate does not: other data, or another batch, from there on? The law takes the jump "
        "for its own: end the log before that step."
    )


def changed_unit(run: Run) -> str:
    """That the losses of a run are in another unit from some step on; "" where they are not."""
    keep = run.steps >= settled(run)
    found = jump_of(run.steps[keep], np.log(run.measured()[keep]), run.lr[keep])
    if found is None or abs(found[1]) < _UNIT:
        return ""
    way = "higher" if found[1] > 0 else "lower"
    return (
        f"its losses are {math.exp(abs(found[1])):.2g} times {way} from step {found[0]:,g} on: "
        "summed over accumulation steps, or divided by them, on one side? End its log before that "
        "step, or make both alike."
    )
