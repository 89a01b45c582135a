"""By how much more does a law of sizes err, the farther a run lies beyond the fitted ones?

A form that is not quite right bends away from the truth: relative errors of g per unit of log
distance. Fitted to the smaller runs, its squared errors on the larger ones exceed what their noise
and the parameters explain by g^2 distance^2. Noise may leave that open, and an excess of nothing is
then no evidence of g = 0: where it knows the slope of the errors to +- s, the excess counts by
k = usual^2 / (usual^2 + s^2), and the usual g by the rest.
Limits: a straight line in log distance.
"""

from __future__ import annotations

import numpy as np

# The most likely spread of the slope of errors over the hold-outs of the 14 smallest runs of each
# of 24 OpenLM tables, .015 to .03 (docs/log.md, 2026-11-27).
USUAL = 0.02


def growth(error: np.ndarray, distance: np.ndarray, covariance: np.ndarray) -> float:
    """Relative error per unit of log distance, a fraction.

    Args:
        error: log of predicted over measured loss of runs left out, shape (n,).
        distance: log distance of each beyond the runs that were fitted, at least 0, shape (n,).
        covariance: of the errors by noise and parameters alone, shape (n, n).

    >>> one, cases = np.ones(1), ((0.03, 1e-8), (0, 1e-8), (0, 1))
    >>> [round(growth(e * one, one, v * np.eye(1)), 3) for e, v in cases]
    [0.03, 0.0, 0.02]
    """
    far = distance > 0
    information = float(distance @ np.linalg.solve(covariance, distance))
    if not far.any() or information <= 0:
        return USUAL
    excess = np.sum((error**2 - np.diagonal(covariance))[far]) / np.sum(distance[far] ** 2)
    known = USUAL**2 / (USUAL**2 + 1.0 / information)
    return float(np.sqrt(known * max(excess, 0.0) + (1.0 - known) * USUAL**2))
