"""What was understood of a log: whose it is, which columns count, what was mended?

`read_logs` turns files into readings, one per run: each is a checked Run and three lines to print
before anything is fitted. Files of losses and of rates are joined by the name of their run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.algorithms.words import Words, with_warmup
from hidim.fitting.logs import repairs
from hidim.fitting.logs.averages import centred, logged_schedule, read_average
from hidim.fitting.logs.histories import assumed, begins_late, with_histories
from hidim.fitting.logs.how import How
from hidim.fitting.logs.names import normal, of_validation
from hidim.fitting.logs.parts import Cells, cells_in, cells_of, joined
from hidim.fitting.logs.rates import rate_from_log
from hidim.fitting.logs.remarks import (
    agreeing,
    asides,
    only_rounded,
    plausible_level,
    same_length,
)
from hidim.fitting.logs.repairs import Rows
from hidim.fitting.logs.roles import missing
from hidim.fitting.logs.runs import Run
from hidim.fitting.logs.tables import Log
from hidim.support.checks import positive

# What flags ask for, of a log that is no file.
_IN_MEMORY = (
    (r"Name it: --columns (\w+)=NAME\.", r"Rename it \1."),
    (r"--columns step=\w+ --step-scale STEPS-PER-EPOCH", "step, times the steps of an epoch"),
    (r"--columns (?:(\w+)=\w+|'(\w+)=[^']+')", r"rename it \1\2"),
    (r" Rows logged every N steps: --step-scale N\.", ""),
    (r"--lr RATE, or --schedule .*$", "`lr` for a constant one, or a column lr."),
    (r", or say the schedule, --schedule .*$", "."),
    (r"leave isolated rows out: --drop-nan", "leave isolated rows out"),
    (r", or say --resumed keep-last", ""),
)


_EPOCH = 0.05  # by which the last steps of epochs may differ, a share of them


@dataclass(frozen=True)
class Reading:
    """A run, and what was understood of its log.

    Attributes:
        run: the run.
        lines: three lines for a reader.
        warmup_known: whether the log, or what was said of it, tells the warm-up.
        words: its schedule, where that was given in words.
    """

    run: Run
    lines: tuple[str, str, str]
    warmup_known: bool = False
    words: Words | None = None


def read_logs(
    paths: Sequence[str | os.PathLike[str]], how: How, labels: Sequence[str] | None = None
) -> list[Reading]:
    """The runs of some logs.

    Args:
        paths: one or several files; those with losses alone are joined to those with rates alone.
        how: options.
        labels: what to call the runs; a file of several adds their names.

    Raises:
        ValueError: file, column, row and remedy, in one line.
    """
    if labels is None:
        labels = [Path(path).stem or Path(path).name for path in paths]
    parts = [
        part
        for path, label in zip(paths, labels, strict=True)
        for part in cells_of(path, label, how)
    ]
    return told_together([_finished(part, how) for part in joined(parts, how)])


def read_kept(log: Log, label: str, how: How) -> list[Reading]:
    """The runs of a log that is no file: a data frame, a mapping, records."""
    source = f"{log.name} {label}".strip()
    try:
        return [_finished(part, how) for part in joined(cells_in(log, source, label, how), how)]
    except ValueError as error:
        text = str(error)
        for flags, words in _IN_MEMORY:
            text = re.sub(flags, words, text)
        raise ValueError(text) from None


def told_together(found: Sequence[Reading]) -> list[Reading]:
    """Readings of runs that are fitted together: one says what the rate of another was before."""
    out = []
    for one, (run, before) in zip(found, with_histories([r.run for r in found]), strict=True):
        if before is None:
            out.append(one)
            continue
        notes = tuple(note for note in run.notes if note != assumed(one.run))
        run = replace(run, notes=notes)
        known = one.warmup_known or bool(run.rate.ready_step)
        out.append(replace(one, run=run, lines=(*one.lines[:2], _third(run)), warmup_known=known))
    return out


def _finished(part: Cells, how: How) -> Reading:
    rows, source = part.rows, part.rows.source
    words = how.words
    if rows.loss is None and how.loss == "needed":
        if part.log.lacks:
            raise ValueError(f"{source!r}: {part.log.lacks}.")
        raise ValueError(missing(part.log.known, "loss", source))
    if rows.lr is None and how.lr is None and words is None:
        raise ValueError(
            f"{missing(part.log.known, 'lr', source)} Or say it: --lr RATE, or --schedule "
            '"cosine peak=3e-4 end=3e-5 warmup=2000 steps=24000".'
        )
    if rows.loss is not None and how.loss == "optional" and np.all(np.isnan(rows.loss)):
        rows.loss = None
    blank = repairs.without_blank_steps(rows)
    if len(rows.step) == 0:
        raise ValueError(f"no row of {source!r} has both a step and a loss.")
    if how.scale != 1.0:
        rows.step = rows.step * how.scale
    if rows.loss is None:
        _knots(rows)
    _one_count(part)
    repairs.resumed(rows, how.resumed)
    _ordered(rows)
    repairs.merged(rows, how.resumed)
    _filled(rows, words is not None, how)
    repairs.without_blank_losses(rows, blank, part.total)
    if how.loss_scale != 1.0 and rows.loss is not None:
        rows.loss = rows.loss * how.loss_scale
        rows.notes.append(f"losses times {how.loss_scale:g}")
    if how.scale != 1.0:
        rows.notes.append(f"steps times {how.scale:g}")
    if rows.loss is not None:
        plausible_level(rows, how)
    if words is not None:
        same_length(rows, words, whole=not how.logged_first)
        if only_rounded(rows, words):
            rows.lr = None
            rows.notes.append("its rate was rounded to one digit: the schedule's is taken")
        if how.logged_first and rows.lr is not None and not np.isnan(rows.lr).any():
            words = None
    return _with_rate(part, how, words)


def _filled(rows: Rows, planned: bool, how: How) -> None:
    """The rate at every row; where a schedule says it, one that was logged at a few will do."""
    try:
        if not planned or how.logged_first:
            repairs.filled_rate(rows)
    except ValueError:
        if not planned:
            raise


def _knots(rows: Rows) -> None:
    """A plan, which has no losses, is no resumed run where its steps go back or repeat."""
    step = rows.step
    if len(step) == 1:
        raise ValueError(
            f"{rows.source!r} has 1 row: a plan needs two knots at least, or say it in words, "
            '--schedule "constant peak=3e-4 steps=24000".'
        )
    back = np.flatnonzero(step[1:] < step[:-1])
    if len(back):
        raise ValueError(
            f"the step goes back at row {back[0] + 3} of {rows.source!r} ({step[back[0]]:g} then "
            f"{step[back[0] + 1]:g}): sort the knots of a plan by step."
        )
    twice = np.flatnonzero(step[1:] == step[:-1])
    if rows.lr is not None and len(twice):
        i = int(twice[0])
        if rows.lr[i] != rows.lr[i + 1]:
            raise ValueError(
                f"{rows.source!r} has two rates at step {step[i]:g}: for a jump there, put the "
                f"first at the step before, {step[i] - 1:g},{rows.lr[i]:g}."
            )


def _one_count(part: Cells) -> None:
    """Refuse steps that begin again with each epoch: neither one run resumed, nor several."""
    step = part.rows.step
    back = np.flatnonzero(step[1:] < step[:-1])
    name = next((name for name in part.log.known if normal(name) == "epoch"), None)
    if name is None or not len(back) or np.any(step[back + 1] > step[0]):
        return
    i = int(back[0])
    if np.ptp(step[back]) > _EPOCH * step[i] or step.max() > (1 + _EPOCH) * step[i]:
        return  # a run that was begun anew
    raise ValueError(
        f"the step starts again at row {i + 3} of {part.rows.source!r} ({step[i]:g} then "
        f"{step[i + 1]:g}): does it count within an epoch? Add the steps of an epoch, {step[i]:g} "
        f"or somewhat more, times the epochs before, as the column {name!r} has them."
    )


def _ordered(rows: Rows) -> None:
    back = np.flatnonzero(rows.step[1:] < rows.step[:-1])
    if len(back):
        i = int(back[0])
        raise ValueError(
            f"the step goes back at row {i + 3} of {rows.source!r} ({rows.step[i]:g} then "
            f"{rows.step[i + 1]:g}): a resumed, shuffled or mixed log. Keep one row per step, in "
            "order, or say --resumed keep-last."
        )


def _with_rate(part: Cells, how: How, words: Words | None) -> Reading:
    rows = part.rows
    steps, loss = rows.step, rows.loss
    if how.lr is not None:
        positive("lr", how.lr)
        if rows.lr is not None and not np.allclose(rows.lr, how.lr, rtol=1e-3):
            raise ValueError(
                f"{rows.source!r} logs its rate, column {part.names['lr']!r}, from "
                f"{rows.lr.min():g} to {rows.lr.max():g}, and `lr` = {how.lr:g} would replace it: "
                "leave it out, or say that the column does not count, --columns lr=-."
            )
        rows.lr = np.full(len(steps), how.lr)
    known = part.log.averaged or _of_trainer(part.log)
    average = read_average(how.averaged, known and not of_validation(part.names.get("loss", "")))
    schedule: Schedule | None = None
    warmup = how.warmup_steps
    if words is not None:
        words, warmup = with_warmup(words, warmup)
        schedule = words.schedule
        agreeing(part, words, warmup)
    elif average.kind != "no" and loss is not None and rows.lr is not None:
        _increasing(rows)
        schedule = logged_schedule(
            rate_from_log(steps, rows.lr, warmup_steps=warmup, label=part.label)
        )
    if average.kind != "no" and loss is not None:
        steps, loss, note = centred(average, steps, loss)
        rows.notes.extend([note] if note else [])
        if of_validation(part.names.get("loss", "")):
            rows.notes.append(
                "a loss of validation is measured at its own step, and no mean: --averaged no"
            )
    lr = rows.lr
    if schedule is not None:
        lr = np.asarray(schedule(steps), dtype=np.float64)
    assert lr is not None
    rows.notes.extend(repairs.gaps(steps, lr, known=words is not None))
    rows.notes.extend(asides(part, how, average.kind))
    early = int(np.count_nonzero(steps < warmup))
    if early and words is None:
        rows.notes.append(f"{early} rows before step {warmup:g} follow the warm-up")
    run = Run(steps, lr, loss, warmup, part.label, tuple(rows.notes), schedule=schedule)
    if how.schedule is None and begins_late(run):
        run = replace(run, notes=(*run.notes, assumed(run)))
    said = words is not None and words.warmup is not None
    known = bool(run.rate.ready_step) or said
    return Reading(run, _lines(part, run, how, words), known, words)


def _increasing(rows: Rows) -> None:
    if np.any(np.diff(rows.step) <= 0):
        raise ValueError(f"the step repeats in {rows.source!r}: keep one row per step, in order.")


def _of_trainer(log: Log) -> bool:
    """Whether the names are those under which the Hugging Face Trainer logs its means."""
    names = {normal(name.rpartition(" - ")[2]) for name in log.columns}
    return {"train_loss", "train_epoch", "train_learning_rate"} <= names


def _lines(part: Cells, run: Run, how: How, words: Words | None) -> tuple[str, str, str]:
    usual = repairs.usual_width(run.steps)
    last = (len(run.steps) - 1) * usual
    even = last and abs(run.steps[-1] - run.steps[0] - last) <= 1e-6 * last
    every = f", every {usual:,.6g}" if even else ""
    first = (
        f"{run.label}: {part.log.name}, {len(run.steps):,} rows, steps {run.steps[0]:,.6g} to "
        f"{run.steps[-1]:,.6g}{every}"
    )
    if run.loss is None:
        second = "  no loss"
    else:
        second = f"  loss {part.names['loss']!r}, {run.loss[0]:.4g} to {run.loss[-1]:.4g}"
    if words is not None:
        rate = f"lr of the schedule {words.text!r}"
        rate += f", read as {words.read_as}" if words.read_as else ""
    elif how.lr is not None:
        rate = f"lr {how.lr:g} throughout"
    else:
        peak, last = run.rate.peak, float(run.lr[-1])
        rate = f"lr {part.names['lr']!r}, at most {peak:.4g}, {last:.4g} at the end"
    ready = run.rate.ready_step
    second += f"; {rate}; " + (
        f"warm-up to step {ready:,.6g}" if ready else "no warm-up in its rows"
    )
    return first, second, _third(run)


def _third(run: Run) -> str:
    return "  " + ("; ".join(run.notes) if run.notes else "nothing mended")
