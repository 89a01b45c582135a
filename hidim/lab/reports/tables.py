"""What did a folder of runs measure, as one table to keep and to query?

One row per measurement, the settings, the size and what is known of the text beside it. Questions
are answered by DuckDB, which sees this table and nothing else.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hidim.lab.training.curves import run_curve
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder
from hidim.support.extras import require
from hidim.support.files import write_with

# Of what a run knows of its text, what a table keeps, in columns text_...
_TEXT = ("train_tokens", "validation_tokens", "vocabulary", "fingerprint", "train_bytes",
         "validation_bytes", "data_fingerprint", "overlap")  # fmt: skip


def run_folders(path: str | os.PathLike[str]) -> Iterator[RunFolder]:
    """Every run below a folder, or the folder itself, finished or not, by name.

    Raises:
        ValueError: there is no such folder.
    """
    if not Path(path).is_dir():
        raise ValueError(f"there is no folder {str(path)!r}.")
    for config in sorted(Path(path).rglob("config.json")):
        if (config.parent / "metrics.jsonl").exists():
            yield RunFolder(config.parent)


@dataclass(frozen=True)
class Stored:
    """A finished run as a table keeps it: its name, settings, configuration, rows and status."""

    name: str
    settings: Settings
    config: dict[str, Any]
    rows: list[dict[str, Any]]
    status: str


def stored_runs(path: Path) -> Iterator[Stored]:
    """The finished runs in a file of `consolidate`.

    Raises:
        ValueError: it is no such file.
    """
    arrow: Any = require("pyarrow", "lab")
    parquet: Any = require("pyarrow.parquet", "lab")
    try:
        rows = parquet.read_table(path).to_pylist()
        apart = ("options", "lr", "tokens")
        names = [field.name for field in fields(Settings) if field.name not in apart]
        by_run: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row.get("evaluated") is False:
                row.pop("validation_loss")
            if row["status"] is not None:
                by_run.setdefault(row["run"], []).append(row)
        for name, every in by_run.items():
            last = every[-1]
            options = {
                key.removeprefix("option_"): value
                for key, value in last.items()
                if key.startswith("option_") and value is not None
            }
            known = {key: last[key] for key in names if key in last}  # some came later
            known |= {"options": options, "lr": last["peak_lr"], "tokens": last["token_kind"]}
            settings = Settings(**known)
            size = {key: last[key] for key in ("parameters", "flops_per_token")}
            config = {"settings": settings.to_dict(), **size, "text": _text_of(last)}
            yield Stored(name, settings, config, every, last["status"])
    except (arrow.ArrowInvalid, KeyError) as error:
        raise ValueError(
            f"{str(path)!r} is no table of runs ({str(error).splitlines()[0]}). Give a sweep's "
            "folder or its metrics.parquet."
        ) from None


def stored_records(path: Path) -> Iterator[dict[str, Any]]:
    """Name, settings, curve and speed of each of `stored_runs`."""
    for one in stored_runs(path):
        yield {
            "name": one.name,
            "settings": one.settings,
            "curve": run_curve(one.config, one.rows, one.status),
            "tokens_per_second": one.rows[-1]["tokens_per_second"],
        }


def _text_of(row: dict[str, Any]) -> dict[str, Any]:
    found = {key: row[f"text_{key}"] for key in _TEXT if row.get(f"text_{key}") is not None}
    if "overlap" in found:
        found["overlap"] = json.loads(found["overlap"])
    return found


def consolidate(path: str | os.PathLike[str]) -> Path:
    """Write every row of every run below a folder to `metrics.parquet` there, settings beside it.

    Runs that are not finished are in it too, as far as they are; their `status` is null. A run goes
    by the name of its folder, or by its path below `path` where two folders have one name.

    Raises:
        ValueError: there is no run.
        OSError: the folder cannot be written.
        MissingExtra: pyarrow is not installed.
    """
    parquet: Any = require("pyarrow.parquet", "lab")
    table, target = metrics_table(path), Path(path) / "metrics.parquet"
    write_with(target, lambda stream: parquet.write_table(table, stream))
    return target


def metrics_table(path: str | os.PathLike[str]) -> Any:
    """The rows of `consolidate` as a table of pyarrow, or those of a file that it wrote."""
    arrow: Any = require("pyarrow", "lab")
    if Path(path).is_file():
        parquet: Any = require("pyarrow.parquet", "lab")
        try:
            return parquet.read_table(path)
        except arrow.ArrowInvalid as error:
            raise ValueError(f"{str(path)!r} is no Parquet file: {_first_line(error)}") from None
    rows = []
    folders = list(run_folders(path))
    names = Counter(folder.path.name for folder in folders)
    for folder in folders:
        name = folder.path.name
        name = folder.path.relative_to(path).as_posix() if names[name] > 1 else name
        config = folder.read_config()
        settings = config["settings"]
        options = {f"option_{key}": value for key, value in settings.pop("options").items()}
        size = {key: config[key] for key in ("parameters", "flops_per_token")}
        status = folder.read_result()["status"] if folder.finished else None
        known = {"run": name, "status": status, **settings, **options}
        # A row has a rate and a count of tokens of its own; the settings' go by other names.
        named = {"peak_lr": settings["lr"], "token_kind": settings["tokens"]}
        named |= {
            f"text_{key}": json.dumps(value) if isinstance(value, dict) else value
            for key, value in config.get("text", {}).items()
            if key in _TEXT
        }
        own = folder.rows()
        if any("validation_loss" not in row for row in own):
            # A null in a table may be a loss that is no number, or none.
            own = [{**row, "evaluated": "validation_loss" in row} for row in own]
        rows += [{**known, **size, **row, **named} for row in own]
    if not rows:
        raise ValueError(f"{str(path)!r} holds no run.")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return arrow.table({name: _column([row.get(name) for row in rows]) for name in columns})


# In this order: the last one makes the others final.
_LOCKED = (
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
    "set allow_persistent_secrets = false",
    "set python_enable_replacements = false",
    "set temp_directory = ''",
    "set enable_external_access = false",
    "set lock_configuration = true",
)


def query(path: str | os.PathLike[str], sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask DuckDB about the table `metrics` of a folder of runs, or of a file of `consolidate`.

    A question sees this table alone: no file, no network, no extension, no variable of Python.
    Nothing is written.

    Returns the names of the columns and the rows.

    Raises:
        ValueError: there is no run, or DuckDB refuses the question.
        MissingExtra: duckdb is not installed.
    """
    duckdb: Any = require("duckdb", "lab")
    rows = metrics_table(path)
    with duckdb.connect() as connection:
        connection.register("given", rows)
        connection.execute("create table metrics as from given")
        connection.unregister("given")
        for setting in _LOCKED:
            connection.execute(setting)
        try:
            answer = connection.execute(sql)
            if answer is None or answer.description is None:
                raise ValueError("`sql` asks nothing: give a question, such as 'from metrics'.")
            return [column[0] for column in answer.description], answer.fetchall()
        except duckdb.Error as error:
            raise ValueError(f"`sql` is refused: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _column(values: list[Any]) -> list[Any]:
    """One type per column: numbers as floats where any is, texts where any is."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1:
        return [None if value is None else str(value) for value in values]
    return values
