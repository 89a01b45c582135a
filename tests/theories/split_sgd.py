"""SGD by the mean m and the covariance C of its error: a theory with a driver.

m <- (1 - gamma lambda) m, whatever the noise;   C <- (1 - gamma lambda)^2 C + (gamma^2 / B) *
    (lambda^2 (m^2 + C) + n lambda (2 floor + sum lambda (m^2 + C))).
"""

from dataclasses import dataclass

import numpy as np

import hidim


@dataclass(frozen=True)
class SplitSGD:
    gamma: float
    name: str = "split-sgd"


@dataclass(frozen=True, eq=False)
class Mean(hidim.System):
    spectrum: hidim.Spectrum
    gamma: float
    kinds, orders, affine, steady = 1, (), True, True
    lam = property(lambda self: self.spectrum.eigenvalues)

    def start(self):
        return np.sqrt(self.spectrum.error_sq)[None]

    def order(self, x):
        return np.empty((*x.shape[:-2], 0))

    def change(self, t, q, drive=None):
        return np.tile((-self.gamma * self.lam)[:, None, None], (len(t), 1, 1, 1))

    def source(self, t, q, drive=None):
        return np.zeros((len(t), len(self.lam), 1))

    def readouts(self, t, x, q, drive=None):
        return {"risk": self.spectrum.risk_floor + 0.5 * x[:, 0] ** 2 @ self.lam}


@dataclass(frozen=True, eq=False)
class Covariance(Mean):
    batch_size: float = 1.0
    orders = ("twice_spread",)
    driver = property(lambda self: Mean(self.spectrum, self.gamma))

    def start(self):
        return np.zeros((1, len(self.lam)))

    def order(self, x):
        return x[..., 0, :] @ self.lam[:, None]

    def change(self, t, q, drive=None):
        own = (self.gamma * self.lam) ** 2 * (1.0 + 1.0 / self.batch_size)
        return np.tile((own - 2.0 * self.gamma * self.lam)[:, None, None], (len(t), 1, 1, 1))

    def source(self, t, q, drive=None):
        square = drive[0][:, 0] ** 2
        twice = 2.0 * self.spectrum.risk_floor + (square @ self.lam)[:, None] + q
        noise = self.lam**2 * square + self.spectrum.counts * self.lam * twice
        return (self.gamma**2 / self.batch_size * noise)[..., None]

    def readouts(self, t, x, q, drive=None):
        mean = super().readouts(t, drive[0], drive[1])["risk"]
        return {"risk": mean + 0.5 * q[:, 0], "mean": mean}


def build(problem, algorithm, batch_size):
    if isinstance(algorithm, SplitSGD) and isinstance(problem, hidim.Spectrum):
        return Covariance(problem, algorithm.gamma, batch_size)
    return None


RECORD = hidim.Named("split-sgd", SplitSGD)
