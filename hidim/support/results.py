"""What every result has in common: it equals its copy, is saved whole, and comes back as it was.

A result is a frozen dataclass that inherits from `Saved`; one with a file format of its own
inherits from `ByContent` and writes and reads with the functions here.
"""

from __future__ import annotations

import json
import os
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from hidim.support.files import write_text
from hidim.support.json import decode, encode


class ByContent:
    """Equal where every field is: arrays entry by entry, NaN as itself.

    For dataclasses with ``eq=False``. The hash reads the text fields alone, so that results can
    be members of sets and keys, as long as their fields are left as they are.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or all(
            same(getattr(self, name), getattr(other, name)) for name in _compared(self)
        )

    def __hash__(self) -> int:
        values = (getattr(self, name) for name in _compared(self))
        return hash((type(self).__name__, *(v for v in values if isinstance(v, str))))


class Saved(ByContent):
    """A result that is saved as JSON, field by field, and checked when it is loaded.

    Subclasses say what their file is called: ``class Exponent(Saved, format="hidim-exponent/1")``.
    """

    _format: ClassVar[str]

    def __init_subclass__(cls, *, format: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if format is not None:
            cls._format = format

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result as .json, whole or not at all; `load` gives back an equal one.

        Raises:
            ValueError: another suffix, or a place that cannot be written.
        """
        if Path(path).suffix.lower() != ".json":
            raise ValueError(f"cannot save {str(path)!r}: the name must end in .json")
        kind = type(self).__name__
        kept = {
            one.name: encode(getattr(self, one.name), f"`{one.name}` of the {kind}")
            for one in fields(self)  # type: ignore[arg-type]
            if one.init
        }
        write_json(path, {"format": self._format} | kept)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read back what `save` wrote.

        Raises:
            ValueError: no such file, not of this kind, or damaged.
        """
        from hidim.support.inputs import read_json  # on use: it needs archives

        table = read_json(path)
        if not isinstance(table, dict) or table.pop("format", None) != cls._format:
            raise ValueError(f"cannot load {str(path)!r}: it holds no {cls.__name__}.")
        with refusing(f"cannot load {str(path)!r}: the {cls.__name__} in it"):
            return build(cls, {name: decode(value) for name, value in table.items()})


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal all the way down, arrays and NaN included.

    >>> same({"v": np.array([1.0, np.nan])}, {"v": np.array([1.0, np.nan])})
    True
    """
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        both = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
        return both and one.shape == other.shape and bool(np.all(_alike(one, other)))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    for kind in (list, tuple):
        if isinstance(one, kind) and isinstance(other, kind):
            return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one) and type(one) is type(other) and not isinstance(one, ByContent):
        return all(same(getattr(one, name), getattr(other, name)) for name in _compared(one))
    if isinstance(one, float | complex) and isinstance(other, float | complex) and one != one:
        return other != other
    return bool(one == other)


def build(cls: type[Any], values: dict[str, Any]) -> Any:
    """A dataclass from its fields, refused where one has not the type that the class declares."""
    hints = get_type_hints(cls)
    for name, value in values.items():
        if name not in hints:
            raise ValueError(f"{name!r} is no field of it")
        if not _fits(value, hints[name]):
            raise ValueError(f"{name!r} cannot be {str(value)[:40]!r}")
    return cls(**values)


def write_json(path: str | os.PathLike[str], table: Mapping[str, Any], **options: Any) -> None:
    """Write JSON data whole or not at all."""
    write_text(path, json.dumps(table, allow_nan=False, **options) + "\n")


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Say in one line that `what` is damaged, whatever goes wrong while it is taken apart."""
    try:
        yield
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{what} is damaged: {error!r} is missing or wrong.") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        text = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{what} is damaged: {text}.") from None


def _compared(result: Any) -> list[str]:
    return [one.name for one in fields(result) if one.compare]


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray((one == other) | ((one != one) & (other != other)))


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a type hint says, as far as hints of results go."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is Literal:
        return value in inside
    if origin is tuple and isinstance(value, tuple):
        each = inside[:1] * len(value) if inside[-1] is ... else inside
        return len(each) == len(value) and all(map(_fits, value, each))
    if origin is dict and isinstance(value, dict):
        return all(_fits(item, inside[1]) for item in value.values())
    if origin is list and isinstance(value, list):
        return all(_fits(item, inside[0]) for item in value)
    if hint in (float, int):
        accepted = (int, float) if hint is float else int
        return isinstance(value, accepted) and not isinstance(value, bool)
    if hint is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype.kind in "biufc"
    return isinstance(value, origin or hint)
