"""The scalars through which the momentum family depends on time."""

from __future__ import annotations

from dataclasses import dataclass

from hidim.algorithms.momentum import Momentum
from hidim.systems.base import Array


@dataclass(frozen=True)
class Coefficients:
    """The algorithm's scalars at given times, each of shape (times,)."""

    gamma_1: Array
    gamma_3: Array
    total: Array  # G
    keep: Array  # D
    forget: Array  # 1 - D, with all its digits

    @classmethod
    def at(cls, algorithm: Momentum, t: Array) -> Coefficients:
        """Evaluate the four schedules at the times `t`."""
        gamma_1, gamma_3 = algorithm.gamma_1(t), algorithm.gamma_3(t)
        total = algorithm.gamma_2(t) + gamma_1 * gamma_3
        forget = algorithm.forgetting(t)
        return cls(gamma_1, gamma_3, total, 1.0 - forget, forget)
