"""What do the lines that a program prints while it trains say of step, loss and rate?

Every line is searched for pairs of a name and a number, however they are written:
`iter 400: loss 9.22`, `step:10/1390 val_loss:10.8`, `learning rate: 1.5E-06 | lm loss: 9.8E+00`,
`{'loss': 2.3}`. A line without a step belongs to the step before, or to what a progress bar
beside it says. PROGRAMS names those whose lines mean more than they say; a new one is one entry.
Limits: of the pairs only step, losses and rates are kept.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from hidim.fitting.logs.bars import Lines, bar_of
from hidim.fitting.logs.blocks import whole_records
from hidim.fitting.logs.names import ALIASES
from hidim.fitting.logs.pairs import WIDE, pairs_of, role_of, told_of
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.sources import Source

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# Other counts of steps: [100/10000], [batch=100/10000]; 100/10000 or 100 loss at the start of a
# line; 100 steps.
_COUNT = re.compile(r"(?<!epoch )(?<!epoch: )\[(?:\w+=)? *(\d+)/ *(\d+)\]", re.IGNORECASE)
_BARE = re.compile(
    r"^\s*(?:batch:? )?(\d+)/\d+(?![/\d])|^\s*(\d+)[\s:,|]+(?:train[ _])?loss\b"
    r"|\b(\d+) (?:steps|iterations|updates)\b",
    re.IGNORECASE,
)
_COMMA = re.compile(
    r"(?:loss|lr)\b['\"]?(?:\s*[:=]\s*|\s+)\d+,(?:\d+e|\d{4}|\d{1,2}\b)", re.IGNORECASE
)
# Of PyTorch's examples, `Train Epoch: 1 [640/60000 (1%)]`: samples, or batches, of the epoch.
_OF_EPOCH = re.compile(r"epoch:? *(\d+) *\[ *(\d+)/(\d+) *\(\d+%\)\]", re.IGNORECASE)
_EPOCH = re.compile(r"['\"]epoch['\"] *:")  # of a record, in which it tells how far the run is
_SELDOM = 0.02  # share of the losses beside which a rate is named, below which it is no column
_FINE = 10  # rows nearer than this many steps are left where a bar puts them


@dataclass(frozen=True)
class Program:
    """A program that prints logs.

    Attributes:
        name: what people call it.
        sign: a pattern that its lines hold and others do not.
        averaged: its losses are means over all steps since the line before.
        renamed: its own names for step, loss and rate.
        lacks: what its lines never hold, and where that stands instead.
        only: a pattern of the lines that count, as some print their own source first; "" for all.
        restarts: its counts begin again with each epoch, and are no steps.
        unit: what its losses are in, where that is not nats, and how to have those.
    """

    name: str
    sign: str
    averaged: bool = False
    renamed: tuple[tuple[str, str], ...] = ()
    lacks: str = ""
    only: str = ""
    restarts: bool = False
    unit: str = ""


PROGRAMS: tuple[Program, ...] = (
    Program("nanoGPT", r"^iter \d+: loss ", only=r"^(?:iter|step) \d+: "),
    Program(
        "llm.c",
        r"^s:\d+ (?:tel|trl|hel|eval):",
        renamed=(("s", "step"), ("trl", "loss"), ("tel", "val_loss")),
        only=r"^s:\d+ ",
    ),
    Program("llm.c", r"\| (?:train )?loss \S+ \([-+\w.]+z\)\|", only=r"^step +\d+/\d+ "),
    Program("modded-nanogpt", r"^step:\d+/\d+ (?:val|train)_loss:", only=r"^step:\d+/\d+ .*_loss:"),
    Program("Megatron", r"iteration +\d+/ *\d+ \|.*lm[ _]loss: ", averaged=True),
    Program(
        "DeepSpeed",
        r"\bstep=\d+, skipped=\d+, lr=\[",
        lacks="DeepSpeed prints steps and rates and no loss: give the log of the training script "
        "beside it",
    ),
    Program("torchtitan", r"- root - INFO - step:", only=r"step: *\d+ .*loss:"),
    Program("Hugging Face Trainer", r"\{'(?:loss|eval_loss)': .*'epoch': ", averaged=True),
    Program("OLMo", r"\[step=\d+/\d+"),
    Program(
        "fairseq",
        r"\| train(?:_inner)? \|",
        averaged=True,
        unit="its losses are in bits: --loss-scale 0.693147 makes them nats",
    ),
    Program("mlx-lm", r"^Iter \d+: Train loss .*It/sec", averaged=True),
    Program(
        "Keras",
        r"\b\d+/\d+ (?:\[[=>.]+\]|[━ ]+) ?.*- [\w ]*loss: |^\d+/\d+ - \d+\w+ - .*loss: ",
        averaged=True,
        only=r"\b(\d+)/\1\b",
        restarts=True,
        lacks="Keras draws means since the start of the epoch, of which the last alone is one of "
        "all its steps, and no epoch ends here: write a row a step, or an epoch, with CSVLogger",
    ),
    Program("litgpt", r"\| iter \d+ step \d+ \| loss train: "),
)


PLAIN = Program("a program", "")


class Printed(NamedTuple):
    """What the lines of a log say, what reading has mended, and why they lack steps if known."""

    columns: Columns
    repairs: tuple[str, ...] = ()
    no_step: str = ""


def looks_printed(source: Source) -> bool:
    """Whether some of the first lines name a step, a loss or a rate beside a number."""
    found = 0
    for line in source.head.splitlines()[:2000]:
        found += any(role_of(name) for name, _ in pairs_of(_COLOUR.sub("", line[:WIDE])))
        if found >= 2:
            return True
    return found > 0


def program_of(source: Source) -> Program:
    """Who printed these lines."""
    for line in _COLOUR.sub("", source.head).splitlines():
        for program in PROGRAMS:
            if re.search(program.sign, line):
                return program
    return PLAIN


def read_printed(source: Source) -> Printed:
    """Step, losses and rates of a printed log, a row per line with one of the latter.

    Raises:
        ValueError: decimals with a comma.
    """
    if (comma := _COMMA.search(source.head)) is not None:
        raise ValueError(f"{source} says {comma[0]!r}: write decimals with a point.")
    return read_lines(source.read(errors="replace"), program_of(source))


def read_lines(text: str, program: Program) -> Printed:
    """The same of a text, whoever kept it."""
    renamed, only = dict(program.renamed), re.compile(program.only)
    rows: list[dict[str, Any]] = []
    open_rows: list[int] = []  # without a step of their own, until a bar tells it
    below: dict[int, str] = {}  # step of the bar after a row
    epochs: list[str | None] = []  # beside the rows
    drawn, bars, sure = Lines(), 0, False
    step: str | None = None
    first: int | None = None  # epoch
    for line in whole_records(re.split(r"\r\n|[\r\n\x08]", _COLOUR.sub("", text))):
        if not only.search(line):
            continue
        found: dict[str, str] = {}
        epoch: str | None = None
        own, rank = None, len(ALIASES["step"]) + 1
        for name, value in pairs_of(line):
            name = renamed.get(name, name)
            role = role_of(name)
            if role == "step" and _rank(name) < rank:
                own, rank = value, _rank(name)
            elif role and role != "step":
                found.setdefault(told_of(name, line), value)
            elif name == "epoch" and _EPOCH.search(line):
                epoch = value
        bar = bar_of(line)
        if own is None and not bar and not program.restarts:
            own = _counted(line)
        if own is not None:
            step, sure = own, True
        elif bar:
            step, sure = str(bar.step), False
            drawn.told.append(bar)
            below.update(dict.fromkeys(open_rows, step))
        if found and own is None and (part := _OF_EPOCH.search(line)) is not None:
            number, at, whole = map(int, part.groups())
            first = min(number, 1) if first is None else first  # but in a resumed run
            found["samples"] = str((number - first) * whole + at)
        if found:
            row = {"step": step, **found}
            rows.append(row)
            drawn.told.append(row)
            epochs.append(epoch)
            bars += not sure
            inside = bar is not None and "]" not in line[bar.end : line.rfind("loss")]
            open_rows = [] if sure or inside else [len(rows) - 1]
        elif bar or own is not None:
            open_rows = []
    if not _bars_above(rows, below):  # a bar is drawn again, and exactly, after a line
        for i, step in below.items():
            rows[i]["step"] = step
    note, no_step = drawn.counted(_usual_loss(rows)) if 2 * bars > len(rows) else ("", "")
    if all(row["step"] is None for row in rows) and 2 * epochs.count(None) < len(epochs):
        rows = [{**row, "epoch": epoch} for row, epoch in zip(rows, epochs, strict=True)]
    if bars and not note:
        _snap(rows)
    rows = _without_settings(_from_first_loss(rows))
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows and all(row["step"] is None for row in rows):
        names.remove("step")
    columns = {name: [_plain(row.get(name)) for row in rows] for name in names}
    if "samples" in columns and "step" not in columns:
        no_step = (
            "its lines count the samples of an epoch, or its batches: --columns step=samples, for "
            "samples with --step-scale 1/BATCH, 0.015625 for batches of 64"
        )
    return Printed(columns, (note,) if note else (), no_step)


def _usual_loss(rows: list[dict[str, Any]]) -> str:
    """The loss that most rows hold, "" where none does."""
    found = Counter(name for row in rows for name in row if _is_loss(name))
    return found.most_common(1)[0][0] if found else ""


def _bars_above(rows: list[dict[str, Any]], below: dict[int, str]) -> bool:
    """Whether each row has its bar before it and none of its own after it.

    So it is where a filter left one bar a row: each is that of the row it stands above, the last
    row has none below, and those below the others are far on.
    """
    last = len(rows) - 1
    if last < 2 or len(below) != last or last in below or rows[0]["step"] is None:
        return False
    return all(int(below[i]) - int(float(rows[i]["step"])) >= _FINE for i in below)


def _counted(line: str) -> str | None:
    """The step of a line that names none; of several counts in brackets the longest is of steps."""
    counts = _COUNT.findall(line)
    if counts:
        return str(max(counts, key=lambda count: int(count[1]))[0])
    bare = _BARE.search(line)
    return None if bare is None else bare[1] or bare[2] or bare[3]


def _from_first_loss(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the settings printed first, whose `steps` and `lr` are those of the whole run."""
    first = next((i for i, row in enumerate(rows) if any(map(_is_loss, row))), 0)
    if not first or rows[first]["step"] is None:
        return rows
    last = float(_plain(rows[first]["step"]) or 0)
    early = [row for row in rows[:first] if row["step"] is not None]
    return [row for row in early if float(_plain(row["step"]) or 0) <= last] + rows[first:]


