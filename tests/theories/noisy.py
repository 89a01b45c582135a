"""Gaussian noise on the mean gradient, as somebody outside the package would add its theory.

A gradient of the momentum family and not an algorithm of its own: with G = gamma_2 + gamma_1
gamma_3 and n modes in a node, noise of variance s^2 on every coordinate adds

    n s^2 (G^2, gamma_1^2, -G gamma_1)  to  (E r^2, E y^2, E r y),

to what the plain gradient does, and nothing else, whatever the basis.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

import hidim
from hidim.systems.builders import system_of
from tests.simulation.gradients import Noisy


@dataclass(frozen=True, eq=False)
class NoisySystem(hidim.System):
    spectrum: hidim.Spectrum
    algorithm: hidim.Momentum
    batch_size: float
    std: float
    orders, affine = ("twice_risk",), True
    kinds = property(lambda self: self.plain.kinds)
    breakpoints = property(lambda self: self.plain.breakpoints)
    steady = property(lambda self: self.plain.steady)

    @cached_property
    def plain(self):
        return system_of(self.spectrum, replace(self.algorithm, gradient=None), self.batch_size)

    def start(self):
        return self.plain.start()

    def order(self, x):
        return self.plain.order(x)

    def change(self, t, q, drive=None):
        return self.plain.change(t, q)

    def source(self, t, q, drive=None):
        a = self.algorithm
        gamma_1, total = a.gamma_1(t), a.gamma_2(t) + a.gamma_1(t) * a.gamma_3(t)
        kick = np.stack([total**2, gamma_1**2, -total * gamma_1], axis=1)[:, : self.kinds]
        own = self.std**2 * self.spectrum.counts[:, None] * kick[:, None, :]
        return self.plain.source(t, q) + own

    def readouts(self, t, x, q, drive=None):
        return {"risk": q[..., 0] / 2}


def build(problem, algorithm, batch_size):
    noisy = isinstance(algorithm, hidim.Momentum) and isinstance(algorithm.gradient, Noisy)
    if noisy and isinstance(problem, hidim.Spectrum):
        return NoisySystem(problem, algorithm, batch_size, algorithm.gradient.std)
    return None
