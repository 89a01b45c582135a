"""Which runs did the caller mean: objects, files, columns or curves?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.readers import read_run, read_runs
from hidim.fitting.logs.runs import Run


def as_runs(curves: Any, warmup_steps: float = 0.0, *, lr: float | None = None) -> list[Run]:
    """Runs behind whatever `fit` was given.

    Args:
        curves: one or several of: Run, path, (steps, lr, loss), mapping or data frame with
            "step" or "steps", "lr" and "loss", Curve, or what has a `curve()`, such as a
            hidim.lab.RunFolder.
        warmup_steps: linear warm-up that anything but a Run leaves out; a Curve whose provenance
            has the schedule leaves out none.
        lr: a constant rate, for logs and Curves that hold none.

    Raises:
        ValueError: none of these, or a Curve that diverged or whose rate nobody says.
    """
    if _is_one(curves) or _is_frame(curves):
        curves = [curves]
    if not isinstance(curves, Iterable):
        raise ValueError(f"`curves` must hold runs or paths of logs, got {curves!r}.")
    given = list(curves)
    if given and all(isinstance(one, str | os.PathLike) for one in given):
        return read_runs(given, warmup_steps=warmup_steps, lr=lr)  # joined where they share a run
    runs = [_as_run(curve, warmup_steps, lr) for curve in given]
    return _told_apart(runs, [isinstance(one, Curve) or _has_curve(one) for one in given])


def _told_apart(runs: list[Run], numbered: list[bool]) -> list[Run]:
    """Curves are called after their algorithm, so several of one name get numbers."""
    labels = [run.label for run in runs]
    seen: dict[str, int] = {}
    for k, run in enumerate(runs):
        if numbered[k] and labels.count(run.label) > 1:
            seen[run.label] = seen.get(run.label, 0) + 1
            runs[k] = replace(run, label=f"{run.label} {seen[run.label]}".strip())
    return runs


def _is_one(curves: Any) -> bool:
    if isinstance(curves, Run | Curve | Mapping | str | os.PathLike) or _has_curve(curves):
        return True
    triple = isinstance(curves, tuple) and len(curves) == 3
    return (
        triple
        and all(isinstance(c, np.ndarray | list | tuple) for c in curves)
        and all(np.ndim(c) == 1 and np.issubdtype(np.asarray(c).dtype, np.number) for c in curves)
    )


def _is_frame(curve: Any) -> bool:
    # pandas and polars frames hold named columns and are no Mapping.
    return hasattr(curve, "columns") and hasattr(curve, "__getitem__")


def _has_curve(curve: Any) -> bool:
    return callable(getattr(curve, "curve", None))


def _as_run(curve: Any, warmup_steps: float, lr: float | None) -> Run:
    if isinstance(curve, Run):
        return curve
    if isinstance(curve, str | os.PathLike):
        return read_run(curve, warmup_steps=warmup_steps, lr=lr)
    if _has_curve(curve):
        curve = curve.curve()
    if isinstance(curve, Curve):
        return Run.of(curve, lr=lr, warmup_steps=warmup_steps)
    if _is_frame(curve):
        curve = {str(name): np.asarray(curve[name]) for name in curve.columns}
    if isinstance(curve, Mapping):
        steps = curve.get("steps", curve.get("step"))
        if steps is None or "lr" not in curve or "loss" not in curve:
            raise ValueError(
                f"a mapping in `curves` needs steps, lr and loss, got {', '.join(map(str, curve))}."
            )
        return Run(steps, curve["lr"], curve["loss"], warmup_steps, str(curve.get("label", "")))
    if isinstance(curve, tuple | list) and len(curve) == 3:
        return Run(curve[0], curve[1], curve[2], warmup_steps)
    raise ValueError(
        f"`curves` must hold Run objects, paths, (steps, lr, loss) or Curves, got "
        f"{type(curve).__name__}."
    )
