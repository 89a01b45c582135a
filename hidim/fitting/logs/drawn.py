"""Which columns does a table drawn with bars hold: Markdown, a grid, what a database prints?

    | step | loss |        +------+------+        step | loss
    |-----:|------|        | step | loss |       ------+------
    |  100 | 4.21 |        +------+------+          100 | 4.21

Lines without bars before and after it are not its own.
Limits: one table a file, a second is refused; bars inside cells are none.
"""

from __future__ import annotations

import re
from itertools import chain, pairwise

from hidim.fitting.logs.names import (
    ALIASES,
    VALIDATION,
    is_loss,
    is_perplexity,
    is_rate,
    normal,
    without_unit,
)
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.sources import Source

_BARS = re.compile(r"(?<!\\)[|│┃]")
_RULE = re.compile(r"[-+=|:\s│┃┌┬┐├┼┤└┴┘─━┏┳┓┡╇┩┗┻┛╞╪╡═]+")
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_SIZES = (
    *("params", "parameters", "n_params", "num_params", "model_size", "tokens", "n_tokens"),
    *("training_tokens", "train_tokens", "flops", "training_flop", "training_flops", "compute"),
    "x",
)
_LOOKED_AT = 400  # lines


def looks_drawn(source: Source) -> bool:
    """Whether a line of names in bars, known ones among them, is followed by a rule."""
    lines = [line for line in source.head.splitlines()[:_LOOKED_AT] if line.strip()]
    return any(_is_header(line, after) for line, after in pairwise(lines))


def read_drawn(source: Source) -> Columns:
    """The columns of the one such table.

    Raises:
        ValueError: a row with more or fewer cells than names, or a second table after the first.
    """
    names: list[str] = []
    columns: Columns = {}
    parted = ended = False  # from its rows by a blank line; by a line without bars, for good
    before = 0
    with source.text() as stream:
        lines = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
        for (number, line), (_, after) in pairwise(chain(lines, [(0, "")])):
            parted = parted or ended or number > before + 1
            before = number
            if _is_header(line, after) if not (names and parted) else _heads(line, after):
                if names:
                    raise ValueError(
                        f"{source} holds two tables, the second from line {number} on: leave one "
                        "table in the file."
                    )
                names, parted = _cells(line), False
                columns = {name: [] for name in names}
            elif names and not _BARS.search(line) and not _is_rule(line):
                ended = True
            elif names and not ended and not _is_rule(line):
                cells = _cells(line)
                if len(cells) != len(names):
                    raise ValueError(
                        f"line {number} of {source} has {len(cells)} cells for {len(names)} "
                        "columns."
                    )
                parted = False
                for name, cell in zip(names, cells, strict=True):
                    columns[name].append(_plain(name, cell))
    return columns


def _plain(name: str, cell: str) -> str | None:
    """A cell without commas between thousands; in a loss or a rate one may be a decimal comma."""
    name = normal(name)
    if _THOUSANDS.fullmatch(cell) and "loss" not in name.split("_") and not is_rate(name):
        return cell.replace(",", "")
    return cell or None


def _heads(line: str, after: str) -> bool:
    """Whether a line of bars above a rule begins a table, whatever its names."""
    return bool(_BARS.search(line)) and not _is_rule(line) and _is_rule(after)


def _is_header(line: str, after: str) -> bool:
    if not _heads(line, after):
        return False
    names = [normal(name) for name in _cells(line)]
    known = {*ALIASES["step"], *VALIDATION, *_SIZES}
    return len(names) == len(set(names)) > 1 and any(
        known & {name, without_unit(name)} or is_loss(name) or is_rate(name) or is_perplexity(name)
        for name in names
    )


def _is_rule(line: str) -> bool:
    return bool(_RULE.fullmatch(line)) and bool(re.search(r"--|==|:-|─|━|═", line))


def _cells(line: str) -> list[str]:
    cells = [cell.strip().strip("*`").strip() for cell in _BARS.split(line.strip())]
    if len(cells) > 1 and not cells[0]:
        cells = cells[1:]
    return cells[:-1] if len(cells) > 1 and not cells[-1] and line.rstrip()[-1] in "|│┃" else cells
