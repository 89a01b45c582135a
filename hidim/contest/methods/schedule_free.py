"""Schedule-free AdamW (arXiv 2405.15682), after the authors' code (schedulefree 1.4.1).

    v <- beta_2 v + (1-beta_2) g^2;   u = g / (sqrt(v/(1-beta_2^k)) + eps) + decay y
    z <- z - lr u;   x <- (1-c) x + c z,  c = lr_max^2 / sum of lr_max^2;   y = beta x + (1-beta) z

Gradients are taken at y, which is what the weights hold during the run; `finish` leaves x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hidim.contest.entries import Method, Weight
from hidim.contest.methods.lists import Adaptive
from hidim.contest.spaces import Log


class ScheduleFreeAdamW(Adaptive):
    """The rule on lists of tensors.

    Args:
        parameters: with their gradients.
        lr, beta, beta_2, weight_decay, eps: of the rule.
    """

    def __init__(
        self,
        parameters: Sequence[Any],
        *,
        lr: float,
        beta: float,
        beta_2: float,
        weight_decay: float,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr=lr, beta_2=beta_2, eps=eps)
        self._z = [p.detach().clone() for p in parameters]
        self._beta, self._decay = beta, weight_decay
        self._largest, self._sum = 0.0, 0.0

    def update(self, lr: float, grads: list[Any], scale: list[Any]) -> None:
        """y moves as x and z do, without x being kept."""
        self._largest = max(lr, self._largest)
        self._sum += self._largest**2
        share = self._largest**2 / self._sum
        update = list(torch._foreach_div(grads, scale))
        torch._foreach_add_(update, self.weights, alpha=self._decay)
        torch._foreach_lerp_(self.weights, self._z, share)
        torch._foreach_add_(self.weights, update, alpha=lr * (self._beta * (1 - share) - 1))
        torch._foreach_add_(self._z, update, alpha=-lr)

    @torch.no_grad()
    def finish(self) -> None:
        """Put the average x in the weights."""
        torch._foreach_lerp_(self.weights, self._z, 1 - 1 / self._beta)


def _schedule_free(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    return ScheduleFreeAdamW(
        [w.parameter for w in weights],
        lr=values["lr"],
        beta=1 - values["beta_gap"],
        beta_2=1 - values["beta_2_gap"],
        weight_decay=values["weight_decay"],
    )


# Centres: the authors' lr 2.5e-3 and beta .9; the rest as for AdamW.
SCHEDULE_FREE = Method(
    "schedule-free",
    {
        "lr": Log(1e-4, 1e-1),
        "beta_gap": Log(0.02, 0.3),
        "beta_2_gap": Log(1e-3, 0.1),
        "weight_decay": Log(1e-3, 0.1),
    },
    _schedule_free,
    schedule="constant",
    source="arXiv 2405.15682",
)
