"""Which rows of a table are of training, where a column says so and others are of validation?

    step,loss,lr,phase
    100,3.21,3e-4,train
    100,3.35,3e-4,val

Losses of the other rows get columns of their own, so that none of them is fitted as training.
Limits: only where every cell of the column is a word for one or the other, and both are there.
"""

from __future__ import annotations

from hidim.fitting.logs.names import normal
from hidim.fitting.logs.records import Columns

NAMES = ("split", "phase", "mode", "stage", "subset", "dataset_split", "set", "type", "data_split")
_TRAIN = ("train", "training", "tr")
_OTHER = ("val", "valid", "validation", "eval", "evaluation", "test", "dev", "holdout")


def parted(columns: Columns) -> tuple[Columns, str] | None:
    """Columns with the losses of validation apart, and what to say of it; None where no column
    tells them apart."""
    for name, cells in columns.items():
        if normal(name) not in NAMES:
            continue
        words = ["" if cell is None else str(cell).strip().lower() for cell in cells]
        kinds = set(words) - {""}
        train, other = kinds & set(_TRAIN), kinds & set(_OTHER)
        if train and other and kinds == train | other:
            return _apart(columns, name, words, sorted(other)[0])
    return None


def _apart(columns: Columns, name: str, words: list[str], other: str) -> tuple[Columns, str]:
    out: Columns = {}
    for column, cells in columns.items():
        if "loss" not in normal(column).split("_"):
            if column != name:
                out[column] = cells
            continue
        out[column] = [c if w in _TRAIN else None for c, w in zip(cells, words, strict=True)]
        apart = [None if w in _TRAIN else c for c, w in zip(cells, words, strict=True)]
        out[f"val_{column}"] = apart
    count = sum(word not in _TRAIN for word in words)
    return out, f"{count} rows whose {name!r} is not training ({other!r}) count as validation"
