"""How does the best learning rate, batch or kappa_3 depend on parameters and tokens?

At every (parameters, tokens) of a sweep a parabola of log loss in the log of the quantity has its
vertex at the best value; where other quantities were swept too, the lowest loss over them counts.
A weighted regression through the vertices gives the law

    log best = c + p log N + q log D

with intervals by Student's t, whose errors are those of the vertices, widened where cells scatter
more than these explain. A square of log N, and of log D, is added in turn and its coefficient
reported: published laws of learning rates differ in their powers and bend at large sizes.
Limits: a best value at an end of what was tried is a bound and is left out.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.measure.slopes import student
from hidim.support.checks import finite, finite_array
from hidim.support.inputs import read_json
from hidim.support.results import Saved

_FEWEST = 4  # values tried in a cell
_NOISE = 5e-4  # of a loss, a fraction: two runs of one configuration differ by as much
_NEAR = 1.5  # natural logs of the quantity around the lowest loss that a parabola sees
_DIVERGED = 0.3  # log loss above the lowest, from which on a run is none of the parabola
_ODD = 9.0  # times the usual sum of squares that a parabola may count with
_TOLD = 3.0  # standard errors from which on a curvature is one
_LINE = 0.05  # log tokens within this of a line in log parameters are no second quantity


@dataclass(frozen=True, eq=False)
class OptimumLaw(Saved, format="hidim-optimum-law/1"):
    """The best value of a hyperparameter as a power law of parameters and tokens.

    Attributes:
        name: of the hyperparameter.
        inputs: "params", "tokens" or both: the quantities of the law.
        powers: of each input.
        low: lower ends of their intervals.
        high: upper ends.
        units: geometric mean of each input.
        scale: best value at the units.
        bends: coefficient of the square of the log of each input, where cells allow one.
        bend_low: lower ends of their intervals.
        bend_high: upper ends.
        level: of the intervals.
        scatter: of the best values about the law, a standard deviation of their logs.
        cells: inputs, best value, its standard error in logs, curvature of log loss in the log of
            the value; one row each, shape (cells, inputs + 3).
        refused: why other cells gave no best value, one sentence each.
        covariance: of log best at the units and of the powers, shape (inputs + 1, inputs + 1).
    """

    name: str
    inputs: tuple[str, ...]
    powers: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    units: tuple[float, ...]
    scale: float
    bends: dict[str, float]
    bend_low: dict[str, float]
    bend_high: dict[str, float]
    level: float
    scatter: float
    cells: np.ndarray
    refused: tuple[str, ...]
    covariance: np.ndarray

    def __repr__(self) -> str:
        powers = " ".join(f"{n}^{p:.3g}" for n, p in zip(self.inputs, self.powers, strict=True))
        return f"OptimumLaw(best {self.name} ~ {powers}, {len(self.cells)} cells)"

    def beyond(self, **inputs: float) -> float:
        """How far a run lies beyond the cells that the law was read off, as a ratio, 1 inside."""
        out = 1.0
        for i, name in enumerate(self.inputs):
            seen = self.cells[:, i]
            out = max(out, inputs[name] / float(seen.max()), float(seen.min()) / inputs[name])
        return out

    def best(self, **inputs: float) -> tuple[float, float, float]:
        """The best value at `params` and `tokens`, and the ends of its interval.

        Raises:
            ValueError: an input of the law is missing or not positive.
        """
        row = [1.0]
        for name, unit in zip(self.inputs, self.units, strict=True):
            if name not in inputs or not inputs[name] > 0:
                raise ValueError(f"`{name}` is an input of this law: give a positive number.")
            row.append(math.log(inputs[name] / unit))
        x = np.array(row)
        middle = math.log(self.scale) + float(x[1:] @ np.array(self.powers))
        half = student(len(self.cells) - len(row) + 1, self.level)
        half *= math.sqrt(float(x @ self.covariance @ x) + self.scatter**2)
        return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def fit_optimum(
    name: str,
    values: Any,
    params: Any,
    loss: Any,
    *,
    tokens: Any = None,
    level: float = 0.9,
) -> OptimumLaw:
    """The law of the best value of a hyperparameter, from the runs of a sweep.

    Args:
        name: what it is called.
        values: its value in each run, positive, shape (n,).
        params: parameters of each run, shape (n,).
        loss: final loss, shape (n,).
        tokens: of each run, shape (n,); None where all runs of a size have the same.
        level: of the intervals.

    Raises:
        ValueError: fewer than three sizes, or numbers of tokens, with a best value inside those
            tried, or all of them on a line in both.

    >>> n, lr = np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e-4, 1e-1, 9))
    >>> n, lr = n.ravel(), lr.ravel()
    >>> loss = np.exp(1 + 0.02 * np.log(lr / (3e-3 * (n / 1e8) ** -0.3)) ** 2)
    >>> law = fit_optimum("lr", lr, n, loss)
    >>> round(law.powers[0], 3), round(law.scale, 5)
    (-0.3, 0.003)
    """
    if not 0 < finite("level", level) < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
    arrays = {"params": params, name: values, "loss": loss}
    if tokens is not None:
        arrays["tokens"] = tokens
    read = {key: finite_array(key, value, ndim=1) for key, value in arrays.items()}
    for key, array in read.items():
        if len(array) != len(read["loss"]) or np.any(array <= 0):
            raise ValueError(f"`{key}` must hold a positive value for each of {len(read['loss'])}.")
    keys = _inputs(read)
    where = np.column_stack([read[key] for key in ("params", "tokens") if key in read])
    cells, refused = _cells(where, np.log(read[name]), np.log(read["loss"]), name)
    places = [("params", "tokens").index(key) for key in keys]
    told = [len({cell[i] for cell in cells}) for i in places]
    spots = [[1.0, *(math.log(cell[i]) for i in places)] for cell in cells]
    if max(told) < 3 or np.linalg.matrix_rank(spots) <= len(keys):
        reasons = Counter(one.partition(": ")[2] for one in refused).most_common(1)
        why = "".join(f" (in {n} of the others {reason})" for reason, n in reasons)
        seen = " and ".join(f"{n} of {key}" for n, key in zip(told, keys, strict=True))
        raise ValueError(
            f"{len(cells)} cell(s) of the sweep have a best {name} inside those tried, at {seen}, "
            f"and a law needs three sizes{why}. Try more values of {name}, on both sides of the "
            "best, or more sizes."
        )
    table = np.array([[*(cell[i] for i in places), *cell[-3:]] for cell in cells])
    x, y, error = np.log(table[:, : len(keys)]), np.log(table[:, -3]), table[:, -2]
    units = x.mean(axis=0)
    columns = np.column_stack([np.ones(len(x)), x - units])
    solution, covariance, scatter = _regress(columns, y, error)
    half = student(len(x) - columns.shape[1] + 1, level) * np.sqrt(np.diag(covariance))[1:]
    bends: dict[str, tuple[float, float, float]] = {}
    for i, key in enumerate(keys):
        more = np.column_stack([columns, (x[:, i] - units[i]) ** 2])
        if len(np.unique(np.round(x[:, i], 6))) >= 4 and len(x) > more.shape[1]:
            bent, spread, _ = _regress(more, y, error)
            wide = student(len(x) - more.shape[1] + 1, level) * math.sqrt(spread[-1, -1])
            bends[key] = float(bent[-1]), float(bent[-1] - wide), float(bent[-1] + wide)
    return OptimumLaw(
        name,
        tuple(keys),
        tuple(float(p) for p in solution[1:]),
        tuple(float(p) for p in solution[1:] - half),
        tuple(float(p) for p in solution[1:] + half),
        tuple(float(u) for u in np.exp(units)),
        float(math.exp(solution[0])),
        {key: row[0] for key, row in bends.items()},
        {key: row[1] for key, row in bends.items()},
        {key: row[2] for key, row in bends.items()},
        level,
        scatter,
        table,
        tuple(refused),
        covariance,
    )


def _inputs(read: dict[str, np.ndarray]) -> list[str]:
    """Parameters, and tokens where they are not tied to them."""
    if "tokens" not in read:
        return ["params"]
    n, d = np.log(read["params"]), np.log(read["tokens"])
    if np.ptp(n) == 0:
        return ["tokens"]
    slope, offset = np.polyfit(n, d, 1)
    return ["params"] if np.ptp(d - slope * n - offset) < _LINE else ["params", "tokens"]


def _cells(
    where: np.ndarray, log_value: np.ndarray, log_loss: np.ndarray, name: str
) -> tuple[list[tuple[float, ...]], list[str]]:
    """(inputs, best value, its standard error, curvature) of the cells that have one."""
    kinds, which = np.unique(where, axis=0, return_inverse=True)
    fits: list[tuple[np.ndarray, str, float, float, float, float]] = []
    refused, left = [], []
    for i, kind in enumerate(kinds):
        rows = which.ravel() == i
        x = np.unique(log_value[rows])
        y = np.array([log_loss[rows][log_value[rows] == v].min() for v in x])
        cell = ", ".join(f"{k:.3g} {n}" for k, n in zip(kind, ("params", "tokens"), strict=False))
        if len(x) < _FEWEST:
            refused.append(f"{cell}: {len(x)} values of {name}, {_FEWEST} are needed")
            continue
        tried, stable = x, y <= y.min() + _DIVERGED
        if stable.sum() >= _FEWEST:
            x, y = x[stable], y[stable]
        lowest = int(np.argmin(y))
        if lowest in (0, len(x) - 1):
            end = "smallest" if lowest == 0 else "largest"
            held = "" if x[lowest] in (tried[0], tried[-1]) else " that did not diverge"
            refused.append(f"{cell}: the best {name} is the {end} tried{held}, a bound")
            continue
        near = np.abs(x - x[lowest]) <= _NEAR
        if near.sum() < _FEWEST:
            near = np.zeros(len(x), dtype=bool)
            near[np.argsort(np.abs(x - x[lowest]), kind="stable")[: _FEWEST + 1]] = True
        u = x[near] - x[lowest]
        basis = np.column_stack([np.ones(len(u)), u, u**2])
        c, *_ = np.linalg.lstsq(basis, y[near], rcond=None)
        best = x[lowest] - c[1] / (2 * c[2]) if c[2] > 0 else math.nan
        if not x[0] <= best <= x[-1]:
            refused.append(f"{cell}: the losses have no minimum in {name}")
            continue
        left.append((float(np.sum((y[near] - basis @ c) ** 2)), int(near.sum()) - 3))
        gradient = np.array([0.0, -1 / (2 * c[2]), c[1] / (2 * c[2] ** 2)])
        spread = np.linalg.inv(basis.T @ basis)
        fits.append((kind, cell, best, c[2], spread[2, 2], float(gradient @ spread @ gradient)))
    noise = _pooled(left)
    out = []
    for kind, cell, best, curve, of_curve, of_best in fits:
        if curve < _TOLD * noise * math.sqrt(of_curve):
            refused.append(f"{cell}: the losses bend in {name} by no more than noise, {noise:.2%}")
            continue
        error = noise * math.sqrt(of_best)
        out.append((*map(float, kind), math.exp(best), error, 2 * float(curve)))
    return out, refused


def _pooled(left: Sequence[tuple[float, int]]) -> float:
    """Standard deviation of a log loss, from the sum of squares and the degrees of freedom that
    each parabola leaves; one that holds a damaged run counts little."""
    if not left:
        return _NOISE
    squares, free = np.array(left).T
    each = squares / free
    usual = _ODD * float(np.median(each))
    return max(math.sqrt(float(np.sum(np.minimum(each, usual) * free)) / float(free.sum())), _NOISE)


def _regress(
    columns: np.ndarray, y: np.ndarray, error: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, their covariance, and the scatter that the errors do not explain."""
    free = len(y) - columns.shape[1]
    scatter = 0.0
    for _ in range(20):  # a scatter at which residuals are as large as they should be
        weight = 1.0 / (error**2 + scatter**2)
        normal = columns.T @ (columns * weight[:, None])
        solution = np.linalg.solve(normal, columns.T @ (weight * y))
        left = y - columns @ solution
        excess = float(np.sum(weight * left**2)) / max(free, 1) - 1.0
        if free <= 0 or (excess <= 0 and scatter == 0):
            break
        scatter = math.sqrt(max(scatter**2 + excess / float(np.mean(weight)), 0.0))
    return solution, np.linalg.inv(normal), scatter


