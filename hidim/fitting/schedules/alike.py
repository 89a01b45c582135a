"""Do runs of one model have one loss for as long as they have one learning rate?

They do, up to noise. Where one lies above the other by a factor from the start, the factor says
what it is: bits for nats, percent, losses summed over accumulation steps, a perplexity.
Limits: runs that share no stretch of their schedules are not compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.search import settled

_POINTS = 128
_FEWEST = 6  # points of a stretch that both have
_SAME = 0.02  # of the rate and of the intrinsic time
_APART = 0.1  # of the loss, from which on two runs are not alike
_STEADY = 0.1  # by which a factor, or the logarithm of a perplexity, may scatter, a share of itself
_KNOWN = 0.01  # within which a factor is one that has a name


def what_differs(runs: Sequence[Run]) -> str:
    """What tells two runs apart while they have one rate, in a sentence; "" where nothing does.

    A factor counts where it is the same all along: shuffled rows and wrong columns have none.
    """
    worst, said = _APART, ""
    for a, b in combinations(runs, 2):
        found = _together(a, b)
        if found is None:
            continue
        last, one, two = found
        ratio = np.log(two / one)
        apart = float(np.median(ratio))
        logs = float(np.std(np.log(np.maximum(two, 1e-9)) / one)) < _STEADY
        logs |= float(np.std(np.log(np.maximum(one, 1e-9)) / two)) < _STEADY
        if abs(apart) <= worst or not (float(np.std(ratio)) < _STEADY * abs(apart) or logs):
            continue
        worst = abs(apart)
        high, low = (b, a) if apart > 0 else (a, b)
        above, below = (two, one) if apart > 0 else (one, two)
        said = (
            f"{high.label} lies {math.exp(worst):.4g} times above {low.label} while both have one "
            f"rate, to step {last:,.0f}: {_named(math.exp(worst), above, below)}"
        )
    return said


def counts_otherwise(run: Run, runs: Sequence[Run]) -> str:
    """That the steps of a run are a power of two times those of another, in a sentence, or "".

    So they are where the warm-up ends as much later, and the losses are one beside such steps.
    """
    for other in runs:
        # A warm-up that was said is that of both, and their lengths tell.
        told = 0 < run.warmup_steps == other.warmup_steps
        one, two = (float(r.steps[-1]) if told else r.rate.ready_step for r in (run, other))
        if other is run or min(one, two) <= 0:
            continue
        factor = 2.0 ** round(math.log2(one / two))
        if factor == 1 or abs(one / two / factor - 1) > _SAME:
            continue
        warmup = run.warmup_steps / (1.0 if told else factor)
        scaled = Run(run.steps / factor, run.lr, run.loss, warmup, run.label)
        found = _together(scaled, other)
        if found is not None and float(np.median(np.abs(np.log(found[1] / found[2])))) < _KNOWN:
            return (
                f"its steps are {factor:g} times those of {other.label}, as micro-steps are? Count "
                f"both alike: times {1 / factor:g} in the column of this log."
            )
    return ""


def _named(factor: float, above: np.ndarray, below: np.ndarray) -> str:
    if abs(factor * math.log(2) - 1) < _KNOWN:
        return "in bits, and the other in nats?"
    if abs(factor / 100 - 1) < _KNOWN:
        return "in percent?"
    if abs(float(np.median(np.log(np.maximum(above, 1e-9)) / below)) - 1) < _KNOWN:
        return "a perplexity, whose logarithm is the other?"
    power = math.log2(factor)
    if power > 0.5 and abs(power - round(power)) < _KNOWN:
        return f"summed over {2 ** round(power)} accumulation steps?"
    return "in another unit, shuffled, of another model, or of other data?"


def _together(a: Run, b: Run) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Last step of the stretch from the start on in which two runs have one rate, and their losses
    in it; None where it is too short."""
    first = max(settled(a), settled(b), float(a.steps[0]), float(b.steps[0]))
    last = min(float(a.steps[-1]), float(b.steps[-1]))
    if last <= first:
        return None
    at = np.linspace(first, last, _POINTS)
    times = [run.rate.time(at) for run in (a, b)]
    lr = [np.interp(at, run.steps, run.lr) for run in (a, b)]
    peak = max(a.rate.peak, b.rate.peak)
    same = np.abs(times[0] - times[1]) <= _SAME * np.maximum(*times)
    same &= np.abs(lr[0] - lr[1]) <= _SAME * peak
    count = len(same) if same.all() else int(np.argmin(same))
    if count < _FEWEST:
        return None
    found = []
    for run in (a, b):
        steps, log_loss, _ = run.binned(_POINTS)
        if np.count_nonzero((steps >= first) & (steps <= at[count - 1])) < _FEWEST:
            return None
        found.append(np.exp(np.interp(at[:count], steps, log_loss)))
    return float(at[count - 1]), found[0], found[1]
