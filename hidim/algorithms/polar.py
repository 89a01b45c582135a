"""SignSVD, which Muon computes: descent on the polar factor of a matrix's gradient.

    W <- W - eta U V^T,      G = U S V^T the mean gradient of the batch.

Singular values that are zero to rounding, as of a batch smaller than the matrix, have no sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.gradients import Batch, Gradient
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import as_schedule
from hidim.support import checks

_ZERO = 1e-10  # of the largest singular value


@dataclass(frozen=True)
class SignSVD(Gradient):
    """The polar factor U V^T of the mean.

    Args:
        drift: which theory predicts it, "auto", "linear" or "saturated".
    """

    drift: str = "auto"
    name: str = "sign-svd"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> np.ndarray:
        """What is stepped with, (runs, outputs d)."""
        outputs = getattr(batch, "outputs", None)
        if outputs is None:
            raise ValueError(MISSING)
        mean = batch.mean
        return polar(mean.reshape(len(mean), outputs, -1)).reshape(mean.shape)


MISSING = (
    "SignSVD steps with the polar factor of a matrix, whose `outputs` are missing: give "
    "hidim.MatrixLeastSquares(spectrum, outputs=m)."
)


def polar(matrices: np.ndarray) -> np.ndarray:
    """U V^T of each of (..., rows, columns).

    >>> polar(np.array([[3.0, 0.0], [0.0, -2.0]])).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    left, sizes, right = np.linalg.svd(matrices, full_matrices=False)
    kept = sizes > _ZERO * sizes[..., :1]
    return np.asarray((left * kept[..., None, :]) @ right)


def sign_svd(eta: Any, *, drift: str = "auto") -> Momentum:
    """Descent on the polar factor of the mean gradient, W <- W - eta U V^T.

    On `hidim.MatrixLeastSquares`. Muon computes this polar factor by Newton-Schulz iterations, of
    its momentum.

    Args:
        eta: a number or a schedule.
        drift: how predictions take the mean of the factor: "linear" in the signal, at any
            horizon; "saturated", which needs no small signal and takes every step by itself;
            "auto" is that one where signals are strong, up to 2e4 steps at 100 modes and fewer
            at more. A curve's provenance says which it was, and what a step costs.

    Raises:
        ValueError: another drift, or a rate that is none.

    >>> sign_svd(0.01).name
    'sign-svd'
    """
    checks.choice("drift", drift, ("auto", "linear", "saturated"))
    eta = as_schedule("eta", eta)
    return Momentum(0.0, eta, 0.0, 1.0, name="sign-svd", gradient=SignSVD(drift))
