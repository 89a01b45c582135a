"""What loss has each run when it has spent a budget?

Instruments read runs: a `Curve` that knows its dimension, or (size, compute, loss) as plain
arrays. Loss against compute is read in log-log by a parabola through the points within a tenth of
a decade of the budget, or through the five nearest where there are fewer: what is dense and noisy
is averaged, what is sparse and exact is interpolated.

Limits: features narrower than a tenth of a decade are averaged away. Outside its points a run is
unknown; where it is said to hold, it keeps its last value after its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.support.checks import finite_array, positive, shown

LN10 = float(np.log(10.0))
_HALF = 0.1 * LN10  # half the width of the parabola that reads a run
_FEWEST = 5


@dataclass(frozen=True, eq=False)
class Run:
    """A run as the instruments see it: its size, and log loss against log compute, each (n,)."""

    size: float
    log_flops: np.ndarray
    log_loss: np.ndarray


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
        if np.any(np.diff(flops) <= 0):
            raise ValueError(f"`compute` of the run {name} must increase.")
    else:
        if curve.dimension is None:
            raise ValueError("`curves` must say their `dimension`, and one does not.")
        size, name = float(curve.dimension), f"of size {curve.dimension:g}"
        _, places = np.unique(curve.steps, return_index=True)
        flops, loss = curve.flops[places], curve.risk[places]
        if curve.status == "diverged":
            raise ValueError(f"the run {name} diverged: leave it out, or take smaller rates.")
    use = (flops > 0) & np.isfinite(flops)
    flops, loss = flops[use], loss[use] - floor
    if len(flops) < 2:
        raise ValueError(f"the run {name} has {len(flops)} points with compute; it needs 2.")
    if np.any(loss <= 0):
        raise ValueError(
            f"the run {name} falls to {loss.min() + floor:g}, not above "
            + (f"`floor` {floor:g}: give a smaller one." if floor else "0: losses are positive.")
        )
    return Run(size, np.log(flops), np.log(loss))


def by_size(runs: Sequence[Run]) -> tuple[np.ndarray, list[list[Run]]]:
    """Log sizes ascending, and the runs of each: several of one size are its seeds."""
    sizes = sorted({run.size for run in runs})
    return np.log(sizes), [[run for run in runs if run.size == size] for size in sizes]


def log_loss_table(
    groups: Sequence[Sequence[Run]], log_flops: np.ndarray, *, holds: bool = False
) -> np.ndarray:
    """Log loss at each budget, the mean over the runs of a size, shape (budgets, sizes).

    NaN where one of them is unknown: before its first point, and, unless it `holds` its last
    loss, after its end.
    """
    columns = [[read(run, log_flops, holds=holds) for run in group] for group in groups]
    return np.stack([np.mean(column, axis=0) for column in columns], axis=1)


def read(run: Run, at: np.ndarray, *, holds: bool = False) -> np.ndarray:
    """Log loss of a run at log budgets, shape (n,); NaN where it is unknown."""
    x, y = run.log_flops, run.log_loss
    near = np.clip(at, x[0], x[-1]) if holds else at
    found = np.full(len(at), np.nan)
    known = (near >= x[0] - 1e-9) & (near <= x[-1] + 1e-9) & (at >= x[0] - 1e-9)
    for i in np.flatnonzero(known):
        found[i] = _parabola(x, y, float(near[i]))
    return found


def _parabola(x: np.ndarray, y: np.ndarray, at: float) -> float:
    low, high = np.searchsorted(x, [at - _HALF, at + _HALF])
    if high - low < _FEWEST:
        low, high = _nearest(x, at, min(_FEWEST, len(x)))
    u, w = x[low:high] - at, y[low:high]
    reach = max(float(np.abs(u).max()), 1e-300)
    u = u / reach
    weight = np.maximum(1 - (u * 0.999) ** 2, 0.0)
    columns = u ** np.arange(min(3, len(u)))[:, None] * np.sqrt(weight)
    return float(np.linalg.lstsq(columns.T, w * np.sqrt(weight), rcond=None)[0][0])


def _nearest(x: np.ndarray, at: float, count: int) -> tuple[int, int]:
    """Ends of the `count` neighbouring points nearest to `at`."""
    low = int(np.clip(np.searchsorted(x, at) - count, 0, len(x) - count))
    while low + count < len(x) and x[low + count] - at < at - x[low]:
        low += 1
    return low, low + count
