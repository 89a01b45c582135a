"""What loss has each run when it has spent a budget?

Instruments read runs: a `Curve` that knows its dimension, or (size, compute, loss) as plain
arrays. Loss against compute is read in log-log by a parabola through the points within a tenth of
a decade of the budget, or through the five nearest where there are fewer: what is dense and noisy
is averaged, what is sparse and exact is interpolated.

Limits: features narrower than a tenth of a decade are averaged away. Outside its points a run is
unknown; where it is said to hold, it keeps its last value after its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.support.checks import finite_array, positive, shown

LN10 = float(np.log(10.0))
_HALF = 0.1 * LN10  # half the width of the parabola that reads a run
_FEWEST = 5
_BEGUN = 10  # steps


@dataclass(frozen=True, eq=False)
class Run:
    """A run as the instruments see it: its size, and log loss against log compute, each (n,).

    Attributes:
        size: parameters.
        log_flops: ascending.
        log_loss: of loss less the floor.
        name: the label of its curve, "" where it has none.
        optimizer: the algorithm that its curve was predicted for, "" where that is not known.
        begun: log compute of its tenth step, where steps are known: before, no power shows.
    """

    size: float
    log_flops: np.ndarray
    log_loss: np.ndarray
    name: str = ""
    optimizer: str = ""
    begun: float = -math.inf


def runs_of(curves: Any, *, floor: float = 0.0) -> list[Run]:
    """Curves, or (size, compute, loss) triples, as runs, the smallest first.

    Args:
        curves: of one problem and one optimizer; `compute` of a triple in any fixed unit.
        floor: a loss that no run goes below, taken off every loss.

    Raises:
        ValueError: a curve without dimension or that diverged, or numbers that have no logarithm.
    """
    if isinstance(curves, Curve | str) or not isinstance(curves, Sequence):
        raise ValueError(f"`curves` must be a row of curves, got {shown(curves)}.")
    runs = [_run(curve, floor) for curve in curves]
    return sorted(runs, key=lambda run: run.size)


def _run(curve: Any, floor: float) -> Run:
    label, optimizer, begun = "", "", -math.inf
    if not isinstance(curve, Curve):
        if not isinstance(curve, Sequence) or isinstance(curve, str) or len(curve) != 3:
            raise ValueError(
                f"`curves` must hold Curves or (size, compute, loss), got {shown(curve)}."
            )
        size = positive("size", curve[0])
        flops = finite_array("compute", curve[1], ndim=1)
        loss = finite_array("loss", curve[2], ndim=1)
        name = f"of size {size:g}"
        if flops.shape != loss.shape:
            raise ValueError(f"the run {name} has {len(flops)} budgets for {len(loss)} losses.")
    else:
        if curve.dimension is None:
            raise ValueError("`curves` must say their `dimension`, and one does not.")
        size = positive("dimension", curve.dimension)
        name = f"of size {size:g}"
        _, places = np.unique(curve.steps, return_index=True)
        flops, loss = curve.flops[places], curve.risk[places]
        label, algorithm = curve.label, curve.provenance.get("algorithm")
        late = np.flatnonzero((curve.steps[places] >= _BEGUN) & (flops > 0))
        begun = float(np.log(flops[late[0]])) if len(late) else math.inf
        if isinstance(algorithm, dict):
            optimizer = str(algorithm.get("name", ""))
        if curve.status == "diverged":
            raise ValueError(f"the run {name} diverged: leave it out, or take smaller rates.")
    use = (flops > 0) & np.isfinite(flops)
    flops, loss = flops[use], loss[use] - floor
    if len(flops) < 2:
        raise ValueError(f"the run {name} has {len(flops)} points with compute; it needs 2.")
    if np.any(np.diff(flops) <= 0):
        raise ValueError(f"`compute` of the run {name} must increase: sort its points by it.")
    if not np.all(np.isfinite(loss)):
        raise ValueError(f"the run {name} holds an infinite loss: leave it out, or cut it before.")
    if np.any(loss <= 0):
        raise ValueError(
            f"the run {name} falls to {loss.min() + floor:g}, not above "
            + (f"`floor` {floor:g}: give a smaller one." if floor else "0: losses are positive.")
        )
    return Run(size, np.log(flops), np.log(loss), label, optimizer, begun)


def by_size(runs: Sequence[Run]) -> tuple[np.ndarray, list[list[Run]]]:
    """Log sizes ascending, and the runs of each: several of one size are its seeds.

    Raises:
        ValueError: runs of one size that carry different names, and so are no seeds of one.
    """
    sizes = sorted({run.size for run in runs})
    groups = [[run for run in runs if run.size == size] for size in sizes]
    known = [sorted({run.optimizer for run in runs} - {""})]
    for names in known + [sorted({run.name for run in group} - {""}) for group in groups]:
        if len(names) > 1:
            raise ValueError(
                f"`curves` hold runs of {names[0]!r} and {names[1]!r}: measure one optimizer at a "
                "time, and give the seeds of one a common label."
            )
    return np.log(sizes), groups


def log_loss_table(
    groups: Sequence[Sequence[Run]],
    log_flops: np.ndarray,
    *,
    holds: bool = False,
    straight: bool = False,
) -> np.ndarray:
    """Log loss at each budget, the mean over the runs of a size, shape (budgets, sizes).

    Seeds that end early do not shorten their size: each differs from the mean by a constant, known
    from the budgets of all, which is taken off where some are missing. NaN where no run of a size
    is known: before the first point, and, unless it `holds` its last loss, after the end.
    """
    columns = []
    for group in groups:
        rows = np.array([read(run, log_flops, straight=straight) for run in group])
        column = _mean_of_seeds(rows)
        if holds:
            last = max(run.log_flops[-1] for run in group)
            ends = np.array([read(run, np.array([last]), straight=straight)[0] for run in group])
            late = log_flops > last
            known = np.isfinite(ends)
            offsets = _offsets(rows)[known]
            column[late] = np.mean(ends[known] - offsets)
        columns.append(column)
    return np.stack(columns, axis=1)


def _mean_of_seeds(rows: np.ndarray) -> np.ndarray:
    """Mean of the rows that are known at each place, shape (n,), each less its own offset."""
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    level = np.where(known, rows - _offsets(rows)[:, None], 0.0).sum(axis=0)
    return np.where(count > 0, level / np.maximum(count, 1), np.nan)


def _offsets(rows: np.ndarray) -> np.ndarray:
    """By how much each row lies above the mean of all where all are known, shape (rows,)."""
    every = np.isfinite(rows).all(axis=0)
    if len(rows) == 1 or not every.any() or np.isfinite(rows).any(axis=0).sum() == every.sum():
        return np.zeros(len(rows))
    common = rows[:, every]
    return np.asarray((common - common.mean(axis=0)).mean(axis=1))


def read(run: Run, at: np.ndarray, *, straight: bool = False) -> np.ndarray:
    """Log loss of a run at log budgets, shape (n,); NaN where it is unknown.

    Args:
        run: the run.
        at: log budgets, shape (n,).
        straight: where points are too few for a mean, read the straight line between two of them
            in place of the parabola: the difference is what interpolation may be off by.
    """
    x, y = run.log_flops, run.log_loss
    found = np.full(len(at), np.nan)
    known = np.flatnonzero((at >= x[0] - 1e-9) & (at <= x[-1] + 1e-9))
    low, high = np.searchsorted(x, [at[known] - _HALF, at[known] + _HALF])
    sparse = high - low < _FEWEST
    if straight:
        found[known[sparse]] = np.interp(at[known[sparse]], x, y)
        known, low, high = known[~sparse], low[~sparse], high[~sparse]
    else:
        count = min(_FEWEST, len(x))
        low[sparse] = _nearest(x, at[known[sparse]], count)
        high[sparse] = low[sparse] + count
    if len(known):
        found[known] = _parabolas(x, y, at[known], low, high)
    return found


def _parabolas(
    x: np.ndarray, y: np.ndarray, at: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """At each place the value of the weighted parabola through the points low to high."""
    width = int((high - low).max())
    places = low[:, None] + np.arange(width)  # (places, points)
    inside = places < high[:, None]
    places = np.minimum(places, len(x) - 1)
    u = np.where(inside, x[places] - at[:, None], 0.0)
    u /= np.maximum(np.abs(u).max(axis=1, keepdims=True), 1e-300)
    weight = np.where(inside, np.sqrt(np.maximum(1 - (u * 0.999) ** 2, 0.0)), 0.0)
    terms = min(3, int((high - low).min()))
    columns = u[:, :, None] ** np.arange(terms) * weight[:, :, None]
    solve = np.linalg.pinv(columns)[:, 0]  # (places, points)
    return np.asarray(np.sum(solve * y[places] * weight, axis=1))


def _nearest(x: np.ndarray, at: np.ndarray, count: int) -> np.ndarray:
    """Where the `count` neighbouring points nearest to each place begin."""
    low = np.clip(np.searchsorted(x, at) - count, 0, len(x) - count)
    for _ in range(count):
        after = np.minimum(low + count, len(x) - 1)
        low = low + ((low + count < len(x)) & (x[after] - at < at - x[low]))
    return np.asarray(low)
