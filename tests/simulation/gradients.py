"""Five gradients as somebody outside the package would write them, a few lines each."""

from dataclasses import dataclass, replace

import numpy as np

import hidim
from hidim.algorithms import Gradient


@dataclass(frozen=True)
class Sign(Gradient):
    """The sign of every coordinate of the mean."""

    name: str = "sign"

    def __call__(self, batch, rng):
        return np.sign(batch.mean)


@dataclass(frozen=True)
class ClippedResiduals(Gradient):
    """Residuals cut off at a threshold that may move in time."""

    threshold: hidim.algorithms.Schedule
    name: str = "clipped-residuals"

    def __call__(self, batch, rng):
        most = float(self.threshold(batch.t))
        return replace(batch, residuals=np.clip(batch.residuals, -most, most)).mean


@dataclass(frozen=True)
class ClippedSamples(Gradient):
    """The gradient of every sample shortened to a norm, as privacy asks."""

    norm: float
    name: str = "clipped-samples"

    def __call__(self, batch, rng):
        samples = batch.samples
        lengths = np.linalg.norm(samples, axis=-1, keepdims=True)
        return (samples * (self.norm / np.maximum(lengths, self.norm))).mean(axis=1)


@dataclass(frozen=True)
class ClippedMean(Gradient):
    """The mean of the batch shortened to a norm."""

    norm: float
    name: str = "clipped-mean"

    def __call__(self, batch, rng):
        mean = batch.mean
        return mean * (self.norm / np.maximum(np.linalg.norm(mean, axis=-1), self.norm))[:, None]


@dataclass(frozen=True)
class Noisy(Gradient):
    """Gaussian noise on every coordinate of the mean."""

    std: float
    name: str = "noisy"

    def __call__(self, batch, rng):
        return batch.mean + self.std * rng.standard_normal(batch.theta.shape)


EXAMPLES = (
    Sign(),
    ClippedResiduals(hidim.PowerLaw(2.0, 0.5)),
    ClippedSamples(1.5),
    ClippedMean(0.8),
    Noisy(0.3),
)
