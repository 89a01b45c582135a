"""Which columns does a table hold that has one value a row, or one text?

    step,metric,value          250 train 6.41          {"msg": "step 250 loss 6.41"}
    250,train/loss,6.41        250 val 6.43
    250,train/lr,3e-4

Metrics become columns, of which the others of a row are blank; texts are read as printed lines.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hidim.fitting.logs.names import ALIASES, is_loss, normal
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.sources import Source
from hidim.fitting.logs.text_logs import PLAIN, read_lines

_TRIPLE = re.compile(r"\s*(\d+)\s+([A-Za-z]\w*)\s+([-+]?[\d.]+(?:[eE][-+]?\d+)?|nan|inf)\s*")
_LOSSES = {"train": "train_loss", "val": "val_loss", "valid": "val_loss", "test": "test_loss"}
_FEWEST = 4  # lines that must read so
_TEXTS = ("msg", "message", "log", "text", "event")  # of records that a logger wrote
# Columns that name a metric.
_TAGS = (
    *("tag", "metric", "key", "metric_name", "metricname", "attribute", "attribute_path", "path"),
    *("series", "variable"),
)


def one_value_a_row(columns: Columns) -> Columns | None:
    """Columns of a table that names the metric in a column of its own, None where it does not.

    Metrics one after the other, each in the order of its steps, go side by side.
    """
    spelled = {normal(name): name for name in columns}
    tag = next((spelled[name] for name in _TAGS if name in spelled), None)
    value = spelled.get("value", spelled.get("metricvalue"))
    if tag is None or value is None:
        return None
    named = [None if cell is None else str(cell) for cell in columns[tag]]
    out = {name: list(cells) for name, cells in columns.items() if name not in (tag, value)}
    if (variant := spelled.get("variant")) is not None:  # of a metric, as ClearML has it
        named = [f"{of}/{one}" for of, one in zip(named, out.pop(variant), strict=True)]
    for one in dict.fromkeys(name for name in named if name is not None):
        pairs = zip(named, columns[value], strict=True)
        out[one] = [cell if of == one else None for of, cell in pairs]
    step = next((spelled[name] for name in ALIASES["step"] if name in spelled), None)
    order = None if step is None or "run" in spelled else _side_by_side(columns[step], named)
    return out if order is None else {n: [c[i] for i in order] for n, c in out.items()}


def _side_by_side(step: Any, named: list[str | None]) -> list[int] | None:
    """The order of steps of metrics that stand one after the other; None where they do not."""
    blocks = 1 + sum(one != two for one, two in pairwise(named))
    if blocks > len(set(named)) or blocks < 2:
        return None
    try:
        steps = [float(cell) for cell in step]
    except (TypeError, ValueError):
        return None  # refused with the row
    rows = pairwise(zip(steps, named, strict=True))
    back = any(after < before and of == one for (before, one), (after, of) in rows)
    return None if back else sorted(range(len(steps)), key=steps.__getitem__)


def messages_of(columns: Columns) -> Columns | None:
    """What the texts of records say, where the records themselves say nothing of a loss."""
    spelled = {normal(name): name for name in columns}
    field = next((spelled[name] for name in _TEXTS if name in spelled), None)
    if field is None or any(is_loss(name) or name in ALIASES["loss"] for name in spelled):
        return None
    text = "\n".join(str(cell) for cell in columns[field] if cell is not None)
    found = read_lines(text, PLAIN).columns
    return found if any(is_loss(name) or name in ALIASES["loss"] for name in found) else None


def is_triples(source: Source) -> bool:
    """Whether every line is a step, a word and a number."""
    lines = source.head.splitlines()[:_FEWEST]
    return bool(lines) and all(map(_TRIPLE.fullmatch, lines))


def triples(source: Source) -> Columns:
    """Columns of `250 val 6.41`, where a word says of what the value is the loss."""
    found = [_TRIPLE.fullmatch(line) for line in source.read().splitlines() if line.strip()]
    cells = [one.groups() if one else ("", "", "") for one in found]
    if ("", "", "") in cells:
        raise ValueError(f"line {cells.index(('', '', '')) + 1} of {source} is cut short.")
    step, named, value = (list(column) for column in zip(*cells, strict=True))
    return {"step": step, "metric": [_LOSSES.get(one, one) for one in named], "value": value}
