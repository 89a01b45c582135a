"""What was understood of a log: whose it is, which columns count, what was mended?

`read_logs` turns files into readings, one per run: each is a checked Run and three lines to print
before anything is fitted. Files of losses and of rates are joined by the name of their run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.algorithms.words import Words, read_words
from hidim.fitting.logs import repairs
from hidim.fitting.logs.averages import centred, logged_schedule, looks_smoothed, read_average
from hidim.fitting.logs.names import is_smoothed, normal
from hidim.fitting.logs.rates import rate_from_log
from hidim.fitting.logs.repairs import RESUMED, Rows
from hidim.fitting.logs.roles import NONE, ROLES, missing, numbers, parts_of, wanted
from hidim.fitting.logs.runs import Run
from hidim.fitting.logs.tables import Log, read_log
from hidim.support.checks import choice, non_negative, positive

_LATE = 0.1  # a first row beyond this share of the run says too little of what was before
_AGREE = 0.02  # a logged rate and its schedule may differ by this share of the peak
_GUESS = 12.6  # nats: the loss of a guess among 300,000 tokens


@dataclass(frozen=True)
class How:
    """How logs are to be read; the arguments of `read_run`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    warmup_steps: float = 0.0
    loss: str = "needed"
    lr: float | None = None
    schedule: str | Schedule | None = None
    resumed: str = "refuse"
    drop_nan: bool = False
    averaged: str = "auto"
    step_scale: float = 1.0
    loss_scale: float = 1.0
    vocabulary: float | None = None
    logged_first: bool = False  # a logged rate that is not the schedule's is kept, not refused

    def __post_init__(self) -> None:
        choice("loss", self.loss, ("needed", "optional"))
        choice("resumed", self.resumed, RESUMED)
        positive("step_scale", self.step_scale)
        positive("loss_scale", self.loss_scale)
        non_negative("warmup_steps", self.warmup_steps)
        read_average(self.averaged, known=False)
        for role in self.columns:
            choice("columns", role, ROLES)
        used = [name for name in self.columns.values() if name != NONE]
        if len(set(used)) < len(used):
            raise ValueError(f"`columns` gives one column two roles: {dict(self.columns)}.")
        if self.lr is not None and self.schedule is not None:
            raise ValueError("`lr` and `schedule` both say the learning rate: give one.")

    @property
    def words(self) -> Words | None:
        """The schedule, as words or as an object of the library."""
        if self.schedule is None:
            return None
        if isinstance(self.schedule, str):
            return read_words(self.schedule)
        return Words(repr(self.schedule), self.schedule, None, None)


@dataclass(frozen=True)
class Reading:
    """A run, and what was understood of its log.

    Attributes:
        run: the run.
        lines: three lines for a reader.
        warmup_known: whether the log, or what was said of it, tells the warm-up.
    """

    run: Run
    lines: tuple[str, str, str]
    warmup_known: bool = False


@dataclass
class _Part:
    """The cells of one run in one file."""

    label: str
    run: str
    log: Log
    names: dict[str, str]
    rows: Rows
    total: int


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
        part for path, label in zip(paths, labels, strict=True) for part in _parts(path, label, how)
    ]
    return [_finished(part, how) for part in _joined(parts, how)]


def _parts(path: str | os.PathLike[str], label: str, how: How) -> list[_Part]:
    given = dict(how.columns)
    log = read_log(path, lambda names: wanted(names, given))
    source = str(path)
    if _own_metrics(log):
        given = {"loss": "validation_loss"} | given
    if "step" not in given and not any(normal(name) in _STEPS for name in log.columns):
        counted = _counted(log, how)
        if counted is not None:
            log.columns[_COUNTED] = counted
            given = {"step": _COUNTED} | given
    found = []
    parts = parts_of(log.columns, given, source)
    for part in parts:
        names = part.names
        if "step" not in names:
            text = missing(list(log.columns), "step", source)
            raise ValueError(f"{text} Rows logged every N steps: --step-scale N.")
        bad: list[int] = []
        values = {
            role: numbers(
                log.columns[name],
                name,
                source,
                refused=bad if how.drop_nan and role != "step" else None,
            )
            for role, name in names.items()
            if role != "run"
        }
        rows = Rows(source, values["step"], values.get("loss"), values.get("lr"))
        total = len(rows.step)
        if total == 0:
            raise ValueError(f"{source!r} has a header and no rows.")
        rows.notes.extend(log.repairs)
        repairs.without_nan(rows, bad, drop=how.drop_nan)
        if part.rows is not None:
            rows.keep(part.rows)
        name = label if len(parts) == 1 else f"{label} {part.run}" if label else part.run
        found.append(_Part(name, part.run, log, names, rows, total))
    return found


