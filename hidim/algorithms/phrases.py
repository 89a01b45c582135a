"""Which kind and which pairs of name and value does a line say, in whatever order?

    wsd(peak=3e-4, warmup=1k, decay=20%, steps=24,000)
    cosine 3e-4 peak, 2000 warmup steps, 24000 steps
    --lr 3e-4 --min-lr 0.1x --lr-decay-style cosine --lr-warmup-iters 2000 --train-iters 24k
    lr_scheduler_type=cosine_with_min_lr lr_scheduler_kwargs={"min_lr_rate": 0.1} ...

Bare words are read in every way in which each number has one name, before or behind it; a line that
can be read in no way, or in two, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hidim.algorithms.spellings import (
    NAMES,
    NEUTRAL,
    OF_KIND,
    UNITS,
    kind_of,
    meaning,
    named,
    no_kind,
)
from hidim.support.checks import nearest

_FILLERS = frozenset(["with", "over", "for", "and", "a", "then", "in", "down", "of", "by", "the"])
_WORDED = frozenset(("shape", "warmup_type", "warmup_style", "decay_lr", *OF_KIND))
_BEFORE = ("from", "to")  # names that stand before their number alone
_LISTS = r"(?:at|milestones|drops|factors?|gamma|rates)"
_ONE = r"[\d.][\d.e+\-kKmM%]*"
_LONGEST = 3  # words that make up a name, `total training steps`
_MOST = 80  # words of a line


@dataclass(frozen=True)
class Phrases:
    """What a line says.

    Attributes:
        kind: its kind as it was written, or "".
        key: the name under which the kind stood, or "".
        pairs: names, in lower case with underscores, and values.
    """

    kind: str
    key: str
    pairs: tuple[tuple[str, str], ...]


def phrases_of(text: str, kinds: frozenset[str]) -> Phrases:
    """Kind and pairs of a line.

    Args:
        text: the line.
        kinds: known kinds, beside their spellings.

    Raises:
        ValueError: words that cannot be read, or can be read in two ways.

    >>> phrases_of("wsd 2000 warmup, steps=9k", frozenset(["wsd"]))
    Phrases(kind='wsd', key='', pairs=(('warmup', '2000'), ('steps', '9k')))
    """
    # Every warm-up is linear, and the word before it no kind of a schedule that another begins.
    line = re.sub(r"^\s*linear(?:ly)?[ -]+(?=warm\S*[ =]+\d)", "", text, flags=re.IGNORECASE)
    kind, rest = _leading(line if _says_a_kind(line, kinds) else text, kinds)
    tokens = _tokens(rest)
    if len(tokens) > _MOST:
        raise ValueError(f"the schedule {text[:40]!r}... has more than {_MOST} words.")
    for unknown in (False, True):
        found = _Ways(tokens, frozenset() if kind else kinds, unknown=unknown).all()
        if found:
            break
    else:
        raise ValueError(_unread(text, tokens, kind, kinds))
    if len(found) > 1:
        one, two = (", ".join(f"{n}={v}" for n, v in way) for way in found[:2])
        raise ValueError(f"the schedule {text!r} reads as {one} or as {two}: write NAME=VALUE.")
    pairs = found[0]
    said = [(name, value) for name, value in pairs if name in OF_KIND or name == ""]
    said = ([("", kind)] if kind else []) + said
    if len({kind_of(value) for _, value in said}) > 1:
        both = " and ".join(value for _, value in said[:2])
        raise ValueError(f"the schedule {text!r} has two kinds, {both}: say one.")
    key = next((name for name, _ in said if name), "")
    rest_of = tuple((n, v) for n, v in pairs if n not in OF_KIND and n != "")
    return Phrases(said[0][1] if said else "", key, rest_of)


def _says_a_kind(line: str, kinds: frozenset[str]) -> bool:
    """Whether a line names a kind, by a word that names no number."""
    words = re.findall(r"[A-Za-z][\w-]*", line)
    return any(kind_of(word) in kinds and named(word) not in NAMES for word in words)


def _leading(text: str, kinds: frozenset[str]) -> tuple[str, str]:
    """The kind that a line begins with, "" where it begins otherwise, and the rest."""
    line = text.strip()
    call = re.fullmatch(r"([A-Za-z1_][\w.-]*)\s*\((.*)\)([^()*]*)", line, re.DOTALL)
    if call and re.search(r"[A-Za-z_]+\s*=", call[2]) and _of_trainer(call[1], kinds):
        return call[1], re.sub(r"^\s*[\w.]*opt(imizer)?\s*,", "", call[2]) + " " + call[3]
    words = re.findall(r"\S+\s*", line)
    for count in range(min(_LONGEST + 1, len(words)), 0, -1):
        first = "-".join(word.strip() for word in words[:count])
        numbered = count > 1 and count < len(words) and _is_number(words[count])
        if numbered and named(words[count - 1].strip()) in NAMES:
            continue  # `cosine warmup 2000` names a number
        if re.fullmatch(r"[\w.-]+[:,]?" if count == 1 else r"[\w-]+:?", first) and (
            kind_of(first) in kinds
        ):
            return first.rstrip(":,"), "".join(words[count:])
    return "", line


def _of_trainer(call: str, kinds: frozenset[str]) -> bool:
    """Whether `call(...)` is of words, or a class of a trainer, and not one of the library's."""
    own = call.rpartition(".")[2]
    ours = not own[:1].islower() and own.lower() in kinds  # Cosine and WSD
    return kind_of(call) in kinds and not ours


