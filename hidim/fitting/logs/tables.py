"""What named columns does a log file hold, whatever program wrote it?

FORMATS is the list of what is known: each entry says by name or content whether a file is its own,
and reads it into a mapping from column name to values. A blank cell is None; nothing is converted
or dropped here. Text and JSON need only NumPy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hidim.fitting.logs.delimited import looks_delimited, read_delimited, read_head
from hidim.fitting.logs.drawn import looks_drawn, read_drawn
from hidim.fitting.logs.mlflow_runs import metrics_of
from hidim.fitting.logs.names import normal
from hidim.fitting.logs.one_value import is_triples, messages_of, one_value_a_row, triples
from hidim.fitting.logs.records import Columns, json_file, json_lines
from hidim.fitting.logs.sources import Source
from hidim.fitting.logs.splits import parted
from hidim.fitting.logs.text_logs import looks_printed, program_of, read_printed
from hidim.support.checks import file_path
from hidim.support.extras import require

_SEVERAL = 4  # folders named in a complaint
_ROWS = 4  # steps that are the course of a run


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        name: what people call it.
        fits: whether a file is of this kind.
        read: its columns, those named if names are given.
    """

    name: str
    fits: Callable[[Source], bool]
    read: Callable[[Source, Sequence[str] | None], Columns]


@dataclass(frozen=True)
class Log:
    """The columns of a log, and what is known of who wrote it.

    Attributes:
        columns: name to values.
        name: of the format or program.
        averaged: losses are means over all steps since the row before.
        lacks: why a column is missing that other logs have, "" where nothing is known.
        repairs: what reading has mended.
        header: names of all columns, those that were not worth reading too.
        no_step: why there is no column of steps, "" where nothing is known.
    """

    columns: Columns
    name: str
    averaged: bool = False
    lacks: str = ""
    repairs: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    no_step: str = ""

    @property
    def known(self) -> list[str]:
        """Names to offer where one is missing."""
        return list(self.header or self.columns)


def read_columns(path: str | os.PathLike[str], wanted: Sequence[str] | None = None) -> Columns:
    """The columns of a table or log.

    Args:
        path: file, or the folder of a TensorBoard or hidim run.
        wanted: names worth reading, a saving for large files; None reads all.

    Raises:
        ValueError: missing, empty or unreadable file, named in one line.
        MissingExtra: Parquet without pyarrow, zstd without zstandard.
    """
    return read_log(path, None if wanted is None else lambda names: list(wanted)).columns


def read_log(
    path: str | os.PathLike[str], wanted: Callable[[list[str]], Sequence[str]] | None = None
) -> Log:
    """The columns of a log and who wrote it; `wanted` picks names from a header."""
    target = Path(file_path(path))
    if not target.exists():
        raise ValueError(f"there is no file {str(path)!r}.")
    if target.is_dir():
        return _folder(target)
    if "tfevents" in target.name:
        return _events([target])
    source = Source(target)
    for one in FORMATS:
        if one.fits(source):
            break
    keep: Sequence[str] | None = None
    header: tuple[str, ...] = ()
    if one.name == "table" and wanted is not None:
        header = tuple(read_head(source).names)
        keep = wanted(list(header))
    if one.name == "printed log":
        return _parted(_printed(source))
    columns, name, averaged = one.read(source, keep), one.name, False
    if (lines := messages_of(columns)) is not None:
        name, columns = f"messages in {name}", lines
    elif (several := one_value_a_row(columns)) is not None:
        name, columns = f"{name} of one value a row", several
    elif set(map(normal, columns)) == {"wall_time", "step", "value"}:
        name, columns = "TensorBoard's table of one tag", _tagged(source, columns)
    elif any(" - " in column for column in columns):
        name = "W&B export"
    elif target.name == "trainer_state.json" or one.name == "state of a Hugging Face Trainer":
        averaged = True
    return _parted(Log(columns, name, averaged, header=header))


