"""How numbers and names on the command line are read: exactly, or refused in one line."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hidim.support.checks import choice

if TYPE_CHECKING:
    from decimal import Decimal


_POWERS = {"k": "e3", "m": "e6", "b": "e9", "g": "e9", "t": "e12"}


def number(text: str) -> float:
    """A float, `inf` included; what only overflows to it is refused.

    >>> number("1e-3"), number("inf")
    (0.001, inf)
    """
    value = _decimal(text)
    return float(value)


def count(text: str) -> int | float:
    """A number that stays exact where it is whole, however it is written: 1e6, 24k, 24_000.

    What is not whole comes back as a float: the check that knows what is counted refuses it.

    >>> count("1e6"), count("12345678901234567891"), count("2.5"), count("2.5k")
    (1000000, 12345678901234567891, 2.5, 2500)
    """
    value = _decimal(text, short=True)
    whole = value.is_finite() and value == value.to_integral_value()
    return int(value) if whole else float(value)


def counts(text: str) -> list[int | float]:
    """Counts as `0,100,1e6`.

    >>> counts("0,100,1e6")
    [0, 100, 1000000]
    """
    try:
        return [count(part) for part in text.split(",") if part.strip()]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}; write 0,100,1e6") from None


def row(text: str) -> list[float]:
    """Numbers as `0.4,0.7,1` or `0.3:1.5:4`, from the first to the second in so many even steps.

    >>> row("0.4,1"), row("0.25:1:4")
    ([0.4, 1.0], [0.25, 0.5, 0.75, 1.0])
    """
    return _row(text, lambda low, high, share: low + (high - low) * share)


def sizes(text: str) -> list[float]:
    """Sizes as `100,200,400` or `100:51200:10`, from the first to the second evenly in log d.

    >>> sizes("100,200"), sizes("100:1e4:3")
    ([100.0, 200.0], [100.0, 1000.0, 10000.0])
    """
    found = _row(text, lambda low, high, share: low * (high / low) ** share, positive=True)
    return [float(round(size)) for size in found] if ":" in text else found


def _row(
    text: str, between: Callable[[float, float, float], float], *, positive: bool = False
) -> list[float]:
    form = "write 0.4,0.7,1 or LOW:HIGH:COUNT"
    parts = text.split(":")
    if len(parts) == 1:
        found = [number(part) for part in text.split(",") if part.strip()]
    elif len(parts) == 3:
        low, high, steps = map(number, parts)
        if not 2 <= steps <= 10_000 or steps != int(steps):
            raise argparse.ArgumentTypeError(f"{text!r} must count 2 to 10000 numbers; {form}")
        if not (math.isfinite(low) and math.isfinite(high)) or (positive and min(low, high) <= 0):
            raise argparse.ArgumentTypeError(f"cannot read {text!r}; {form}")
        last = int(steps) - 1
        found = [between(low, high, k / last) for k in range(last)] + [high]
    else:
        found = []
    if not found:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}; {form}")
    return found


def names(text: str) -> list[str]:
    """Names of parameters as `gamma_2,kappa_3`, with dashes or underscores.

    >>> names("gamma-2, gamma_3.values[3]")
    ['gamma_2', 'gamma_3.values[3]']
    """
    found = [part.strip().replace("-", "_") for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names no parameter; write gamma_2,kappa_3")
    return found


def or_word(word: str, read: Callable[[str], float], what: str) -> Callable[[str], float | str]:
    """Reads a number, or `word` in any case; `what` says in a complaint what the number is.

    >>> or_word("auto", count, "a number of steps")("Auto")
    'auto'
    """

    def given(text: str) -> float | str:
        if text.strip().lower() == word:
            return word
        try:
            return read(text)
        except argparse.ArgumentTypeError:
            raise argparse.ArgumentTypeError(f"give {what} or {word}, not {text!r}") from None

    return given


def one_of(what: str, names: Iterable[str]) -> Callable[[str], str]:
    """Reads one of `names` in any case; a near miss is answered with the nearest.

    >>> one_of("engine", ["auto", "exact"])("Exact")
    'exact'
    """
    known = {name.lower(): name for name in names}

    def read(text: str) -> str:
        spelled = text.strip().lower()
        for found in (spelled, spelled.replace("_", "-")):
            if found in known:
                return known[found]
        try:
            return choice(what, text, known.values())
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def parse_pairs(text: str, what: str = "options") -> dict[str, Any]:
    """`a=1,b=true` as names and values.

    >>> parse_pairs("kappa_3=0.7,nesterov=true")
    {'kappa_3': 0.7, 'nesterov': True}
    """
    pairs: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ValueError(f"`{what}` must read NAME=VALUE,..., got {text!r}.")
        pairs[name.strip()] = parse_value(value.strip())
    return pairs


def parse_value(text: str) -> Any:
    """A number where it is one, true, false or none, else the text itself.

    >>> parse_value("1e3"), parse_value("True"), parse_value("adam")
    (1000, True, 'adam')
    """
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return count(text)
    except argparse.ArgumentTypeError:
        return text


def amount(text: str) -> float:
    """A float that may be written as 2k, 0.5M or 1.4T: steps or tokens.

    >>> amount("0.5M"), amount("2160")
    (500000.0, 2160.0)
    """
    return float(_decimal(text, short=True))


def _decimal(text: str, *, short: bool = False) -> Decimal:
    from decimal import Decimal, InvalidOperation  # on use, so that a command starts sooner

    spelled = text.strip()
    if short and spelled[-1:].lower() in _POWERS and spelled[:-1].replace(".", "", 1).isdigit():
        spelled = spelled[:-1] + _POWERS[spelled[-1].lower()]
    try:
        value = Decimal(spelled)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number{_slip(spelled)}") from None
    if value.is_finite() and math.isinf(float(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is larger than any number here")
    return value


def _slip(text: str) -> str:
    """What was meant by that, to end a complaint with; "" where nothing is known."""
    from hidim.fitting.logs.names import unit_of

    if re.fullmatch(r"\d{1,3}(,\d{3})+", text):
        return f": write {text.replace(',', '')}"
    if "," in text:
        return ": several are parted by blanks, and decimals written with a point"
    if text.endswith("%"):
        return ": a share is written 0.1, and what it is a share of is not known everywhere"
    found = re.fullmatch(r"([\d.]+(?:e[-+]?\d+)?) ?([A-Za-z][A-Za-z/ -]*)", text)
    if found is None:
        return ""
    units = (found[2], re.sub(r"(?<=f)(lops?|s)$", "", found[2], flags=re.IGNORECASE))
    each = max(unit_of(f"x_{unit}") for unit in units)
    return f": write {float(found[1]) * each:.4g}" if each != 1.0 else ""
