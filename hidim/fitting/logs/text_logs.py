"""What do the lines that a program prints while it trains say of step, loss and rate?

Every line is searched for pairs of a name and a number, however they are written:
`iter 400: loss 9.22`, `step:10/1390 val_loss:10.8`, `learning rate: 1.5E-06 | lm loss: 9.8E+00`,
`{'loss': 2.3}`. A line without a step belongs to the step before, or to what a progress bar
beside it says. PROGRAMS names those whose lines mean more than they say; a new one is one entry.
Limits: of the pairs only step, losses and rates are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hidim.fitting.logs.names import ALIASES, VALIDATION, is_loss, is_rate, normal
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.sources import Source

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(
    r"(?P<key>(?<![A-Za-z_])[A-Za-z_][\w./\-]*(?: [A-Za-z_][\w./\-]*){0,5}?)"
    r"(?: ?\([^():=]{1,12}\))?"  # a unit, or a group
    r"(?:['\"]?\s*(?:[:=]>?|->|→)\s*|\s+)"
    r"(?:(?:np\.|torch\.|jnp\.)?(?:float\d+|tensor|array))?['\"\[(]{0,2}"
    rf"(?P<value>{_NUMBER}|(?:(?<=[:=])|(?<=[:=]\s)|(?<=[:=\s]['\"])|(?<=loss\s))-?(?:nan|inf)\b)"
    r"(?P<kilo>k(?![A-Za-z/]))?(?![\d.]*%)"  # a share of the whole is neither
    r"(?:\s*/\s*\d+)?",
    re.IGNORECASE,
)
_WIDE = 10_000  # characters of a line beyond which it is of something else
# Of tqdm: 100/10000 [00:12<19:48; or a count in brackets: [100/10000], [batch=100/10000].
_BAR = re.compile(r"(\d+)/(?:\d+) \[[\d:?]")
_COUNT = re.compile(r"(?<!epoch )(?<!epoch: )\[(?:\w+=)? *(\d+)/ *\d+\]", re.IGNORECASE)
_OTHER = re.compile(r"\b(?:val|valid|validation|eval|evaluation|test|dev)\b", re.IGNORECASE)
_PARTED = re.compile(r"\s*(?:[-=*_#~]{3,}.*)?")  # a line between blocks
_SPAN = 40  # lines of a record
_BLOCKS = 200  # looked at
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_EPOCH = re.compile(r"['\"]epoch['\"] *:")  # of a record, in which it tells how far the run is
# Words that make a count of steps another thing.
_NOT_STEPS = frozenset(
    (
        *("total", "max", "min", "warmup", "per", "num", "number", "eval", "save", "log"),
        *("decay", "skipped", "nan", "time", "avg", "ms", "accumulation", "micro", "checkpoint"),
        *("every", "remaining", "of", "logging"),
    )
)
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
    """

    name: str
    sign: str
    averaged: bool = False
    renamed: tuple[tuple[str, str], ...] = ()
    lacks: str = ""
    only: str = ""


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
    Program("fairseq", r"\| train(?:_inner)? \|", averaged=True),
    Program("mlx-lm", r"^Iter \d+: Train loss .*It/sec", averaged=True),
    Program(
        "Keras",
        r"\b\d+/\d+ (?:\[[=>.]+\]|[━ ]+) ?.*- [\w ]*loss: |^\d+/\d+ - \d+\w+ - .*loss: ",
        averaged=True,
        only=r"\b(\d+)/\1\b",
        lacks="Keras draws means since the start of the epoch, of which the last alone is one of "
        "all its steps, and no epoch ends here: write a row a step, or an epoch, with CSVLogger",
    ),
    Program("litgpt", r"\| iter \d+ step \d+ \| loss train: "),
)


def looks_printed(source: Source) -> bool:
    """Whether some of the first lines name a step, a loss or a rate beside a number."""
    found = 0
    for line in source.head.splitlines()[:2000]:
        found += any(_role(name) for name, _ in _pairs(_COLOUR.sub("", line[:_WIDE])))
        if found >= 2:
            return True
    return found > 0


def program_of(source: Source) -> Program:
    """Who printed these lines."""
    for line in _COLOUR.sub("", source.head).splitlines():
        for program in PROGRAMS:
            if re.search(program.sign, line):
                return program
    return Program("a program", "")


