"""The same optimizer on the same problem at a ladder of sizes: exact curves to measure on.

Every size is a task of some seconds (studies/rungs.py), done here or by any executor
(support/tasks.py); how the rates follow the size is a Recipe's to say (studies/recipes.py).
Limits: deterministic equivalent, so v / d fixed (infinite above the line 2 alpha = 1), batch fixed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.scaling.law import ScalingLaw
from hidim.studies.recipes import Recipe
from hidim.studies.rungs import Rung, climb
from hidim.support.checks import finite_array, folder_path, positive, shown, whole
from hidim.support.results import Saved
from hidim.support.stores import Store
from hidim.support.tasks import run_tasks
from hidim.support.workers import check_executor, check_workers


@dataclass(frozen=True, eq=False)
class Ladder(Saved, format="hidim-ladder/1"):
    """Curves of one problem and recipe at growing sizes.

    Attributes:
        alpha: exponent of the data.
        beta: exponent of the target.
        recipe: the optimizer.
        law: what theory says.
        sizes: (n,) parameters.
        curves: one per size.
        floors: (n,) risk floors.
    """

    alpha: float
    beta: float
    recipe: Recipe
    law: ScalingLaw
    sizes: np.ndarray
    curves: tuple[Curve, ...]
    floors: np.ndarray


def check_sizes(sizes: Iterable[float], *, needed: bool = True) -> list[float]:
    """Sizes as whole numbers, at least 2.

    Raises:
        ValueError: none, or something that is no size.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise ValueError(f"`sizes` must be a row of numbers, got {shown(sizes)}.")
    found = [whole("sizes", d, minimum=2) for d in sizes]
    if needed and not found:
        raise ValueError("`sizes` is empty: give at least one.")
    return found


def sizes_between(low: float, high: float, per_decade: float = 6) -> np.ndarray:
    """Whole sizes evenly spread in log d, both ends included.

    >>> sizes_between(100, 1000, 2)
    array([ 100.,  316., 1000.])
    """
    count = 1 + max(1, round(per_decade * math.log10(high / low)))
    return np.unique(np.round(np.geomspace(low, high, count)))


def run_ladder(
    alpha: float,
    beta: float | Sequence[float],
    recipe: Recipe | str = "sgd",
    *,
    sizes: Iterable[float] | None = None,
    v_over_d: float | None = None,
    batch_size: float = 1,
    reach: float = 100.0,
    done: Callable[[], object] | None = None,
    executor: Any = None,
    workers: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Ladder | list[Ladder]:
    """Predict the exact curves of a recipe over a ladder of sizes.

    Args:
        alpha: exponent of the data; positive.
        beta: exponent of the target, or a row of them, which shares all the work: one algorithm,
            with the friction that the largest of them asks for.
        recipe: the optimizer, or its name with default amplitudes.
        sizes: parameters; 100 to 1e7 with six per decade by default.
        v_over_d: v / d; infinite above the line 2 alpha = 1, 4 below it.
        batch_size: samples per step.
        reach: each run lasts this many times its estimated time to the floor.
        done: called after each size, for a progress bar of your own.
        executor: where the sizes are worked on: "processes" of this machine or an executor, such
            as Dask's ``Client(address).get_executor()``; None is this process alone.
        workers: processes, or jobs of submitit; None takes every core.
        folder: where finished sizes are kept, to go on from; made if missing.
        progress: show a bar with the time left; None when standard error is a terminal and
            there is no `done`.

    Returns:
        A Ladder, or one for each beta.

    Raises:
        ValueError: an argument out of range, or a problem in the trivial phase.
        WorkersLost: the executor cannot go on; what is finished is in `folder`.
    """
    recipe = Recipe.of(recipe)
    reach = positive("reach", reach)
    batch_size = whole("batch_size", batch_size, minimum=1, allow_inf=True)
    workers = 1 if executor is None and workers is None else check_workers(workers)
    executor = check_executor(executor, folder=folder)
    kept = folder_path("folder", folder)
    betas = np.atleast_1d(finite_array("beta", beta, ndim=(0, 1)))
    if not betas.size:
        raise ValueError("`beta` is empty: give at least one.")
    laws = [recipe.law(alpha, float(b)) for b in betas]
    for law in laws:
        if law.phase == "trivial":
            raise ValueError(
                f"`beta` is {law.beta:g}, but alpha + beta must exceed 1/2 for an exponent."
            )
    ratio = positive("v_over_d", v_over_d) if v_over_d not in (None, math.inf) else v_over_d
    if ratio is None:
        ratio = math.inf if 2 * alpha > 1 else 4.0
    steps_of = np.array(
        sizes_between(100, 1e7) if sizes is None else check_sizes(sizes), dtype=float
    )
    row = tuple(float(b) for b in betas)
    rungs = [Rung(float(alpha), row, recipe, float(d), ratio, batch_size, reach) for d in steps_of]
    rungs = [rung.for_others() for rung in rungs]
    results = run_tasks(
        climb,
        {rung.name: rung for rung in rungs},
        store=None if kept is None else Store(kept),
        executor=executor,
        workers=workers,
        progress=False if progress is None and done is not None else progress,
        label=recipe.name,
        done=done,
    )
    climbed = [results[rung.name] for rung in rungs]
    found = [
        Ladder(
            alpha=float(alpha),
            beta=float(b),
            recipe=recipe,
            law=laws[k],
            sizes=steps_of,
            curves=tuple(curves[k] for curves in climbed),
            floors=np.array([curves[k].risk_floor for curves in climbed]),
        )
        for k, b in enumerate(betas)
    ]
    return found if np.ndim(beta) else found[0]
