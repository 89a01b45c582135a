"""Arguments refused before any work starts, each in one clear line.

Every check returns the value it accepted, converted, so a constructor reads as a list of
claims: ``alpha = positive("alpha", alpha)``.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def finite(name: str, value: Any) -> float:
    """A finite real number."""
    number = _number(name, value)
    if not math.isfinite(number):
        raise ValueError(f"`{name}` must be a finite number, got {shown(value)}.")
    return number


def positive(name: str, value: Any) -> float:
    """A finite number above zero."""
    number = finite(name, value)
    if number <= 0:
        raise ValueError(f"`{name}` must be positive, got {shown(value)}.")
    return number


def non_negative(name: str, value: Any) -> float:
    """A finite number, zero allowed."""
    number = finite(name, value)
    if number < 0:
        raise ValueError(f"`{name}` must not be negative, got {shown(value)}.")
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
        raise ValueError(f"`{name}` must be a whole number, got {shown(value)}.")
    if number < minimum:
        raise ValueError(f"`{name}` must be at least {minimum}, got {shown(value)}.")
    return int(number) if abs(number) <= 2**53 else number


def truth(name: str, value: Any) -> bool:
    """True or False, and nothing that only counts as one of them: "no" counts as True."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"`{name}` must be True or False, got {shown(value)}.")
    return bool(value)


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of the names in `allowed`; a near miss is answered with the nearest."""
    names = list(allowed)
    if isinstance(value, str) and value in names:
        return value
    hint = f" Did you mean {near!r}?" if (near := nearest(value, names)) else ""
    raise ValueError(f"`{name}` must be one of {', '.join(names)}; got {shown(value)}.{hint}")


def nearest(value: Any, names: Iterable[str]) -> str | None:
    """The one of `names` that `value` looks like, whatever its case, or None.

    >>> nearest("Risk_flor", ["risk_floor", "error_sq"])
    'risk_floor'
    >>> nearest("dana", ["adana", "dana-decaying"])  # its first word, and no other's letters
    'dana-decaying'
    """
    folded = {name.lower(): name for name in names}
    written = str(value).lower()
    close = difflib.get_close_matches(written, folded, n=1)
    begun = [name for name in folded if name.replace("_", "-").split("-")[0] == written]
    if begun and not (close and close[0].startswith(written)):
        close = begun
    if not close and len(written) >= 4:  # a part of a name, as nesterov is
        close = [name for name in folded if written in name]
    return folded[close[0]] if close else None


def hyphenated(value: Any) -> Any:
    """A name in the spelling of the tables, whatever its case: `DANA_decaying` as dana-decaying."""
    return value.strip().lower().replace("_", "-") if isinstance(value, str) else value


def seed(name: str, value: Any) -> int | None:
    """A seed for a random generator: a whole number >= 0, or None."""
    try:
        return None if value is None else given_seed(name, value)
    except ValueError:
        raise ValueError(
            f"`{name}` must be a whole number >= 0 or None, got {shown(value)}."
        ) from None


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
    array = real_array(name, value, ndim=ndim)
    if not np.all(np.isfinite(array)):
        bad = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
        raise ValueError(f"`{name}` holds {bad} value(s) that are NaN or infinite.")
    return array


def real_array(
    name: str, value: Any, *, ndim: int | tuple[int, ...] | None = None, copy: bool = True
) -> np.ndarray:
    """A float64 array of the given number of dimensions, a new one if `copy`; it may hold NaN."""
    try:
        array = np.asarray(value)
        if array.dtype.kind in "cmM":  # NumPy would drop the imaginary part or the unit
            kind = "complex" if array.dtype.kind == "c" else "times"
            raise ValueError(f"`{name}` must hold real numbers, got {kind}: {array.dtype}.")
        array = array.astype(np.float64, copy=copy)
    except OverflowError:
        raise ValueError(f"`{name}` holds a number too large for float64.") from None
    except (TypeError, ValueError) as error:
        if str(error).startswith(f"`{name}`"):
            raise
        raise ValueError(f"`{name}` must be an array of numbers.") from None
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and array.ndim not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise ValueError(f"`{name}` must have {wanted} dimension(s), got shape {array.shape}.")
    return array


def rows_of(**named: Any) -> list[np.ndarray]:
    """Rows of numbers of one length as float64, each by its name; None stays out.

    >>> rows_of(x=[1, 2], y=(3, 4), stderr=None)
    [array([1., 2.]), array([3., 4.])]
    """
    rows = {name: real_array(name, row, ndim=1) for name, row in named.items() if row is not None}
    (first, one), *others = rows.items()
    for name, row in others:
        if len(row) != len(one):
            raise ValueError(
                f"`{name}` must be as long as `{first}`, got {len(row)} for {len(one)} numbers."
            )
    return list(rows.values())


def instance(name: str, value: Any, kind: type[T], remedy: str) -> T:
    """An object of the class that is wanted.

    >>> instance("steps", 3, int, "such as len gives")
    3
    """
    if not isinstance(value, kind):
        raise ValueError(f"`{name}` must be a {kind.__name__}, {remedy}; got {shown(value)}.")
    return value


def listed(name: str, value: Any, what: str) -> list[Any]:
    """The entries of something that has some, text apart.

    >>> listed("curves", (1, 2), "Curves")
    [1, 2]
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ValueError(f"`{name}` must be {what}, got {shown(value)}.")
    return list(value)


def file_path(value: Any) -> str | os.PathLike[str]:
    """The path of a file, and nothing else in its place."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"a file is given by its path, not {shown(value)}.")
    return value


def folder_path(name: str, value: Any) -> Path | None:
    """The path of a folder, or None."""
    if value is None or isinstance(value, str | os.PathLike):
        return None if value is None else Path(value)
    raise ValueError(f"`{name}` must be the path of a folder or None, got {shown(value)}.")


def shown(value: Any) -> str:
    """A value as a message of one line quotes it, however long it is.

    >>> shown(2.5), shown(10**5000)
    ('2.5', 'a whole number beyond float64')
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        try:
            return f"{float(value):g}"
        except OverflowError:
            return "a whole number beyond float64"
    try:
        text = repr(value)
    except ValueError:  # it holds a whole number of more digits than Python prints
        return f"a {type(value).__name__} with numbers beyond float64"
    text = " ".join(text.split()) if "\n" in text else text  # as an array's
    return text if len(text) <= 200 else f"{text[:197]}..."


def is_number(cell: Any) -> bool:
    """Whether a cell of a table, or a word, reads as a number.

    >>> [is_number(cell) for cell in ("3e-4", "nan", "step", None)]
    [True, True, False, False]
    """
    try:
        float(cell)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool | np.bool_ | complex | np.complexfloating) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "bc"
    ):
        raise ValueError(f"`{name}` must be a number, got {shown(value)}.")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{name}` must be a number, got {shown(value)}.") from None
