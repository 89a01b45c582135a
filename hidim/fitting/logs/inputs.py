"""Which runs did the caller mean: objects, files, columns or curves?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.frames import is_frame, is_records, labelled, log_of
from hidim.fitting.logs.histories import with_histories
from hidim.fitting.logs.how import How
from hidim.fitting.logs.readers import read_runs, readings
from hidim.fitting.logs.readings import read_kept
from hidim.fitting.logs.runs import Run


def as_runs(curves: Any, warmup_steps: float = 0.0, *, lr: float | None = None) -> list[Run]:
    """Runs behind whatever `fit` was given.

    Args:
        curves: one or several of: Run, path, (steps, lr, loss), mapping or data frame with columns
            for step, lr and loss under any name that logs have them, and one for the run where it
            holds several, records such as a Trainer's log_history, Curve, or what has a `curve()`,
            such as a hidim.lab.RunFolder; or a mapping from labels to these.
        warmup_steps: linear warm-up that anything but a Run leaves out; a Curve whose provenance
            has the schedule leaves out none.
        lr: a constant rate, for logs and Curves that hold none.

    Raises:
        ValueError: none of these, or a Curve that diverged or whose rate nobody says.
    """
    how = How(warmup_steps=warmup_steps, lr=lr)
    if (named := labelled(curves)) is not None:
        runs = [run for name, one in named for run in _called(name, _runs_of(one, how))]
        return [run for run, _ in with_histories(runs)]
    if _is_one(curves) or is_frame(curves) or is_records(curves):
        curves = [curves]
    if not isinstance(curves, Iterable):
        raise ValueError(f"`curves` must hold runs or paths of logs, got {curves!r}.")
    given = list(curves)
    if given and all(isinstance(one, str | os.PathLike) for one in given):
        return read_runs(given, warmup_steps=warmup_steps, lr=lr)  # joined where they share a run
    runs, numbered = [], []
    for one in given:
        found = _runs_of(one, how)
        runs += found
        numbered += [isinstance(one, Curve) or _has_curve(one)] * len(found)
    return [run for run, _ in with_histories(_told_apart(runs, numbered))]


def given_run(name: str, value: Any, *, loss: str = "needed") -> Run:
    """The argument `name` as one run: a Run, a Curve, or whatever else `as_runs` takes.

    Raises:
        ValueError: it is none, or several.
    """
    if isinstance(value, Run | Curve):
        return value if isinstance(value, Run) else Run.of(value)
    if not (_is_one(value) or is_frame(value) or is_records(value)):
        raise ValueError(
            f"`{name}` must be a Run, a Curve, a data frame or the path of a log, got "
            f"{type(value).__name__}."
        )
    found = _runs_of(value, How(loss=loss))
    if len(found) > 1:
        known = ", ".join(run.label for run in found[:8])
        raise ValueError(f"`{name}` holds several runs, and one is asked for: {known}.")
    return found[0]


def is_kept(value: Any) -> bool:
    """Whether this is a frame, a mapping of columns, or the path of a file that exists."""
    if isinstance(value, str | os.PathLike):
        return os.path.isfile(value)
    return is_frame(value) or isinstance(value, Mapping)


def _called(name: str, runs: list[Run]) -> list[Run]:
    """Runs under the name they were given."""
    if len(runs) == 1:
        return [replace(runs[0], label=name)]
    return [replace(run, label=f"{name} {run.label}".strip()) for run in runs]


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


def _has_curve(curve: Any) -> bool:
    return callable(getattr(curve, "curve", None))


def _runs_of(curve: Any, how: How) -> list[Run]:
    if isinstance(curve, Run):
        return [curve]
    if isinstance(curve, str | os.PathLike):
        return [one.run for one in readings([curve], how)]
    if _has_curve(curve):
        curve = curve.curve()
    if isinstance(curve, Curve):
        return [Run.of(curve, lr=how.lr, warmup_steps=how.warmup_steps)]
    if is_frame(curve) or is_records(curve) or isinstance(curve, Mapping):
        label = str(curve.get("label", "")) if isinstance(curve, Mapping) else ""
        return [one.run for one in read_kept(log_of(curve), label, how)]
    if isinstance(curve, tuple | list) and len(curve) == 3:
        return [Run(curve[0], curve[1], curve[2], how.warmup_steps)]
    hint = ""
    if isinstance(curve, np.ndarray) and curve.ndim == 2:
        hint = ": its columns are (a[:, 0], a[:, 1], a[:, 2])"
    raise ValueError(
        f"`curves` must hold Run objects, paths, (steps, lr, loss), data frames or Curves, got "
        f"{type(curve).__name__}{hint}."
    )
