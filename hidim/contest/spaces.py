"""Which twelve points does a method try? The same good lattice in every space.

Point i of n in dimension j stands at u = ((g_j (i + 1) mod (n + 1)) - 1/2) / n of its range, with
g_j the j-th number that n + 1, a prime, leaves far from its neighbours: every dimension is met in n
even places (a Latin design), and no chance is involved, so no method can be lucky.
Source: good lattice points, Fang & Wang, Number-theoretic Methods in Statistics (1994), chapter 1.
Limits: n + 1 must be prime; six dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hidim.support.checks import finite, positive

_GENERATORS = (1, 5, 3, 7, 4, 2)  # none is another's, or minus another's, mod 13


@dataclass(frozen=True)
class Log:
    """Numbers between two positive ones, even in their logarithm.

    >>> Log(1e-4, 1e-2).at(0.5)
    0.001
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not positive("low", self.low) < positive("high", self.high):
            raise ValueError(f"`low` must be below `high`, got {self.low} and {self.high}.")

    def at(self, u: float) -> float:
        """The number at the share `u` of the range, to six digits."""
        return float(f"{self.low * (self.high / self.low) ** u:.6g}")


@dataclass(frozen=True)
class Linear:
    """Numbers between two, evenly.

    >>> Linear(0.7, 1.0).at(0.5)
    0.85
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not finite("low", self.low) < finite("high", self.high):
            raise ValueError(f"`low` must be below `high`, got {self.low} and {self.high}.")

    def at(self, u: float) -> float:
        """The number at the share `u` of the range, to six digits."""
        return float(f"{self.low + (self.high - self.low) * u:.6g}")


@dataclass(frozen=True)
class Options:
    """One of several values.

    >>> Options((1, 2)).at(0.6)
    2
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("`values` must name at least one.")

    def at(self, u: float) -> Any:
        """The value whose share of the range holds `u`."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


Range = Log | Linear | Options


def plain(space: Mapping[str, Range]) -> dict[str, list[Any]]:
    """A space as JSON holds it.

    >>> plain({"lr": Log(1e-4, 1e-2)})
    {'lr': ['Log', 0.0001, 0.01]}
    """
    return {name: [type(one).__name__, *vars(one).values()] for name, one in space.items()}


def from_plain(given: Any) -> dict[str, Range]:
    """The space again.

    Raises:
        ValueError: it is none.

    >>> from_plain({"lr": ["Log", 0.0001, 0.01]})
    {'lr': Log(low=0.0001, high=0.01)}
    """
    kinds: dict[str, Any] = {kind.__name__: kind for kind in (Log, Linear, Options)}
    try:
        return {
            str(name): kinds[kind](*(tuple(x) if isinstance(x, list) else x for x in values))
            for name, (kind, *values) in given.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"a space of Log, Linear and Options is wanted, got {given!r}") from error


def points(space: Mapping[str, Range], count: int) -> list[dict[str, Any]]:
    """The settings that are tried.

    Args:
        space: a range for every name.
        count: how many; `count` + 1 must be prime.

    Raises:
        ValueError: more than six names, or no such count.

    >>> points({"lr": Log(1e-4, 1.0), "decay": Linear(0.0, 1.0)}, 2)
    [{'lr': 0.001, 'decay': 0.75}, {'lr': 0.1, 'decay': 0.25}]
    """
    if len(space) > len(_GENERATORS):
        raise ValueError(f"a space has at most {len(_GENERATORS)} names, got {len(space)}.")
    prime = count + 1
    if count < 1 or any(prime % k == 0 for k in range(2, math.isqrt(prime) + 1)):
        raise ValueError(f"the number of points must be one less than a prime, got {count}.")
    steps = [g % prime or 1 for g in _GENERATORS]

    def place(i: int, j: int) -> float:
        return (steps[j] * (i + 1) % prime - 0.5) / count

    return [
        {name: one.at(place(i, j)) for j, (name, one) in enumerate(space.items())}
        for i in range(count)
    ]