_COUNTED = "(counted)"
_STEPS = frozenset(("step", "steps", "global_step", "iter", "iteration", "iterations", "_step"))


def _own_metrics(log: Log) -> bool:
    """Whether these are the metrics of `hidim train`, whose validation loss counts."""
    return {"step", "tokens", "train_loss", "validation_loss", "lr"} <= set(log.columns)


def _counted(log: Log, how: How) -> np.ndarray | None:
    """Steps of a log that has none: epochs one by one, or rows where a scale says what a row is."""
    from hidim.fitting.logs.roles import _alias

    if _alias(list(log.columns), "step") is not None or not log.columns:
        return None
    count = len(next(iter(log.columns.values())))
    epoch = next((name for name in log.columns if normal(name) == "epoch"), None)
    if epoch is not None:
        try:
            values = np.array([float(cell) for cell in log.columns[epoch]])
        except (TypeError, ValueError):
            values = np.zeros(0)
        if len(values) > 1 and values[0] in (0.0, 1.0) and np.all(np.diff(values) == 1):
            return values + (0.5 - values[0])  # a mean over an epoch stands in its middle
    if how.step_scale != 1.0:
        return np.arange(1.0, count + 1.0)
    return None


def _joined(parts: list[_Part], how: How) -> list[_Part]:
    """Losses without a rate get the rate of their run from another file that has rates alone."""
    rates = [part for part in parts if part.rows.lr is not None and part.rows.loss is None]
    lone = [part for part in parts if part.rows.loss is not None and part.rows.lr is None]
    if not rates or not lone:
        return parts
    used: set[int] = set()
    for part in lone:
        own = [rate for rate in rates if rate.run and rate.run == part.run]
        if not own and len(lone) == len(rates) == 1:
            own = rates
        if len(own) != 1:
            known = ", ".join(rate.run or rate.label for rate in rates)
            raise ValueError(
                f"{part.rows.source!r} has losses of {part.run or part.label!r} and no rate, and "
                f"the other files have rates of {known}: which are its own cannot be told. Join "
                "the columns in one file."
            )
        used.add(id(own[0]))
        _add_rate(part, own[0])
    left = [rate for rate in rates if id(rate) not in used]
    if left and how.loss == "needed":
        raise ValueError(f"{left[0].rows.source!r} has rates and no loss, of no run given here.")
    return [part for part in parts if part.rows.loss is not None]


def _add_rate(part: _Part, rate: _Part) -> None:
    for one in (part, rate):
        repairs.without_blank_steps(one.rows)
        if np.any(np.diff(one.rows.step) < 0):
            raise ValueError(
                f"{one.rows.source!r} goes back in step: a resumed run cannot be joined."
            )
    loss, lr = part.rows.loss, rate.rows.lr
    assert loss is not None
    assert lr is not None
    step = np.concatenate([part.rows.step, rate.rows.step])
    order = np.argsort(step, kind="stable")
    part.rows.step = step[order]
    part.rows.loss = np.concatenate([loss, np.full(len(lr), np.nan)])[order]
    part.rows.lr = np.concatenate([np.full(len(loss), np.nan), lr])[order]
    part.names["lr"] = f"{rate.names['lr']} of {Path(rate.rows.source).name}"
    part.total = len(step)


