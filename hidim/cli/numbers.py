"""How numbers and names on the command line are read: exactly, or refused in one line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from hidim.support.checks import choice

if TYPE_CHECKING:
    from decimal import Decimal


def number(text: str) -> float:
    """A float, `inf` included; what only overflows to it is refused.

    >>> number("1e-3"), number("inf")
    (0.001, inf)
    """
    value = _decimal(text)
    return float(value)


def count(text: str) -> int | float:
    """A number that stays exact where it is whole, however it is written.

    What is not whole comes back as a float: the check that knows what is counted refuses it.

    >>> count("1e6"), count("12345678901234567891"), count("2.5")
    (1000000, 12345678901234567891, 2.5)
    """
    value = _decimal(text)
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


def names(text: str) -> list[str]:
    """Names of parameters as `gamma_2,kappa_3`, with dashes or underscores.

    >>> names("gamma-2, gamma_3.values[3]")
    ['gamma_2', 'gamma_3.values[3]']
    """
    found = [part.strip().replace("-", "_") for part in text.split(",") if part.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} names no parameter; write gamma_2,kappa_3")
    return found


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


def _decimal(text: str) -> Decimal:
    from decimal import Decimal, InvalidOperation  # on use, so that a command starts sooner

    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if value.is_finite() and math.isinf(float(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is larger than any number here")
    return value
