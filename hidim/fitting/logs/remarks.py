"""What of a log is no mistake of its format, and yet to be refused or remarked?

Losses above those of a guess, steps beyond the end of the schedule, a rate that is not the
schedule's, rows that err alike.
"""

from __future__ import annotations

import math
import re

import numpy as np

from hidim.algorithms.words import Words
from hidim.fitting.logs import repairs
from hidim.fitting.logs.averages import looks_smoothed
from hidim.fitting.logs.how import How
from hidim.fitting.logs.names import is_smoothed, normal
from hidim.fitting.logs.parts import COUNTED, Cells
from hidim.fitting.logs.repairs import Rows
from hidim.support.checks import positive

_STILL = 10  # rows of one loss that are no accident, where few neighbours else are equal
_EQUAL = 0.05
_FALLS = 3  # from digit to digit that are no accident
_AGREE = 0.02  # a logged rate and its schedule may differ by this share of the peak
_AT_ONCE = 0.01  # a first row within this share of the run is of a model that guesses
_NEAR = 0.15  # of a power of two
_MICRO = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 128, 256)  # to an optimizer step
_LOOKED_AT, _MOVES = 2000, 0.1  # rows, and by how much of their peak their rates must change
_ACCUMULATED = 256  # more accumulation steps than this are another thing
_TINY = 1e-3  # nats that no text takes per token
_GUESS = 12.6  # nats: the loss of a guess among 300,000 tokens


