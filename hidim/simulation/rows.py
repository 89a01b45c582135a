"""Risk of the streaming algorithm itself on measured rows, drawn with replacement.

The population is the data: the risk 1/2 mean |X theta - y|^2 is evaluated exactly, only the order
of the rows is random. `Spectrum.from_data(X, y)` predicts the same runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hidim._version import __version__
from hidim.algorithms.base import Algorithm, described, runnable
from hidim.algorithms.gradients import Batch, changed, gradient_of, read_only, start_of
from hidim.curve import DIVERGENCE_FACTOR, Curve, log_spaced_steps, step_array
from hidim.problems.columns import columns_of, samples
from hidim.simulation.walk import generator
from hidim.support import checks
from hidim.support.memory import check_runs_fit
from hidim.support.progress import Progress

# Rows are drawn and schedules evaluated for this many steps at once.
_BLOCK = 512

# Beyond this risk a run is lost, while squares of it are still finite.
_LOST = 1e120


def simulate_rows(
    X: Any,
    y: Any,
    algorithm: Algorithm,
    steps: float,
    *,
    batch_size: int = 1,
    runs: int = 16,
    seed: int = 0,
    at: Any = None,
) -> Curve:
    """Mean risk of `runs` independent passes of the real algorithm over resampled rows.

    Args:
        X: (rows, d) features, an array or a data frame.
        y: (rows,) or (rows, outputs) targets; the outputs' risks are summed.
        algorithm: a member of the family or anything else with an `update`; each output has its
            own parameters and momentum. One with a gradient of its own takes one output.
        steps: optimizer steps.
        batch_size: rows per step, finite.
        runs: independent runs, at least 2 for a standard error.
        seed: of the row order, kept in `provenance`.
        at: steps to report; about 24 per decade otherwise.

    Returns:
        Curve with `stderr`; status "diverged" when the mean risk ends beyond 1000 times its start.

    Raises:
        ValueError: shapes that do not fit, NaN, or counts that are none; several outputs for an
            algorithm with a gradient of its own.

    Example:
        >>> import hidim
        >>> rng = np.random.default_rng(0)
        >>> X = rng.standard_normal((50, 4)); y = X @ [1.0, 2.0, 3.0, 4.0]
        >>> curve = simulate_rows(X, y, hidim.sgd(0.1), 300, runs=4)
        >>> bool(curve.risk[-1] < 1e-3 * curve.risk[0])
        True
    """
    runnable(algorithm)
    table, y = samples(X, y)
    X = table.values
    gradient = gradient_of(algorithm)
    if gradient is not None and y.size > len(y):
        raise ValueError(
            f"`y` must have one output for {algorithm.name} with the gradient {gradient.name!r}, "
            f"which takes one residual per sample, got {y.shape[1]}: run them one by one."
        )
    batch = int(checks.whole("batch_size", batch_size, minimum=1))
    runs = int(checks.whole("runs", runs, minimum=2))
    last = checks.whole("steps", steps)
    marks = log_spaced_steps(last) if at is None else np.unique(step_array(at))
    if marks.size == 0 or marks[-1] > last:
        raise ValueError(f"`at` must name steps within 0..{last}.")
    progress = Progress(float(marks[-1]), f"{algorithm.name} on rows")
    check_runs_fit(runs, 2 * X.shape[1] * (y.size // len(y)) + len(marks))
    # A diverging run overflows on purpose: what is not finite any more is infinite.
    with progress, np.errstate(over="ignore", invalid="ignore"):
        risks = _run(X, y.reshape(len(y), -1), algorithm, marks, batch, runs, seed, progress)
        risks = np.where(risks < _LOST, risks, math.inf)  # (runs, marks)
    start = risks[:, 0].mean() if marks[0] == 0 else 0.5 * float(np.mean(np.sum(y**2, axis=-1)))
    alive = np.all(np.isfinite(risks), axis=0)
    mean = np.where(alive, risks.mean(axis=0), math.inf)
    stderr = np.full_like(mean, math.inf)
    stderr[alive] = risks[:, alive].std(axis=0, ddof=1) / math.sqrt(runs)
    high = mean > DIVERGENCE_FACTOR * start
    diverged = bool(high[-1])
    return Curve(
        steps=marks,
        risk=mean,
        stderr=stderr,
        status="diverged" if diverged else "ok",
        diverged_at=float(marks[np.argmax(high)]) if diverged else None,
        label=algorithm.name,
        dimension=float(X.shape[1]),
        batch_size=batch,
        provenance={
            "hidim": __version__,
            "engine": "rows",
            "algorithm": described(algorithm),
            "rows": len(X),
            "runs": runs,
            "seed": seed,
        },
    )


def tail_ratio(X: Any) -> float:
    """How heavy the tails of the rows are: 1 for Gaussian rows. A description, no guide to rates.

    E|x|^4 / ((tr K)^2 + 2 tr K^2), K = E x x^T: the fourth moment of the rows over that of
    Gaussian rows with the same covariance. Which rates hold is said by the gain of the rows,
    ``hidim.stability(Spectrum.from_data(X, y), ...).gain``, which this does not tell.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20000, 5))
    >>> bool(abs(tail_ratio(X) - 1) < 0.05)
    True
    """
    X = columns_of("X", X).values
    energy = np.sum(X**2, axis=1)
    if not np.any(energy):
        raise ValueError("`X` is zero: its rows have no tails to measure.")
    covariance = X.T @ X / len(X)
    return float(np.mean(energy**2) / (energy.mean() ** 2 + 2 * np.sum(covariance**2)))


def _run(
    X: np.ndarray,
    y: np.ndarray,
    algorithm: Algorithm,
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
    theta = start_of(gradient_of(algorithm), (runs, d, outputs), generator(seed, 0, 5))
    update, step_with = algorithm.update(), _gradient(algorithm, seed)
    state = update.start(theta)
    risks = np.full((runs, len(marks)), math.inf)
    reached = 0
    for start in range(0, int(marks[-1]) + 1, _BLOCK):
        times = np.arange(start, start + _BLOCK)
        order = rng.integers(rows, size=(_BLOCK, runs, batch))
        for i, t in enumerate(times):
            while reached < len(marks) and marks[reached] == t:
                risks[:, reached] = _risk(theta, X, y)
                reached += 1
            if reached == len(marks):
                return risks
            x = X[order[i]]  # (runs, batch, d)
            error = x @ theta - y[order[i]]  # (runs, batch, outputs)
            g = step_with(x, error, theta, int(t))
            theta, state = update.step(int(t), theta, g, state)
        progress.to(float(times[-1]))
        if not np.all(np.abs(theta) < math.sqrt(_LOST)):
            return risks  # the rest stays infinite
    return risks


def _gradient(algorithm: Algorithm, seed: int) -> Callable[..., np.ndarray]:
    """(x, error, theta, t) -> what is stepped with, (runs, d, outputs)."""
    gradient = gradient_of(algorithm)
    if gradient is None:

        def mean(x: np.ndarray, error: np.ndarray, theta: np.ndarray, t: int) -> np.ndarray:
            total = np.swapaxes(x, 1, 2) @ error
            total /= x.shape[1]
            return total

        return mean
    own = generator(seed, 0)  # the rows are drawn as they are without

    def other(x: np.ndarray, error: np.ndarray, theta: np.ndarray, t: int) -> np.ndarray:
        batch = Batch(x, error[..., 0], read_only(theta[..., 0]), t)
        return changed(gradient, batch, own)[..., None]

    return other


def _risk(theta: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1/2 mean |X theta - y|^2 of each run over all rows."""
    return np.array([0.5 * np.sum((X @ one - y) ** 2) / len(X) for one in theta])
