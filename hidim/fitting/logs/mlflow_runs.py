"""Which columns does the folder of an MLflow run hold?

`mlruns/EXPERIMENT/RUN/metrics` has a file for each metric, the slash of a name being a folder, with
a line `milliseconds value step` for each value logged, and since MLflow 3 two fields on the data
set behind them. A run that was resumed goes back in its step, as other logs do, and is mended as
they are (repairs.py).
Limits: lines are never put into another order; runs kept in a data base are to be exported.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hidim.fitting.logs.records import Columns

_FIELDS = (3, 5)
_SEVERAL = 4  # folders named in a complaint


class Line(NamedTuple):
    """One value of a metric."""

    time: int  # milliseconds
    value: float
    step: int


class Metrics(NamedTuple):
    """The columns of a run, what was mended, and why it has no steps, "" where it has."""

    columns: Columns
    repairs: tuple[str, ...] = ()
    no_step: str = ""


def metrics_of(folder: Path) -> Metrics | None:
    """Columns `step` and one of each metric, None where the folder is none of MLflow.

    Raises:
        ValueError: several runs in one folder, none at all, or a line that is none of a metric.
    """
    base = _base(folder)
    if base is None:
        return None
    if base.parent == folder or base == folder:
        repairs: list[str] = []
    else:
        repairs = [f"read from {base.parent.relative_to(folder)}, the only run"]
    found = {
        file.relative_to(base).as_posix(): lines
        for file in _in(base)
        if (lines := _lines(file, repairs))
    }
    if not found:
        raise ValueError(f"the MLflow run {str(base.parent)!r} has logged no metric.")
    return _together(found, repairs)


def _base(folder: Path) -> Path | None:
    """The folder of metrics: of a run, of itself, or of the only run of an experiment."""
    if folder.name == "metrics":
        if (folder.parent / "meta.yaml").is_file():
            return folder
        heads = [_head(file) for file in _in(folder)]
        return folder if heads and all(map(_parsed, heads)) else None
    if (folder / "meta.yaml").is_file() and (folder / "metrics").is_dir():
        return folder / "metrics"
    inside = [
        meta.parent
        for depth in ("*", "*/*")
        for meta in sorted(folder.glob(f"{depth}/meta.yaml"))
        if (meta.parent / "metrics").is_dir()
    ]
    if len(inside) == 1:
        return inside[0] / "metrics"
    if inside:
        more = f", and {len(inside) - _SEVERAL} more" if len(inside) > _SEVERAL else ""
        raise ValueError(
            f"{str(folder)!r} holds {len(inside)} MLflow runs "
            f"({', '.join(map(str, inside[:_SEVERAL]))}{more}): give those you mean, one folder "
            "each."
        )
    if (folder / "meta.yaml").is_file():
        raise ValueError(
            f"the MLflow folder {str(folder)!r} holds no metrics and no run that does."
        )
    return None


def _in(base: Path) -> list[Path]:
    files = (file for file in base.rglob("*") if file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def _head(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as stream:
        return stream.readline(200)


def _parsed(text: str) -> Line | None:
    """A line of a metric, None where it is none."""
    fields = text.split()
    if len(fields) not in _FIELDS:
        return None
    try:
        return Line(int(fields[0]), float(fields[1]), int(fields[2]))
    except ValueError:
        return None


def _lines(file: Path, repairs: list[str]) -> list[Line]:
    """The values of a metric; a last line that a killed run left unfinished is left out.

    Raises:
        ValueError: another line is none of a metric.
    """
    text = file.read_text(encoding="utf-8", errors="replace")
    written = text.splitlines()
    out: list[Line] = []
    for number, one in enumerate(written, start=1):
        line, last = _parsed(one), number == len(written)
        # Of 1600 cut to 16 only the end of the line, which is not there, tells.
        cut = last and not text.endswith("\n") and out and line and line.step <= out[-1].step
        if line is not None and not cut:
            out.append(line)
        elif last and out:
            repairs.append(f"line {number} of metric {file.name!r}, the last, was cut: left out")
        elif one.strip():
            raise ValueError(
                f"line {number} of {str(file)!r} reads {one[:60]!r}, and a metric of MLflow "
                "'milliseconds value step': mend or delete it."
            )
    if not out:
        repairs.append(f"metric {file.name!r} is empty")
    _in_order(file, out)
    return out


def _in_order(file: Path, lines: list[Line]) -> None:
    """A file that several wrote at once is no resumed run: by its times its steps go forward."""
    back = [i for i, (a, b) in enumerate(pairwise(lines)) if b.step < a.step and b.time < a.time]
    if not back:
        return
    by_time = sorted(lines, key=lambda line: line.time)
    if all(a.step <= b.step for a, b in pairwise(by_time)):
        raise ValueError(
            f"line {back[0] + 2} of {str(file)!r} is older than the one before: several wrote at "
            "once, and in the order of the times the steps go forward. Sort its lines: sort -s -n "
            f"-o {file} {file}"
        )


def _together(found: dict[str, list[Line]], repairs: list[str]) -> Metrics:
    """Metrics of their own files in the rows of one table."""
    unstepped = [n for n, v in found.items() if len(v) > 1 and not any(x.step for x in v)]
    most = max(len(lines) for lines in found.values())
    if any(len(found[name]) == most for name in unstepped):
        return Metrics(
            {n: [x.value for x in v] for n, v in found.items() if len(v) == most},
            tuple(repairs),
            "every step in it is 0, as MLflow has it where log_metric gets no step=. Log it, or "
            "say how many steps a row is, --step-scale N",
        )
    for name in unstepped:
        repairs.append(f"metric {name!r}, whose {len(found.pop(name))} steps are all 0, left out")
    cells: dict[tuple[int, int, int], dict[str, float]] = {}
    for name, attempts in _attempts(found).items():
        seen: dict[tuple[int, int], int] = {}
        for attempt, line in zip(attempts, found[name], strict=True):
            again = seen[attempt, line.step] = seen.get((attempt, line.step), -1) + 1
            cells.setdefault((attempt, line.step, again), {})[name] = line.value
    rows = sorted(cells)
    columns: Columns = {"step": [float(step) for _, step, _ in rows]}
    columns |= {name: [cells[row].get(name) for row in rows] for name in found}
    return Metrics(columns, tuple(repairs))


def _attempts(found: dict[str, list[Line]]) -> dict[str, list[int]]:
    """By how many resumptions each value was logged: goings back of the step, of any metric.

    Their times say which values of other metrics were before; where times say nothing, each metric
    counts its own.
    """
    backs = {
        name: [(a.time, b.time) for a, b in pairwise(lines) if b.step < a.step]
        for name, lines in found.items()
    }
    if any(after <= before for pairs in backs.values() for before, after in pairs):
        return {
            name: np.cumsum([0, *(b.step < a.step for a, b in pairwise(lines))]).tolist()
            for name, lines in found.items()
        }
    starts = sorted(after for pairs in backs.values() for _, after in pairs)
    return {
        name: np.searchsorted(starts, [line.time for line in lines], side="right").tolist()
        for name, lines in found.items()
    }
