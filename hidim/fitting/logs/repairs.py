"""What is mended in the rows of a log before they are a run, and what is not?

Rows of one step become one, a resumed run keeps the later of what it logged twice, isolated NaN are
left out, and a rate logged at some steps is read straight between them. Each repair leaves a note;
what could be two things is refused with the option that says which.
Limits: rows are never put into another order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

RESUMED = ("refuse", "keep-last")
_ISOLATED = 3  # NaN rows in a row
_FEW = 0.05  # share of rows, or of the run, that may be missing
_RESTART, _LOST = 0.9, 0.3  # shares of the rows before, and of all, that no resumed run repeats
_SAMPLE = 10_000
_FALLING = 0.9  # share of rows after which the step falls, in no log that goes forward
_MOVED = 0.05  # of the peak, by which a rate moves in a gap that no row tells
_OFTEN = 0.5  # share of steps logged several times from which on it is the way of the log


@dataclass
class Rows:
    """Rows of one log while they are mended; NaN is a blank cell.

    Attributes:
        source: file, for complaints.
        step: shape (n,).
        loss: shape (n,), or None.
        lr: shape (n,), or None.
        notes: what was mended.
    """

    source: str
    step: np.ndarray
    loss: np.ndarray | None
    lr: np.ndarray | None
    notes: list[str] = field(default_factory=list)

    def keep(self, mask: np.ndarray) -> None:
        """Leave out the other rows."""
        self.step = self.step[mask]
        self.loss = None if self.loss is None else self.loss[mask]
        self.lr = None if self.lr is None else self.lr[mask]


def unknown_losses(rows: Rows, name: str, *, drop: bool) -> list[int]:
    """Rows of a loss of 0 (or less) among others, which programs write where it was NaN.

    Raises:
        ValueError: there are some, and they are not to be left out.
    """
    if rows.loss is None:
        return []
    where = np.flatnonzero(rows.loss <= 0)
    if not len(where) or 2 * len(where) > np.count_nonzero(~np.isnan(rows.loss)):
        return []  # no loss column at all is told later
    if not drop:
        raise ValueError(
            f"row {where[0] + 2} of {rows.source!r}, step {rows.step[where[0]]:g}: column {name!r} "
            f"is {rows.loss[where[0]]:g}, as programs write a NaN. A diverged run has no law; end "
            "the file before that row, or leave isolated rows out: --drop-nan."
        )
    return [int(row) for row in where]


def without_nan(rows: Rows, bad: list[int], *, drop: bool) -> None:
    """Leave out rows with a written NaN.

    Raises:
        ValueError: not asked for, or so many, or at the end: a diverged run.
    """
    if not bad:
        return
    where = np.unique(bad)
    if not drop:
        raise ValueError(
            f"row {where[0] + 2} of {rows.source!r} holds NaN. A diverged run has no law; end the "
            "file before that row, or leave isolated rows out: --drop-nan."
        )
    if len(where) == len(rows.step):
        raise ValueError(f"{rows.source!r} holds NaN in every row.")
    longest = max(len(run) for run in np.split(where, np.flatnonzero(np.diff(where) > 1) + 1))
    first = rows.step[where[0]]
    if longest > _ISOLATED or len(where) > _FEW * len(rows.step) or where[-1] >= len(rows.step) - 1:
        raise ValueError(
            f"{rows.source!r} holds {len(where)} NaN, {longest} in a row, the first at step "
            f"{first:g}: a diverged run has no law. End the file before that row."
        )
    mask = np.ones(len(rows.step), dtype=bool)
    mask[where] = False
    rows.notes.append(f"{len(where)} row(s) with NaN left out, the first at step {first:g}")
    rows.keep(mask)


def without_blank_steps(rows: Rows) -> int:
    """Leave out rows without a step; how many there were."""
    blank = np.isnan(rows.step)
    if blank.any():
        rows.keep(~blank)
    return int(blank.sum())


def resumed(rows: Rows, how: str) -> None:
    """Where the step goes back, what was logged before of the steps to come is left out.

    Raises:
        ValueError: it starts again, so that more would be lost than kept.
    """
    back = np.flatnonzero(rows.step[1:] < rows.step[:-1])
    if len(back) > _FALLING * (len(rows.step) - 1):
        raise ValueError(
            f"the step goes back from row to row of {rows.source!r}, from {rows.step[0]:g} to "
            f"{rows.step[-1]:g}: a table upside down, or a wrong column. Sort its rows by step."
        )
    if not len(back) or (how == "refuse" and len(back) > _FEW * len(rows.step)):
        return  # shuffled, if it is no resumed run
    after = np.append(np.minimum.accumulate(rows.step[::-1])[::-1][1:], np.inf)
    keep = rows.step < after
    # Rows of one step that stand together are one row, for merging.
    same = np.append(rows.step[:-1] == rows.step[1:], False)
    for i in np.flatnonzero(same[::-1]):
        place = len(keep) - 1 - i
        keep[place] = keep[place + 1]
    lost = int(np.count_nonzero(~keep))
    first = int(back[np.argmax([np.count_nonzero(~keep[: i + 1]) for i in back])])
    gone = int(np.count_nonzero(rows.step[: first + 1] >= rows.step[first + 1]))
    if gone > _RESTART * (first + 1) and gone > _LOST * len(keep):
        raise ValueError(
            f"the step of {rows.source!r} starts again at row {first + 3} "
            f"({rows.step[first]:g} then {rows.step[first + 1]:g}): a counter that restarts, or "
            "two runs in one file. Give one run per file, with the steps of the whole run, or the "
            "column that tells them apart, --columns run=NAME."
        )
    if how == "refuse":
        return
    rows.notes.append(
        f"resumed {len(back)} time(s), first at step {rows.step[back[0] + 1]:g}: {lost} earlier "
        "row(s) of repeated steps left out"
    )
    rows.keep(keep)


def merged(rows: Rows, how: str) -> None:
    """One row per step, of rows of one step that stand together.

    Metrics logged by themselves are put together; equal repeats are one; several losses of nearly
    every step, as of ranks or micro-steps, are averaged.

    Raises:
        ValueError: a step has two losses or rates.
    """
    same = rows.step[1:] == rows.step[:-1]
    if not same.any():
        return
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    loss, several = _one(rows.loss, starts, len(rows.step))
    lr, unlike = _one(rows.lr, starts, len(rows.step))
    if several.any() and how == "keep-last":
        loss = _last(rows.loss, starts, len(rows.step))
        rows.notes.append(f"{int(several.sum())} step(s) logged twice: the last row kept")
    elif several.any() and several.mean() < _OFTEN:
        _refuse_twice(rows, starts[int(np.flatnonzero(several)[0])])
    elif several.any():
        each = len(rows.step) / len(starts)
        rows.notes.append(f"{each:.3g} losses a step, as of ranks or micro-steps, averaged")
    if unlike.any() and how == "keep-last":
        lr = _last(rows.lr, starts, len(rows.step))
    elif unlike.any():
        _refuse_twice(rows, starts[int(np.flatnonzero(unlike)[0])])
    if not several.any():
        left = len(rows.step) - len(starts)
        whole = all(c is None or not np.isnan(c).any() for c in (rows.loss, rows.lr))
        rows.notes.append(
            f"{left} repeated rows left out"
            if whole
            else f"{left} rows merged into others of their step"
        )
    rows.step, rows.loss, rows.lr = rows.step[starts], loss, lr


def _refuse_twice(rows: Rows, row: int) -> None:
    raise ValueError(
        f"the step repeats at row {row + 3} of {rows.source!r} ({rows.step[row]:g} then "
        f"{rows.step[row + 1]:g}) with other values: a resumed, shuffled or mixed log. Keep one "
        "row per step, in order, or say --resumed keep-last."
    )


def _one(
    values: np.ndarray | None, starts: np.ndarray, count: int
) -> tuple[np.ndarray | None, np.ndarray]:
    """The mean of each group without blanks, and whether it holds more than one value."""
    if values is None:
        return None, np.zeros(len(starts), dtype=bool)
    known = ~np.isnan(values)
    number = np.add.reduceat(known.astype(np.int64), starts)
    high = np.maximum.reduceat(np.where(known, values, -np.inf), starts)
    low = np.minimum.reduceat(np.where(known, values, np.inf), starts)
    unlike = (number > 1) & (high > low)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    mean = np.where(unlike, total / np.maximum(number, 1), high)
    return np.where(number > 0, mean, np.nan), unlike


def _last(values: np.ndarray | None, starts: np.ndarray, count: int) -> np.ndarray | None:
    """The last value of each group that is no blank."""
    if values is None:
        return None
    place = np.where(np.isnan(values), -1, np.arange(count))
    last = np.maximum.reduceat(place, starts)
    return np.where(last >= 0, values[last], np.nan)


def filled_rate(rows: Rows) -> None:
    """A rate at every row with a loss, straight between the steps at which it was logged.

    Raises:
        ValueError: it is missing for longer than a guess may last.
    """
    if rows.lr is None:
        return
    needed = np.ones(len(rows.step), dtype=bool) if rows.loss is None else ~np.isnan(rows.loss)
    hole = needed & np.isnan(rows.lr)
    if not hole.any():
        return
    known = np.flatnonzero(~np.isnan(rows.lr))
    if len(known) == 0:
        raise ValueError(f"{rows.source!r} has a column for the rate and no rate in it.")
    steps, lr = rows.step[known], rows.lr[known]
    span = rows.step[needed][-1] - rows.step[needed][0]
    outside = hole & ((rows.step < steps[0]) | (rows.step > steps[-1]))
    usual = float(np.median(np.diff(steps))) if len(steps) > 1 else 0.0
    far = (
        outside
        & ((rows.step < steps[0] - usual) | (rows.step > steps[-1] + usual))
        & (outside.sum() > _FEW * needed.sum())
    )
    inside = hole & ~outside
    right = np.clip(np.searchsorted(steps, rows.step), 1, max(len(steps) - 1, 1))
    wide = np.zeros(len(rows.step), dtype=bool)
    if len(steps) > 1:
        apart = steps[right] - steps[right - 1] > 2 * _FEW * span
        wide = inside & apart & (lr[right] != lr[right - 1])
    if far.any() or wide.any():
        step = rows.step[np.flatnonzero(far | wide)[0]]
        raise ValueError(
            f"{rows.source!r} has no lr at step {step:g} ({int(hole.sum())} such row(s)): fill the "
            'column, or say the schedule, --schedule "wsd peak=3e-4 ...".'
        )
    if inside.any():
        rows.notes.append(
            f"lr logged at {len(known)} steps, straight between them at {int(inside.sum())} others"
        )
        rows.lr = np.where(inside, np.interp(rows.step, steps, lr), rows.lr)
    if outside.any():
        rows.notes.append(f"{int(outside.sum())} row(s) before or after all rates left out")
        rows.keep(~outside)


def without_blank_losses(rows: Rows, blank_steps: int, total: int) -> None:
    """Leave out rows of other metrics, and say how many."""
    blank = blank_steps
    if rows.loss is not None:
        hole = np.isnan(rows.loss)
        blank += int(hole.sum())
        if hole.all():
            raise ValueError(f"no row of {rows.source!r} has both a step and a loss.")
        if hole.any():
            rows.keep(~hole)
    if blank:
        rows.notes.append(f"{blank} of {total} rows without step or loss left out")


def usual_width(steps: np.ndarray) -> float:
    """Median distance of neighbouring rows, of many rows some thousands."""
    if len(steps) < 2:
        return 0.0
    pick = np.unique(np.linspace(0, len(steps) - 2, min(len(steps) - 1, _SAMPLE)).astype(np.int64))
    return float(np.median(steps[pick + 1] - steps[pick]))


def gaps(steps: np.ndarray, lr: np.ndarray, *, known: bool) -> list[str]:
    """What is missing between the rows, and what is taken of the rate there, unless it is `known`.

    Args:
        steps: of the rows, shape (n,).
        lr: their rates, shape (n,).
        known: the rate between rows is a schedule's.
    """
    if len(steps) < 8:
        return []
    width = np.diff(steps)
    usual, notes = usual_width(steps), []
    wide = np.flatnonzero((width > 10 * usual) & (width > 0.02 * (steps[-1] - steps[0])))
    if len(wide):
        at = int(wide[np.argmax(width[wide])])
        notes.append(
            f"no rows between steps {steps[at]:,.0f} and {steps[at + 1]:,.0f}"
            + (f", and {len(wide) - 1} more gap(s)" if len(wide) > 1 else "")
        )
        # A fall that goes on at both ends of a gap is smooth; where it stands still at one, some
        # step in it is where the rate began or ceased to fall, and no row says which.
        around = np.diff(lr) / width
        moved = np.abs(np.diff(lr)[wide]) > _MOVED * lr.max()
        for i in [] if known else wide[moved]:
            beside = [around[j] for j in (i - 1, i + 1) if 0 <= j < len(around)]
            if min(np.abs(beside)) * width[i] > _MOVED * lr.max():
                continue
            notes.append(
                f"the rate goes from {lr[i]:.3g} at step {steps[i]:,.0f} to {lr[i + 1]:.3g} at "
                f"{steps[i + 1]:,.0f}, taken as straight between: --schedule says where it fell"
            )
    return notes
