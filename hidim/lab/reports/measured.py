"""What did a folder of runs measure, as curves and as one table to query?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hidim.lab.sweeps.sweep import Sweep
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder
from hidim.support.extras import require
from hidim.support.files import write_with
from hidim.support.results import Saved

# What a label need not say: it is said elsewhere, or it is no part of a method.
_UNNAMED = ("optimizer", "options", "schedule", "lr", "seed", "steps", "width", "layers", "heads",
            "validation_tokens", "evaluation_growth", "precision", "compile")  # fmt: skip


@dataclass(frozen=True, eq=False)
class MeasuredRun(Saved, format="hidim-lab-run/1"):
    """A finished run.

    Attributes:
        name: of its folder.
        label: the optimizer with its options, its schedule unless constant, and what else is not
            the same in all runs of the folder, such as the batch size or the text; shape and
            evaluation only where the size does not tell the runs apart.
        settings: what it was.
        status: "ok" or "diverged".
        parameters: size of the model.
        tokens_per_second: of training, evaluations left out.
        tokens: trained on at each evaluation after the first step, shape (n,).
        flops: spent by then, forward and backward, shape (n,).
        loss: validation loss there, nats per token, shape (n,).
    """

    name: str
    label: str
    settings: Settings
    status: str
    parameters: int
    tokens_per_second: float
    tokens: np.ndarray
    flops: np.ndarray
    loss: np.ndarray

    @property
    def final(self) -> float:
        """The last validation loss; infinite for a run that diverged."""
        return float(self.loss[-1]) if self.status == "ok" else float("inf")

    def beside(self, **changes: Any) -> str:
        """A fingerprint of the settings with these changed: equal for runs that differ by them."""
        return self.settings.replace(**changes).fingerprint


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


def unfinished(path: str | os.PathLike[str]) -> int:
    """How many runs below a folder were begun, or are wanted by a sweep, and are not finished."""
    below = {folder.path for folder in run_folders(path) if not folder.finished}
    for plan in Path(path).rglob("sweep.json"):
        sweep = Sweep(plan.parent)
        wanted = (sweep.folder(name) for name in sweep.settings())
        below |= {folder.path for folder in wanted if not folder.finished}
    return len(below)


def measured_runs(path: str | os.PathLike[str]) -> list[MeasuredRun]:
    """The finished runs below a folder, or in a file that `consolidate` wrote.

    A run that is there twice, as a copy or in two sweeps, counts once: it is one seed.

    Raises:
        ValueError: there is none, or the file is no such file.
        MissingExtra: a file is read and pyarrow is not installed.
    """
    if Path(path).is_file():
        records = list(_stored(Path(path)))
    else:
        records = [_record(folder) for folder in run_folders(path) if folder.finished]
    # The first by name of those with equal settings.
    records = list({r["settings"].fingerprint: r for r in reversed(records)}.values())[::-1]
    if not records:
        raise ValueError(f"{str(path)!r} holds no finished run: hidim sweep --out {path}")
    every = [record["settings"].to_dict() for record in records]
    varied = [
        name
        for name in every[0]
        if name not in _UNNAMED and any(one[name] != every[0][name] for one in every)
    ]
    varied += _confused(records)
    return [MeasuredRun(label=_label(record["settings"], varied), **record) for record in records]


def _confused(records: Sequence[dict[str, Any]]) -> list[str]:
    """Settings that a label must name because runs of one size, rate, length and seed differ by
    them alone, such as the heads of a transformer: they would pass for further seeds."""
    said = ("optimizer", "options", "schedule", "lr", "seed", "steps")
    quiet = [name for name in _UNNAMED if name not in said]
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    found: dict[str, None] = {}
    for record in records:
        own = record["settings"].to_dict()
        alike = Settings().to_dict()
        rest = record["settings"].replace(**{name: alike[name] for name in quiet}).fingerprint
        first = seen.setdefault((rest, record["parameters"]), own)
        found |= dict.fromkeys(name for name in quiet if own[name] != first[name])
    return list(found)


def _label(settings: Settings, varied: Sequence[str]) -> str:
    options = "".join(f" {key}={_short(value)}" for key, value in settings.options.items())
    schedule = "" if settings.schedule == "constant" else f" {settings.schedule}"
    others = "".join(f" {name}={_short(getattr(settings, name))}" for name in varied)
    return f"{settings.optimizer}{options}{schedule}{others}"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _record(folder: RunFolder) -> dict[str, Any]:
    config, result = folder.read_config(), folder.read_result()
    every = folder.rows()
    if not every:
        raise ValueError(f"{str(folder.metrics)!r} holds no measurement of a run that is finished.")
    return {
        "name": folder.path.name,
        "settings": Settings.from_dict(config["settings"]),
        "parameters": result["parameters"],
        "tokens_per_second": result["tokens_per_second"],
        **_curve(every, result["status"], config["flops_per_token"]),
    }


def _curve(every: Sequence[dict[str, Any]], status: str, flops_per_token: int) -> dict[str, Any]:
    """What the rows of a run say; one whose last loss is no number is lost, whatever it says."""
    rows = [row for row in every if row["step"] and row["validation_loss"] is not None]
    tokens = np.array([row["tokens"] for row in rows], dtype=np.float64)
    good = status == "ok" and every[-1]["validation_loss"] is not None
    return {
        "status": "ok" if good else "diverged",
        "tokens": tokens,
        "flops": tokens * flops_per_token,
        "loss": np.array([row["validation_loss"] for row in rows], dtype=np.float64),
    }


def _stored(path: Path) -> Iterator[dict[str, Any]]:
    arrow: Any = require("pyarrow", "lab")
    parquet: Any = require("pyarrow.parquet", "lab")
    try:
        rows = parquet.read_table(path).to_pylist()
        apart = ("options", "lr", "tokens")
        names = [field.name for field in fields(Settings) if field.name not in apart]
        by_run: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["status"] is not None:
                by_run.setdefault(row["run"], []).append(row)
        for name, every in by_run.items():
            last = every[-1]
            options = {
                key.removeprefix("option_"): value
                for key, value in last.items()
                if key.startswith("option_") and value is not None
            }
            known = {key: last[key] for key in names}
            known |= {"options": options, "lr": last["peak_lr"], "tokens": last["token_kind"]}
            yield {
                "name": name,
                "settings": Settings(**known),
                "parameters": last["parameters"],
                "tokens_per_second": last["tokens_per_second"],
                **_curve(every, last["status"], last["flops_per_token"]),
            }
    except (arrow.ArrowInvalid, KeyError) as error:
        raise ValueError(
            f"{str(path)!r} is no table of runs ({str(error).splitlines()[0]}). Give a sweep's "
            "folder or its metrics.parquet."
        ) from None


def consolidate(path: str | os.PathLike[str]) -> Path:
    """Write every row of every run below a folder to `metrics.parquet` there, settings beside it.

    Runs that are not finished are in it too, as far as they are; their `status` is null. A run goes
    by the name of its folder, or by its path below `path` where two folders have one name.

    Raises:
        ValueError: there is no run.
        MissingExtra: pyarrow is not installed.
    """
    arrow: Any = require("pyarrow", "lab")
    parquet: Any = require("pyarrow.parquet", "lab")
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
        rows += [{**known, **size, **row, **named} for row in folder.rows()]
    if not rows:
        raise ValueError(f"{str(path)!r} holds no run.")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = arrow.table({name: _column([row.get(name) for row in rows]) for name in columns})
    target = Path(path) / "metrics.parquet"
    write_with(target, lambda stream: parquet.write_table(table, stream))
    return target


def query(path: str | os.PathLike[str], sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask DuckDB about the table `metrics` of a folder of runs, or of a file of `consolidate`.

    Returns the names of the columns and the rows.

    Raises:
        ValueError: there is no run, or DuckDB refuses the question.
        MissingExtra: duckdb is not installed.
    """
    duckdb: Any = require("duckdb", "lab")
    target = Path(path) if Path(path).is_file() else consolidate(path)
    with duckdb.connect() as connection:
        # As a relation and not in the text of a view, so that any path will do.
        try:
            connection.register("metrics", connection.read_parquet(str(target)))
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
