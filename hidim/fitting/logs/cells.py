"""Which number does a cell of a log hold?

Blanks become NaN; what is written otherwise is refused with what it may be instead.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from hidim.fitting.logs.names import normal

_ONE_RUN = (
    "A diverged run has no law; end the file before that row, or leave isolated rows out: "
    "--drop-nan."
)
_SHORT = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([kKmMbBgGtT])\s*")
_POWERS = {"k": "e3", "m": "e6", "b": "e9", "g": "e9", "t": "e12"}
_BLANK = ("na", "n/a", "#n/a", "<na>", "null", "none", "nil", "-", "--", "—", ".", "?")
_UNIT = re.compile(r"\[[^\d\[\],]*\]")  # [nats], and no number of one group
_LISTED = re.compile(r"\s*\[([^\[\],]+(?:,[^\[\],]+)*)\]\s*")  # [0.0003], of groups
_OF = re.compile(r"\s*(\d+)\s*(?:/|of)\s*\d+\s*")  # 100/24000, a step of all


def numbers(
    cells: Any,
    name: str,
    source: str,
    *,
    remedy: str = _ONE_RUN,
    refused: list[int] | None = None,
    counts: bool = False,
    steps: bool = False,
) -> np.ndarray:
    """Cells as float64; blanks become NaN, and any NaN written out is refused with the remedy.

    Args:
        cells: text, numbers or None, or an array, masked where it is blank.
        name: of the column, and `source` of the file, in a complaint.
        remedy: what to do about NaN.
        refused: gets the rows that hold a written NaN or infinity, which are then blank.
        counts: whether 24k, 70M and 1.4T are numbers here, of steps, parameters or tokens.
        steps: whether these are steps, which may be written 100/24000.
    """
    if isinstance(cells, np.ndarray):
        blank = np.ma.getmaskarray(cells) if isinstance(cells, np.ma.MaskedArray) else None
        values = np.asarray(np.ma.getdata(cells), dtype=np.float64)
        bad = ~np.isfinite(values) if blank is None else ~np.isfinite(values) & ~blank
        for row in np.flatnonzero(bad):
            if refused is None:
                raise ValueError(_not_finite(int(row), name, values[row], source, remedy))
            refused.append(int(row))
        hole = bad if blank is None else bad | blank
        return np.where(hole, np.nan, values) if hole.any() else values
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.lower() in _BLANK):
            out[i] = np.nan
            continue
        if isinstance(cell, str) and (listed := _LISTED.fullmatch(cell)):
            cell = [one.strip() for one in listed[1].split(",")]
        if isinstance(cell, list) and len(set(map(str, cell))) == 1:
            cell = cell[0]  # of parameter groups alike
        try:
            out[i] = counted(cell, steps=steps) if counts or steps else float(cell)
        except (TypeError, ValueError):
            raise ValueError(
                f"row {i + 2} of {source!r}: column {name!r} holds {cells[i]!r}, not a number"
                f"{_slip(cells, i, name)}."
            ) from None
        if not math.isfinite(out[i]):
            if refused is None:
                raise ValueError(_not_finite(i, name, cell, source, remedy))
            refused.append(i)
            out[i] = np.nan
    return out


def counted(cell: Any, *, steps: bool = False) -> float:
    """A number, also one that is written 24k, 70M or 1.4T, or as a step of all, 100/24000."""
    found = _SHORT.fullmatch(cell) if isinstance(cell, str) else None
    if steps and isinstance(cell, str) and (step := _OF.fullmatch(cell)):
        return float(step[1])
    # 1.4T is 1.4e12 to the bit, which a product is not.
    return float(found[1] + _POWERS[found[2].lower()]) if found else float(cell)


def _slip(cells: Any, row: int, name: str) -> str:
    """What a cell that is no number may be instead, to end a complaint with."""
    if row == 0 and _UNIT.fullmatch(str(cells[row])):
        return ": a row of units? Leave it out"
    if isinstance(cells[row], list | dict) or _LISTED.fullmatch(str(cells[row])):
        return ": one value of each group? Name a column of one, or write one a row"
    cell = str(cells[row]).strip()
    if normal(cell) == normal(name):
        return ": the header again, of a resumed run? Leave that line out (--resumed keep-last)"
    if re.fullmatch(r"\d{1,3}(['’ \u00a0\u202f]\d{3})+(\.\d+)?", cell):
        return ": write numbers without marks of thousands"
    if re.match(r"[-+.\de]+ ?(±|\+-|\+/-|\()", cell, re.I):
        return ": write the value alone, without its error"
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", cell):
        one = f", or {cell.replace(',', '.')} for a decimal" if cell.count(",") == 1 else ""
        return f": write {cell.replace(',', '')}{one}"
    if re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+\.\d+", cell):
        return f": write {cell.replace(',', '')}"
    if "," in cell:
        return ": write decimals with a point"
    if _OF.fullmatch(cell):
        return ": one of how many? Write the number alone"
    if cell.endswith("%"):
        return ": write shares as numbers, 0.1 for 10%"
    if row == len(cells) - 1 and not any(c.isdigit() for c in cell):
        return ": a line below the table? Leave it out"
    if cell[0] in "'`" and cell[-1] in "'`":
        return ": write numbers without quotes"
    if re.fullmatch(r"[A-Za-z]+[ _\-]?\d+", cell):
        return ": write the number alone"
    if row == 0 and not any(c.isdigit() for c in cell):
        return ": a row of units? Leave it out"
    if re.match(r"[-+]?[\d.]+(e[-+]?\d+)? *[A-Za-z]", cell):
        return ": write it without its unit"
    return ""


def _not_finite(index: int, name: str, cell: Any, source: str, remedy: str) -> str:
    return f"row {index + 2} of {source!r}: column {name!r} is {cell}. {remedy}"
