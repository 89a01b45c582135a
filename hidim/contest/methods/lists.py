"""What do adaptive rules on lists of tensors share? The second moment, and the scale it gives.

    v <- beta_2 v + (1-beta_2) g^2;   scale = sqrt(v/(1-beta_2^k)) + eps

A rule says what it does with gradients and scale in `update`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch


class Adaptive(ABC):
    """An optimizer of one group.

    Args:
        parameters: with their gradients.
        lr: peak rate; whoever schedules it writes it into `param_groups`.
        beta_2, eps: of the scale.

    Attributes:
        weights: the parameters.
        k: updates made, the current one among them.
    """

    def __init__(
        self, parameters: Sequence[Any], *, lr: float, beta_2: float, eps: float = 1e-8
    ) -> None:
        self.param_groups: list[dict[str, Any]] = [{"params": list(parameters), "lr": lr}]
        self.weights, self.k = list(parameters), 0
        self._squares = self.zeros()
        self._beta_2, self._eps = beta_2, eps

    def zeros(self) -> list[Any]:
        """A tensor of zeros for each parameter."""
        return [torch.zeros_like(p.detach()) for p in self.weights]

    @torch.no_grad()
    def step(self) -> None:
        """One update."""
        self.k += 1
        grads = [p.grad for p in self.weights]
        torch._foreach_mul_(self._squares, self._beta_2)
        torch._foreach_addcmul_(self._squares, grads, grads, value=1 - self._beta_2)
        scale = list(torch._foreach_div(self._squares, 1 - self._beta_2**self.k))
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, self._eps)
        self.update(float(self.param_groups[0]["lr"]), grads, scale)

    @abstractmethod
    def update(self, lr: float, grads: list[Any], scale: list[Any]) -> None:
        """Change the weights, at this rate."""
