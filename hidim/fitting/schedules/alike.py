"""Do runs of one model have one loss for as long as they have one learning rate?

They do, up to noise. Where one lies above the other by a factor from the start, the factor says
what it is: bits for nats, percent, losses summed over accumulation steps, a perplexity.
Limits: runs that share no stretch of their schedules are not compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.search import settled

_POINTS = 128
_FEWEST = 6  # points of a stretch that both have
_SAME = 0.02  # of the rate and of the intrinsic time
_APART = 0.1  # of the loss, from which on two runs are not alike
_STEADY = 0.1  # by which a factor, or the logarithm of a perplexity, may scatter, a share of itself
_FACTORS = [2.0**k for i in range(1, 9) for k in (i, -i)]  # micro-steps in a step
_NEXT = 0.03  # of the log loss, by which a run may go on otherwise than it ended
_ORDER = 0.6  # change from row to row over the spread of all, 0.95 where rows are shuffled
_TOKENS = 1000.0  # times as many steps as no two runs of one law have
_ROWS = 3.0  # between the last of a log and the first of one that goes on from it
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

    So they are where both have one loss, and one rate, at steps so counted. A warm-up is counted so
    too if the log has it, and not if it was told for all.
    """
    for other in runs:
        if other is run:
            continue
        for factor in (*_FACTORS, *_spacings(run, other)):
            for warmup in dict.fromkeys((run.warmup_steps / factor, run.warmup_steps)):
                if warmup < run.steps[-1] / factor and _is_one(run, other, factor, warmup):
                    said, log = f"its steps are {factor:g} times those of {other.label}", "this"
                    if factor < 1:
                        said = f"the steps of {other.label} are {1 / factor:g} times its own"
                        log = "that"
                    return (
                        f"{said}, as micro-steps or tokens are? Count both alike: times "
                        f"{min(factor, 1 / factor):g} in the column of {log} log."
                    )
    return ""


def changes_unit(run: Run) -> str:
    """That from one row to the next all losses are some named factor apart, in a sentence, or "".

    Sums over micro-steps that become means, or nats that become bits, in the middle of a log.
    """
    log_loss = np.log(run.measured())
    if len(log_loss) < 2 * _FEWEST:
        return ""
    inside = slice(_FEWEST - 1, len(log_loss) - _FEWEST)
    change = np.diff(log_loss)[inside]
    i = int(np.argmax(np.abs(change))) + _FEWEST
    # What a run falls from row to row anyway, as its neighbours do, is no change of unit.
    before, after = log_loss[i - _FEWEST : i], log_loss[i : i + _FEWEST]
    usual = (before[-1] - before[0] + after[-1] - after[0]) / (2 * (_FEWEST - 1))
    jump = float(np.median(after) - np.median(before)) - _FEWEST * usual
    factor, said = _unit(abs(jump))
    if not said or np.ptp(before) + np.ptp(after) > abs(jump):
        return ""
    if jump > 0 and not _falls(log_loss[i:]):
        return ""  # a run that diverged to guesses stays there
    return (
        f"from step {run.steps[i]:,g} on its losses lie {factor:.4g} times "
        f"{'above' if jump > 0 else 'below'} those to step {run.steps[i - 1]:,g}, at once: {said} "
        "Bring one of both into the unit of the other in its loss column."
    )


def goes_on_in(run: Run, runs: Sequence[Run]) -> str:
    """That a run goes on in another log in another unit of the loss, in a sentence, or "".

    So it does where a log begins a few rows after another ends, at its rate, and one log of both
    would change its unit there.
    """
    for other in runs:
        early, late = sorted((run, other), key=lambda one: float(one.steps[0]))
        if other is run or min(len(early.steps), len(late.steps)) < 2:
            continue
        width = max(float(np.median(np.diff(one.steps))) for one in (early, late))
        slack = _SAME * max(early.rate.peak, late.rate.peak) + abs(late.lr[1] - late.lr[0])
        gap = float(late.steps[0] - early.steps[-1])
        if not 0 < gap <= _ROWS * width or abs(late.lr[0] - early.lr[-1]) > slack:
            continue
        whole = Run(
            np.concatenate([early.steps, late.steps]),
            np.concatenate([early.lr, late.lr]),
            np.concatenate([early.measured(), late.measured()]),
        )
        if said := changes_unit(whole):
            return f"{late.label} goes on where {early.label} ends, and {said}"
    return ""


