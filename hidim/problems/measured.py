"""Which Spectrum do measured rows have? Their least squares, by one singular value decomposition.

With rows x_i drawn with replacement the population is the data itself: with X = U S V^T the
eigenvalues are S^2 / n, the optimum in the eigenbasis is theta* = S^-1 U^T y, and what it leaves
of the targets is e = y - U U^T y. All of them are exact. A mode with a singular value below
rounding, max(n, d) * eps times the largest, has eigenvalue 0 and is nothing that a row moves.

The rows themselves, z_i = S u_i with e_i and -theta*, go along as `Rows` where they are asked for.
The sign of each eigenvector, and the basis within a repeated eigenvalue, are whatever the
decomposition gives: z and theta* share them, so nothing that an algorithm does depends on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.problems import features
from hidim.problems.columns import samples
from hidim.problems.coordinates import MOST_COORDINATES, Coordinates
from hidim.problems.law import DataLaw
from hidim.problems.rows import Rows
from hidim.support import checks

# Entries of Z that are kept; beyond it a random subset of the rows stands for all of them.
MOST_ENTRIES = 20_000_000
_SUBSET_SEED = 0


def spectrum_parts(
    X: Any,
    y: Any,
    *,
    label: str,
    rows: bool,
    center: bool,
    standardize: bool,
    intercept: bool,
) -> dict[str, Any]:
    """The arguments of the Spectrum of these rows; see `Spectrum.from_data`."""
    flags = {"rows": rows, "center": center, "standardize": standardize, "intercept": intercept}
    for name, flag in flags.items():
        checks.truth(name, flag)
    table, targets = samples(X, y, copy=center or standardize)
    values = table.values
    never = features.constant(values)
    if never.all():
        raise ValueError("`X` is constant: every row is the same, so there is nothing to learn.")
    targets = targets.reshape(len(values), -1)
    said: dict[str, Any] = {}
    if standardize:
        values = features.standardized(values)
        said = {"standardize": True}
        if never.any():
            places = np.flatnonzero(never).tolist()
            said["constant"] = [table.names[j] if table.names else j for j in places]
    elif center:
        values = features.centred(values)
    said |= {"center": True} if center else {}
    if intercept:
        values = np.column_stack([values, np.ones(len(values))])
        said["intercept"] = True
    numbers, kept, basis = _least_squares(values, targets, keep=rows)
    n, d = values.shape
    provenance = {"problem": "data", "rows": n, "d": d, "outputs": targets.shape[1], **said}
    if kept is not None and len(kept) < n:
        provenance |= {"rows_kept": len(kept), "rows_seed": _SUBSET_SEED}
    return {
        **numbers,
        "label": label,
        "provenance": provenance,
        "law": DataLaw(rows=kept, basis=basis),
    }


def _least_squares(
    X: np.ndarray, y: np.ndarray, *, keep: bool
) -> tuple[dict[str, Any], Rows | None, Coordinates | None]:
    """Eigenvalues, errors and floor of X, (n, d), and y, (n, outputs); the rows if `keep`, else
    covariance and optimum in the coordinates of X, which signs depend on."""
    n, d = X.shape
    left, singular, right = np.linalg.svd(X, full_matrices=False)
    seen = singular > singular[0] * max(X.shape) * np.finfo(np.float64).eps
    rank = int(np.count_nonzero(seen))  # singular values descend
    left, singular = left[:, :rank], singular[:rank]
    projected = left.T @ y  # (rank, outputs)
    # The residual itself, not a difference of squares: an exact fit must give a zero floor.
    residual = y - left @ projected
    eigenvalues, error_sq = np.zeros(d), np.zeros(d)
    with np.errstate(over="ignore"):
        optimum = projected / singular[:, None]
        eigenvalues[: len(singular)] = singular**2 / n
        error_sq[: len(singular)] = np.sum(optimum**2, axis=1)
        floor = 0.5 * float(np.sum(residual**2)) / n
        lost = y.any() and not np.any(y**2)  # below float64, as others are beyond
    if lost or not (np.isfinite(eigenvalues).all() and np.isfinite(error_sq).all()):
        raise ValueError(
            f"the squares of `X` (up to {np.abs(X).max():g}) or `y` (up to "
            f"{np.abs(y).max():g}) leave float64. Measure in other units."
        )
    numbers = {"eigenvalues": eigenvalues, "error_sq": error_sq, "risk_floor": floor}
    if not keep:
        if y.shape[1] > 1 or d > MOST_COORDINATES:
            return numbers, None, None
        return numbers, None, Coordinates(X.T @ X / n, optimum[:, 0] @ right[:rank])
    rank = int(np.count_nonzero(eigenvalues))  # fewer where squares are below float range
    index = _kept(n, rank)
    if len(index) < n:
        left, residual = left[index], residual[index]
    left = left[:, :rank]
    left *= singular[:rank]
    return numbers, Rows(left, residual, -optimum[:rank], index, n), None


def _kept(n: int, rank: int) -> np.ndarray:
    """Which rows are kept, ascending: all, or as many as `MOST_ENTRIES` allows, drawn alike."""
    most = max(MOST_ENTRIES // max(rank, 1), 1)
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(_SUBSET_SEED).choice(n, most, replace=False))
