"""Which numbers does a table hold, whatever marks stand in them?

Marks of thousands are left out where no other reading is possible (20,000,000; 1 000 000), and
decimal commas become points where a table has some that cannot be marks of thousands (3,4821) and
no decimal point; 1.000 beside these is a thousand. What remains in doubt, 70,500 alone, is left for
a refusal that shows the cell.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np

from hidim.fitting.logs.records import Columns

_MARKS = "'’ \u00a0\u202f"
_GROUPED = re.compile(
    rf"[-+]?\d{{1,3}}(?:,\d{{3}}(?:,\d{{3}})*|([{_MARKS}])\d{{3}}(?:\1\d{{3}})*)(?:\.\d+)?"
)
_CERTAIN = re.compile(rf"[-+]?\d{{1,3}}(?:(?:,\d{{3}}){{2,}}|,\d{{3}}\.\d+|[{_MARKS}]\d{{3}}.*)")
_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_EUROPEAN = re.compile(r"[-+]?\d{1,3}(?:\.\d{3})+,\d+|[-+]?\d{1,3}(?:\.\d{3}){2,}")
_FRENCH = re.compile(rf"[-+]?\d{{1,3}}(?:[{_MARKS}]\d{{3}})+(?:,\d+)?")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.\d{3}")  # or three decimals
_POINT = re.compile(r"[-+]?\d*\.\d+(?:[eE][-+]?\d+)?")


def plain_numbers(table: Columns) -> tuple[Columns, tuple[str, ...]]:
    """Columns whose numbers have neither marks of thousands nor decimal commas, and what was done.

    >>> plain_numbers({"params": ["20,000,000", "1,500"], "loss": ["3.2", "3.1"]})[0]["params"]
    ['20000000', '1500']
    >>> plain_numbers({"params": ["20.000.000"], "loss": ["3,2174"]})[0]
    {'params': ['20000000'], 'loss': ['3.2174']}
    >>> plain_numbers({"step": ["750", "1.000"], "loss": ["3,2174", "3,2"]})[0]["step"]
    ['750', '1000']
    >>> plain_numbers({"tokens": ["1,500", "2,500"]})[0]["tokens"]
    ['1,500', '2,500']
    """
    cells = {name: _marked(values) for name, values in table.items()}
    every = [cell for found in cells.values() for cell in found]
    commas = [cell for cell in every if _COMMA.fullmatch(cell)]
    european = [c for c in every if _EUROPEAN.fullmatch(c) or _FRENCH.fullmatch(c)]
    for name, found in cells.items():
        if found and _counts(table[name]):
            european.extend(cell for cell in found if _THOUSANDS.fullmatch(cell))
    whole = set(european)
    points = any(_POINT.fullmatch(cell) and cell not in whole for cell in every)
    doubtful = any(map(_may_count, cells.values()))  # 1,000 beside 0,0003
    if not (points or doubtful) and any(
        not _GROUPED.fullmatch(c) or c.lstrip("+-")[:2] == "0," for c in commas
    ):
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


def _may_count(found: list[str]) -> bool:
    """Whether the commas of a column may be of thousands: they rise, or some have none."""
    commas = [cell for cell in found if "," in cell]
    if not commas or not all(map(_GROUPED.fullmatch, commas)) or commas[0].lstrip("+-")[0] == "0":
        return False
    values = [float(cell.replace(",", "")) for cell in commas]
    return all(a < b for a, b in pairwise(values)) or any(cell.isdigit() for cell in found)


def _counts(values: Any) -> bool:
    """Whether 1.000 is a thousand in a column, if points are marks: beside 750, or 2.000 alone."""
    texts = [text for text in map(_text, values) if text]
    marked = [text for text in texts if _THOUSANDS.fullmatch(text)]
    plain = [text for text in texts if text.isdigit() and len(text) < 4]
    if len(marked) + len(plain) + sum(map(bool, map(_EUROPEAN.fullmatch, texts))) < len(texts):
        return False
    return bool(plain) or all(text.endswith("00") for text in marked)


def _marked(values: Any) -> list[str]:
    """The cells of a column in text that are not plain whole numbers."""
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OU":
        return []
    texts = (_text(cell) for cell in values)
    return [text for text in texts if text and text[:1] in "+-.0123456789" and not text.isdigit()]


def _text(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else ""


def _with_point(cell: str) -> str:
    return re.sub(f"[.{_MARKS}]", "", cell).replace(",", ".")