def sentence(law: OptimumLaw) -> Sequence[str]:
    """The law in words: powers with intervals, then whether it bends."""
    terms = [
        f"{key}^{p:.3f} ({a:.3f} to {b:.3f})"
        for key, p, a, b in zip(law.inputs, law.powers, law.low, law.high, strict=True)
    ]
    at = " and ".join(f"{u:.3g} {key}" for key, u in zip(law.inputs, law.units, strict=True))
    out = [f"best {law.name} ~ {' x '.join(terms)}, {law.scale:.4g} at {at}"]
    for i, key in enumerate(law.inputs):
        if len(np.unique(law.cells[:, i])) == 2:
            out.append(f"two values of {key} alone: nothing here tests its power")
    for key, bend in law.bends.items():
        low, high = law.bend_low[key], law.bend_high[key]
        if low > 0 or high < 0:
            way = "upward" if bend > 0 else "downward"
            said = f"bends {way} in log {key}: one power does not hold outside these sizes"
        else:
            said = f"no bend in log {key} that these cells tell"
        out.append(f"{said} (square {bend:+.3f}, {low:+.3f} to {high:+.3f})")
    return out


def is_optimum_law(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds a law of a best hyperparameter."""
    data = read_json(path)
    return isinstance(data, dict) and data.get("format") == OptimumLaw._format
