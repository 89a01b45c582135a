"""Risk of the streaming algorithm itself on measured rows, drawn with replacement.

The population is the data: the risk 1/2 mean |X theta - y|^2 is evaluated exactly, only the order
of the rows is random. `Spectrum.from_data(X, y)` predicts the same runs under one assumption, that
gradients have a Gaussian's fourth moments; `noise_ratio` measures how far the rows are from it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import hidim
from hidim.algorithms.momentum import Momentum
from hidim.curve import DIVERGENCE_FACTOR, Curve, log_spaced_steps, step_array
from hidim.support import checks
from hidim.support.progress import Progress

# Rows are drawn and schedules evaluated for this many steps at once.
_BLOCK = 512


def simulate_rows(
    X: Any,
    y: Any,
    algorithm: Momentum,
    steps: float,
    *,
    batch_size: int = 1,
    runs: int = 16,
    seed: int = 0,
    at: Any = None,
) -> Curve:
    """Mean risk of `runs` independent passes of the real algorithm over resampled rows.

    Args:
        X: (rows, d) features.
        y: (rows,) or (rows, outputs) targets; the outputs' risks are summed.
        algorithm: member of the family; each output has its own parameters and momentum.
        steps: optimizer steps.
        batch_size: rows per step, finite.
        runs: independent runs, at least 2 for a standard error.
        seed: of the row order, kept in `provenance`.
        at: steps to report; about 24 per decade otherwise.

    Returns:
        Curve with `stderr`; status "diverged" when the mean risk ends beyond 1000 times its start.

    Raises:
        ValueError: shapes that do not fit, NaN, or counts that are none.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X = rng.standard_normal((50, 4)); y = X @ [1.0, 2.0, 3.0, 4.0]
        >>> curve = simulate_rows(X, y, hidim.sgd(0.1), 300, runs=4)
        >>> bool(curve.risk[-1] < 1e-3 * curve.risk[0])
        True
    """
    X = checks.finite_array("X", X, ndim=2)
    y = checks.finite_array("y", y, ndim=(1, 2))
    if len(X) != len(y) or not X.size:
        raise ValueError(f"`X` and `y` must have one row per sample, got {X.shape} and {y.shape}.")
    batch = int(checks.whole("batch_size", batch_size, minimum=1))
    runs = int(checks.whole("runs", runs, minimum=2))
    last = checks.whole("steps", steps)
    marks = log_spaced_steps(last) if at is None else np.unique(step_array(at))
    if marks.size == 0 or marks[-1] > last:
        raise ValueError(f"`at` must name steps within 0..{last}.")
    with Progress(float(marks[-1]), f"{algorithm.name} on rows") as progress:
        risks = _run(X, y.reshape(len(y), -1), algorithm, marks, batch, runs, seed, progress)
    start = risks[:, 0].mean() if marks[0] == 0 else 0.5 * float(np.mean(np.sum(y**2, axis=-1)))
    mean = np.where(np.all(np.isfinite(risks), axis=0), risks.mean(axis=0), math.inf)
    high = mean > DIVERGENCE_FACTOR * start
    diverged = bool(high[-1])
    return Curve(
        steps=marks,
        risk=mean,
        stderr=np.where(np.isfinite(mean), risks.std(axis=0, ddof=1) / math.sqrt(runs), math.inf),
        status="diverged" if diverged else "ok",
        diverged_at=float(marks[np.argmax(high)]) if diverged else None,
        label=algorithm.name,
        dimension=float(X.shape[1]),
        batch_size=batch,
        provenance={
            "engine": "rows",
            "version": hidim.__version__,
            "algorithm": algorithm.to_dict(),
            "rows": len(X),
            "runs": runs,
            "seed": seed,
        },
    )


def noise_ratio(X: Any, residual: Any) -> float:
    """How the rows' gradient noise compares with a Gaussian's: 1 means the theory applies.

    E[|x|^2 e^2] / (E|x|^2 E e^2 + 2 |E e x|^2) for residuals e, the trace of the gradient's second
    moment over the same for Gaussian rows with this covariance. Above 1: the rows that are hard
    are long, or errors come in bursts.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20000, 5))
    >>> bool(abs(noise_ratio(X, X @ np.ones(5)) - 1) < 0.05)
    True
    """
    X = checks.finite_array("X", X, ndim=2)
    error = checks.finite_array("residual", residual, ndim=(1, 2)).reshape(len(X), -1)
    energy = np.sum(X**2, axis=1)
    squared = np.sum(error**2, axis=1)
    mean_gradient = X.T @ error / len(X)
    gaussian = energy.mean() * squared.mean() + 2 * np.sum(mean_gradient**2)
    return float(np.mean(energy * squared) / gaussian)


def _run(
    X: np.ndarray,
    y: np.ndarray,
    algorithm: Momentum,
    marks: np.ndarray,
    batch: int,
    runs: int,
    seed: int,
    progress: Progress,
) -> np.ndarray:
    """Risk of every run at the marks, (runs, marks)."""
    rng = np.random.default_rng(seed)
    rows, d = X.shape
    outputs = y.shape[1]
    theta = np.zeros((runs, d, outputs))
    momentum = np.zeros_like(theta)
    risks = np.full((runs, len(marks)), math.inf)
    scale = np.max(np.abs(y)) or 1.0
    reached = 0
    for start in range(0, int(marks[-1]) + 1, _BLOCK):
        times = np.arange(start, start + _BLOCK)
        gains = _gains(algorithm, times)
        order = rng.integers(rows, size=(_BLOCK, runs, batch))
        for i, t in enumerate(times):
            while reached < len(marks) and marks[reached] == t:
                risks[:, reached] = _risk(theta, X, y)
                reached += 1
            if reached == len(marks):
                return risks
            x = X[order[i]]  # (runs, batch, d)
            error = x @ theta - y[order[i]]  # (runs, batch, outputs)
            gradient = np.swapaxes(x, 1, 2) @ error
            keep, gamma_1, gamma_2, gamma_3 = gains[i]
            gradient /= batch
            theta -= gamma_2 * gradient
            if gamma_3 or gamma_1:
                momentum *= keep
                momentum += gamma_1 * gradient
                theta -= gamma_3 * momentum
        progress.to(float(times[-1]))
        if not np.all(np.abs(theta) < 1e100 * scale):
            return risks  # the rest stays infinite
    return risks


def _gains(algorithm: Momentum, times: np.ndarray) -> list[tuple[float, float, float, float]]:
    """1 - forgetting, gamma_1, gamma_2 and gamma_3 at each time."""
    columns = np.stack(
        [
            1.0 - algorithm.forgetting(times),
            algorithm.gamma_1(times),
            algorithm.gamma_2(times),
            algorithm.gamma_3(times),
        ],
        axis=1,
    )
    return [(float(a), float(b), float(c), float(e)) for a, b, c, e in columns]


def _risk(theta: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1/2 mean |X theta - y|^2 of each run over all rows."""
    return np.array([0.5 * np.sum((X @ one - y) ** 2) / len(X) for one in theta])
