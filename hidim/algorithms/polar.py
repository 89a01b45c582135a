"""SignSVD, which Muon computes: descent on the polar factor of a matrix's gradient.

    W <- W - eta U V^T,      G = U S V^T the mean gradient of the batch.

Singular values that are zero to rounding, as of a batch smaller than the matrix, have no sign. With
a momentum, as Muon has it, the factor is that of

    m <- beta m + (1 - beta) G,     or of  beta m + (1 - beta) G  with Nesterov's look ahead,

which is not of the momentum family: its step is no sum of the momentum's. It is run and not
predicted, for its noise is correlated in time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hidim.algorithms.gradients import Batch, Gradient
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Schedule, as_schedule
from hidim.algorithms.written import written
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
    "sign-svd steps with the polar factor of a matrix, whose `outputs` are missing: give "
    "outputs=m, its rows, to hidim.MatrixLeastSquares."
)


def polar(matrices: np.ndarray) -> np.ndarray:
    """U V^T of each of (..., rows, columns).

    >>> polar(np.array([[3.0, 0.0], [0.0, -2.0]])).tolist()
    [[1.0, 0.0], [0.0, -1.0]]
    """
    left, sizes, right = np.linalg.svd(matrices, full_matrices=False)
    kept = sizes > _ZERO * sizes[..., :1]
    return np.asarray((left * kept[..., None, :]) @ right)


@dataclass(frozen=True)
class PolarMomentum:
    """The polar factor of a momentum, as Muon steps with it.

    Args:
        eta: the rate.
        momentum: what a step keeps of the mean gradient.
        nesterov: whether the last gradient counts once more.
    """

    eta: Schedule
    momentum: float
    nesterov: bool = False
    name: str = "sign-svd-momentum"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Where the rate changes its formula."""
        return self.eta.breakpoints

    def scheduled(self, schedule: Schedule) -> PolarMomentum:
        """With the rate multiplied."""
        return replace(self, eta=self.eta * schedule)

    def update(self) -> PolarUpdate:
        """The rule itself, for vectors: of no use before it knows the rows of its matrix."""
        return PolarUpdate(self, None)

    def to_dict(self) -> dict[str, Any]:
        """For provenance."""
        table = {"name": self.name, "eta": written(self.eta), "momentum": self.momentum}
        return table | ({"nesterov": True} if self.nesterov else {})


class PolarUpdate:
    """The `Update` of a `PolarMomentum`; its state is m, flat as the parameters are."""

    def __init__(self, algorithm: PolarMomentum, outputs: int | None) -> None:
        self._one, self._outputs = algorithm, outputs

    def on_matrix(self, outputs: int) -> PolarUpdate:
        """For parameters that are matrices of so many rows."""
        return PolarUpdate(self._one, outputs)

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """Nothing seen yet."""
        if self._outputs is None:
            raise ValueError(MISSING)
        return (np.zeros_like(theta),)

    def step(
        self, t: int, theta: np.ndarray, g: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Parameters and momentum after step `t`; all arrays are written into."""
        beta, (m,) = self._one.momentum, state
        g *= 1.0 - beta
        m *= beta
        m += g
        seen = beta * m + g if self._one.nesterov else m
        shaped = seen.reshape(*seen.shape[:-1], self._outputs or 1, -1)
        theta -= float(self._one.eta(float(t))) * polar(shaped).reshape(theta.shape)
        return theta, state


def sign_svd(
    eta: Any, *, momentum: float = 0.0, nesterov: bool = False, drift: str = "auto"
) -> Momentum | PolarMomentum:
    """Descent on the polar factor of the mean gradient, W <- W - eta U V^T.

    On `hidim.MatrixLeastSquares`. Muon computes this polar factor by Newton-Schulz iterations, of
    its momentum.

    Args:
        eta: a number or a schedule.
        momentum: what a step keeps of the mean gradient, in [0, 1); with it the algorithm is run
            (`hidim.simulate`) and not predicted.
        nesterov: whether the last gradient counts once more, as by default in torch.optim.Muon.
        drift: how predictions take the mean of the factor: "linear" in the signal, at any
            horizon; "saturated", which needs no small signal and takes every step by itself;
            "auto" is that one where signals are strong, up to 2e4 steps at 100 modes and fewer
            at more. A curve's provenance says which it was, and what a step costs.

    Raises:
        ValueError: another drift, a momentum out of range, or a rate that is none.

    >>> sign_svd(0.01).name, sign_svd(0.01, momentum=0.9).to_dict()["momentum"]
    ('sign-svd', 0.9)
    """
    checks.choice("drift", drift, ("auto", "linear", "saturated"))
    eta, momentum = as_schedule("eta", eta), checks.non_negative("momentum", momentum)
    if momentum >= 1.0:
        raise ValueError(f"`momentum` is the share that a step keeps, in [0, 1), got {momentum:g}.")
    if nesterov and momentum == 0.0:
        raise ValueError("`nesterov` looks ahead along a `momentum`, which is 0: give one.")
    if momentum > 0.0:
        if drift != "auto":
            raise ValueError(
                f"`drift`={drift!r} is a way to predict, and polar factors of a `momentum` are not "
                "predicted: leave it out, and run them by hidim.simulate."
            )
        return PolarMomentum(eta, momentum, bool(nesterov))
    return Momentum(0.0, eta, 0.0, 1.0, name="sign-svd", gradient=SignSVD(drift))