def _finished(part: _Part, how: How) -> Reading:
    rows, source = part.rows, part.rows.source
    words = how.words
    if rows.loss is None and how.loss == "needed":
        if part.log.lacks:
            raise ValueError(f"{source!r}: {part.log.lacks}.")
        raise ValueError(missing(list(part.log.columns), "loss", source))
    if rows.lr is None and how.lr is None and words is None:
        raise ValueError(
            f"{missing(list(part.log.columns), 'lr', source)} Or say it: --lr RATE, or --schedule "
            '"cosine peak=3e-4 end=3e-5 warmup=2000 steps=24000".'
        )
    if rows.loss is not None and how.loss == "optional" and np.all(np.isnan(rows.loss)):
        rows.loss = None
    blank = repairs.without_blank_steps(rows)
    if len(rows.step) == 0:
        raise ValueError(f"no row of {source!r} has both a step and a loss.")
    if how.step_scale != 1.0:
        rows.step = rows.step * how.step_scale
    repairs.resumed(rows, how.resumed)
    _ordered(rows)
    repairs.merged(rows, how.resumed)
    repairs.filled_rate(rows)
    repairs.without_blank_losses(rows, blank, part.total)
    if how.loss_scale != 1.0 and rows.loss is not None:
        rows.loss = rows.loss * how.loss_scale
        rows.notes.append(f"losses times {how.loss_scale:g}")
    if how.step_scale != 1.0:
        rows.notes.append(f"steps times {how.step_scale:g}")
    if rows.loss is not None:
        _plausible_level(rows, how)
    if words is not None:
        _same_length(rows, words)
        if how.logged_first and rows.lr is not None:
            words = None
    return _with_rate(part, how, words)


def _ordered(rows: Rows) -> None:
    back = np.flatnonzero(rows.step[1:] < rows.step[:-1])
    if len(back):
        i = int(back[0])
        raise ValueError(
            f"the step goes back at row {i + 3} of {rows.source!r} ({rows.step[i]:g} then "
            f"{rows.step[i + 1]:g}): a resumed, shuffled or mixed log. Keep one row per step, in "
            "order, or say --resumed keep-last."
        )


