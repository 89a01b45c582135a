"""What did a folder of runs measure, as curves and as one table to query?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hidim.lab.settings import Settings
from hidim.lab.store import RunFolder
from hidim.support.extras import require
from hidim.support.files import write_with


@dataclass(frozen=True)
class MeasuredRun:
    """A finished run.

    Attributes:
        name: of its folder.
        settings: what it was.
        result: how it ended, see `hidim.lab.Result`.
        tokens: trained on at each evaluation after the first step, shape (n,).
        flops: spent by then, forward and backward, shape (n,).
        loss: validation loss there, nats per token, shape (n,).
    """

    name: str
    settings: Settings
    result: dict[str, Any]
    tokens: np.ndarray
    flops: np.ndarray
    loss: np.ndarray

    @property
    def label(self) -> str:
        """The optimizer with its options and, unless constant, its schedule."""
        options = "".join(f" {key}={value}" for key, value in self.settings.options.items())
        schedule = "" if self.settings.schedule == "constant" else f" {self.settings.schedule}"
        return f"{self.settings.optimizer}{options}{schedule}"

    @property
    def final(self) -> float:
        """The last validation loss; infinite for a run that diverged."""
        return float(self.loss[-1]) if self.result["status"] == "ok" else float("inf")


def run_folders(path: str | os.PathLike[str]) -> Iterator[RunFolder]:
    """Every run below a folder, or the folder itself, finished or not, by name."""
    for config in sorted(Path(path).rglob("config.json")):
        if (config.parent / "metrics.jsonl").exists():
            yield RunFolder(config.parent)


def measured_runs(path: str | os.PathLike[str]) -> list[MeasuredRun]:
    """The finished runs below a folder.

    Raises:
        ValueError: there is none.
    """
    found = []
    for folder in run_folders(path):
        if not folder.finished:
            continue
        rows = [r for r in folder.rows() if r["step"] and r["validation_loss"] is not None]
        config, result = folder.read_config(), folder.read_result()
        tokens = np.array([row["tokens"] for row in rows], dtype=np.float64)
        loss = np.array([row["validation_loss"] for row in rows], dtype=np.float64)
        settings = Settings.from_dict(config["settings"])
        flops = tokens * config["flops_per_token"]
        found.append(MeasuredRun(folder.path.name, settings, result, tokens, flops, loss))
    if not found:
        raise ValueError(f"{str(path)!r} holds no finished run: hidim sweep --out {path}")
    return found


def consolidate(path: str | os.PathLike[str]) -> Path:
    """Write every row of every run below a folder to `metrics.parquet` there, settings beside it.

    Runs that are not finished are in it too, as far as they are; `finished` tells.

    Raises:
        ValueError: there is no run.
        MissingExtra: pyarrow is not installed.
    """
    arrow: Any = require("pyarrow", "lab")
    parquet: Any = require("pyarrow.parquet", "lab")
    rows = []
    for folder in run_folders(path):
        config = folder.read_config()
        settings = config["settings"]
        options = {f"option_{key}": value for key, value in settings.pop("options").items()}
        size = {key: config[key] for key in ("parameters", "flops_per_token")}
        known = {"run": folder.path.name, "finished": folder.finished, **settings, **options}
        rows += [{**known, **size, **row, "peak_lr": settings["lr"]} for row in folder.rows()]
    if not rows:
        raise ValueError(f"{str(path)!r} holds no run.")
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = arrow.table({name: _column([row.get(name) for row in rows]) for name in names})
    target = Path(path) / "metrics.parquet"
    write_with(target, lambda stream: parquet.write_table(table, stream))
    return target


def query(path: str | os.PathLike[str], sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask DuckDB about the table `metrics` of a folder of runs; returns names and rows.

    Raises:
        ValueError: there is no run, or DuckDB refuses the question.
        MissingExtra: duckdb is not installed.
    """
    duckdb: Any = require("duckdb", "lab")
    target = consolidate(path)
    with duckdb.connect() as connection:
        # As a relation and not in the text of a view, so that any path will do.
        connection.register("metrics", connection.read_parquet(str(target)))
        try:
            answer = connection.execute(sql)
            return [column[0] for column in answer.description], answer.fetchall()
        except duckdb.Error as error:
            raise ValueError(f"`sql` is refused: {str(error).splitlines()[0]}") from None


def _column(values: list[Any]) -> list[Any]:
    """One type per column: numbers as floats where any is, texts where any is."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return [None if value is None else float(value) for value in values]
    if len(kinds) > 1:
        return [None if value is None else str(value) for value in values]
    return values
