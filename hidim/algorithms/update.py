"""How does one step of stochastic momentum move the parameters? In NumPy, written once.

    y <- (1 - forgetting) y + gamma_1 g;    theta <- theta - gamma_3 y - gamma_2 g

Simulations run it, and the optimizers of torch and optax are tested against it.
Source: arXiv 2505.16098 (Gen-Mom-SGD).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hidim.algorithms.momentum import Momentum

_AHEAD = 512  # steps whose schedules are evaluated at once


def momentum_step(
    theta: np.ndarray,
    y: np.ndarray,
    g: np.ndarray,
    values: tuple[float, ...] | list[float],
    scratch: np.ndarray | None = None,
) -> None:
    """Move `theta` and `y` in place; `g` is spent.

    Args:
        values: gamma_1, gamma_2, gamma_3 and 1 - forgetting at this step.
        scratch: an array like `g` to compute in, for speed.
    """
    gamma_1, gamma_2, gamma_3, keep = values
    y *= keep
    y += g if gamma_1 == 1.0 else np.multiply(g, gamma_1, out=scratch)
    theta -= np.multiply(y, gamma_3, out=scratch)
    g *= gamma_2
    theta -= g


class MomentumUpdate:
    """The `Update` of a member of the family; its state is the momentum, if anything reads one.

    >>> import hidim
    >>> update, theta = hidim.sgd_momentum(0.0, 0.5, delta=0.5).update(), np.array([1.0])
    >>> state = update.start(theta)
    >>> for t in range(2):
    ...     theta, state = update.step(t, theta, 1.0 * theta, state)
    >>> theta, state
    (array([0.]), (array([1.]),))
    """

    def __init__(self, algorithm: Momentum) -> None:
        self._algorithm = algorithm
        # An average can be read from a momentum that never moves the parameters.
        self.keeps_momentum = algorithm.has_momentum or bool(algorithm.readouts)
        self._block, self._values = -1, [[0.0]]

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """No momentum yet, or no state at all."""
        return (np.zeros_like(theta),) if self.keeps_momentum else ()

    def step(
        self, t: int, theta: np.ndarray, g: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Parameters and state after step `t`; all arrays are written into."""
        block, place = divmod(t, _AHEAD)
        if block != self._block:
            self._values = self.coefficients(block * _AHEAD, _AHEAD).tolist()
            self._block = block
        values = self._values[place]
        if state:
            momentum_step(theta, state[0], g, values)
        else:
            g *= values[1]
            theta -= g
        return theta, state

    def coefficients(self, first: int, count: int) -> np.ndarray:
        """gamma_1, gamma_2, gamma_3, 1 - forgetting at `count` steps from `first`, (count, 4)."""
        one, t = self._algorithm, np.arange(first, first + count, dtype=np.float64)
        parts = (one.gamma_1, one.gamma_2, one.gamma_3, one.forgetting)
        values = np.stack([part(t) for part in parts], axis=1)
        values[:, 3] = 1.0 - values[:, 3]
        return values
