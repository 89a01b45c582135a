"""Which columns of a file are features, and which are learned? Asked before anything is read.

What cannot be is refused here too, in one line that names the file, the column and the remedy.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hidim.support.checks import nearest

_LISTED = 12
_BLOCK = 1 << 16  # entries moved at once where a column is taken out


class Data(NamedTuple):
    """What a file holds: features, targets, and what their columns are called."""

    X: np.ndarray  # (rows, features)
    y: np.ndarray  # (rows,) or (rows, outputs)
    columns: list[str]
    targets: list[str]


class Choice(NamedTuple):
    """The columns that are features and those that are learned, by their places."""

    features: list[int]
    targets: list[int]

    @property
    def wanted(self) -> list[int]:
        """Both, ascending."""
        return sorted([*self.features, *self.targets])

    def of(self, X: np.ndarray, y: np.ndarray, names: Sequence[str]) -> Data:
        """The data of these features and targets, (rows, outputs)."""
        y = y[:, 0] if y.shape[1] == 1 else y
        return Data(X, y, [names[p] for p in self.features], [names[p] for p in self.targets])

    def taken_from(self, table: np.ndarray, names: Sequence[str]) -> Data:
        """The data in a table of the wanted columns, whose memory goes on to hold the features."""
        position = {place: index for index, place in enumerate(self.wanted)}
        y = table[:, [position[place] for place in self.targets]]
        places = [position[place] for place in self.features]
        if places != list(range(len(places))):
            step = max(_BLOCK // table.shape[1], 1)
            for start in range(0, len(table), step):
                block = table[start : start + step]
                block[:, : len(places)] = block[:, places]
        return self.of(table[:, : len(places)], y, names)


def choose(path: str | os.PathLike[str], names: Sequence[str], target: Any, drop: Any) -> Choice:
    """Which columns are which.

    Args:
        path: the file.
        names: its columns.
        target: a name, several as a list or as "a,b"; None is refused.
        drop: the same, of columns to leave out.

    Raises:
        ValueError: no target, an unknown column, one named twice or without a
            name, or none left to learn from.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"column {twice[0]!r} appears twice in {str(path)!r}.")
    if target is None or target == "":
        raise ValueError(
            f"{str(path)!r} has the columns {_listed(names)}: say which is learned, "
            f"target={names[-1] if is_bare(names[-1]) else 'NAME'}."
        )
    targets = _places(path, names, target, "target")
    left_out = _places(path, names, drop, "drop")
    for place in targets:
        if place in left_out:
            raise ValueError(f"`drop` leaves out {names[place]!r}, which is the target.")
    features = [place for place in range(len(names)) if place not in {*targets, *left_out}]
    nameless = [place for place in features if not names[place]]
    if nameless:
        raise ValueError(
            f"column {nameless[0]} of {str(path)!r} has no name, and would be a feature: name it, "
            "or write the file without the numbers of its rows, as to_csv(path, index=False) does."
        )
    if not targets or not features:
        what = "features are left" if targets else "target is named"
        raise ValueError(f"no {what} of {str(path)!r}, which has {_listed(names)}.")
    return Choice(features, targets)


def _places(path: str | os.PathLike[str], names: Sequence[str], asked: Any, what: str) -> list[int]:
    places = {name: place for place, name in enumerate(names)}
    if isinstance(asked, str) and asked not in places:  # a comma may be part of a name
        asked = [part.strip() for part in asked.split(",") if part.strip()]
    elif isinstance(asked, str | int | np.integer):
        asked = [asked]
    found: list[int] = []
    for name in map(str, asked):
        if name not in places:
            near = nearest(name, names)
            hint = f"Did you mean {near!r}?" if near else f"It has {_listed(names)}."
            raise ValueError(f"`{what}`: {str(path)!r} has no column {name!r}. {hint}")
        if places[name] in found:
            raise ValueError(f"`{what}` names the column {name!r} twice.")
        found.append(places[name])
    return found


def is_bare(name: str) -> bool:
    """Whether a name can be typed in a shell as it is."""
    return re.fullmatch(r"[\w.,-]+", name) is not None


def not_numbers(
    path: str | os.PathLike[str],
    names: Sequence[str],
    wrong: Sequence[int],
    choice: Choice,
    held: str,
) -> ValueError:
    """The refusal of columns, the first of which holds what is no number."""
    start = f"column {names[wrong[0]]!r} of {str(path)!r} holds {held}: write it as numbers"
    if wrong[0] in choice.targets:
        return ValueError(f"{start}, such as 0 and 1.")
    listed = ",".join(names[place] for place in wrong if place not in choice.targets)
    return ValueError(f"{start}, or leave it out, drop={listed if is_bare(listed) else 'NAME'}.")


def gap(path: str | os.PathLike[str], name: str, where: str, cell: str) -> ValueError:
    """The refusal of a cell that is missing or infinite."""
    what = "is infinite in" if "inf" in cell.lower() else "has no number in"
    held = f": {cell}" if cell else ""
    remedy = "Fill it in, or leave the row out."
    return ValueError(f"{str(path)!r} {what} {where}, column {name!r}{held}. {remedy}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
