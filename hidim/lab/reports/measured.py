"""What did a folder of runs measure, as curves and as one table to query?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.lab.sweeps.sweep import Sweep
from hidim.lab.training.curves import label_of, run_curve
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder
from hidim.support.extras import require
from hidim.support.files import write_with
from hidim.support.results import Saved

# What a label need not say: it is said elsewhere, or it is no part of a method.
_UNNAMED = ("optimizer", "options", "schedule", "lr", "seed", "steps", "width", "layers", "heads",
            "validation_tokens", "evaluation_growth", "precision", "compile")  # fmt: skip


@dataclass(frozen=True, eq=False)
class MeasuredRun(Saved, format="hidim-lab-run/2"):
    """A run among others: its curve, and what sets it apart from them.

    Attributes:
        name: of its folder.
        label: the optimizer with its options, its schedule unless constant, and what else is not
            the same in all runs of the folder, such as the batch size or the text; shape and
            evaluation only where the size does not tell the runs apart.
        settings: what it was.
        curve: what it measured, see `hidim.lab.RunFolder.curve`.
        tokens_per_second: of training, evaluations left out.
    """

    name: str
    label: str
    settings: Settings
    curve: Curve
    tokens_per_second: float

    @property
    def status(self) -> str:
        """That of the curve: "ok", "diverged" or "unfinished"."""
        return self.curve.status

    @property
    def parameters(self) -> int:
        """Size of the model."""
        return int(self.curve.dimension or 0)

    @property
    def tokens(self) -> np.ndarray:
        """Trained on at each evaluation after the first step, shape (n,)."""
        return self._later(self.curve.columns["tokens"])

    @property
    def flops(self) -> np.ndarray:
        """Spent by then, forward and backward, shape (n,)."""
        return self._later(self.curve.flops)

    @property
    def loss(self) -> np.ndarray:
        """Validation loss there, nats per token, shape (n,); rows without a number are left out."""
        return self._later(self.curve.risk)

    def _later(self, column: np.ndarray) -> np.ndarray:
        return column[(self.curve.steps > 0) & np.isfinite(self.curve.risk)]

    @property
    def final(self) -> float:
        """The last validation loss; infinite for a run that diverged."""
        return float(self.curve.risk[-1]) if self.status != "diverged" else float("inf")

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


def measured_runs(path: str | os.PathLike[str], *, unfinished: bool = False) -> list[MeasuredRun]:
    """The finished runs below a folder, or in a file that `consolidate` wrote.

    A run that is there twice, as a copy or in two sweeps, counts once: it is one seed.

    Args:
        path: the folder or the file.
        unfinished: take runs that are under way too, once they have two measurements after the
            first step; of a file, finished ones alone.

    Raises:
        ValueError: there is none, or the file is no such file.
        MissingExtra: a file is read and pyarrow is not installed.
    """
    if Path(path).is_file():
        records = list(_stored(Path(path)))
    else:
        found = (_record(folder) for folder in run_folders(path) if unfinished or folder.finished)
        records = [record for record in found if record is not None]
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
    return [MeasuredRun(label=label_of(record["settings"], varied), **record) for record in records]


def _confused(records: Sequence[dict[str, Any]]) -> list[str]:
    """Settings that a label must name because runs of one size, rate, length and seed differ by
    them alone, such as the heads of a transformer: they would pass for further seeds."""
    said = ("optimizer", "options", "schedule", "lr", "seed", "steps")
    quiet = [name for name in _UNNAMED if name not in said]
    seen: dict[tuple[str, float], dict[str, Any]] = {}
    found: dict[str, None] = {}
    for record in records:
        own = record["settings"].to_dict()
        alike = Settings().to_dict()
        rest = record["settings"].replace(**{name: alike[name] for name in quiet}).fingerprint
        first = seen.setdefault((rest, record["curve"].dimension), own)
        found |= dict.fromkeys(name for name in quiet if own[name] != first[name])
    return list(found)


def _record(folder: RunFolder) -> dict[str, Any] | None:
    """A run by its name, settings, curve and speed; None for one that has hardly begun."""
    result = folder.read_result() if folder.finished else None
    rows = folder.rows()
    if result is None and len(rows) < 3:
        return None
    if not rows:
        raise ValueError(f"{str(folder.metrics)!r} holds no measurement of a run that is finished.")
    curve = folder.curve()
    return {
        "name": folder.path.name,
        "settings": Settings.from_dict(curve.provenance["settings"]),
        "curve": curve,
        "tokens_per_second": (result or rows[-1])["tokens_per_second"],
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
            config = {"settings": settings.to_dict(), **size}
            yield {
                "name": name,
                "settings": settings,
                "curve": run_curve(config, every, last["status"]),
                "tokens_per_second": last["tokens_per_second"],
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
