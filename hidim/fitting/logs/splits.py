"""Which rows of a table are of training, where a column says so and others are of validation?

    step,loss,lr,phase
    100,3.21,3e-4,train
    100,3.35,3e-4,val

Losses of the other rows get columns of their own, so that none of them is fitted as training;
columns that are of validation by their name stay as they are. Where the cell is blank a row is of
training.
Limits: only where every other cell is a word for one or the other, and both are there.
"""

from __future__ import annotations

from hidim.fitting.logs.names import normal
from hidim.fitting.logs.records import Columns

NAMES = (
    *("split", "phase", "mode", "stage", "subset", "dataset_split", "set", "type", "data_split"),
    *("event", "kind", "part", "loop", "context", "is_train", "is_training", "training"),
    *("is_eval", "is_val", "is_validation", "is_test", "validation", "eval"),
)
_TRAIN = ("train", "training", "tr")
_OTHER = ("val", "valid", "validation", "eval", "evaluation", "test", "dev", "holdout")


def parted(columns: Columns) -> tuple[Columns, str] | None:
    """Columns with the losses of validation apart, and what to say of it; None where no column
    tells them apart."""
    for name, cells in columns.items():
        if normal(name) not in NAMES:
            continue
        words = ["" if cell is None else str(cell).strip().lower() for cell in cells]
        own = set(normal(name).split("_"))
        if set(words) == {"true", "false"} and own & {*_TRAIN, *_OTHER}:
            trained = "true" if own & set(_TRAIN) else "false"
            words = ["train" if word == trained else "val" for word in words]
        kinds = set(words) - {""}
        train, other = kinds & set(_TRAIN), kinds & set(_OTHER)
        if train and other and kinds == train | other:
            return _apart(columns, name, words, sorted(other)[0])
    return None


def _apart(columns: Columns, name: str, words: list[str], other: str) -> tuple[Columns, str]:
    out: Columns = {}
    for column, cells in columns.items():
        words_of = set(normal(column).split("_"))
        if "loss" not in words_of or words_of & set(_OTHER):
            if column != name:
                out[column] = cells
            continue
        out[column] = [None if w in _OTHER else c for c, w in zip(cells, words, strict=True)]
        if f"val_{column}" not in columns:
            apart = [c if w in _OTHER else None for c, w in zip(cells, words, strict=True)]
            out[f"val_{column}"] = apart
    count, blank = sum(word in _OTHER for word in words), words.count("")
    said = f"{count} rows whose {name!r} is not training ({other!r}) count as validation"
    return out, said + (f", {blank} where it is blank as training" if blank else "")