def _without_settings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without rows before the first step, and without a rate that is named now and then only."""
    known = [row for row in rows if row["step"] is not None] or rows
    losses = sum(any(map(_is_loss, row)) for row in known)
    rates = {name for row in known for name in row if role_of(name) == "lr"}
    seldom = {
        name for name in rates if sum(name in row for row in known) < max(3, _SELDOM * losses)
    }
    kept = [{name: cell for name, cell in row.items() if name not in seldom} for row in known]
    return [row for row in kept if set(row) - {"step", "epoch"}] if losses else known


def _is_loss(name: str) -> bool:
    return role_of(name) == "loss"


def _snap(rows: list[dict[str, Any]]) -> None:
    """Steps off a bar may be late by one or two: the nearest multiple of their distance."""
    steps = [int(row["step"]) for row in rows if row["step"] is not None]
    apart = sorted(b - a for a, b in pairwise(steps) if b > a)
    each = apart[len(apart) // 2] if apart else 0
    if each < _FINE:
        return
    for row in rows:
        if row["step"] is not None:
            near = round(int(row["step"]) / each) * each
            row["step"] = str(near) if abs(near - int(row["step"])) <= 2 else row["step"]


def _rank(name: str) -> int:
    """How sure a name of steps is: `step` goes before `iter` on one line."""
    known = ALIASES["step"]
    return known.index(name) if name in known else len(known)


def _plain(value: str | None) -> str | None:
    return None if value is None else value.replace(",", "")