def plausible_level(rows: Rows, how: How) -> None:
    """A mean loss per token above that of a guess is no such loss."""
    assert rows.loss is not None
    late = float(np.median(rows.loss[-max(len(rows.loss) // 10, 1) :]))
    if how.vocabulary is None:
        if late > _GUESS:
            rows.notes.append(
                f"the last losses, about {late:.3g}, are above those of guessing among 300,000 "
                "tokens: summed over accumulation steps, or not in nats? --loss-scale"
            )
        if float(rows.loss.max()) < _TINY:
            rows.notes.append(
                f"the losses are below {_TINY:g}: cross-entropies divided by the vocabulary, or by "
                "their tokens twice? --loss-scale (other losses may be so small)"
            )
        return
    guess = math.log(positive("vocabulary", how.vocabulary))
    if late <= guess:
        return
    power = math.log2(float(rows.loss[0]) / guess)
    factor = 2 ** max(round(power), 1)
    # A first row that guesses tells the factor; one of later steps does so by luck alone.
    guessed = rows.step[0] <= _AT_ONCE * rows.step[-1] or abs(power - round(power)) < _NEAR
    if guessed and factor <= _ACCUMULATED:
        why = f"multiplied by {factor} accumulation steps, as its first row says?"
        remedy = f"--loss-scale {1 / factor:.6g}"
    else:
        why = "in percent, a perplexity, or summed over accumulation steps or tokens?"
        remedy = "--loss-scale 1/COUNT makes it a mean; a column called perplexity is read as one"
    raise ValueError(
        f"the last losses of {rows.source!r}, about {late:.3g}, are above {guess:.3g}, the loss of "
        f"guessing among {how.vocabulary:g} tokens: {why} {remedy}."
    )


def same_length(rows: Rows, words: Words, *, whole: bool) -> None:
    """Steps beyond the end of the schedule are counted in something else; in what, its rate says,
    or its length if this is the `whole` run."""
    last = float(rows.step[-1])
    if words.steps is None or last <= 1.02 * words.steps:
        return
    scale, does = _scale_of(rows, words), "makes its rates those of the schedule"
    if scale is None and whole:
        scale, does = words.steps / last, "makes them as long"
    if scale is None:
        remedy = "--step-scale X, X being steps per count: 1/8 for 8 micro-steps, as 0.125."
    else:
        remedy = f"--step-scale {scale:.6g} {does}."
    raise ValueError(
        f"{rows.source!r} goes on to step {last:,.0f}, beyond the {words.steps:,.0f} of the "
        f"schedule: counted in micro-steps or tokens? {remedy} Or is the schedule longer, "
        f"steps={last:.12g} or more?"
    )


def _scale_of(rows: Rows, words: Words) -> float | None:
    """Steps per count for which logged rates are the schedule's; None where none or many are."""
    if rows.lr is None or words.steps is None:
        return None
    known = np.flatnonzero(~np.isnan(rows.lr))
    known = known[np.unique(np.linspace(0, len(known) - 1, min(len(known), 200)).astype(int))]
    step, lr = rows.step[known], rows.lr[known]
    low, high = 0.01 * words.steps / rows.step[-1], words.steps / rows.step[-1]
    for round_ in range(4):
        scales = np.geomspace(low, high, 100)
        far = np.array([np.max(np.abs(words.schedule(step * x) - lr)) for x in scales])
        near = int(np.argmin(far))
        low, high = scales[max(near - 1, 0)], scales[min(near + 1, 99)]
        if round_ == 0:
            alike = np.flatnonzero(far < _AGREE * np.max(lr))
            if len(alike) and scales[alike[-1]] > 1.2 * scales[alike[0]]:
                return None  # a constant rate has them all
    return float(scales[near]) if far[near] < _AGREE * np.max(lr) else None


def _apart(rows: Rows, words: Words, warmup: float, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Which logged rates are not the schedule's at `scale` times their steps, and the latter."""
    assert rows.lr is not None
    step = rows.step * scale
    planned = np.asarray(words.schedule(step), dtype=np.float64)
    # A row may speak of the step before it, or after it.
    near = [np.abs(words.schedule(np.maximum(step + k, 0)) - rows.lr) for k in (-1, 0, 1)]
    apart = np.min(near, axis=0) > _AGREE * planned.max()  # never where no rate is logged
    return apart & (step >= 1.25 * warmup), planned


def _micro(rows: Rows, words: Words, warmup: float) -> int:
    """How many steps of a log are one of the schedule, by its rates after the warm-up; 0 where no
    such count is right, or they stand still."""
    assert rows.lr is not None
    known = np.flatnonzero(~np.isnan(rows.lr))
    some = known[np.unique(np.linspace(0, len(known) - 1, _LOOKED_AT).astype(np.int64))]
    few = Rows(rows.source, rows.step[some], None, rows.lr[some])
    assert few.lr is not None
    for micro in _MICRO:
        after = few.step >= 1.25 * warmup * micro
        moves = np.ptp(few.lr[after]) if after.any() else 0.0
        if moves > _MOVES * few.lr.max() and not np.any(_apart(few, words, warmup, 1 / micro)[0]):
            return micro
    return 0


def agreeing(part: Cells, words: Words, warmup: float) -> None:
    """A schedule beside a logged rate must be what was logged."""
    rows = part.rows
    if rows.lr is None:
        return
    apart, planned = _apart(rows, words, warmup, 1.0)
    if not np.any(apart):
        return
    at = int(np.flatnonzero(apart)[0])
    if micro := _micro(rows, words, warmup):
        raise ValueError(
            f"the rates of {rows.source!r} are the schedule's where {micro} of its steps are one: "
            f"does it count micro-steps? --step-scale {1 / micro:.6g}."
        )
    last, hint = float(rows.step[-1]), ""
    if words.steps is not None and repairs.usual_width(rows.step) == 1 and last < words.steps / 5:
        hint = f" Or its steps count rows: --step-scale {words.steps / last:.6g}."
    raise ValueError(
        f"{rows.source!r} logs its rate, column {part.names['lr']!r}, and it is not the schedule's "
        f"from step {rows.step[at]:g} on: {rows.lr[at]:.4g} logged, {planned[at]:.4g} in the "
        "schedule. Leave the schedule out, or say that the column does not count, --columns lr=-."
        + hint
    )


def _standing(loss: np.ndarray) -> tuple[int, int] | None:
    """First and last row of a long stretch of one loss, where rows else differ from row to row."""
    same = np.diff(loss) == 0
    ends = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    if not len(ends):
        return None
    starts, stops = ends[::2], ends[1::2]
    i = int(np.argmax(stops - starts))
    length = int(stops[i] - starts[i])
    if length + 1 < _STILL or np.count_nonzero(same) - length > _EQUAL * (len(same) - length):
        return None
    return int(starts[i]), int(stops[i])


def _rounded(lr: np.ndarray) -> bool:
    """Whether rates are a smooth fall that was cut to one digit: 3e-4, 2e-4, 1e-4, 9e-5, ...

    What rises before it is a warm-up, whose rows are too few to tell.
    """
    lr = lr[int(np.argmax(lr)) :] if len(lr) else lr
    changed = np.flatnonzero(np.diff(lr)) if len(lr) else np.zeros(0, dtype=int)
    high, low = lr[changed], lr[changed + 1] if len(changed) else lr[:0]
    if len(changed) < _FALLS or np.any(low >= high):
        return False
    unit = 10.0 ** np.floor(np.log10(high * (1 + 1e-9)))
    digits = high / unit
    below = np.where(np.isclose(digits, 1.0), 0.9 * unit, high - unit)
    cut = np.isclose(low, below, rtol=1e-6) | (np.isclose(digits, 1.0) & (low == 0.0))
    return bool(np.all(np.isclose(digits, np.round(digits), rtol=1e-6)) and np.all(cut))


def only_rounded(rows: Rows, words: Words) -> bool:
    """Whether a logged rate is the schedule's, cut to one digit where it was written."""
    lr = rows.lr
    if lr is None or np.isnan(lr).any() or not _rounded(lr):
        return False
    unit = 10.0 ** np.floor(np.log10(np.maximum(lr, 1e-300) * (1 + 1e-9)))
    return bool(np.all(np.abs(words.schedule(rows.step) - lr)[lr > 0] <= unit[lr > 0]))


def _groups(name: str, part: Cells) -> list[str]:
    """Columns of the rates of other parameter groups, unless they are known to be the same."""
    first = re.fullmatch(r"(.*group_?|.*lr_|.*rate_)0", normal(name))
    if first is None:
        return []
    columns = part.log.columns
    return [
        other
        for other in part.log.known
        if re.fullmatch(re.escape(first[1]) + r"\d+", normal(other))
        and other != name
        and not (other in columns and list(columns[other]) == list(columns[name]))
    ]


def asides(part: Cells, how: How, kind: str) -> list[str]:
    """What is not mended, and worth a look."""
    notes, rows = [], part.rows
    names, columns = part.names, part.log.columns
    if names["step"] == COUNTED:
        notes.append("steps are counted: epochs, each in its middle, or rows times --step-scale")
    if normal(names["step"]) != "_step" and "_step" in columns:
        notes.append(f"steps are column {names['step']!r}, not '_step'")
    elif normal(names["step"]) == "_step" and how.step_scale is None:
        notes.append("steps are '_step', W&B's count of log calls: --step-scale N if each is N")
    elif part.log.name == "W&B export" and repairs.usual_width(rows.step) == 1:
        notes.append("the steps of an export count log calls: --step-scale N if each is N")
    if rows.loss is not None and (still := _standing(rows.loss)):
        first, last = rows.step[still[0]], rows.step[still[1]]
        notes.append(
            f"the loss is the same in {still[1] - still[0] + 1} rows, steps {first:,.6g} to "
            f"{last:,.6g}: a log that stood still, or values filled in?"
        )
    if rows.loss is not None and kind == "no":
        name = names.get("loss", "")
        if is_smoothed(name):
            notes.append(
                f"{name!r} looks like a moving average: --averaged ema:B undoes it, with the decay "
                "B that its program has (over rows; ema:B/step over steps)"
            )
        elif looks_smoothed(rows.loss):
            notes.append(
                "neighbouring losses err alike, as in moving averages: --averaged ema:B undoes one"
            )
    if "lr" in names and "lr" not in how.columns and (others := _groups(names["lr"], part)):
        notes.append(
            f"{', '.join(map(repr, others))} {'are' if others[1:] else 'is'} the rate of other "
            "parameters: --columns lr=NAME takes it"
        )
    if how.schedule is None and rows.lr is not None and _rounded(rows.lr):
        notes.append(
            "the rate goes down in units of its only digit, as if rounded where it was written: "
            "--columns lr=- --schedule WORDS says it in full"
        )
    return notes