def _falls(log_loss: np.ndarray) -> bool:
    """Whether the second half of these rows lies below the first, beyond their scatter."""
    early, late = np.array_split(log_loss, 2)
    scatter = np.sqrt(np.var(np.diff(log_loss)) / 2 * (1 / len(early) + 1 / len(late)))
    return bool(np.mean(early) - np.mean(late) > 3 * scatter)


def _unit(jump: float) -> tuple[float, str]:
    """The factor and the name of a change of the log loss, if it has one."""
    bits = -math.log(math.log(2))
    if abs(jump - bits) < _NEXT:
        return math.exp(bits), "nats on one side of it, bits on the other?"
    count = 2 ** round(jump / math.log(2))
    if count > 1 and abs(jump - math.log(count)) < 2 * _NEXT:
        return count, f"summed over {count} accumulation steps on one side of it?"
    return 1.0, ""


def _spacings(run: Run, other: Run) -> list[float]:
    """What the steps of a run may count beside those of another by where its rows lie."""
    if min(len(run.steps), len(other.steps)) < _FEWEST:
        return []
    ends = float(run.steps[-1] / other.steps[-1])
    apart = float(np.median(np.diff(run.steps)) / np.median(np.diff(other.steps)))
    return [factor for factor in dict.fromkeys((ends, apart)) if abs(math.log(factor)) > _APART]


def _is_one(run: Run, other: Run, factor: float, warmup: float) -> bool:
    """Whether a run whose steps count `factor` has the loss of another where it has its rate."""
    scaled = Run(run.steps / factor, run.lr, run.loss, warmup, run.label)
    found = _together(scaled, other)
    if found is None:
        return False
    ratio = np.log(found[1] / found[2])
    return float(np.median(np.abs(ratio))) < _KNOWN and float(np.std(ratio)) < 2 * _KNOWN


def began_again(runs: Sequence[Run]) -> str:
    """That the count of a run began again where another ends, in a sentence; "" where none did.

    Its first rows have the rate and the loss of the other's last, far below those of its first.
    """
    for before, run in permutations(runs, 2):
        last, early = float(before.steps[-1]), run.steps < 0.1 * before.steps[-1]
        log_loss = np.log(run.measured())
        shuffled = np.median(np.abs(np.diff(log_loss))) > _ORDER * np.std(log_loss)
        if np.count_nonzero(early) < 2 or len(before.steps) < _FEWEST or shuffled:
            continue
        slack = _SAME * before.rate.peak + abs(before.lr[-1] - before.lr[-2])
        ends, begins = (np.log(np.median(x)) for x in (before.measured()[-3:], run.measured()[:3]))
        there = np.interp(run.steps[early], before.steps, np.log(before.measured()))
        if abs(run.lr[0] - before.lr[-1]) > slack or abs(begins - ends) > _NEXT:
            continue
        if np.median(there - log_loss[early]) > _APART:
            return (
                f"{run.label} begins with the rate and the loss at which {before.label} ends: a "
                f"count that began again? Add {last:g} to its steps."
            )
    return ""


def counts_tokens(runs: Sequence[Run]) -> str:
    """That the steps of a run are thousands of times those of another, in a sentence, or ""."""
    short, long = (pick(runs, key=lambda run: float(run.steps[-1])) for pick in (min, max))
    ratio = float(long.steps[-1] / short.steps[-1])
    if ratio < _TOKENS:
        return ""
    ready = long.rate.ready_step / max(short.rate.ready_step, 1.0)
    factor = ready if ready > _TOKENS else ratio
    return (
        f"{long.label} goes on to step {long.steps[-1]:,g}, {short.label} to "
        f"{short.steps[-1]:,g}: another unit, tokens beside optimizer steps? Count both alike: "
        f"times about {1 / factor:.2g} in the column of {long.label}."
    )


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
    return (
        "in another unit, shuffled, of another model, or of other data? Runs of several sizes go "
        "together by --params, the size of each."
    )


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
