"""Which schedule does a line of words mean?

    wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000
    cosine peak=3e-4 end=10% warmup=1% steps=24000
    file:plan.csv

One kind and its numbers; the rate rises linearly over `warmup` steps and the rest follows from
there. Shares of the whole run, and of the peak, may be written in percent, steps as 24k. A file
holds steps and rates, straight between them. Names and spellings of common trainers are known
(spellings.py). What a schedule prints as is read too: ``3e-4 * Cosine(steps=100)``.
Limits: steps are optimizer steps, counted from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.decays import SHAPES, PowerFall, Tail
from hidim.algorithms.knots import read_knots
from hidim.algorithms.schedules import Constant, Schedule, Table, Warmup
from hidim.algorithms.spellings import SHARES, kind_and_rest, number_of, words_of
from hidim.algorithms.written import read_written
from hidim.support.checks import choice, nearest

EXAMPLE = "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000"


@dataclass(frozen=True)
class Words:
    """A schedule in words.

    Attributes:
        text: the words.
        schedule: what they mean.
        steps: length of the run that they say, or None.
        warmup: the linear warm-up that they say, in steps; None where they say nothing of one.
    """

    text: str
    schedule: Schedule
    steps: float | None
    warmup: float | None


def read_schedule(text: str) -> Schedule:
    """The schedule that a line of words means.

    Args:
        text: a kind and its numbers, as NAME=VALUE apart by spaces: `constant`, `cosine`, `linear`,
            `wsd`, `multistep` (at=8000,16000 factor=0.1), `inverse-sqrt` or `power` (exponent=0.5,
            from the end of the warm-up on), each with peak=, warmup= and steps=, the falling ones
            with end=; `constant`, `inverse-sqrt` and `power` may end in a tail, decay=STEPS end=,
            whose shape= is linear, cosine, exponential or sqrt. Or `file:plan.csv`, knots of step
            and lr; or what a schedule prints as.

    Raises:
        ValueError: an unknown word, a missing number, or numbers that do not fit together.

    >>> schedule = read_schedule("wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000")
    >>> [float(f"{rate:.3g}") for rate in schedule([0, 2000, 19200, 21600, 24000])]
    [1.5e-07, 0.0003, 0.0003, 0.000165, 3e-05]
    """
    return read_words(text).schedule


def read_words(text: str) -> Words:
    """The same, with the length and the warm-up that the words say.

    >>> read_words("cosine peak=1e-3 steps=100").warmup is None
    True
    """
    if text.strip().lower().startswith("file:"):
        return _from_file(text, text.strip()[len("file:") :].strip())
    word, rest = kind_and_rest(text)
    if "(" in text and word not in KINDS:
        return Words(text, read_written(text), None, 0.0)
    kind = _kind(word)
    build, needed, optional = KINDS[kind]
    given = _numbers(text, kind, rest, (*needed, *optional))
    for name in needed:
        if name not in given:
            raise ValueError(f"a {kind} schedule needs '{name}=', as in {_example(kind)!r}.")
    said = given.get("warmup")
    meant = _Said(kind, given)
    return Words(text, build(meant), meant.given.get("steps"), said)


def with_warmup(words: Words, given: float) -> tuple[Words, float]:
    """The words with a warm-up that they do not say, and what of it is left to lay over them.

    A cosine then falls from the end of the warm-up on; knots and schedules of the library are
    left as they are, under a linear rise.

    Raises:
        ValueError: they say another.

    >>> with_warmup(read_words("constant peak=1 steps=100"), 10)[0].text
    'constant peak=1 steps=100 warmup=10'
    """
    if words.warmup is not None:
        if given not in (0.0, words.warmup):
            raise ValueError(
                f"`warmup_steps` = {given:g} and the schedule's warmup={words.warmup:g} differ: "
                "say it once."
            )
        return words, 0.0
    if not given or words.text.lower().startswith("file:") or "(" in words.text:
        return words, given
    return read_words(f"{words.text.rstrip(' ,')} warmup={given:.12g}"), 0.0


class _Said:
    """The numbers of one schedule, with the checks that all kinds share."""

    def __init__(self, kind: str, given: Mapping[str, Any]) -> None:
        self.kind, self.given = kind, given
        self.peak = float(given["peak"])
        self.given = given = _with_tail(kind, given)
        self.steps = float(given.get("steps", math.inf))
        self.warmup = float(given.get("warmup", 0.0))
        self.end = float(given.get("end", 0.0))
        if not self.peak > 0 or not math.isfinite(self.peak):
            raise ValueError(f"peak={self.peak:g} must be a positive rate.")
        if self.end > self.peak:
            raise ValueError(f"end={self.end:g} must not exceed peak={self.peak:g}.")
        if not self.steps >= 1:
            raise ValueError(f"steps={self.steps:g} must be at least 1.")
        if self.warmup >= self.steps:
            raise ValueError(f"warmup={self.warmup:g} must be below steps={self.steps:g}.")

    def rising(self, factor: Schedule | None = None) -> Schedule:
        """Peak, warm-up and what follows it."""
        found: Schedule = Constant(self.peak)
        if self.warmup >= 1:
            found = found * Warmup(round(self.warmup))
        return found if factor is None else found * factor

    def fall(self, start: float, *, level: float = 1.0, shape: str = "linear") -> Schedule:
        """A tail from `start` to the end, from `level` times the peak down to the end rate."""
        shape = str(self.given.get("shape", shape))
        if shape == "exponential" and self.end == 0:
            raise ValueError("shape=exponential needs end=, a positive rate.")
        return Tail(start, self.steps, min(self.end / (level * self.peak), 1.0), shape)

    def decay_start(self) -> float:
        """Where the tail begins."""
        decay = float(self.given["decay"])
        if not math.isfinite(self.steps):
            raise ValueError("'decay=' needs 'steps=', the length of the whole run.")
        start = self.steps - decay
        if decay <= 0 or start < self.warmup:
            raise ValueError(
                f"decay={decay:g} must be positive and begin after the warm-up: at most "
                f"{self.steps - self.warmup:g} of {self.steps:g} steps."
            )
        return start


def _with_tail(kind: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A `wsd` schedule with its steps and its decay, two of which may come as stable= or start=."""
    if kind != "wsd":
        return given
    out = dict(given)
    if "stable" in out:
        out["start"] = out.pop("stable") + out.get("warmup", 0.0)
        if "start" in given:
            raise ValueError("'stable=' and 'start=' both say where the decay begins: give one.")
    if "start" in out and "steps" not in out and "decay" in out:
        out["steps"] = out["start"] + out["decay"]
    if "start" in out and "steps" in out and "decay" not in out:
        out["decay"] = out["steps"] - out["start"]
    for name in ("steps", "decay"):
        if name not in out:
            raise ValueError(f"a wsd schedule needs '{name}=', as in {_example(kind)!r}.")
    if "start" in out and abs(out["start"] + out["decay"] - out["steps"]) > 0.5:
        raise ValueError(
            f"the decay begins at step {out['start']:g} and takes {out['decay']:g} of "
            f"{out['steps']:g} steps: these do not add up."
        )
    return out


