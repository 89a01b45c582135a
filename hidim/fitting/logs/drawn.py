"""Which columns does a table drawn with bars hold: Markdown, a grid, what a database prints?

    | step | loss |        +------+------+        step | loss
    |-----:|------|        | step | loss |       ------+------
    |  100 | 4.21 |        +------+------+          100 | 4.21

Lines without bars before and after it are not its own.
Limits: one table a file; bars inside cells are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from hidim.fitting.logs.names import ALIASES, is_loss, is_rate, normal
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.sources import Source

_BARS = re.compile(r"(?<!\\)[|│┃]")
_RULE = re.compile(r"[-+=|:\s│┃┌┬┐├┼┤└┴┘─━┏┳┓┡╇┩┗┻┛╞╪╡═]+")
_SIZES = ("params", "parameters", "tokens", "flops", "x")
_LOOKED_AT = 400  # lines


def looks_drawn(source: Source) -> bool:
    """Whether a line of names in bars, known ones among them, is followed by a rule."""
    lines = [line for line in source.head.splitlines()[:_LOOKED_AT] if line.strip()]
    return any(_is_header(line, after) for line, after in pairwise(lines))


def read_drawn(source: Source) -> Columns:
    """The columns of the first such table.

    Raises:
        ValueError: a row with more or fewer cells than names.
    """
    with source.text() as stream:
        lines = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
        names = _names(lines)
        columns: Columns = {name: [] for name in names}
        for number, line in lines:
            if _is_rule(line):
                continue
            if not _BARS.search(line):
                break
            cells = _cells(line)
            if len(cells) != len(names):
                raise ValueError(
                    f"line {number} of {source} has {len(cells)} cells for {len(names)} columns."
                )
            for name, cell in zip(names, cells, strict=True):
                columns[name].append(cell or None)
    return columns


def _names(lines: Iterable[tuple[int, str]]) -> list[str]:
    before = ""
    for _, line in lines:
        if _is_header(before, line):
            return _cells(before)
        before = line
    return []


def _is_header(line: str, after: str) -> bool:
    if _is_rule(line) or not _is_rule(after) or not _BARS.search(line):
        return False
    names = [normal(name) for name in _cells(line)]
    known = {*ALIASES["step"], *_SIZES}
    return len(names) == len(set(names)) > 1 and any(
        name in known or is_loss(name) or is_rate(name) for name in names
    )


def _is_rule(line: str) -> bool:
    return bool(_RULE.fullmatch(line)) and bool(re.search(r"--|==|:-|─|━|═", line))


def _cells(line: str) -> list[str]:
    cells = [cell.strip().strip("*`").strip() for cell in _BARS.split(line.strip())]
    if len(cells) > 1 and not cells[0]:
        cells = cells[1:]
    return cells[:-1] if len(cells) > 1 and not cells[-1] and line.rstrip()[-1] in "|│┃" else cells
