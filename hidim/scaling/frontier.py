"""How should a budget be split between parameters and steps, by a law?

Minimises risk(steps, d) under flops = steps x d x batch over whole d: a grid in log d finds the
basin (a law may have two), golden-section search refines it, and the neighbours of the whole
number decide. Limits: as good as the law it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hidim.support.checks import finite_array
from hidim.support.json import plain
from hidim.support.results import Saved

_GRID = 400
_LARGEST = 1e120  # flops: beyond, the powers of sizes on the grid leave float64
_SMALLEST = 4  # parameters and steps: below, a law for large ones says nothing
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True, eq=False)
class Frontier(Saved, format="hidim-frontier/1"):
    """The compute-optimal use of a budget; numbers, or arrays when the budget is one.

    Attributes:
        flops: the budget, steps x parameters x batch.
        d: parameters, a whole number.
        steps: optimizer steps, a whole number; d x steps x batch_size does not exceed flops.
        risk: the risk there, with the 1/2.
        batch_size: samples per step.
    """

    flops: Any
    d: Any
    steps: Any
    risk: Any
    batch_size: Any

    def __iter__(self) -> Iterator[Any]:
        """d, steps and risk, so that ``d, steps, risk = law.frontier(1e9)``."""
        return iter((self.d, self.steps, self.risk))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain numbers or lists."""
        table: dict[str, Any] = plain(asdict(self))
        return table


def minimise(
    risk: Callable[[np.ndarray, np.ndarray], np.ndarray],
    flops: ArrayLike,
    *,
    c_b: float = 1.0,
    kappa_b: float = 0.0,
) -> Frontier:
    """Find the best whole d for each budget.

    Args:
        risk: risk(steps, d), vectorised, defined for steps >= 0 and d >= 1.
        flops: budgets.
        c_b: batch = c_b d^kappa_b.
        kappa_b: see c_b.

    Raises:
        ValueError: a budget is not a positive number, or too small: its best size or its best
            step count would be below 4; or beyond 1e120.
    """
    budgets = finite_array("flops", flops)
    if not budgets.size:
        raise ValueError("`flops` is empty: give at least one budget.")
    for flop in budgets.ravel():
        if not 0 < flop <= _LARGEST:
            raise ValueError(f"`flops` must be positive and at most {_LARGEST:g}, got {flop:g}.")
    found = [_one(risk, float(flop), c_b, kappa_b) for flop in budgets.ravel()]
    d, steps, best, batch = (
        np.array(column).reshape(budgets.shape) for column in zip(*found, strict=True)
    )
    if budgets.ndim == 0:
        whole_d, whole_steps = (int(x) if x <= 2**53 else float(x) for x in (d, steps))
        return Frontier(float(budgets), whole_d, whole_steps, float(best), float(batch))
    return Frontier(budgets, d, steps, best, batch)


def _one(
    risk: Callable[[np.ndarray, np.ndarray], np.ndarray], flops: float, c_b: float, kappa_b: float
) -> tuple[float, float, float, float]:
    end = np.log(flops / c_b) / (1 + kappa_b)  # one step is left at this log d

    def at(log_d: np.ndarray) -> np.ndarray:
        d = np.exp(log_d)
        return risk(flops / (c_b * d ** (1 + kappa_b)), d)

    if end <= 0:
        raise ValueError(_too_small(flops))
    grid = np.linspace(0.0, end, _GRID)
    k = int(np.argmin(at(grid)))
    if k in (0, _GRID - 1):
        raise ValueError(_too_small(flops))
    low, high = grid[k - 1], grid[k + 1]
    for _ in range(60):  # 0.618^60 of a grid cell: below rounding
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if at(left) < at(right):
            high = right
        else:
            low = left
    centre = np.exp((low + high) / 2)
    candidates = np.unique(np.maximum([np.floor(centre), np.ceil(centre)], 1.0))
    batches = c_b * candidates**kappa_b
    steps = np.floor(flops / (candidates * batches) * (1 + 1e-15))
    risks = np.where(steps >= 1, risk(np.maximum(steps, 1), candidates), np.inf)
    best = int(np.argmin(risks))
    if min(candidates[best], steps[best]) < _SMALLEST:
        raise ValueError(_too_small(flops))
    return float(candidates[best]), float(steps[best]), float(risks[best]), float(batches[best])


def _too_small(flops: float) -> str:
    return (
        f"`flops` is {flops:g}, too small a budget for the law: the best size or step count would "
        "be below 4. Give more, for example 1e6."
    )
