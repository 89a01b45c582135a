"""Whole planes of curves: (alpha, beta, size, recipe), in parallel, labelled, saved and resumed.

Every (alpha, size) is one task: its recipes share the spectra, and its row of beta the solver's
matrices. A finished task is one file in `folder`, written whole or not at all and named by what
it depends on, so a plane that was stopped goes on where it stood.
Limits: deterministic equivalent, fixed batch.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim._version import __version__
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.named import lookup
from hidim.algorithms.records import BUILT_IN
from hidim.curve import log_steps
from hidim.engines.targets import predict_targets
from hidim.measure import envelope, measure_exponent
from hidim.problems.power_law import spectra_at
from hidim.studies.ladder import Recipe, check_sizes, steps_to_watch
from hidim.support.checks import finite_array, positive, shown, whole
from hidim.support.extras import require
from hidim.support.files import write_with
from hidim.support.inputs import read_npz
from hidim.support.progress import Progress

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class _Task:
    """Every recipe on a row of beta at one alpha and size."""

    alpha: float
    betas: tuple[float, ...]
    recipes: tuple[Recipe, ...]
    d: float
    points: int
    reach: float
    batch_size: float
    v_over_d: float
    # Per recipe the algorithm and the last step, where other processes do not know its name.
    known: tuple[tuple[Momentum, float] | None, ...] = ()

    def run(self, r: int, trace: float) -> tuple[Momentum, float]:
        """The algorithm of recipe `r` and the last step it is followed to."""
        if self.known and (known := self.known[r]) is not None:
            return known
        recipe = self.recipes[r]
        algorithm = recipe.algorithm(
            self.alpha,
            max(self.betas),
            self.d,
            trace,
            v_over_d=self.v_over_d,
            batch_size=self.batch_size,
        )
        laws = [recipe.law(self.alpha, beta) for beta in self.betas]
        return algorithm, self.reach * max(
            steps_to_watch(law, recipe, self.d, trace) for law in laws
        )

    def for_others(self) -> _Task:
        """The same task for a fresh process, which knows the built-in names only."""
        own = [lookup(recipe.name) in BUILT_IN for recipe in self.recipes]
        if all(own):
            return self
        trace = spectra_at(self.alpha, self.betas[:1], self.d, self.v_over_d)[0].trace
        known = [None if here else self.run(r, trace) for r, here in enumerate(own)]
        return replace(self, known=tuple(known))

    def file(self, folder: Path) -> Path:
        """Where its curves are kept: a readable name, and a hash of everything."""
        text = json.dumps([asdict(self), __version__], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return folder / f"alpha{self.alpha:g}_d{self.d:g}_{digest}.npz"


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
        workers: processes; None takes every core.
        progress: show a bar; None when standard error is a terminal.

    Returns:
        A Dataset with `steps` (alpha, recipe, d, point), `risk` (alpha, beta, recipe, d, point)
        and `floor` (alpha, beta, d); save it with `save_plane`.

    Raises:
        ValueError: an argument out of range, or a recipe that is unstable at one of `alphas`.
        MissingExtra: xarray is not installed.
    """
    xarray = require("xarray", "studies")
    alphas = [positive("alphas", a) for a in _row("alphas", alphas)]
    betas = finite_array("betas", _row("betas", betas), ndim=1)
    named = [recipes] if isinstance(recipes, str | Recipe) else recipes
    chosen = [Recipe.of(recipe) for recipe in _row("recipes", named)]
    ladder = check_sizes(sizes, needed=False) or [100 * 2**i for i in range(10)]
    reach = positive("reach", reach)
    batch_size = whole("batch_size", batch_size, minimum=1, allow_inf=True)
    if v_over_d not in (None, math.inf):
        v_over_d = positive("v_over_d", v_over_d)
    if workers is not None:
        workers = int(whole("workers", workers, minimum=1))
    points = int(whole("points", points, minimum=16))
    for alpha in alphas:
        for recipe in chosen:
            recipe.law(alpha, max([1.0, *betas]))  # refuses kappas beyond stability
    home = None if folder is None else Path(folder)
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
    tasks = {}
    for i, alpha in enumerate(alphas):
        ratio = (math.inf if 2 * alpha > 1 else 4.0) if v_over_d is None else float(v_over_d)
        row = tuple(float(b) for b in betas[_scaling(alpha, betas)])
        for k, d in enumerate(ladder) if row else ():
            tasks[i, k] = _Task(alpha, row, tuple(chosen), d, points, reach, batch_size, ratio)
    with Progress(len(tasks), "plane", enabled=progress) as bar:
        # The largest first: no core waits for a late long task.
        order = sorted(tasks, key=lambda key: (-key[1], key))
        found = {}
        for key, answer in _results({key: tasks[key] for key in order}, home, workers):
            found[key] = answer
            bar.advance()
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
    found: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]],
    points: int,
    coords: dict[str, Any],
    attrs: dict[str, Any],
) -> xarray.Dataset:
    """The answers of all tasks (alpha, size) as one labelled plane."""
    alphas, betas = coords["alpha"], coords["beta"]
    shape = (len(alphas), len(betas), len(coords["recipe"]), len(coords["d"]))
    steps = np.full((shape[0], *shape[2:], points), np.nan)
    risk = np.full((*shape, points), np.nan)
    floor = np.full((shape[0], shape[1], shape[3]), np.nan)
    for (i, k), (t, p, f) in found.items():
        inside = _scaling(alphas[i], betas)
        steps[i, :, k] = t
        risk[i, inside, :, k] = p.transpose(1, 0, 2)
        floor[i, inside, k] = f
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
    content = plane.to_netcdf(engine="scipy")
    write_with(path, lambda stream: stream.write(content))


