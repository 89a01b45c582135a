"""A Spectrum measured from rows of real data: least squares on their empirical covariance.

With rows drawn from the data with replacement the population is the data itself, so
curvature, optimum and floor are exact; what is approximate for real rows is the Gaussian
fourth moment that the exact dynamics use for the gradient noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.problems.spectrum import Spectrum
from hidim.support import checks


def spectrum_from_data(X: Any, y: Any, label: str) -> Spectrum:
    """See `Spectrum.from_data`."""
    X = checks.finite_array("X", X, ndim=2)
    y = checks.finite_array("y", y, ndim=(1, 2))
    if len(X) != len(y):
        raise ValueError(f"`X` and `y` must have one row per sample, got {X.shape} and {y.shape}.")
    rows, d = X.shape
    if rows == 0 or d == 0:
        raise ValueError(f"`X` holds no data: its shape is {X.shape}.")
    if np.all(X[0] == X):
        raise ValueError("`X` is constant: every row is the same, so there is nothing to learn.")
    targets = y.reshape(rows, -1)
    left, singular, _ = np.linalg.svd(X, full_matrices=False)
    seen = singular > singular[0] * max(X.shape) * np.finfo(np.float64).eps
    left, singular = left[:, seen], singular[seen]
    projected = left.T @ targets  # (rank, outputs)
    # The residual itself, not a difference of squares: an exact fit must give a zero floor.
    residual = targets - left @ projected
    eigenvalues = np.zeros(d)
    error_sq = np.zeros(d)
    eigenvalues[: len(singular)] = singular**2 / rows
    error_sq[: len(singular)] = np.sum((projected / singular[:, None]) ** 2, axis=1)
    return Spectrum(
        eigenvalues,
        error_sq,
        0.5 * float(np.sum(residual**2)) / rows,
        label=label,
        provenance={"problem": "data", "rows": rows, "d": d, "outputs": targets.shape[1]},
    )
