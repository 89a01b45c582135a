"""How should a budget be split between parameters and steps, on exact curves?

For each budget the exact risk after flops / (d x batch) steps is minimised over the size d with
the law's rates, by cubics in log d that start around the size that the scaling law names. The
search reads cheaper curves, of looser tolerance; the risk at the size it finds is exact.
Limits: one valley is assumed, which the law's own frontier was searched for; d is found to some
percent, where the risk is flat to 1e-4; at most 1e20 steps and 1e15 parameters.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hidim.algorithms.named import lookup
from hidim.algorithms.records import BUILT_IN
from hidim.engines.targets import TOLERANCE, predict_targets
from hidim.problems.power_law import MOST_POWER, spectra_at
from hidim.scaling.frontier import Frontier
from hidim.scaling.law import ScalingLaw
from hidim.support.checks import finite_array, folder_path, instance
from hidim.support.stores import Store, task_name
from hidim.support.tasks import run_tasks
from hidim.support.workers import check_executor, check_workers

_FACTOR = 8.0  # the law's size is right within this factor wherever it was tried
_STEP = 0.3  # between the first sizes tried, in log d
_PRECISION = 0.012
_SEARCH = 1e-3  # tolerance per block of steps; the risk is then right to a few 1e-5
_MOST_STEPS, _MOST_PARAMETERS = 1e20, 1e15
_TRIES = 6  # about as many sizes are tried for a budget


def exact_frontier(
    law: ScalingLaw,
    flops: ArrayLike,
    *,
    done: Callable[[], object] | None = None,
    progress: Callable[[float], object] | None = None,
    executor: Any = None,
    workers: int | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Frontier:
    """The best size, steps and risk for each budget, by exact curves at the law's rates.

    Args:
        law: from `scaling_law`, with a fixed batch (kappa_b = 0).
        flops: steps x parameters x batch; a number or an array.
        done: called after each budget, for a progress bar.
        progress: called with the budgets done so far; parts of one included, where they are
            done by this process.
        executor: where the budgets are worked on: "processes" of this machine or an executor,
            such as Dask's ``Client(address).get_executor()``; None is this process alone.
        workers: processes, or jobs of submitit; None takes every core.
        folder: where finished budgets are kept, to go on from; made if missing.

    Raises:
        ValueError: the law has no frontier there, its batch grows with d, its rates diverge, a
            budget is beyond what exact curves reach, or other processes do not know its name.
        WorkersLost: the executor cannot go on; what is finished is in `folder`.
    """
    instance("law", law, ScalingLaw, "as hidim.scaling_law returns")
    if law.kappas.kappa_b:
        raise ValueError(
            f"`kappa_b` must be 0 for exact curves, got {law.kappas.kappa_b:g}: a batch that grows "
            "with d is known to the law only."
        )
    if law.variant != "random-features":
        raise ValueError(f"`variant` must be 'random-features', got {law.variant!r}.")
    guesses = check_reach(law, flops)
    budgets = np.atleast_1d(finite_array("flops", flops))
    tasks = [Budget(law, float(f), float(d)) for f, d in zip(budgets, guesses, strict=True)]
    workers, executor = check_workers(workers), check_executor(executor, folder=folder)
    kept = folder_path("folder", folder)
    counted = 0

    def tick(tried: int) -> None:
        if progress is not None:
            progress(counted + min(tried / _TRIES, 0.95))

    def one_done() -> None:
        nonlocal counted
        counted += 1
        if progress is not None and not alone:
            progress(counted)
        if done is not None:
            done()

    alone = executor is None and workers in (None, 1)
    if not alone and lookup(law.name) not in BUILT_IN:
        raise ValueError(
            f"`law` is of {law.name!r}, which other processes do not know: leave out `executor` "
            "and `workers`."
        )
    results = run_tasks(
        functools.partial(search, tick=tick) if alone else search,
        {task.name: task for task in tasks},
        store=None if kept is None else Store(kept),
        executor=executor,
        workers=1 if alone else workers,
        progress=False,
        done=one_done,
    )
    rows = [results[task.name] for task in tasks]
    d, steps, risk = (np.array(column) for column in zip(*rows, strict=True))
    batch = law.rates.c_b
    if np.ndim(flops) == 0:
        return Frontier(float(budgets[0]), int(d[0]), int(steps[0]), float(risk[0]), batch)
    return Frontier(budgets, d, steps, risk, np.full(len(budgets), batch))


def check_reach(law: ScalingLaw, flops: ArrayLike) -> np.ndarray:
    """The law's best size for each budget, where exact curves reach it, shape (n,).

    Raises:
        ValueError: a budget beyond, with the largest within.
    """
    budgets = np.atleast_1d(finite_array("flops", flops))
    best = law.frontier(np.minimum(budgets, 1e100))
    beyond = budgets[(budgets > 1e100) | ~_reached(law, best)]
    if beyond.size:
        raise ValueError(
            f"`flops` is {beyond.max():g}, but exact curves reach {_MOST_STEPS:g} steps and "
            f"{_MOST_PARAMETERS:g} parameters: at most {_largest(law):.0e} flops for {law.name} "
            "here. The law alone answers beyond (on the command line: --law-only)."
        )
    return np.asarray(best.d)


def _reached(law: ScalingLaw, best: Frontier) -> np.ndarray:
    # The search looks around the law's size: for more steps, and for powers of more parameters.
    around = _FACTOR
    d, steps = np.asarray(best.d, dtype=np.float64), np.asarray(best.steps, dtype=np.float64)
    powers = 2 * law.alpha * np.log10(d * around) <= math.log10(MOST_POWER)
    return (d <= _MOST_PARAMETERS) & (steps * around <= _MOST_STEPS) & powers


def _largest(law: ScalingLaw) -> float:
    """The largest budget, of one digit, whose best size exact curves reach."""
    budgets = np.outer(10.0 ** np.arange(8, 100), np.arange(1, 10)).ravel()
    low, high = 0, len(budgets) - 1
    while high - low > 1:
        middle = (low + high) // 2
        reached = _reached(law, law.frontier(budgets[middle]))
        low, high = (middle, high) if reached else (low, middle)
    return float(budgets[low])


@dataclass(frozen=True)
class Budget:
    """A task: the best size for a budget, looked for around the law's own."""

    law: ScalingLaw
    flops: float
    guess: float

    @property
    def name(self) -> str:
        """Of its file."""
        return task_name(f"{self.law.name}_flops{self.flops:g}", self)