def _printed(source: Source) -> Log:
    """What a program printed."""
    columns, repairs, no_step = read_printed(source)
    program = program_of(source)
    name, lacks = f"log of {program.name}", program.lacks
    if not columns or (lacks and len(next(iter(columns.values()))) < 2):
        why = f": {lacks}" if lacks else ""
        raise ValueError(f"{source} is a {name}, no line of which holds a loss or a rate{why}.")
    said = (program.unit, *repairs) if program.unit else repairs
    return Log(columns, name, program.averaged, lacks, said, no_step=no_step)


def _parted(log: Log) -> Log:
    """A log whose rows say of which split they are, with a column for each."""
    split = parted(log.columns)
    if split is None:
        return log
    return replace(log, columns=split[0], repairs=(*log.repairs, split[1]), header=())


def _tagged(source: Source, columns: Columns) -> Columns:
    """TensorBoard saves one tag a file; the file's name says which, `run_tag-train_lr.csv`."""
    tag = normal(Path(source.name).stem).rpartition("tag_")[2]
    rate = tag.endswith(("lr", "learning_rate")) or tag.startswith(("lr_", "learning_rate"))
    name = "lr" if rate else "val_loss" if "val" in tag or "eval" in tag else "loss"
    return {(name if normal(old) == "value" else old): cells for old, cells in columns.items()}


def _suffix(*suffixes: str) -> Callable[[Source], bool]:
    return lambda source: source.suffix in suffixes


def _is_state(source: Source) -> bool:
    return source.suffix == ".json" and '"log_history"' in source.head


def _is_lines(source: Source) -> bool:
    """What is named JSON lines is, unless its lines begin as none, as records of Python do."""
    if source.suffix not in (".jsonl", ".ndjson"):
        return False
    first = source.head.lstrip()[:200]
    return bool(re.match(r"\{\s*[\"}]|\[", first)) or not looks_printed(source)


def _begins_records(source: Source) -> bool:
    first = source.head.lstrip()[:200]
    return first.startswith('{"') and source.suffix not in (".csv", ".tsv")


def _parquet(source: Source, _: Sequence[str] | None) -> Columns:
    parquet = require("pyarrow.parquet", "fit")
    arrow = require("pyarrow", "fit")
    try:
        table = parquet.read_table(source.path)
    except (arrow.ArrowException, OSError):
        raise ValueError(f"{source} is not a readable Parquet file.") from None
    return {name: table.column(name).to_pylist() for name in table.column_names}


# The first that fits; the last one fits everything and complains where it cannot read it.
FORMATS: tuple[Format, ...] = (
    Format("Parquet", lambda source: source.parquet or source.suffix == ".parquet", _parquet),
    Format("state of a Hugging Face Trainer", _is_state, lambda source, _: json_file(source)),
    Format("JSON", _suffix(".json"), lambda source, _: json_file(source)),
    Format("JSON lines", _is_lines, lambda source, _: json_lines(source)),
    Format("JSON lines", _begins_records, lambda source, _: json_lines(source)),
    Format("drawn table", looks_drawn, lambda source, _: read_drawn(source)),
    Format("rows of a step, a metric and a value", is_triples, lambda source, _: triples(source)),
    Format(
        "printed log",
        lambda source: not looks_delimited(source) and looks_printed(source),
        lambda source, _: read_printed(source).columns,
    ),
    Format("table", lambda _: True, read_delimited),
)


