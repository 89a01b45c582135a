"""signSGD, as somebody outside the package would add it: nonlinear in the risk.

theta <- theta - eta sign(g) on Gaussian data with a diagonal covariance, batch 1. In the basis
omega = sqrt(lambda), rho = sqrt(lambda) theta*^2, with S = sum omega rho twice the excess risk,

    rho <- rho - 2 eta mu(S) omega rho + eta^2 n omega,      mu(S) = (2/pi) / sqrt(2 floor + S).
"""

from dataclasses import dataclass, replace

import numpy as np

import hidim


@dataclass(frozen=True)
class SignSGD(hidim.algorithms.Algorithm):
    eta: hidim.algorithms.Schedule
    name: str = "toy-sign"

    def scheduled(self, schedule):
        return replace(self, eta=self.eta * schedule)


@dataclass(frozen=True, eq=False)
class SignSystem(hidim.System):
    spectrum: hidim.Spectrum
    eta: hidim.algorithms.Schedule
    kinds, orders = 1, ("twice_excess",)
    breakpoints = property(lambda self: self.eta.breakpoints)
    omega = property(lambda self: np.sqrt(self.spectrum.eigenvalues))

    def start(self):
        return (self.spectrum.error_sq * self.omega)[None]

    def order(self, x):
        return x[..., 0, :] @ self.omega[:, None]

    def change(self, t, q, drive=None):
        mu = 2.0 / np.pi / np.sqrt(2.0 * self.spectrum.risk_floor + q)
        return (-2.0 * self.eta(t)[:, None] * mu * self.omega)[..., None, None]

    def source(self, t, q, drive=None):
        return (self.eta(t)[:, None] ** 2 * self.spectrum.counts * self.omega)[..., None]

    def readouts(self, t, x, q, drive=None):
        return {"risk": self.spectrum.risk_floor + 0.5 * q[..., 0]}


def build(problem, algorithm, batch_size):
    if isinstance(algorithm, SignSGD) and isinstance(problem, hidim.Spectrum) and batch_size == 1:
        return SignSystem(problem, algorithm.eta)
    return None


def sign_sgd(eta):
    return SignSGD(hidim.Constant(eta) if isinstance(eta, float) else eta)


RECORD = hidim.Named("toy-sign", sign_sgd, "#0b7a75")
