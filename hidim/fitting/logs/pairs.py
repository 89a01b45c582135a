"""Which names stand beside which numbers on a printed line, and what do the names mean?

Every way to write a pair: `loss 9.22`, `val_loss:10.8`, `lm loss: 9.8E+00`, `'loss': 2.3`,
`loss => tensor(2.3)`, `Loss at step 400: 2.3`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from hidim.fitting.logs.names import (
    ALIASES,
    BITS,
    VALIDATION,
    counted_in,
    is_loss,
    is_perplexity,
    is_rate,
    normal,
)

_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PAIR = re.compile(
    r"(?P<key>(?<![A-Za-z_])[A-Za-z_][\w./\-]*(?: [A-Za-z_][\w./\-]*){0,5}?)"
    r"(?: ?\((?P<unit>[^():=]{1,12})\))?"  # a unit, or a group
    r"(?:['\"]?\s*(?:[:=]>?|->|→)\s*|\s+)"
    r"(?:(?:np\.|torch\.|jnp\.)?(?:float\d+|tensor|array))?['\"\[(]{0,2}"
    rf"(?P<value>{_NUMBER}|(?:(?<=[:=])|(?<=[:=]\s)|(?<=[:=\s]['\"])|(?<=loss\s))-?(?:nan|inf)\b)"
    r"(?P<kilo>k(?![A-Za-z/]))?(?![\d.]*%)"  # a share of the whole is neither
    rf"(?:\s*[x×*·]\s*(?:1e|10\^|10\*\*)(?P<power>[-+−]?\d+))?"
    r"(?:\s*/\s*\d+)?",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\b(lr|learning[ _]rate)\s*[x×*·]\s*((?:1e|10\^|10\*\*)[-+−]?\d+)\b", re.I)
_GROUP = re.compile(r"\b(lr|learning_rate)\[(\d+)\](?=\s*[:=])")  # lr[0]: 3e-4
_BOXED = re.compile(  # Step[400] Loss[2.3]
    r"(?<![\w.])(?P<name>[A-Za-z_]+(?:[ _/][A-Za-z_]+){0,3})"
    rf" ?[\[<(] ?(?P<value>{_NUMBER}) ?[\]>)](?!\s*[:=(\[])"
)
WIDE = 10_000  # characters of a line beyond which it is of something else
_OTHER = re.compile(r"\b(?:val|valid|validation|eval|evaluation|test|dev)\b", re.IGNORECASE)
_AT = re.compile(
    r"\b([A-Za-z]+(?:[ _][A-Za-z]+)?) (?:at|after) (step|iter(?:ation)?) (\d+) ?:", re.I
)
# Words that make a count of steps another thing.
_NOT_STEPS = frozenset(
    (
        *("total", "max", "min", "warmup", "per", "num", "number", "eval", "save", "log"),
        *("decay", "skipped", "nan", "time", "avg", "ms", "accumulation", "micro", "checkpoint"),
        *("every", "remaining", "of", "logging"),
    )
)


def pairs_of(line: str) -> list[tuple[str, str]]:
    """Normal names and numbers of a line, in its order.

    >>> pairs_of("step 1.2k: train loss => 3.41, lr=[3e-4]")
    [('step', '1.2e3'), ('train_loss', '3.41'), ('lr', '3e-4')]
    """
    line = line[:WIDE]
    if "at step" in line or "at iter" in line or "after step" in line:
        line = _AT.sub(r"\2 \3, \1:", line)
    if "[" in line or "<" in line or "(" in line:
        line = _BOXED.sub(_unboxed, _GROUP.sub(r"\1_\2", line))
    if (times := _TIMES.search(line)) is not None:
        line = line.replace(times[0], f"{times[1]} ({times[2]})")
    return [(normal(found["key"]), _value(found)) for found in _PAIR.finditer(line)]


def _unboxed(found: re.Match[str]) -> str:
    """A pair with its value behind a colon, where the name has a role; else as it is."""
    told = role_of(normal(found["name"])) != ""
    return f"{found['name']}: {found['value']} " if told else found[0]


def _value(found: re.Match[str]) -> str:
    """A number in full: in thousands, times a power of ten, or beside one in its unit."""
    value = found["value"]
    if found["kilo"]:
        return f"{value}e3"
    if found["power"]:
        return (
            f"{float(value.replace(',', '')) * 10.0 ** int(found['power'].replace('−', '-')):.12g}"
        )
    if found["unit"] and role_of(normal(found["key"])) == "lr":
        factor = counted_in("lr", f"lr ({found['unit']})")
        return value if factor == 1.0 else f"{float(value.replace(',', '')) * factor:.12g}"
    return value


def told_of(name: str, line: str) -> str:
    """`loss`, or `val_loss` where a word before it says that the line is of validation."""
    if name != "loss":
        return name
    before = line[: line.lower().find("loss")]
    return "val_loss" if _OTHER.search(before) and "train" not in before.lower() else name


@lru_cache(maxsize=4096)
def role_of(name: str) -> str:
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
    other = name in BITS or is_perplexity(name)
    return "loss" if is_loss(name) or other else ""