def _tokens(rest: str) -> list[tuple[str, str]]:
    """Pairs that are bound, numbers and words, as (name, value), ("", number), (word, "")."""
    line = re.sub(r"[\w.\-]*kwargs[\"']?\s*[=:]\s*[\"']?(?=\{)", " ", rest)
    line = re.sub(r"[{}\"']", " ", re.sub(r"→|->", " to ", line))
    line = re.sub(r"\s*[=:]\s*(?=[^\s=:])", "=", line)
    squeeze = re.compile(r"\s+")
    line = re.sub(r"[\[(][^\])]*[\])]", lambda m: squeeze.sub("", m[0]), line)
    line = re.sub(
        rf"\b{_LISTS}[= ]{_ONE}(?:,\s*{_ONE})+", lambda m: re.sub(r",\s+", ",", m[0]), line
    )
    line = re.sub(r"[,;](?=\s|$|[A-Za-z_-])", " ", line)
    found: list[tuple[str, str]] = []
    words = line.split()
    skip = False
    for i, word in enumerate(words):
        if skip:
            skip = False
            continue
        name, equals, value = word.partition("=")
        if equals and name and value and not _is_number(name):
            found.append((named(name), value))
        elif word.startswith("--") and i + 1 < len(words) and not words[i + 1].startswith("--"):
            found.append((named(word), words[i + 1]))
            skip = True
        elif _is_number(word):
            found.append(("", word))
        else:
            found.append((named(word) if word.startswith("--") else word, ""))
    return found


def _is_number(word: str) -> bool:
    return bool(re.match(r"[+-]?(\d|\.\d|\[|\()", word)) and not word.lower().startswith("1-sqrt")


