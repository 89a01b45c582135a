"""Arguments refused before any work starts, each in one clear line.

Every check returns the value it accepted, converted, so a constructor reads as a list of
claims: ``alpha = positive("alpha", alpha)``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np


def finite(name: str, value: Any) -> float:
    """A finite real number."""
    number = _number(name, value)
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be a finite number, got {value!r}.")
    return number


def positive(name: str, value: Any) -> float:
    """A finite number above zero."""
    number = finite(name, value)
    if number <= 0:
        raise ValueError(f"`{name}` must be positive, got {value!r}.")
    return number


def non_negative(name: str, value: Any) -> float:
    """A finite number, zero allowed."""
    number = finite(name, value)
    if number < 0:
        raise ValueError(f"`{name}` must not be negative, got {value!r}.")
    return number


def whole(name: str, value: Any, *, minimum: float = 0, allow_inf: bool = False) -> float:
    """An integral count of at least `minimum`, kept as int below 2**53 and as float beyond.

    >>> whole("steps", 1e8)
    100000000
    """
    number = _number(name, value)
    if allow_inf and number == math.inf:
        return math.inf
    if not math.isfinite(number) or number != math.floor(number):
        raise ValueError(f"`{name}` must be a whole number, got {value!r}.")
    if number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}, got {value!r}.")
    return int(number) if abs(number) <= 2**53 else number


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of the names in `allowed`; a near miss is answered with the nearest."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    hint = f" Did you mean {near!r}?" if (near := nearest(value, names)) else ""
    raise ValueError(f"`{name}` must be one of {', '.join(names)}; got {value!r}.{hint}")


def nearest(value: Any, names: Iterable[str]) -> str | None:
    """The one of `names` that `value` looks like, whatever its case, or None.

    >>> nearest("Risk_flor", ["risk_floor", "error_sq"])
    'risk_floor'
    """
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(str(value).lower(), folded, n=1)
    return folded[close[0]] if close else None


def hyphenated(value: Any) -> Any:
    """A name in the spelling of the tables, whatever its case: `DANA_decaying` as dana-decaying."""
    return value.strip().lower().replace("_", "-") if isinstance(value, str) else value


def seed(name: str, value: Any) -> int | None:
    """A seed for a random generator: a whole number >= 0, or None."""
    try:
        return None if value is None else given_seed(name, value)
    except ValueError:
        raise ValueError(f"`{name}` must be a whole number >= 0 or None, got {value!r}.") from None


def given_seed(name: str, value: Any) -> int:
    """A whole number >= 0 to its last digit: beyond 2**53 a float would be another seed.

    >>> given_seed("seed", 12345678901234567891)
    12345678901234567891
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 0:
        return int(value)
    return int(whole(name, value))


def finite_array(name: str, value: Any, *, ndim: int | tuple[int, ...] | None = None) -> np.ndarray:
    """A float64 array without NaN or infinity, of the given number of dimensions."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be an array of numbers.") from None
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and array.ndim not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"`{name}` must have {wanted} dimension(s), got shape {array.shape}.")
    if not np.all(np.isfinite(array)):
        bad = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
        raise ValueError(f"`{name}` holds {bad} value(s) that are NaN or infinite.")
    return array


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool | np.bool_ | complex | np.complexfloating):
        raise ValueError(f"`{name}` must be a number, got {value!r}.")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{name}` must be a number, got {value!r}.") from None
