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
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hidim.algorithms.decays import SHAPES
from hidim.algorithms.knots import read_knots
from hidim.algorithms.phrases import Phrases, phrases_of
from hidim.algorithms.schedules import Schedule, Table
from hidim.algorithms.spellings import (
    NAMES,
    NEUTRAL,
    SHARES,
    a_kind,
    is_elsewhere,
    is_neutral,
    kind_by,
    kind_of,
    meaning,
    no_kind,
    number_of,
    shape_of,
)
from hidim.algorithms.word_kinds import KINDS, Said, example
from hidim.algorithms.written import read_written
from hidim.support.checks import choice, nearest

_ALL = frozenset(KINDS)
EXAMPLE = "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000"


@dataclass(frozen=True)
class Words:
    """A schedule in words.

    Attributes:
        text: the words.
        schedule: what they mean.
        steps: length of the run that they say, or None.
        warmup: the linear warm-up that they say, in steps; None where they say nothing of one.
        meant: how they were read, kind and NAME=VALUE with what was taken for granted; "" of knots
            and of what a schedule prints as.
    """

    text: str
    schedule: Schedule
    steps: float | None
    warmup: float | None
    meant: str = ""

    @property
    def read_as(self) -> str:
        """`meant`, or "" where the words say the same in so many words."""
        return "" if not self.meant or _plain(self.text) == _plain(self.meant) else self.meant


def read_schedule(text: str) -> Schedule:
    """The schedule that a line of words means.

    Args:
        text: a kind and its numbers, as NAME=VALUE apart by spaces: `constant`, `cosine`, `linear`,
            `polynomial` (exponent=2), `wsd`, `multistep` (at=8000,16000 factor=0.1),
            `inverse-sqrt` or `power` (exponent=0.5, from the end of the warm-up on), each with
            peak=, warmup= and steps=, the falling ones with end= and, where the fall ends before
            the run, until=; `constant`, `inverse-sqrt` and `power` may end in a tail, decay=STEPS
            end=, whose shape= is linear, cosine, exponential or sqrt; `onecycle` rises from
            initial= over warmup=. Or `file:plan.csv`, knots of step and lr; or what a schedule
            prints as.

    Raises:
        ValueError: an unknown word, a missing number, or numbers that do not fit together.

    >>> schedule = read_schedule("wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000")
    >>> [float(f"{rate:.3g}") for rate in schedule([0, 2000, 19200, 21600, 24000])]
    [1.5e-07, 0.0003, 0.0003, 0.000165, 3e-05]
    """
    return read_words(text).schedule


def read_words(text: str, *, steps: float | None = None) -> Words:
    """The same, with the length and the warm-up that the words say.

    Args:
        text: the words.
        steps: length of the run where the words say none.

    >>> read_words("cosine peak=1e-3 steps=100").warmup is None
    True
    """
    if not isinstance(text, str):
        raise ValueError(
            f"a schedule in words is a text such as {example('cosine')!r}, not {text!r}."
        )
    if text.strip().lower().startswith("file:"):
        return _from_file(text, text.strip()[len("file:") :].strip())
    if "(" in text and not _of_words(text):
        name = text.strip().partition("(")[0]
        if is_elsewhere(name) or re.search("restart|cyclic", name, re.IGNORECASE):
            raise ValueError(no_kind(name, KINDS))
        return Words(text, read_written(text), None, 0.0)
    said = phrases_of(text, _ALL)
    kind = _kind(kind_of(said.kind) or kind_by(name for name, _ in said.pairs))
    build, needed, optional = KINDS[kind]
    given = _numbers(text, kind, said, (*needed, *optional), steps)
    _length(kind, given, steps)
    for name in needed:
        if name not in given:
            raise ValueError(f"{a_kind(kind)} schedule needs '{name}=', as in {example(kind)!r}.")
    if said.key and kind == "wsd" and "shape" not in given:
        raise ValueError(
            f"the tail of {said.key}={said.kind} is a cosine with some trainers and exponential "
            "with others: say shape=linear, cosine, exponential or sqrt."
        )
    whole = Said(kind, given)
    schedule = build(whole)
    warmup = whole.given.get("warmup") if kind == "onecycle" else given.get("warmup")
    return Words(text, schedule, whole.given.get("steps"), warmup, _meant(kind, whole.given))


def _of_words(text: str) -> bool:
    """Whether a line with brackets is words, and not what a schedule prints as."""
    try:
        return kind_of(phrases_of(text, _ALL).kind) in KINDS
    except ValueError:
        return bool(re.match(r"\s*[a-z-]", text)) and kind_of(re.split(r"[\s(]", text)[0]) in KINDS


def _length(kind: str, given: dict[str, Any], steps: float | None) -> None:
    """The length of the run, where another number or the caller says it."""
    ended = "decay" in given and ("start" in given or "stable" in given)
    if "until" in given:
        given.setdefault("steps", given["until"])
    elif steps is not None and not (kind == "wsd" and ended):
        given.setdefault("steps", steps)


_ORDER = ("peak", "initial", "end", "warmup", "start", "decay", "shape", "at", "factor", "rates")