class _Ways:
    """Every way in which tokens pair up, each once."""

    def __init__(
        self, tokens: list[tuple[str, str]], kinds: frozenset[str], *, unknown: bool
    ) -> None:
        self.tokens, self.kinds, self.unknown = tokens, kinds, unknown
        self.known: dict[int, list[tuple[tuple[str, str], ...]]] = {}

    def all(self) -> list[tuple[tuple[str, str], ...]]:
        """The ways, those that say the same being one; a few are enough to know."""
        found = {
            tuple(sorted((meaning(name)[0], value) for name, value in way)): way
            for way in reversed(self._from(0))
        }
        return list(found.values())

    def _from(self, i: int) -> list[tuple[tuple[str, str], ...]]:
        if i == len(self.tokens):
            return [()]
        if i not in self.known:
            ways = [(*pair, *rest) for pair, after in self._next(i) for rest in self._from(after)]
            self.known[i] = ways[:8]
        return self.known[i]

    def _next(self, i: int) -> list[tuple[tuple[tuple[str, str], ...], int]]:
        """What may be read from token i on, and where that ends."""
        word, value = self.tokens[i]
        if word and value:
            return [((self.tokens[i],), i + 1), *self._unit((self.tokens[i],), i + 1)]
        out: list[tuple[tuple[tuple[str, str], ...], int]] = []
        if not word:  # a number, and its name behind it
            for name, after in self._names(i + 1, unknown=False):
                if name not in _BEFORE:
                    out.append((((name, value),), after))
            if self.tokens[i + 1 : i + 2] == [("to", "")]:
                out.append(((("peak", value),), i + 1))  # 3e-4 to 3e-5
            return out
        for name, after in self._names(i, unknown=self.unknown):
            if after < len(self.tokens):
                next_word, next_value = self.tokens[after]
                if not next_word:
                    pair = ((name, next_value),)
                    out += [(pair, after + 1), *self._unit(pair, after + 1)]
                elif not next_value and (name in _WORDED or name in NEUTRAL):
                    out.append((((name, next_word),), after + 1))
        if word.lower() in _FILLERS:
            out.append(((), i + 1))
        if kind_of(word) in self.kinds and word.lower() not in UNITS:
            out.append(((("", word),), i + 1))
        return out

    def _unit(
        self, pair: tuple[tuple[str, str], ...], i: int
    ) -> list[tuple[tuple[tuple[str, str], ...], int]]:
        """The same with the unit of the number behind it, `warmup 2000 steps`."""
        if i < len(self.tokens) and not self.tokens[i][1] and self.tokens[i][0].lower() in UNITS:
            return [(pair, i + 1)]
        return []

    def _names(self, i: int, *, unknown: bool) -> list[tuple[str, int]]:
        """Names that begin at token i, of one word or several, and where they end."""
        out = []
        for count in range(_LONGEST, 0, -1):
            words = [word for word, value in self.tokens[i : i + count] if word and not value]
            if len(words) < count:
                continue
            name = named("_".join(words))
            known = name in NAMES or name in OF_KIND or name in NEUTRAL
            if known or (unknown and count == 1):
                out.append((name, i + count))
        return out


def _unread(text: str, tokens: list[tuple[str, str]], kind: str, kinds: frozenset[str]) -> str:
    """What to say of a line that can be read in no way."""
    for word, value in tokens:
        name = named(word)
        lost = word and not value and name not in NAMES and name not in UNITS
        if lost and kind and kind_of(word) in kinds:
            return f"the schedule {text!r} has two kinds, {kind} and {word}: say one."
        if lost and word.lower() not in _FILLERS and kind_of(word) not in kinds:
            if not kind and (word, value) == tokens[0]:
                return no_kind(word, sorted(kinds))
            near = nearest(name, NAMES)
            hint = f" Did you mean '{near}='?" if near else ""
            return f"cannot read {word!r} in the schedule {text!r}: write NAME=VALUE.{hint}"
    alone = next((value for word, value in tokens if not word), None)
    if alone is not None and not any(word and not value for word, value in tokens):
        rate = re.fullmatch(r"\d*\.?\d+(e-\d+)?", alone) and float(alone) < 1
        write = f"peak={alone}" if rate else "NAME=VALUE"
        return f"nothing says what {alone} is in the schedule {text!r}: write {write}."
    left = next((word for word, value in tokens if word and not value), alone)
    return f"cannot read {left!r} in the schedule {text!r}: write NAME=VALUE."
