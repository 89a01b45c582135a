"""Which numbers does a table of runs hold, whatever marks stand in them?

Marks of thousands are left out where no other reading is possible (20,000,000; 1 000 000), and
decimal commas become points where a table has some that cannot be marks of thousands (3,4821) and
no decimal point. What remains in doubt, 70,500 alone, is left for a refusal that shows the cell.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.tables import read_log

_MARKS = "'’ \u00a0\u202f"
_GROUPED = re.compile(
    rf"[-+]?\d{{1,3}}(?:,\d{{3}}(?:,\d{{3}})*|([{_MARKS}])\d{{3}}(?:\1\d{{3}})*)(?:\.\d+)?"
)
_CERTAIN = re.compile(rf"[-+]?\d{{1,3}}(?:(?:,\d{{3}}){{2,}}|,\d{{3}}\.\d+|[{_MARKS}]\d{{3}}.*)")
_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_EUROPEAN = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+,\d+|[-+]?\d{1,3}(?:\.\d{3}){2,}")
_POINT = re.compile(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?")


def read_table(path: str | os.PathLike[str]) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a table of runs, and what of the marks in its numbers was mended.

    Raises:
        ValueError: as `read_log`.
    """
    log = read_log(path)
    plain, said = plain_numbers(log.columns)
    return plain, (*log.repairs, *said)


def plain_numbers(table: Columns) -> tuple[Columns, tuple[str, ...]]:
    """Columns whose numbers have neither marks of thousands nor decimal commas, and what was done.

    >>> plain_numbers({"params": ["20,000,000", "1,500"], "loss": ["3.2", "3.1"]})[0]["params"]
    ['20000000', '1500']
    >>> plain_numbers({"params": ["20.000.000"], "loss": ["3,2174"]})[0]
    {'params': ['20000000'], 'loss': ['3.2174']}
    >>> plain_numbers({"tokens": ["1,500", "2,500"]})[0]["tokens"]
    ['1,500', '2,500']
    """
    cells = {name: _marked(values) for name, values in table.items()}
    every = [cell for found in cells.values() for cell in found]
    commas = [cell for cell in every if _COMMA.fullmatch(cell)]
    european = [cell for cell in every if _EUROPEAN.fullmatch(cell)]
    points = any(_POINT.fullmatch(cell) and not _EUROPEAN.fullmatch(cell) for cell in every)
    if not points and any(not _GROUPED.fullmatch(c) or c.lstrip("+-")[:2] == "0," for c in commas):
        marked = {*commas, *european}
        plain = {
            name: [_with_point(cell) if _text(cell) in marked else cell for cell in values]
            if cells[name]
            else values
            for name, values in table.items()
        }
        return plain, ("decimal commas read",)
    out, said = dict(table), []
    for name, found in cells.items():
        grouped = [cell for cell in found if _GROUPED.fullmatch(cell)]
        if not any(map(_CERTAIN.fullmatch, grouped)):
            continue
        marked = {*grouped}
        out[name] = [
            re.sub(f"[,{_MARKS}]", "", cell) if _text(cell) in marked else cell
            for cell in table[name]
        ]
        said.append(f"{name!r} has marks of thousands, which are left out")
    return out, tuple(said)


def _marked(values: Any) -> list[str]:
    """The cells of a column in text that are not plain whole numbers."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OU":
        return []
    texts = (_text(cell) for cell in values)
    return [text for text in texts if text and text[:1] in "+-.0123456789" and not text.isdigit()]


def _text(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else ""


def _with_point(cell: str) -> str:
    return cell.replace(".", "").replace(",", ".")
