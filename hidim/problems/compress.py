"""How do many modes become few nodes that predict the same curves?

Each eigenvalue hands its weight to Chebyshev nodes in log eigenvalue by Lagrange interpolation, so
sums over modes of functions smooth in log eigenvalue are kept to the order of the interpolation.
Octaves with few eigenvalues stay as they are. Weights may become negative.

Limits: the error is relative to a function's size where it is largest, so a sum that has fallen far
below its start, as exp(-2 rate eigenvalue t) does on a spectrum without a floor, keeps only the
digits that it has not lost. `hidim.engines.many_modes` interpolates over one block of steps at a
time instead and has no such limit.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Panel:
    """Modes that share their nodes.

    Attributes:
        modes: their range in the descending eigenvalues.
        nodes: (n,) eigenvalues that stand for them.
        lagrange: (modes, n), a smooth function at the modes from its values at the nodes; None
            where every mode is its own node.
    """

    modes: slice
    nodes: np.ndarray
    lagrange: np.ndarray | None = None


def panels(eigenvalues: np.ndarray, order: int) -> list[Panel]:
    """Octaves of descending `eigenvalues`, with at most `order` nodes each.

    Modes without curvature share one node at 0: they never move, and count only as dimensions.
    """
    positive = int(np.count_nonzero(eigenvalues > 0))
    logs = np.log2(eigenvalues[:positive])
    octaves = np.floor(logs[:1] - logs).astype(int)
    cuts = [*np.flatnonzero(np.diff(octaves, prepend=-1)), positive]
    found = []
    for start, stop in itertools.pairwise(cuts):
        inside = slice(int(start), int(stop))
        if stop - start > order:
            found.append(_on_chebyshev(inside, logs[inside], order))
        else:
            found.append(Panel(inside, eigenvalues[inside]))
    if positive < len(eigenvalues):
        still = slice(positive, len(eigenvalues))
        found.append(Panel(still, np.zeros(1), np.ones((len(eigenvalues) - positive, 1))))
    return found


def onto_fewer_nodes(
    eigenvalues: np.ndarray, weights: np.ndarray, order: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most `order` nodes per factor of two, and the weights they carry.

    Args:
        eigenvalues: (modes,) descending, none negative.
        weights: (rows, modes), summed over the modes that a node stands for.
        order: nodes per octave.

    Returns:
        nodes (n,) and their weights (rows, n).
    """
    nodes, node_weights = [], []
    for panel in panels(eigenvalues, order):
        w = weights[:, panel.modes]
        if panel.lagrange is not None:
            # Weight is carried in the units that enter the risk and the trace.
            unit = eigenvalues[panel.modes] if panel.nodes[0] > 0 else 1.0
            w = (w * unit) @ panel.lagrange / (panel.nodes if panel.nodes[0] > 0 else 1.0)
        nodes.append(panel.nodes)
        node_weights.append(w)
    return np.concatenate(nodes), np.concatenate(node_weights, axis=1)


def _on_chebyshev(modes: slice, x: np.ndarray, order: int) -> Panel:
    """Chebyshev nodes of the panel that the logarithms `x` (base 2) fill."""
    low, high = x.min(), x.max()
    if high - low < 1e-14:
        return Panel(modes, 2.0 ** np.array([0.5 * (low + high)]), np.ones((len(x), 1)))
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
    return Panel(modes, 2.0 ** (0.5 * (low + high) + 0.5 * (high - low) * unit), lagrange)