def read_printed(source: Source) -> Columns:
    """Step, losses and rates of a printed log, a row per line with one of the latter."""
    program = program_of(source)
    renamed, only = dict(program.renamed), re.compile(program.only)
    rows: list[dict[str, Any]] = []
    open_rows: list[dict[str, Any]] = []  # without a step of their own, until a bar tells it
    epochs: list[str | None] = []  # beside the rows
    bars, sure = 0, False
    step: str | None = None
    for line in _records(re.split(r"\r\n|[\r\n\x08]", _COLOUR.sub("", source.read()))):
        if not only.search(line):
            continue
        found: dict[str, str] = {}
        epoch: str | None = None
        own, rank = None, len(ALIASES["step"]) + 1
        for name, value in _pairs(line):
            name = renamed.get(name, name)
            role = _role(name)
            if role == "step" and _rank(name) < rank:
                own, rank = value, _rank(name)
            elif role and role != "step":
                found.setdefault(_of_validation(name, line), value)
            elif name == "epoch" and _EPOCH.search(line):
                epoch = value
        bar = _BAR.search(line)
        count = None if bar or own is not None else _COUNT.search(line)
        if count:  # in brackets, a step like any other
            own = count[1]
        if own is not None:
            step, sure = own, True
        elif bar:
            step, sure = bar[1], False
            for row in open_rows:  # the bar is drawn again, and exactly, after a line
                row["step"] = step
        if found:
            row = {"step": step, **found}
            rows.append(row)
            epochs.append(epoch)
            bars += not sure
            inside = bar is not None and "]" not in line[bar.end() : line.rfind("loss")]
            open_rows = [] if sure or inside else [row]
        elif bar or own is not None:
            open_rows = []
    if all(row["step"] is None for row in rows) and 2 * epochs.count(None) < len(epochs):
        rows = [{**row, "epoch": epoch} for row, epoch in zip(rows, epochs, strict=True)]
    if bars:
        _snap(rows)
    rows = _without_settings(_from_first_loss(rows))
    names = list(dict.fromkeys(name for row in rows for name in row))
    if rows and all(row["step"] is None for row in rows):
        names.remove("step")
    return {name: [_plain(row.get(name)) for row in rows] for name in names}


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
    rates = {name for row in known for name in row if _role(name) == "lr"}
    seldom = {
        name for name in rates if sum(name in row for row in known) < max(3, _SELDOM * losses)
    }
    kept = [{name: cell for name, cell in row.items() if name not in seldom} for row in known]
    return [row for row in kept if set(row) - {"step", "epoch"}] if losses else known


def _is_loss(name: str) -> bool:
    return _role(name) == "loss"


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


def _pairs(line: str) -> list[tuple[str, str]]:
    return [
        (normal(found["key"]), f"{found['value']}e3" if found["kilo"] else found["value"])
        for found in _PAIR.finditer(line[:_WIDE])
    ]


def _records(lines: list[str]) -> list[str]:
    """Lines, of which those of a record in braces are one, and those of a block whose step comes
    last, after what it is the step of."""
    whole: list[str] = []
    at = 0
    while at < len(lines):
        end = _closed(lines, at)
        whole.append(" ".join(lines[at:end]))
        at = end
    blocks: list[list[str]] = [[]]
    for line in whole:
        if _PARTED.fullmatch(line):
            blocks.append([])
        elif re.match(r"- \w", line):  # an entry of a list
            blocks.append([line])
        else:
            blocks[-1].append(line)
    told = [block for block in blocks if len(block) > 1][:_BLOCKS]
    late = sum(map(_step_last, told))
    if late < 2 or late < 0.8 * len(told):
        return whole
    out: list[str] = []
    for block in blocks:
        out += [" | ".join(block)] if _step_last(block) else block
    return out


def _closed(lines: list[str], at: int) -> int:
    """The line after a record that begins on this one, which is the next where none does."""
    deep = 0
    for end in range(at, min(at + _SPAN, len(lines))):
        deep += lines[end].count("{") - lines[end].count("}")
        if deep <= 0:
            return end + 1
    return at + 1


def _step_last(block: list[str]) -> bool:
    """Whether the first line of a block with a step comes after one with a loss."""
    if not 1 < len(block) <= _SPAN:
        return False
    roles = [{_role(name) for name, _ in _pairs(line)} for line in block]
    step = next((i for i, found in enumerate(roles) if "step" in found), 0)
    return any("loss" in found for found in roles[:step])


def _of_validation(name: str, line: str) -> str:
    """`loss`, or `val_loss` where a word before it says that the line is of validation."""
    if name != "loss":
        return name
    before = line[: line.lower().find("loss")]
    return "val_loss" if _OTHER.search(before) and "train" not in before.lower() else name


def _role(name: str) -> str:
    """Which role a name has, "" for none; of several words the last may be the name of a step."""
    for role in ("step", "loss", "lr"):
        if name in ALIASES[role]:
            return role
    if name in VALIDATION:
        return "loss"
    if name in ("s", "trl", "tel"):
        return {"s": "", "trl": "loss", "tel": "loss"}[name]
    words = name.split("_")
    if is_rate(name):
        return "lr"
    if words[-1] in ("step", "iter", "iteration") and not _NOT_STEPS & set(words):
        return "step"
    return "loss" if is_loss(name) else ""


def _rank(name: str) -> int:
    """How sure a name of steps is: `step` goes before `iter` on one line."""
    known = ALIASES["step"]
    return known.index(name) if name in known else len(known)


def _plain(value: str | None) -> str | None:
    return None if value is None else value.replace(",", "")
