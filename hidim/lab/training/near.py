"""Which run was meant, where a folder holds none? One whose path differs by a slip.

Every part of the path may be the slip: `exp/rnu` for `exp/run`, `expp/run` for `exp/run`.
Limits: at most three are named, and no more than a few thousand entries of a folder are looked at.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

_LOOK, _NAMED = 4096, 3


def near_runs(path: Path) -> list[Path]:
    """Folders that hold a run, and whose path is nearly this one.

    Args:
        path: of a folder that holds none; need not exist.

    Returns:
        Up to three, the nearest first, relative where `path` is.

    >>> near_runs(Path("no/such/folder"))
    []
    """
    places = [Path(path.anchor)]
    for part in path.parts[len(places[0].parts) :]:
        found = [place / name for place in places for name in _near(part, place)]
        places = found[: 4 * _NAMED]
    return [place for place in places if place != path and _holds_run(place)][:_NAMED]


def _near(name: str, place: Path) -> list[str]:
    """The name itself first, if it is there, then others like it."""
    try:
        with os.scandir(place) as entries:
            names = [one.name for one in islice(entries, _LOOK) if one.is_dir()]
    except OSError:
        names = []
    like = get_close_matches(name, sorted(names), n=_NAMED + 1, cutoff=0.6)
    return [name] * (name in names or name in ("..", ".")) + [one for one in like if one != name]


def _holds_run(place: Path) -> bool:
    try:
        return (place / "config.json").is_file()
    except OSError:
        return False