def _constant(said: _Said) -> Schedule:
    return said.rising(said.fall(said.decay_start()) if "decay" in said.given else None)


def _wsd(said: _Said) -> Schedule:
    return said.rising(said.fall(said.decay_start()))


def _cosine(said: _Said) -> Schedule:
    return said.rising(said.fall(said.warmup, shape="cosine"))


def _linear(said: _Said) -> Schedule:
    return said.rising(said.fall(said.warmup))


def _multistep(said: _Said) -> Schedule:
    at = list(said.given["at"])
    factors, rates = said.given.get("factor"), said.given.get("rates")
    if (factors is None) == (rates is None):
        raise ValueError("a multistep schedule needs factor= or rates=, and one of them.")
    if rates is not None:
        levels = [rate / said.peak for rate in rates]
    else:
        each = list(factors or ())
        each = each * len(at) if len(each) == 1 else each
        levels = np.cumprod(each).tolist()
    if len(levels) != len(at):
        what = "factor" if rates is None else "rates"
        raise ValueError(f"{what}= has {len(levels)} values for {len(at)} steps in at=.")
    if at != sorted(set(at)) or at[0] <= said.warmup or at[-1] >= said.steps:
        raise ValueError("at= must ascend, after the warm-up and before the last step.")
    return said.rising(Table((0.0, *at), (1.0, *levels), "previous"))


def _power(said: _Said) -> Schedule:
    exponent = float(said.given.get("exponent", 0.5))
    start = float(said.given.get("start", said.warmup))
    if not start >= 1:
        raise ValueError(f"a {said.kind} schedule needs warmup= or start=, from where it falls.")
    if "decay" not in said.given:
        if "end" in said.given:
            raise ValueError("end= needs decay=, the steps of the tail that leads there.")
        return said.rising(PowerFall(start, exponent))
    until = said.decay_start()
    if until <= start:
        raise ValueError(f"the tail begins at step {until:g}, before the fall at {start:g}.")
    level = (until / start) ** -exponent
    if said.end > level * said.peak:
        raise ValueError(f"end={said.end:g} lies above the rate where the tail begins.")
    return said.rising(PowerFall(start, exponent, until) * said.fall(until, level=level))