def _folder(path: Path) -> Log:
    for name in ("metrics.jsonl", "trainer_state.json", "metrics.csv"):
        if (path / name).exists():
            return read_log(path / name)
    if (metrics := metrics_of(path)) is not None:
        return Log(metrics.columns, "MLflow run", repairs=metrics.repairs, no_step=metrics.no_step)
    events = sorted(path.glob("**/*tfevents*"))
    states = sorted(path.glob("*/trainer_state.json"), key=_checkpoint)
    if states:  # of an output folder: the last checkpoint knows all steps before it
        log = read_log(states[-1])
        return Log(
            log.columns,
            log.name,
            log.averaged,
            log.lacks,
            (f"read from {states[-1].parent.name}, the last of {len(states)} checkpoint(s)",),
        )
    if len({event.parent for event in events}) > 1:
        return _one_of(path, events)
    if events:
        return _events(events)
    below = [
        found
        for name in ("metrics.csv", "metrics.jsonl")
        for depth in ("*", "*/*")  # a sweep of hidim keeps its runs in SWEEP/runs
        for found in path.glob(f"{depth}/{name}")
    ]
    if len(below) == 1:
        return read_log(below[0])
    if below:
        listing = ", ".join(str(found.parent) for found in sorted(below)[:_SEVERAL])
        more = f", and {len(below) - _SEVERAL} more" if len(below) > _SEVERAL else ""
        raise ValueError(
            f"{str(path)!r} holds several logs ({listing}{more}): give those you mean, one folder "
            "each."
        )
    ends = (".csv", ".tsv", ".jsonl", ".log", ".txt", ".parquet")
    if files := sorted(file.name for file in path.iterdir() if set(ends) & set(file.suffixes)):
        named = ", ".join(files[:_SEVERAL]) + (", ..." if len(files) > _SEVERAL else "")
        raise ValueError(
            f"folder {str(path)!r} is of no program that is known, and has {named}: give the "
            f"files, as in {path / '*'}{Path(files[0]).suffix}."
        )
    raise ValueError(
        f"folder {str(path)!r} holds no metrics.jsonl, trainer_state.json, metrics.csv, events of "
        "TensorBoard or run of MLflow (metrics/ beside meta.yaml)."
    )


def _checkpoint(path: Path) -> tuple[int, str]:
    digits = path.parent.name.rpartition("-")[2]
    return (int(digits) if digits.isdecimal() else -1, path.parent.name)


def _one_of(path: Path, events: list[Path]) -> Log:
    """The only TensorBoard run of several folders with more than a few values, else a refusal.

    Programs write settings into folders of their own, and runs that were stopped at once remain.
    """
    from hidim.fitting.logs.split_tags import runs_of

    found: list[tuple[Path, Log]] = []
    folders = runs_of(events)
    for folder, parts in folders.items():
        try:
            log = _events(parts)
        except ValueError as error:
            if "two values" in str(error):
                raise
            continue  # no scalars
        if len(log.columns["step"]) >= _ROWS:
            found.append((folder, log))
    if len(found) == 1 and len(folders) == 1:
        return found[0][1]
    if len(found) == 1:
        folder, log = found[0]
        said = f"read from {folder.relative_to(path)}, the only one of {len(folders)} with a course"
        return replace(log, repairs=(*log.repairs, said))
    if not found:
        raise ValueError(
            f"none of the {len(folders)} TensorBoard folders in {str(path)!r} holds scalars of "
            f"{_ROWS} steps or more."
        )
    listing = ", ".join(
        f"{folder}, steps {log.columns['step'][0]:g} to {log.columns['step'][-1]:g}"
        for folder, log in found[:_SEVERAL]
    )
    more = f", and {len(found) - _SEVERAL} more" if len(found) > _SEVERAL else ""
    raise ValueError(
        f"{str(path)!r} holds several TensorBoard runs ({listing}{more}): give those you mean, one "
        "folder each. Parts of one run belong into one folder."
    )


def _events(paths: Sequence[Path] | dict[Path, str]) -> Log:
    """The scalars of some event files, of which a mapping says what their tags are called."""
    from hidim.fitting.logs.tensorboard import read_events

    repairs: list[str] = []
    columns: dict[str, Any] = read_events(paths, repairs)
    return Log(columns, "TensorBoard events", repairs=tuple(repairs))
