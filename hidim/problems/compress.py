"""How do many modes become few nodes that predict the same curves?

Each eigenvalue hands its weight to Chebyshev nodes in log eigenvalue by Lagrange interpolation, so
sums over modes of functions smooth in log eigenvalue are kept to the order of the interpolation.
Octaves with few eigenvalues stay as they are. Weights may become negative.
"""

from __future__ import annotations

import numpy as np


def onto_fewer_nodes(
    eigenvalues: np.ndarray, weights: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most `order` nodes per factor of two, and the weights they carry.

    Args:
        eigenvalues: (modes,) descending, none negative.
        weights: (rows, modes), summed over the modes that a node stands for.
        order: nodes per octave.

    Returns:
        nodes (n,) and their weights (rows, n). Modes without curvature are summed into one node
        at 0: they never move, and count only as dimensions.
    """
    positive = eigenvalues > 0
    logs = np.log2(eigenvalues[positive])
    # Weight is carried in the units that enter the risk and the trace.
    carried = weights[:, positive] * eigenvalues[positive]
    octaves = np.floor(logs[0] - logs).astype(int) if logs.size else np.zeros(0, int)
    nodes, node_weights = [], []
    for octave in np.unique(octaves):
        inside = octaves == octave
        x, w = logs[inside], carried[:, inside]
        if x.size > order:
            x, w = _onto_chebyshev(x, w, order)
        nodes.append(2.0**x)
        node_weights.append(w / 2.0**x)
    if not positive.all():
        nodes.append(np.zeros(1))
        node_weights.append(weights[:, ~positive].sum(axis=1, keepdims=True))
    return np.concatenate(nodes), np.concatenate(node_weights, axis=1)


def _onto_chebyshev(x: np.ndarray, w: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Move weights `w` (rows, points) at `x` onto Chebyshev nodes of the panel that x fills."""
    low, high = x.min(), x.max()
    if high - low < 1e-9:
        centre = np.array([0.5 * (low + high)])
        return centre, w.sum(axis=1, keepdims=True)
    k = np.arange(order)
    angle = (2 * k + 1) * np.pi / (2 * order)
    unit = np.cos(angle)  # (order,)
    barycentric = (-1.0) ** k * np.sin(angle)
    gap = (2 * x[:, None] - low - high) / (high - low) - unit  # (points, order)
    exact = np.abs(gap) < 1e-15
    terms = barycentric / np.where(exact, 1.0, gap)
    lagrange = terms / terms.sum(axis=1, keepdims=True)
    hit = exact.any(axis=1)
    lagrange[hit] = exact[hit]
    return 0.5 * (low + high) + 0.5 * (high - low) * unit, w @ lagrange
