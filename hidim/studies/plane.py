"""Whole planes of curves: (alpha, beta, size, recipe), in parallel, labelled, saved and resumed.

A task is a few recipes at one (alpha, size), where a row of beta shares the solver's matrices
(studies/plane_tasks.py). A finished one is a file in `folder`, written whole or not at all and
named by what it depends on, so a plane that was stopped goes on where it stood, on whatever
machines (support/tasks.py).
Limits: deterministic equivalent, fixed batch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim._version import __version__
from hidim.studies.ladder import check_sizes
from hidim.studies.plane_tasks import TOGETHER, Row, Task, rows_in, solve
from hidim.studies.recipes import Recipe
from hidim.support.checks import finite_array, folder_path, positive, shown, whole
from hidim.support.extras import require
from hidim.support.files import write_with
from hidim.support.tasks import run_tasks
from hidim.support.workers import check_executor, check_workers

if TYPE_CHECKING:
    import xarray


def run_plane(
    alphas: Iterable[float],
    betas: Iterable[float],
    *,
    recipes: Sequence[Recipe | str] | Recipe | str = ("sgd",),
    sizes: Iterable[float] = (),
    folder: str | os.PathLike[str] | None = None,
    points: int = 128,
    reach: float = 100.0,
    batch_size: float = 1,
    v_over_d: float | None = None,
    workers: int | None = None,
    progress: bool | None = None,
    executor: Any = None,
) -> xarray.Dataset:
    """Predict every curve of a plane.

    The betas of a row share one run of the moments, hence one algorithm: where delta follows
    beta it is that of the row's largest beta, the most forgetting. For curves that do not depend
    on the row's company, give the recipe a delta of its own.

    Args:
        alphas: exponents of the data.
        betas: exponents of the target; points with alpha + beta <= 1/2 stay NaN.
        recipes: one or several optimizers, by name or as `Recipe`; a list of general-momentum
            recipes makes an axis of kappa_2 or kappa_3.
        sizes: parameters; ten from 100 to 51,200 by default.
        folder: where finished tasks are kept, made if missing; None keeps nothing.
        points: steps per curve, evenly spread in log.
        reach: each run lasts this many times its estimated time to the floor.
        batch_size: samples per step.
        v_over_d: v / d; by default infinite above the line 2 alpha = 1, 4 below it.
        workers: processes, or jobs of submitit; None takes every core.
        progress: show a bar with the time left; None when standard error is a terminal.
        executor: where the tasks are run: "processes" of this machine (None is the same) or an
            executor, such as Dask's ``Client(address).get_executor()``; docs/how-to/cluster.md.
            The curves are the same wherever they are run.

    Returns:
        A Dataset with `steps` (alpha, recipe, d, point), `risk` (alpha, beta, recipe, d, point)
        and `floor` (alpha, beta, d); save it with `save_plane`.

    Raises:
        ValueError: an argument out of range, or a recipe that is unstable at one of `alphas`.
        MissingExtra: xarray is not installed.
        WorkersLost: the executor cannot go on; what is finished is in `folder`.
    """
    xarray = require("xarray", "studies")
    alphas = [positive("alphas", a) for a in _row("alphas", alphas)]
    betas = finite_array("betas", _row("betas", betas), ndim=1)
    asked = [recipes] if isinstance(recipes, str | Recipe) else recipes
    chosen = [Recipe.of(recipe) for recipe in _row("recipes", asked)]
    ladder = check_sizes(sizes, needed=False) or [100 * 2**i for i in range(10)]
    reach = positive("reach", reach)
    batch_size = whole("batch_size", batch_size, minimum=1, allow_inf=True)
    if v_over_d not in (None, math.inf):
        v_over_d = positive("v_over_d", v_over_d)
    workers, executor = check_workers(workers), check_executor(executor, folder=folder)
    kept = folder_path("folder", folder)
    points = int(whole("points", points, minimum=16))
    for alpha in alphas:
        for recipe in chosen:
            recipe.law(alpha, max([1.0, *betas]))  # refuses kappas beyond stability
    tasks = {}
    for i, alpha in enumerate(alphas):
        ratio = (math.inf if 2 * alpha > 1 else 4.0) if v_over_d is None else float(v_over_d)
        row = tuple(float(b) for b in betas[_scaling(alpha, betas)])
        for k, d in enumerate(ladder) if row else ():
            for r in range(0, len(chosen), TOGETHER):
                few = tuple(chosen[r : r + TOGETHER])
                task = Task(alpha, row, few, d, points, reach, batch_size, ratio)
                tasks[i, r, k] = task.for_others()
    # The largest first: no core waits for a late long task.
    order = sorted(tasks, key=lambda key: (-key[2], key))
    named = {tasks[key].name: tasks[key] for key in order}
    results = run_tasks(
        solve,
        named,
        store=None if kept is None else rows_in(kept),
        executor=executor,
        workers=workers,
        progress=progress,
        label="plane",
    )
    found = {key: results[task.name] for key, task in tasks.items()}
    coords = {
        "alpha": alphas,
        "beta": betas,
        "recipe": _names(chosen),
        "d": np.array(ladder, dtype=np.float64),
    }
    attrs = {
        "hidim": __version__,
        "batch_size": float(batch_size),
        "reach": float(reach),
        "recipes": json.dumps([asdict(recipe) for recipe in chosen]),
    }
    return _dataset(xarray, found, points, coords, attrs)


def _scaling(alpha: float, betas: np.ndarray) -> np.ndarray:
    """Which betas have a scaling law: those above the trivial phase."""
    return np.flatnonzero(alpha + betas > 0.5 + 1e-9)


def _dataset(
    xarray: Any,
    found: dict[tuple[int, int, int], Row],
    points: int,
    coords: dict[str, Any],
    attrs: dict[str, Any],
) -> xarray.Dataset:
    """The answers of all tasks (alpha, first recipe, size) as one labelled plane."""
    alphas, betas = coords["alpha"], coords["beta"]
    shape = (len(alphas), len(betas), len(coords["recipe"]), len(coords["d"]))
    steps = np.full((shape[0], *shape[2:], points), np.nan)
    risk = np.full((*shape, points), np.nan)
    floor = np.full((shape[0], shape[1], shape[3]), np.nan)
    for (i, first, k), row in found.items():
        inside = _scaling(alphas[i], betas)
        steps[i, first : first + len(row.steps), k] = row.steps
        for r, curves in enumerate(row.risk, start=first):
            risk[i, inside, r, k] = curves
        floor[i, inside, k] = row.floor
    return xarray.Dataset(
        {
            "steps": (("alpha", "recipe", "d", "point"), steps, {"units": "optimizer steps"}),
            "risk": (("alpha", "beta", "recipe", "d", "point"), risk, {"units": "risk, with 1/2"}),
            "floor": (("alpha", "beta", "d"), floor, {"units": "risk, with 1/2"}),
        },
        coords=coords,
        attrs=attrs,
    )


def save_plane(plane: xarray.Dataset, path: str | os.PathLike[str]) -> None:
    """Write a plane, or its exponents, as one netCDF file, whole or not at all.

    `load_plane` gives back an identical one; any other reader of netCDF reads it too.
    """
    xarray = require("xarray", "studies")
    if not isinstance(plane, xarray.Dataset):
        raise ValueError(f"`plane` must be a plane of run_plane, got {shown(plane)}.")
    content = plane.to_netcdf(engine="scipy")
    write_with(path, lambda stream: stream.write(content))


def load_plane(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Read a plane that `save_plane` wrote.

    Raises:
        ValueError: no such file, no netCDF, or damaged.
        MissingExtra: xarray is not installed.
    """
    xarray = require("xarray", "studies")
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"`path` must be the path of a file, got {shown(path)}.")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {str(path)!r}.")
    try:
        plane = xarray.load_dataset(path, engine="scipy")
        return plane.assign_coords(recipe=plane["recipe"].values.astype(str))
    except (OSError, ValueError, TypeError, LookupError):
        raise ValueError(f"cannot load {str(path)!r}: it is no plane, or damaged.") from None


def _row(name: str, given: Any) -> list[Any]:
    """What was given as a list that is not empty."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"`{name}` must be a row, got {shown(given)}.")
    found = list(given)
    if not found:
        raise ValueError(f"`{name}` is empty: give at least one.")
    return found


def _names(recipes: Sequence[Recipe]) -> list[str]:
    """Labels of the recipe axis: the name, with the exponents that tell equal names apart."""
    labels = []
    for recipe in recipes:
        extra = [f"{k}={getattr(recipe, k):g}" for k in ("kappa_2", "kappa_3")
                 if getattr(recipe, k) is not None]  # fmt: skip
        labels.append(" ".join([recipe.name, *extra]))
    if len(set(labels)) < len(labels):
        labels = [f"{label} #{n}" for n, label in enumerate(labels)]
    return labels
