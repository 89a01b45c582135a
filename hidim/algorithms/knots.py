"""Which knots of a schedule does a table in text hold?

Commas, semicolons, tabs or blanks part its columns, lines that begin with "#" are remarks, and two
columns need no names.
"""

from __future__ import annotations

import re

from hidim.support.checks import is_number
from hidim.support.inputs import read_text

_STEP_NAMES = ("step", "steps", "iteration", "iterations", "iter", "global_step", "t")
_RATE_NAMES = ("lr", "learning_rate", "rate", "value")


def read_knots(path: str) -> tuple[list[float], list[float]]:
    """Steps and rates of a table.

    Raises:
        ValueError: no such file or columns, or a cell that is no number.
    """
    lines = [(n, line.strip()) for n, line in enumerate(read_text(path).splitlines(), start=1)]
    rows = [
        (n, [cell.strip(" \"'") for cell in re.split(r"\s*[,;\t]\s*|\s+", line)])
        for n, line in lines
        if line and not line.startswith("#")
    ]
    if not rows:
        raise ValueError(f"{path!r} is empty: a schedule needs step and lr.")
    names = [name.lower() for name in rows[0][1]]
    at, lr = 0, 1
    if not all(map(is_number, names)):
        at, lr = (_place(path, names, known) for known in (_STEP_NAMES, _RATE_NAMES))
        rows = rows[1:]
    elif len(names) != 2:
        raise ValueError(f"{path!r} has no header row: name its columns, step,lr.")
    steps: list[float] = []
    rates: list[float] = []
    for n, cells in rows:
        for place, values in ((at, steps), (lr, rates)):
            cell = cells[place] if place < len(cells) else ""
            if not is_number(cell):
                raise ValueError(f"line {n} of {path!r} holds {cell!r}, not a number.")
            values.append(float(cell))
    return steps, rates


def _place(path: str, names: list[str], known: tuple[str, ...]) -> int:
    found = next((names.index(name) for name in known if name in names), None)
    if found is None:
        raise ValueError(
            f"{path!r} has no column {known[0]!r}; it has {', '.join(names)}. A schedule needs "
            "step and lr."
        )
    return found
