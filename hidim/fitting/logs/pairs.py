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
    is_loss,
    is_perplexity,
    is_rate,
    normal,
)

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
    return [
        (normal(found["key"]), f"{found['value']}e3" if found["kilo"] else found["value"])
        for found in _PAIR.finditer(line)
    ]


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
