"""Who solves the small systems of a block? The library, in a fifth of the time, or LAPACK.

Elimination in the library is not pivoted; where that lets entries grow, LAPACK is asked after all.
"""

from __future__ import annotations

import numpy as np

from hidim.compiled.library import lanes, library, plain

# Entries that grow by more lose digits; those of blocks grow by 15 at most where nothing diverges.
_GROWTH = 64.0
_MOST_PARTS = 16  # features that the library takes


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Answers (modes, n, c) of systems (modes, n, n) to right-hand sides (modes, n, c)."""
    answer = None
    if library() is not None and matrix.dtype == right.dtype == np.float64:
        answer = _solved(None, matrix, right, np.empty((len(matrix), matrix.shape[1], 0)))
    return np.linalg.solve(matrix, right) if answer is None else answer


def solve_combined(
    features: np.ndarray, left: np.ndarray, right: np.ndarray, more: np.ndarray
) -> np.ndarray:
    """The same of systems that are sums over the features of a mode.

    Args:
        features: (modes, parts).
        left, right: (parts, n, n) and (parts, n, c), what stands at each feature.
        more: (modes or 1, n, given), on top of the first right-hand sides.
    """
    doubles = all(part.dtype == np.float64 for part in (features, left, right, more))
    if library() is not None and features.shape[1] <= _MOST_PARTS and doubles:
        answer = _solved(features, left, right, more)
        if answer is not None:
            return answer
    modes, (parts, n, c) = len(features), right.shape
    matrix = (features @ left.reshape(parts, -1)).reshape(modes, n, n)
    flat = (features @ right.reshape(parts, -1)).reshape(modes, n, c)
    flat[:, :, : more.shape[2]] += more
    return np.linalg.solve(matrix, flat)


def _solved(
    features: np.ndarray | None, left: np.ndarray, right: np.ndarray, more: np.ndarray
) -> np.ndarray | None:
    """By the library; None where elimination wants a pivot."""
    loaded, width = library(), lanes()
    assert loaded is not None
    rows, n, c = right.shape
    modes, parts = (rows, 0) if features is None else features.shape
    given = more.shape[2]
    if given > c:
        raise ValueError(f"{given} columns on top of {c}")
    answer, scratch = np.empty((modes, n, c)), np.empty((n * (n + c) + 1) * width)
    held = [
        plain(np.empty((modes, 0)) if features is None else features, (modes, parts)),
        plain(left, (rows, n, n)), plain(right, (parts or modes, n, c)),
        plain(more, (modes, n, given)),
    ]  # fmt: skip
    aligned = scratch.ctypes.data + -scratch.ctypes.data % (8 * width)
    addresses = (*(numbers.ctypes.data for numbers in held), aligned, answer.ctypes.data)
    growth = loaded.hidim_solve(width, modes, parts, n, c, given, *addresses)
    return answer if growth <= _GROWTH else None