def _plausible_level(rows: Rows, how: How) -> None:
    """A mean loss per token above that of a guess is no such loss."""
    assert rows.loss is not None
    late = float(np.median(rows.loss[-max(len(rows.loss) // 10, 1) :]))
    if how.vocabulary is None:
        if late > _GUESS:
            rows.notes.append(
                f"the last losses, about {late:.3g}, are above those of guessing among 300,000 "
                "tokens: summed over accumulation steps, or not in nats? --loss-scale"
            )
        return
    guess = math.log(positive("vocabulary", how.vocabulary))
    if late <= guess:
        return
    factor = 2 ** max(round(math.log2(float(rows.loss[0]) / guess)), 1)
    raise ValueError(
        f"the last losses of {rows.source!r}, about {late:.3g}, are above {guess:.3g}, the loss of "
        f"guessing among {how.vocabulary:g} tokens: multiplied by {factor} accumulation steps, as "
        f"its first row says? --loss-scale {1 / factor:.6g}."
    )


def _same_length(rows: Rows, words: Words) -> None:
    """Steps beyond the end of the schedule are counted in something else."""
    last = float(rows.step[-1])
    if words.steps is None or last <= 1.02 * words.steps:
        return
    ratio = last / words.steps
    raise ValueError(
        f"{rows.source!r} goes on to step {last:,.0f}, beyond the {words.steps:,.0f} of the "
        f"schedule: counted in micro-steps or tokens? --step-scale {1 / ratio:.6g} makes them as "
        "long."
    )


def _with_rate(part: _Part, how: How, words: Words | None) -> Reading:
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
    average = read_average(how.averaged, part.log.averaged or _of_trainer(part.log))
    schedule: Schedule | None = None
    warmup = how.warmup_steps
    if words is not None:
        schedule, warmup = words.schedule, said_warmup(words, warmup)
        _agreeing(part, words, warmup)
    elif average.kind != "no" and loss is not None and rows.lr is not None:
        _increasing(rows)
        schedule = logged_schedule(
            rate_from_log(steps, rows.lr, warmup_steps=warmup, label=part.label)
        )
    if average.kind != "no" and loss is not None:
        steps, loss, note = centred(average, steps, loss)
        rows.notes.append(note)
    lr = rows.lr
    if schedule is not None:
        lr = np.asarray(schedule(steps), dtype=np.float64)
    assert lr is not None
    rows.notes.extend(repairs.gaps(steps))
    rows.notes.extend(_asides(part, how, average.kind, warmup))
    early = int(np.count_nonzero(steps < warmup))
    if early and words is None:
        rows.notes.append(f"{early} rows before step {warmup:g} follow the warm-up")
    run = Run(steps, lr, loss, warmup, part.label, tuple(rows.notes), schedule=schedule)
    said = words is not None and words.warmup is not None
    known = bool(run.rate.ready_step) or said
    return Reading(run, _lines(part, run, how, words), known)


def said_warmup(words: Words, given: float) -> float:
    """The warm-up that a schedule in words lacks, 0 where it says its own.

    Raises:
        ValueError: two that differ.
    """
    if words.warmup is None:
        return given
    if given not in (0.0, words.warmup):
        raise ValueError(
            f"`warmup_steps` = {given:g} and the schedule's warmup={words.warmup:g} differ: say it "
            "once."
        )
    return 0.0


def _increasing(rows: Rows) -> None:
    if np.any(np.diff(rows.step) <= 0):
        raise ValueError(f"the step repeats in {rows.source!r}: keep one row per step, in order.")


def _of_trainer(log: Log) -> bool:
    """Whether the names are those under which the Hugging Face Trainer logs its means."""
    names = {normal(name.rpartition(" - ")[2]) for name in log.columns}
    return {"train_loss", "train_epoch", "train_learning_rate"} <= names


def _agreeing(part: _Part, words: Words, warmup: float) -> None:
    """A schedule beside a logged rate must be what was logged."""
    rows = part.rows
    if rows.lr is None:
        return
    after = rows.step >= 1.25 * warmup
    planned = np.asarray(words.schedule(rows.step), dtype=np.float64)
    # A row may speak of the step before it, or after it.
    near = [np.abs(words.schedule(np.maximum(rows.step + k, 0)) - rows.lr) for k in (-1, 0, 1)]
    apart = np.min(near, axis=0) > _AGREE * planned.max()
    if not np.any(apart & after):
        return
    at = int(np.flatnonzero(apart & after)[0])
    last, hint = float(rows.step[-1]), ""
    if words.steps is not None and repairs.usual_width(rows.step) == 1 and last < words.steps / 5:
        hint = f" Or its steps count rows: --step-scale {words.steps / last:.6g}."
    raise ValueError(
        f"{rows.source!r} logs its rate, column {part.names['lr']!r}, and it is not the schedule's "
        f"from step {rows.step[at]:g} on: {rows.lr[at]:.4g} logged, {planned[at]:.4g} in the "
        "schedule. Leave the schedule out, or say that the column does not count, --columns lr=-."
        + hint
    )


def _asides(part: _Part, how: How, kind: str, warmup: float) -> list[str]:
    """What is not mended, and worth a look."""
    notes, rows = [], part.rows
    names, columns = part.names, part.log.columns
    if names["step"] == _COUNTED:
        notes.append("steps are counted: epochs, each in its middle, or rows times --step-scale")
    if normal(names["step"]) != "_step" and "_step" in columns:
        notes.append(f"steps are column {names['step']!r}, not '_step'")
    elif normal(names["step"]) == "_step" and how.step_scale == 1.0:
        notes.append("steps are '_step', W&B's count of log calls: --step-scale N if each is N")
    if rows.loss is not None and kind == "no":
        name = names.get("loss", "")
        if is_smoothed(name):
            notes.append(f"{name!r} looks like a moving average: --averaged ema:0.9 undoes it")
        elif looks_smoothed(rows.loss):
            notes.append(
                "neighbouring losses err alike, as in moving averages: --averaged ema:B undoes one"
            )
    if how.schedule is None and len(rows.step) > 1 and rows.lr is not None:
        first, usual = float(rows.step[0]), repairs.usual_width(rows.step)
        late = first > _LATE * rows.step[-1] and first > 5 * usual and first > 1.5 * warmup
        if late:
            notes.append(
                f"the first row is step {first:,.0f}: before it the rate is taken to be "
                f"{rows.lr[0]:.3g}"
                + (f" after {warmup:g} steps of warm-up" if warmup else "")
                + "; --schedule says what it was"
            )
    return notes


def _lines(part: _Part, run: Run, how: How, words: Words | None) -> tuple[str, str, str]:
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
    elif how.lr is not None:
        rate = f"lr {how.lr:g} throughout"
    else:
        peak, last = run.rate.peak, float(run.lr[-1])
        rate = f"lr {part.names['lr']!r}, at most {peak:.4g}, {last:.4g} at the end"
    ready = run.rate.ready_step
    second += f"; {rate}; " + (f"warm-up to step {ready:,.6g}" if ready else "no warm-up")
    third = "  " + ("; ".join(run.notes) if run.notes else "nothing mended")
    return first, second, third