def _meant(kind: str, given: Mapping[str, Any]) -> str:
    """The words in one spelling."""
    left = {k: v for k, v in given.items() if not (kind == "wsd" and k == "start")}
    if left.get("until") == left.get("steps"):
        left.pop("until", None)
    if "decay" in left:
        left.setdefault("shape", "linear")
    names = sorted(left, key=lambda k: _ORDER.index(k) if k in _ORDER else len(_ORDER))
    return " ".join([kind, *(f"{name}={_shown(left[name])}" for name in names)])


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_shown, value))
    return value if isinstance(value, str) else f"{value:.12g}"


def _plain(text: str) -> tuple[str, frozenset[tuple[str, str]]] | str:
    """A line that says kind and NAME=VALUE in plain numbers, in any order; another as it is."""
    kind, *words = text.split()
    pairs = [word.partition("=") for word in words if word != "shape=linear"]
    try:
        return kind, frozenset(
            (name, value if name == "shape" else _shown([float(v) for v in value.split(",")]))
            for name, _, value in pairs
        )
    except ValueError:
        return text


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
    if not given or not words.meant:
        return words, given
    text = f"{words.text.rstrip(' ,')} warmup={given:.12g}"
    return replace(read_words(f"{words.meant} warmup={given:.12g}"), text=text), 0.0


def _kind(word: str) -> str:
    if word in KINDS:
        return word
    if not word:
        raise ValueError(
            f"a schedule begins with its kind, one of {', '.join(KINDS)}, or file:plan.csv, as in "
            f"{EXAMPLE!r}."
        )
    raise ValueError(no_kind(word, KINDS))


def _numbers(
    text: str, kind: str, said: Phrases, known: tuple[str, ...], steps: float | None
) -> dict[str, Any]:
    """The numbers of one kind; shares in percent are of the steps, or of the peak.

    Where the words do not say the steps, the shares are of the caller's, which then hold.
    """
    raw: dict[str, str] = {}
    shares: set[str] = set()
    for spelling, value in said.pairs:
        if spelling in NEUTRAL:
            _neutral(kind, spelling, value)
            continue
        name, share = meaning(spelling, said.kind)
        if name not in known:
            raise ValueError(_unknown(kind, spelling, value, known))
        if name in raw:
            raise ValueError(f"'{name}=' comes twice in the schedule {text!r}.")
        raw[name] = value
        if share:
            shares.add(name)
    found: dict[str, Any] = {}
    first = ("peak", "steps", "until")  # of which others are shares
    for name in sorted(raw, key=lambda name: first.index(name) if name in first else len(first)):
        value = raw[name]
        if name == "shape":
            found[name] = choice("shape", shape_of(value), SHAPES)
        elif name in ("at", "factor", "rates"):
            parts = [part for part in value.strip("[]()").split(",") if part]
            found[name] = [_number(text, name, part, found, steps) for part in parts]
        else:
            found[name] = _number(text, name, value, found, steps, share=name in shares)
    return found


def _neutral(kind: str, name: str, value: str) -> None:
    """A setting of a trainer that changes nothing at its usual value."""
    if not is_neutral(name, value):
        raise ValueError(
            f"{a_kind(kind)} schedule is known with {name}={NEUTRAL[name][0]} alone, got {value}: "
            "give its knots, file:plan.csv."
        )


def _unknown(kind: str, name: str, value: str, known: tuple[str, ...]) -> str:
    """What to say of a number that this kind does not take."""
    if any(unit in name for unit in ("sample", "token", "epoch")):
        return (
            f"{a_kind(kind)} schedule has no '{name}=': it counts optimizer steps, so say it in "
            "these."
        )
    number, share = number_of(name, value)
    shares = () if share or 0 <= number <= 1 else SHARES  # no number beyond 1 is meant as one
    others = {n for n in NAMES if meaning(n)[0] in known and n not in shares}
    near = None if name in NAMES else nearest(name, known) or nearest(name, others)
    hint = f" Did you mean '{near}='?" if near else f" It takes {', '.join(known)}."
    return f"{a_kind(kind)} schedule has no '{name}='.{hint}"


def _number(
    text: str,
    name: str,
    value: str,
    found: dict[str, Any],
    steps: float | None,
    *,
    share: bool = False,
) -> float:
    number, said = number_of(name, value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name}={value} in the schedule {text!r} is no number of 0 or more.")
    share = share or said
    if name in ("warmup", "decay", "start", "stable", "until", "at") and 0 < number < 1:
        share = True  # less than one step is a share of the run
    if not share:
        return number
    if name in ("peak", "steps"):
        what = "a learning rate, peak=3e-4" if name == "peak" else "a number of steps, steps=24000"
        raise ValueError(f"{name}={value} is a share of nothing: give {what}.")
    of = "peak" if name in ("end", "rates", "initial") else "steps"
    if of == "steps" and "until" in found and name != "until":
        of = "until"
    if name == "factor":
        return number
    whole = name == "exponent"
    if of == "steps" and steps is not None and not whole:
        found.setdefault("steps", steps)
    if whole or of not in found:
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