def search(
    budget: Budget, tick: Callable[[int], object] = lambda tried: None
) -> tuple[float, float, float]:
    """Its size, steps and risk; `tick` is told how many sizes were tried."""
    law, flops, guess = budget.law, budget.flops, budget.guess
    known: dict[float, float] = {}
    most = flops / law.rates.c_b  # parameters that leave one step

    def log_risk(log_d: float) -> float:
        d = max(2.0, float(round(math.exp(log_d))))
        if d not in known:
            known[d] = _risk(law, flops, d, _SEARCH)
            tick(len(known))
        return math.log(known[d])

    low, high = max(2.0, guess / _FACTOR), min(most, guess * _FACTOR)
    _descend(log_risk, math.log(guess), math.log(low), math.log(high))
    best = min(known, key=lambda d: known[d])
    if not math.isfinite(known[best]):
        raise ValueError(
            f"`c_2` {law.rates.c_2:g} and `c_3` {law.rates.c_3:g} diverge at d = {best:g}; "
            "take smaller ones."
        )
    return best, _steps(law, flops, best), _risk(law, flops, best, TOLERANCE)


def _descend(value: Callable[[float], float], start: float, low: float, high: float) -> None:
    """Try points until the lowest has neighbours on both sides, then where cubics are lowest."""
    points = {x: value(x) for x in (start, max(low, start - _STEP), min(high, start + _STEP))}
    for _ in range(20):
        x = sorted(points)
        k = min(range(len(x)), key=lambda i: points[x[i]])
        if k == 0:
            there = max(low, x[0] - 2 * _STEP)
        elif k == len(x) - 1:
            there = min(high, x[-1] + 2 * _STEP)
        else:
            there = _lowest(x[k - 1 : k + 2], x[k], points)
        if min(abs(there - p) for p in x) < _PRECISION:
            return
        points[there] = value(there)


def _lowest(bracket: list[float], best: float, points: dict[float, float]) -> float:
    """Where the cubic through the four points nearest to the best is lowest, in the bracket."""
    near = sorted(points, key=lambda p: abs(p - best))[:4]
    values = np.array([points[p] for p in near])
    left, middle, right = bracket
    if np.all(np.isfinite(values)):
        cubic = np.polyfit(np.array(near) - best, values, len(near) - 1)
        for turn in np.roots(np.polyder(cubic)):
            upwards = turn.imag == 0 and np.polyval(np.polyder(cubic, 2), turn.real) > 0
            if upwards and left < best + turn.real < right:
                return float(best + turn.real)
    return (left + middle) / 2 if middle - left > right - middle else (middle + right) / 2


def _risk(law: ScalingLaw, flops: float, d: float, tolerance: float) -> float:
    spectrum = spectra_at(law.alpha, [law.beta], d, law.v_over_d)[0]
    curve = predict_targets(
        [spectrum],
        law.algorithm(d),
        [_steps(law, flops, d)],
        batch_size=law.rates.c_b,
        tolerance=tolerance,
    )[0]
    return float(curve.risk[0])


def _steps(law: ScalingLaw, flops: float, d: float) -> float:
    return float(math.floor(flops / (d * law.rates.c_b)))
