"""Which classes of schedules does this process know, and what are they called in a checkpoint?

Every class that derives from `Schedule` is entered when it is defined, so a checkpoint that names
one is read wherever its module was imported, and nothing else can be named.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any

_KNOWN: dict[str, type[Any]] = {}


def register(kind: type[Any]) -> None:
    """Enter a class; a later one of the same module and name takes its place, as in a notebook."""
    _KNOWN[known_as(kind)] = kind


def known_as(kind: type[Any]) -> str:
    """The name of a class of schedules in checkpoints.

    The class name for hidim's own, whose modules may move; module and name for others, so that two
    of one name are two. A script is called what those call it that import it.

    >>> from hidim.algorithms.schedules import PowerLaw
    >>> known_as(PowerLaw)
    'PowerLaw'
    """
    module = kind.__module__
    if module.split(".")[0] == __name__.split(".")[0]:
        return kind.__qualname__
    if module in ("__main__", "__mp_main__"):
        main = sys.modules.get(module)
        spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
        module = spec.name if spec else Path(file).stem if file else "__main__"
    return f"{module}.{kind.__qualname__}"


def find_known(name: str) -> type[Any]:
    """The class of schedules called `name`.

    Raises:
        ValueError: none of that name is defined in this process.
    """
    if name in _KNOWN:
        return _KNOWN[name]
    close = difflib.get_close_matches(name, _KNOWN, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(
        f"no schedule is known as {name!r}: import the module that defines it first.{hint}"
    )


def find_printed(name: str) -> type[Any]:
    """The class that prints as `name`, with or without its module.

    Raises:
        ValueError: none of that name is defined in this process, or several are.
    """
    found = {kind for known, kind in _KNOWN.items() if known.rpartition(".")[2] == name}
    if name in _KNOWN or len(found) != 1:
        return find_known(name)
    return found.pop()
