"""Which few nodes integrate polynomials against a measure that is known by moments or points?

`gauss_rules` reads Chebyshev moments on [-1, 1] (Wheeler's recurrence), `fewer_points` joins the
points of a discrete measure (Lanczos with reorthogonalization). Both end in the eigenvalues of a
Jacobi matrix (Golub, Welsch 1969), so nodes lie inside the support and weights are positive.
"""

from __future__ import annotations

import numpy as np

_NOISE = 1e-11  # squared norm of a monic polynomial below which moments are rounding


def gauss_rules(moments: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Gauss rules of positive measures on [-1, 1] from their Chebyshev moments.

    A measure may be much narrower than [-1, 1]; then rounding in the moments ends its recurrence
    early, at a degree whose polynomial the measure cannot tell from zero.

    Args:
        moments: (measures, 2k).

    Returns:
        Nodes, falling, and weights of each measure: k of them, or fewer.

    >>> nodes, weights = gauss_rules(np.array([[2.0, 0.0, -2 / 3, 0.0]]))[0]  # Legendre
    >>> bool(np.allclose(nodes**2, 1 / 3)), bool(np.allclose(weights, 1.0))
    (True, True)
    """
    diagonal, off, sizes = _recurrences(moments)
    rules: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0), np.empty(0))] * len(moments)
    left = np.arange(len(moments))
    while left.size:
        for size in sorted(set(sizes[left].tolist())):
            rows = left[sizes[left] == size]
            jacobi = np.zeros((rows.size, size, size))
            i = np.arange(size)
            jacobi[:, i, i] = diagonal[rows, :size]
            root = np.sqrt(off[rows, : size - 1])
            jacobi[:, i[1:], i[:-1]] = jacobi[:, i[:-1], i[1:]] = root
            x, vectors = np.linalg.eigh(jacobi)
            weights = moments[rows, :1] * vectors[:, 0, :] ** 2
            for row, nodes, weight in zip(rows, x[:, ::-1], weights[:, ::-1], strict=True):
                rules[row] = nodes, weight
        outside = np.array([bool(np.any(np.abs(rules[row][0]) >= 1)) for row in left])
        left = left[outside & (sizes[left] > 1)]
        sizes[left] -= 1
    return rules


def _recurrences(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients of the monic orthogonal polynomials, and how many can be told from zero."""
    measures, length = moments.shape
    wanted = length // 2
    above = moments / moments[:, :1] / 2.0 ** np.maximum(np.arange(length) - 1, 0)
    earlier = np.zeros_like(above)
    known = np.full(length, 0.25)  # recurrence of the monic Chebyshev polynomials
    known[:2] = 0.0, 0.5
    diagonal, off = np.zeros((measures, wanted)), np.zeros((measures, wanted))
    diagonal[:, 0] = above[:, 1]
    sizes = np.full(measures, wanted)
    beta = np.zeros(measures)
    scale = 1.0
    for k in range(1, wanted):
        now = np.zeros_like(above)
        span = slice(k, length - k)
        now[:, span] = (
            above[:, k + 1 : length - k + 1]
            - diagonal[:, k - 1, None] * above[:, span]
            - beta[:, None] * earlier[:, span]
            + known[span] * above[:, k - 1 : length - k - 1]
        )
        scale *= 0.25 if k > 1 else 0.5  # the same norm for a measure that fills [-1, 1]
        ended = (sizes == wanted) & (now[:, k] <= _NOISE * scale)
        sizes[ended] = k
        if np.all(sizes < wanted):
            break
        now[sizes < wanted] = 1.0  # no longer looked at
        diagonal[:, k] = now[:, k + 1] / now[:, k] - above[:, k] / above[:, k - 1]
        off[:, k - 1] = beta = now[:, k] / above[:, k - 1]
        earlier, above = above, now
    return diagonal, off, sizes


def fewer_points(
    place: np.ndarray, counts: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss nodes of a discrete measure, and the matrix that carries another one to them."""
    middle, half = (place.max() + place.min()) / 2, np.ptp(place) / 2
    x = (place - middle) / half
    basis = np.zeros((x.size, order))
    basis[:, 0] = np.sqrt(counts / counts.sum())
    jacobi = np.zeros((order, order))
    for k in range(order):
        column = x * basis[:, k]
        jacobi[k, k] = basis[:, k] @ column
        for _ in range(2):  # twice is enough to stay orthogonal
            column -= basis[:, : k + 1] @ (basis[:, : k + 1].T @ column)
        if k + 1 < order:
            jacobi[k, k + 1] = jacobi[k + 1, k] = np.linalg.norm(column)
            basis[:, k + 1] = column / jacobi[k, k + 1]
    nodes, vectors = np.linalg.eigh(jacobi)
    nodes, weight = nodes[::-1], vectors[0, ::-1] ** 2
    chebvander = np.polynomial.chebyshev.chebvander
    matrix = np.linalg.solve(chebvander(nodes, order - 1).T, chebvander(x, order - 1).T)
    return middle + half * nodes, counts.sum() * weight, matrix