_Kind = tuple[Callable[[_Said], Schedule], tuple[str, ...], tuple[str, ...]]
# Kind -> how it is built, the numbers it needs, and those it may have.
KINDS: dict[str, _Kind] = {
    "constant": (_constant, ("peak",), ("warmup", "steps", "decay", "end", "shape")),
    "cosine": (_cosine, ("peak", "steps"), ("end", "warmup")),
    "linear": (_linear, ("peak", "steps"), ("end", "warmup")),
    "wsd": (_wsd, ("peak",), ("steps", "decay", "stable", "start", "end", "warmup", "shape")),
    "multistep": (_multistep, ("peak", "at"), ("factor", "rates", "warmup", "steps")),
    "inverse-sqrt": (_power, ("peak",), ("warmup", "start", "steps", "decay", "end", "shape")),
    "power": (
        _power,
        ("peak", "exponent"),
        ("warmup", "start", "steps", "decay", "end", "shape"),
    ),
}
_SAMPLES = {
    "peak": "peak=3e-4",
    "steps": "steps=24000",
    "decay": "decay=4800",
    "at": "at=8000,16000 factor=0.3",
    "exponent": "exponent=0.5 warmup=2000",
}


def _kind(word: str) -> str:
    if word in KINDS:
        return word
    if "=" in word or not word:
        raise ValueError(
            f"a schedule begins with its kind, one of {', '.join(KINDS)}, or file:plan.csv, as in "
            f"{EXAMPLE!r}."
        )
    return choice("schedule", word, KINDS)


def _example(kind: str) -> str:
    needed = ("peak", "steps", "decay") if kind == "wsd" else KINDS[kind][1]
    words = [_SAMPLES.get(name, f"{name}=...") for name in needed]
    return " ".join([kind, *words])


def _numbers(text: str, kind: str, rest: str, known: tuple[str, ...]) -> dict[str, Any]:
    """The NAME=VALUE words of one kind; shares in percent are of the steps, or of the peak."""
    raw: dict[str, str] = {}
    shares: set[str] = set()
    for name, value in words_of(text, rest):
        if name in SHARES:
            name = SHARES[name]
            shares.add(name)
        if name not in known:
            near = nearest(name, known)
            hint = f" Did you mean '{near}='?" if near else f" It takes {', '.join(known)}."
            raise ValueError(f"a {kind} schedule has no '{name}='.{hint}")
        if name in raw:
            raise ValueError(f"'{name}=' comes twice in the schedule {text!r}.")
        raw[name] = value
    found: dict[str, Any] = {}
    for name in sorted(raw, key=lambda name: name not in ("peak", "steps")):
        value = raw[name]
        if name == "shape":
            found[name] = choice("shape", value.lower().replace("1-", ""), SHAPES)
        elif name in ("at", "factor", "rates"):
            parts = [part for part in value.strip("[]()").split(",") if part]
            found[name] = [_number(text, name, part, found) for part in parts]
        else:
            found[name] = _number(text, name, value, found, share=name in shares)
    return found


def _number(
    text: str, name: str, value: str, found: Mapping[str, Any], *, share: bool = False
) -> float:
    number, said = number_of(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name}={value} in the schedule {text!r} is no number of 0 or more.")
    share = share or said
    if name in ("warmup", "decay", "start") and 0 < number < 1:
        share = True  # less than one step is a share of the run
    if not share:
        return number
    of = "peak" if name in ("end", "rates") else "steps"
    if name in ("peak", "steps", "factor", "exponent") or of not in found:
        raise ValueError(f"{name}={value} is a share of '{of}=', which the schedule does not say.")
    part = number * float(found[of])
    return part if of == "peak" else float(round(part))


def _from_file(text: str, path: str) -> Words:
    steps, rates = read_knots(path)
    if len(steps) < 2:
        raise ValueError(f"{path!r} has {len(steps)} row(s): a schedule needs at least two knots.")
    try:
        schedule = Table(tuple(steps), tuple(rates))
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None
    if not any(rates):
        raise ValueError(f"the learning rate in {path!r} is zero throughout.")
    says = steps[0] == 0 or rates[0] == 0  # what was before the first knot
    return Words(text, schedule, steps[-1], 0.0 if says else None)
