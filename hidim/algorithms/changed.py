"""Gradients that are changed before the step: clipped, with noise on them, or signs alone.

Each is a member of the momentum family with a `gradient` (gradients.py), which simulations run as
it stands here; its theory is a file in systems/ of the same name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hidim.algorithms.gradients import Batch, Gradient
from hidim.algorithms.momentum import Momentum, as_algorithm
from hidim.algorithms.schedules import Constant, Schedule, as_schedule
from hidim.support import checks

KINDS = ("residual", "norm", "batch")
_ONCE = "Gradients are changed once: give an algorithm of plain ones, such as hidim.sgd(0.1)."
_UNDER_NOISE = (
    "Noise goes on plain gradients, such as those of hidim.sgd(0.1), or on samples clipped at a "
    "number or a schedule."
)
THRESHOLDS = 'a number, a schedule or "best"'


@dataclass(frozen=True)
class Clip(Gradient):
    """Residuals, samples' gradients or the mean's cut off at a threshold.

    Args:
        threshold: of the residual's size, or of the norm of a sample's gradient or of the mean's;
            "best" is for predictions alone.
        kind: "residual", "norm" or "batch".
    """

    threshold: Schedule | str
    kind: str = "residual"
    name: str = "clip"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> np.ndarray:
        """What is stepped with, (runs, d)."""
        if isinstance(self.threshold, str):
            raise ValueError(
                '`threshold`="best" follows the expected risk, which a run does not know: give a '
                "number or a schedule, such as those of hidim.best_threshold."
            )
        most = float(self.threshold(float(batch.t)))
        if self.kind == "residual":
            return replace(batch, residuals=np.clip(batch.residuals, -most, most)).mean
        if self.kind == "norm":
            lengths = np.abs(batch.residuals) * np.linalg.norm(batch.features, axis=-1)
            kept = most / np.maximum(lengths, most) if most > 0 else np.zeros_like(lengths)
            return replace(batch, residuals=batch.residuals * kept).mean
        mean = batch.mean
        lengths = np.linalg.norm(mean, axis=-1, keepdims=True)
        return np.asarray(mean * np.minimum(1.0, most / np.maximum(lengths, 1e-300)))


@dataclass(frozen=True)
class Noise(Gradient):
    """Gaussian noise on every coordinate of the mean, and the gradient of an l2 penalty.

    Args:
        std: of the noise.
        l2: penalty l2 |theta|^2 / 2.
        start_variance: of every coordinate of a random start about zero.
        clip: what is done to the samples before, or None.
    """

    std: float
    l2: float = 0.0
    start_variance: float = 0.0
    name: str = "noise"
    clip: Clip | None = None

    def __call__(self, batch: Batch, rng: np.random.Generator) -> np.ndarray:
        """What is stepped with, (runs, d)."""
        found = batch.mean if self.clip is None else self.clip(batch, rng)
        if self.l2:
            found = found + self.l2 * batch.theta
        return found + self.std * rng.standard_normal(batch.theta.shape) if self.std else found


@dataclass(frozen=True)
class Sign(Gradient):
    """The sign of every coordinate of the mean.

    Args:
        basis: of a bare spectrum: "diagonal", its modes are the coordinates, or "generic", they
            lie in no relation to them; None for problems that know.
        drift: which theory predicts it, "auto", "linear" or "saturated".
    """

    basis: str | None = None
    drift: str = "auto"
    name: str = "sign"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> np.ndarray:
        """What is stepped with, (runs, d)."""
        return np.sign(batch.mean)


def clipped(algorithm: Momentum, threshold: Any, kind: str = "residual") -> Momentum:
    """`algorithm` with clipped gradients.

    Args:
        algorithm: a member of the momentum family.
        threshold: a number or a schedule, in the units of `kind`; infinite is no clipping. "best",
            for predictions: that of `hidim.best_threshold` at every step's risk, and the rates
            times 2P mu / nu there, so that the run is the unclipped one on a faster clock.
        kind: "residual": of every sample's residual; "norm": of the norm of every sample's
            gradient; "batch": of the norm of the batch's mean.

    Raises:
        ValueError: a negative threshold, or another kind.

    >>> from hidim.algorithms import sgd
    >>> clipped(sgd(0.1), 2.0).name
    'clipped-sgd'
    """
    as_algorithm(algorithm, _ONCE)
    checks.choice("kind", kind, KINDS)
    if not isinstance(threshold, Schedule):
        if isinstance(threshold, str):
            if threshold != "best":
                raise ValueError(
                    f"`threshold` must be {THRESHOLDS}, got {checks.shown(threshold)}."
                )
            if kind == "batch":
                raise ValueError('`threshold`="best" is for the residuals or norms of samples.')
            gradient = Clip("best", kind)
            return replace(algorithm, gradient=gradient, name=f"clipped-{algorithm.name}")
        threshold = _number(threshold)
        if not threshold > 0:
            raise ValueError(f"`threshold` must be positive, got {threshold:g}.")
        if math.isinf(threshold):
            return algorithm
        threshold = Constant(threshold)
    gradient = Clip(as_schedule("threshold", threshold), kind)
    return replace(algorithm, gradient=gradient, name=f"clipped-{algorithm.name}")


def noisy(
    algorithm: Momentum, std: float, l2: float = 0.0, *, start_variance: float = 0.0
) -> Momentum:
    """`algorithm` with Gaussian noise on its gradients and an l2 penalty, as privacy asks.

    Args:
        algorithm: a member of the momentum family, as it is or with clipped samples,
            `clipped(sgd(0.1), 2.0, kind="norm")`: then noise hides every one of them.
        std: of the noise on each coordinate of the mean gradient.
        l2: penalty l2 |theta|^2 / 2, whose gradient is added; the risk is read without it.
        start_variance: of every coordinate of a start drawn about zero.

    Raises:
        ValueError: a negative number, or gradients that are changed otherwise.

    >>> from hidim.algorithms import sgd
    >>> noisy(sgd(0.1), 0.0) == sgd(0.1), noisy(sgd(0.1), 0.5).name
    (True, 'noisy-sgd')
    """
    clip = algorithm.gradient if isinstance(algorithm, Momentum) else None
    if not (
        isinstance(clip, Clip) and clip.kind != "batch" and not isinstance(clip.threshold, str)
    ):
        as_algorithm(algorithm, _UNDER_NOISE)
        clip = None
    gradient = Noise(
        checks.non_negative("std", std),
        checks.non_negative("l2", l2),
        checks.non_negative("start_variance", start_variance),
        clip=clip,
    )
    if gradient == Noise(0.0, clip=clip):
        return algorithm
    return replace(algorithm, gradient=gradient, name=f"noisy-{algorithm.name}")


def sign_sgd(eta: Any, *, basis: str | None = None, drift: str = "auto") -> Momentum:
    """SGD on the signs of the mean gradient, theta <- theta - eta sign(g).

    Args:
        eta: a number or a schedule.
        basis: on a spectrum that knows no coordinates: "diagonal" where the modes are the
            coordinates, "generic" where they lie in no relation to them. Drawn problems and
            `Spectrum.from_covariance` know theirs.
        drift: how predictions take the mean of a sign: "linear" in the signal, at any horizon;
            "saturated", for Gaussian noise where the coordinates are known, which needs no small
            signal and takes every step by itself, at O(d) where they are the modes and O(d^3)
            elsewhere; "auto" is that one up to 1e5 steps where it is O(d), on a matrix
            (`hidim.MatrixLeastSquares`) where signals are strong. A curve's provenance says which
            it was, and what a step costs.

    Raises:
        ValueError: another basis or drift, or a rate that is none.

    >>> sign_sgd(0.01).name
    'sign-sgd'
    """
    if basis is not None:
        checks.choice("basis", basis, ("diagonal", "generic"))
    checks.choice("drift", drift, ("auto", "linear", "saturated"))
    eta = as_schedule("eta", eta)
    return Momentum(0.0, eta, 0.0, 1.0, name="sign-sgd", gradient=Sign(basis, drift))


def signed(algorithm: Momentum, *, basis: str | None = None, drift: str = "auto") -> Momentum:
    """`algorithm` on the signs of the mean gradient: a momentum of signs.

    Signum (`hidim.signum`) is the other order, the sign of a momentum.

    Args:
        algorithm: a member of the momentum family.
        basis, drift: as of `hidim.sign_sgd`; with a momentum the drift is "linear".

    Raises:
        ValueError: another basis or drift, or gradients that are changed otherwise.

    >>> from hidim.algorithms import sgd_momentum
    >>> signed(sgd_momentum(0.001, 0.001, 0.1)).name
    'signed-sgd-momentum'
    """
    as_algorithm(algorithm, _ONCE)
    signs = sign_sgd(0.0, basis=basis, drift=drift).gradient
    return replace(algorithm, gradient=signs, name=f"signed-{algorithm.name}")


def _number(threshold: Any) -> float:
    """A threshold that may be infinite."""
    if isinstance(threshold, float) and math.isinf(threshold) and threshold > 0:
        return math.inf
    try:
        return checks.finite("threshold", threshold)
    except ValueError:
        told = checks.shown(threshold)
        raise ValueError(f"`threshold` must be {THRESHOLDS}, got {told}.") from None
