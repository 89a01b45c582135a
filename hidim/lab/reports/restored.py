"""How does a sweep go on from what a stored table has of it?

The finished runs of the table become run folders that count as finished. They hold what the table
holds: settings, rows and the result, and no checkpoint, since nothing is left to train.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hidim.lab.reports.tables import Stored, stored_runs
from hidim.lab.sweeps.sweep import Sweep, name_of
from hidim.lab.training.store import Metrics, RunFolder

_LOGGED = ("step", "tokens", "train_loss", "lr", "gradient_norm", "tokens_per_second",
           "validation_loss")  # fmt: skip


def restore(file: str | os.PathLike[str], sweep: Sweep) -> int:
    """Put the finished runs of a stored table into a sweep; returns how many were not there yet.

    Raises:
        ValueError: no such file, or no table of runs; or a run is being trained.
        MissingExtra: pyarrow is not installed.
    """
    if not Path(file).is_file():
        raise ValueError(f"there is no file {str(file)!r} of stored runs.")
    runs, new = list(stored_runs(Path(file))), 0
    sweep.add(run.settings for run in runs)
    for run in runs:
        folder = sweep.folder(name_of(run.settings))
        if not folder.finished:
            with folder.claim():
                _write(run, folder)
            new += 1
    return new


def _write(run: Stored, folder: RunFolder) -> None:
    folder.checkpoint.unlink(missing_ok=True)  # of an attempt that this run replaces
    folder.metrics.unlink(missing_ok=True)
    folder.write_config(run.config)
    metrics = Metrics(folder)
    for row in run.rows:
        metrics.append({name: row[name] for name in _LOGGED if name in row})
    metrics.close()
    last, speed = run.rows[-1], run.rows[-1]["tokens_per_second"]
    losses: dict[str, Any] = {
        name: next((row[name] for row in reversed(run.rows) if name in row), None)
        for name in ("train_loss", "validation_loss")
    }
    size = {name: run.config[name] for name in ("parameters", "flops_per_token")}
    folder.write_result(
        {
            "status": run.status,
            "step": last["step"],
            "tokens": last["tokens"],
            **losses,
            "seconds": last["tokens"] / speed if speed else 0.0,
            **size,
            "signal": None,
            "tokens_per_second": speed,
        }
    )
