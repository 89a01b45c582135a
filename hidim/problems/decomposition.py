"""What spectrum do d random features of a covariance show?

With x = D z, z standard normal, features W^T x and target <D b, z>: the singular values of D W are
the square roots of the eigenvalues, and the target's part along the left singular vectors is the
error that starts in each mode; what is left of it is the floor.
"""

from __future__ import annotations

import numpy as np


def decompose(A: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Eigenvalues (d,), squared errors (d,), and the risk floor with the 1/2.

    Args:
        A: D W, shape (v, d).
        target: D b, shape (v,).
    """
    Q, R = np.linalg.qr(A)
    left, singular, right = np.linalg.svd(R)
    projection = left.T @ (Q.T @ target)  # <u_j, D b>
    floor = 0.0
    if len(A) > A.shape[1]:
        # |D b|^2 - sum projection^2 would cancel; the residual of a solution does not, and
        # an error in the solution enters it squared.
        residual = target - A @ (right.T @ (projection / singular))
        residual -= A @ (right.T @ ((left.T @ (Q.T @ residual)) / singular))
        floor = 0.5 * float(residual @ residual)
    return singular**2, (projection / singular) ** 2, floor
