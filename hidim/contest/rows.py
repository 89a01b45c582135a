"""What is kept of a run? A row: what was asked, what was counted, where.

A row's name ends in a hash of all that decides its value (task, method, their versions, settings,
steps, seed), so a folder never mixes contests, and going on is looking for names. In a folder a row
is a file, written whole or not at all; in the repository all rows are one Parquet file.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hidim._version import __version__
from hidim.contest.entries import Reference
from hidim.support.extras import require
from hidim.support.files import write_with
from hidim.support.stores import Store

PROTOCOL = 1  # raised whenever the harness itself changes what a row means
# Of a row, what is the same wherever it is computed.
_DECIDED = ("task", "method", "role", "index", "length", "point", "values", "steps", "seed",
            "task_version", "method_version", "protocol")  # fmt: skip
# And what a machine of the same type finds again to the last bit.
_FOUND = ("value", "status", "gradients", "tokens", "weights", "data")
_PLACE = ("hidim", "torch", "numpy", "python", "cpu", "threads")


@dataclass(frozen=True)
class Run:
    """A run that is wanted.

    Attributes:
        task, method: who learns what.
        role: "tune", "final" or "alarm".
        index: which of its role's seeds.
        length: share of the task's steps.
        point: which of the points of the method's space.
        values: that point, as JSON.
        steps: gradients.
        seed: of (task, role, index) alone.
    """

    task: Reference
    method: Reference
    role: str
    index: int
    length: float
    point: int
    values: str
    steps: int
    seed: int

    @property
    def asked(self) -> dict[str, Any]:
        """The columns that decide the value."""
        return asdict(self) | {
            "task": self.task.name,
            "method": self.method.name,
            "task_version": self.task.version,
            "method_version": self.method.version,
            "protocol": PROTOCOL,
        }

    @property
    def name(self) -> str:
        """Readable, and a hash of `asked`."""
        text = json.dumps(self.asked, sort_keys=True)
        number = self.point if self.role == "tune" else self.index
        return (
            f"{self.task.name}.{self.method.name}.{self.role}{number}.{self.length:g}."
            f"{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        )


def seed_of(task: str, role: str, index: int) -> int:
    """The seed of a run, which no method's name can move.

    >>> seed_of("images", "final", 0) != seed_of("images", "tune", 0)
    True
    """
    return int(hashlib.sha256(f"{task} {role} {index}".encode()).hexdigest()[:8], 16) >> 1


def compute(run: Run) -> dict[str, Any]:
    """The row of a run, computed here.

    Raises:
        Refused: the method left the rules.
    """
    require("torch", "contest")
    from hidim.contest.host import play

    values = json.loads(run.values)
    played = play(run.task, run.method, values, steps=run.steps, seed=run.seed)
    return {"name": run.name} | run.asked | asdict(played) | provenance()


@cache
def provenance() -> dict[str, Any]:
    """Where rows are computed now."""
    return {
        "hidim": __version__,
        "torch": str(require("torch", "contest").__version__),
        "numpy": str(require("numpy", "contest").__version__),
        "python": platform.python_version(),
        "cpu": _cpu(),
        "threads": 1,
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def differences(row: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """What differs between a row and the same one computed again, in words; empty if nothing.

    >>> differences({"value": 1.0, "cpu": "A"}, {"value": 1.0, "cpu": "B"})
    []
    >>> differences({"value": 1.0, "cpu": "A"}, {"value": 2.0, "cpu": "B"})
    ['value is 2.0, was 1.0', 'cpu is B, was A']
    """

    def changed(names: Iterable[str]) -> list[str]:
        pairs = [(name, row.get(name), again.get(name)) for name in names]
        return [f"{name} is {new}, was {old}" for name, old, new in pairs if old != new]

    found = changed(_FOUND)
    return [*found, *changed((*_DECIDED, *_PLACE))] if found else []


def rows_of(folder: str | Path) -> Store[dict[str, Any]]:
    """The rows kept in a contest's folder."""
    return Store(Path(folder) / "rows")


def read_folder(folder: str | Path) -> list[dict[str, Any]]:
    """Every row of a folder, by name.

    Raises:
        ValueError: there is no such folder, or a damaged file in it.
    """
    store = rows_of(folder)
    if not store.folder.is_dir():
        raise ValueError(f"there is no contest in {str(folder)!r}.")
    return [store.load(name) for name in sorted(store.finished())]


def write_parquet(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep rows, sorted by name, in one file."""
    arrow: Any = require("pyarrow", "contest")
    parquet: Any = require("pyarrow.parquet", "contest")
    table = arrow.Table.from_pylist(sorted(map(dict, rows), key=lambda row: str(row["name"])))
    write_with(path, lambda stream: parquet.write_table(table, stream, compression="zstd"))


def read_parquet(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a file of `write_parquet`.

    Raises:
        ValueError: it is none.
    """
    arrow: Any = require("pyarrow", "contest")
    parquet: Any = require("pyarrow.parquet", "contest")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {str(path)!r} of contest rows.")
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
        for row in rows:
            missing = {"name", *_DECIDED, *_FOUND} - row.keys()
            if missing:
                raise ValueError(f"it lacks {sorted(missing)[0]}")
    except (arrow.ArrowException, ValueError, OSError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{str(path)!r} is no file of contest rows: {said}.") from None
    return rows


def seed_folder(folder: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Put rows into a folder that are not there yet; how many."""
    store = rows_of(folder)
    store.open()
    known = store.finished()
    new = [dict(row) for row in rows if row["name"] not in known]
    for row in new:
        store.save(row["name"], row)
    return len(new)


def with_folder(rows: Iterable[Mapping[str, Any]], folder: str | Path) -> list[dict[str, Any]]:
    """Rows and those of a folder, which need not be there and counts where both have one."""
    own = read_folder(folder) if rows_of(folder).folder.is_dir() else []
    return list({row["name"]: dict(row) for row in (*rows, *own)}.values())


def again(
    name: str,
    rows: Iterable[Mapping[str, Any]],
    tasks: Iterable[Reference],
    methods: Iterable[Reference],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A kept row and the same one computed now.

    Args:
        name: of the row, or a beginning that no other has.
        rows: those kept.
        tasks, methods: where they are found now.

    Raises:
        ValueError: no such row or several, or its task or method is not here.
        Refused: the method left the rules.
    """
    found = [row for row in rows if str(row["name"]).startswith(name)]
    if any(row["name"] == name for row in found):
        found = [row for row in found if row["name"] == name]
    if len(found) != 1:
        some = ", ".join(sorted(str(row["name"]) for row in found)[:3])
        raise ValueError(
            f"`rerun` {name!r} is the beginning of {len(found)} rows"
            + (f" ({some} ...): give more of it." if found else ": see --report --json.")
        )
    row = dict(found[0])

    def reference(kind: str, known: Iterable[Reference]) -> Reference:
        for one in known:
            if one.name == row[kind]:
                return one
        raise ValueError(f"{kind} {row[kind]!r} of the row is not here: give its file, --{kind}.")

    task, method = reference("task", tasks), reference("method", methods)
    numbers = {key: row[key] for key in ("role", "index", "length", "point", "values", "steps")}
    return row, compute(Run(task, method, seed=row["seed"], **numbers))
