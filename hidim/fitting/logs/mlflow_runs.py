"""Which columns does the folder of an MLflow run hold?

`mlruns/EXPERIMENT/RUN/metrics` has a file for each metric, the slash of a name being a folder, with
a line `milliseconds value step` for each value logged.
Limits: a metric whose steps go back is refused; runs kept in a data base are to be exported.
"""

from __future__ import annotations

from pathlib import Path

from hidim.fitting.logs.records import Columns


def metrics_of(folder: Path) -> Columns | None:
    """Columns `step` and one of each metric, None where the folder is no MLflow run.

    Raises:
        ValueError: a metric whose steps go back.
    """
    base = folder / "metrics" if (folder / "metrics").is_dir() else folder
    if folder.name != "metrics" and not (folder / "meta.yaml").is_file():
        return None
    found = {
        file.relative_to(base).as_posix(): values
        for file in sorted(base.rglob("*"))
        if file.is_file() and (values := _values(file))
    }
    if not found:
        return None
    steps = sorted({step for values in found.values() for step in values})
    columns: Columns = {"step": [float(step) for step in steps]}
    return columns | {name: [values.get(s) for s in steps] for name, values in found.items()}


def _values(file: Path) -> dict[int, float]:
    """Step to value, empty where the file is none of a metric."""
    out: dict[int, float] = {}
    last = -1
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            _, value, step = line.split()
            number, at = float(value), int(step)
        except ValueError:
            return {}
        if at <= last:
            raise ValueError(
                f"the step goes back in {str(file)!r} ({last} then {at}): a resumed run. Export "
                "its metrics as a table and say --resumed keep-last."
            )
        out[at] = number
        last = at
    return out