def load_plane(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Read a plane that `save_plane` wrote.

    Raises:
        ValueError: no such file, no netCDF, or damaged.
        MissingExtra: xarray is not installed.
    """
    xarray = require("xarray", "studies")
    if not Path(path).is_file():
        raise ValueError(f"there is no file {str(path)!r}.")
    try:
        plane = xarray.load_dataset(path, engine="scipy")
        return plane.assign_coords(recipe=plane["recipe"].values.astype(str))
    except (OSError, ValueError, TypeError, LookupError):
        raise ValueError(f"cannot load {str(path)!r}: it is no plane, or damaged.") from None


def plane_exponents(
    plane: xarray.Dataset, *, last_decades: float = 2.0, per_decade: int = 8
) -> xarray.Dataset:
    """Measured and theoretical eta and xi at every point of a plane.

    Args:
        plane: from `run_plane`, with at least four sizes.
        last_decades: decades of flops that the powers are fitted over.
        per_decade: budgets per decade.

    Returns:
        A Dataset (alpha, beta, recipe) with eta, xi, eta_theory, xi_theory; NaN where the
        ladder covers no budget.
    """
    from hidim.curve import Curve

    xarray = require("xarray", "studies")
    recipes = [Recipe(**row) for row in json.loads(plane.attrs["recipes"])]
    shape = (plane.sizes["alpha"], plane.sizes["beta"], plane.sizes["recipe"])
    names = ("eta", "xi", "eta_theory", "xi_theory")
    found = {name: np.full(shape, np.nan) for name in names}
    sizes, batch = plane["d"].values, plane.attrs["batch_size"]
    for i, j, r in np.ndindex(shape):
        risk, steps = plane["risk"].values[i, j, r], plane["steps"].values[i, r]
        if not np.isfinite(risk).any():
            continue
        alpha, beta = float(plane["alpha"][i]), float(plane["beta"][j])
        law = recipes[r].law(alpha, beta)
        found["eta_theory"][i, j, r], found["xi_theory"][i, j, r] = law.eta, law.xi
        curves = [
            Curve(t[np.isfinite(t)], p[np.isfinite(t)], dimension=d, batch_size=batch)
            for t, p, d in zip(steps, risk, sizes, strict=True)
        ]
        top = math.log10(float(sizes[-1])) + math.log10(float(np.nanmax(steps)))
        budgets = 10 ** np.arange(2.0, top, 1 / per_decade)
        frontier = envelope(curves, budgets)
        if len(frontier.flops) >= 4:
            for name, values in (("eta", 1 / frontier.risk), ("xi", frontier.d)):
                power = measure_exponent(frontier.flops, values, last_decades=last_decades)
                found[name][i, j, r] = power.value
    coords = {key: plane[key] for key in ("alpha", "beta", "recipe")}
    data = {name: (("alpha", "beta", "recipe"), values) for name, values in found.items()}
    return xarray.Dataset(data, coords=coords)


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


def _results(
    tasks: dict[Any, _Task], home: Path | None, workers: int | None
) -> Iterator[tuple[Any, tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """Each task's steps, risks and floors as they become known, from files first."""
    left = {}
    for key, given in tasks.items():
        task = given.for_others()
        file = None if home is None else task.file(home)
        if file is not None and file.is_file():
            saved = read_npz(file)
            yield key, (saved["steps"], saved["risk"], saved["floor"])
        else:
            left[key] = task
    count = min(len(left), _cores() if workers is None else workers)
    if count <= 1:
        for key, task in left.items():
            yield key, _solve(task, home)
        return
    # Fresh processes: a fork would copy the caller's threads and locks in unknown states.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        waiting = {pool.submit(_solve, task, home): key for key, task in left.items()}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _solve(task: _Task, home: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (recipes, points), risk (recipes, betas, points) and floors (betas,) of one task."""
    spectra = spectra_at(task.alpha, task.betas, task.d, task.v_over_d)
    trace = spectra[0].trace
    steps = np.full((len(task.recipes), task.points), np.nan)
    risk = np.full((len(task.recipes), len(task.betas), task.points), np.nan)
    for r in range(len(task.recipes)):
        algorithm, last = task.run(r, trace)
        at = log_steps(last, points=task.points)
        curves = predict_targets(spectra, algorithm, at, batch_size=task.batch_size)
        steps[r, : len(at)] = at
        risk[r, :, : len(at)] = [curve.risk for curve in curves]
    floor = np.array([spectrum.risk_floor for spectrum in spectra])
    if home is not None:
        write_with(
            task.file(home),
            lambda stream: np.savez_compressed(stream, steps=steps, risk=risk, floor=floor),
        )
    return steps, risk, floor


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
