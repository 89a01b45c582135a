"""AdEMAMix (arXiv 2409.03137): AdamW with a second, slow average of the gradients.

    p <- p (1 - lr decay) - lr (m_1/(1-beta_1^k) + alpha(k) m_2) / (sqrt(v/(1-beta_2^k)) + eps)

alpha rises linearly and beta_3 from beta_1 by the authors' scheduler, both over the whole run, as
in the paper's runs. (hidim.torch has the log-time form of arXiv 2602.05298 instead.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hidim.contest.entries import Method, Weight
from hidim.contest.methods.lists import Adaptive
from hidim.contest.spaces import Log


def slow_beta(k: int, steps: int, first: float, last: float) -> float:
    """beta_3 at update k: its half-life rises linearly, from beta_1's to its own.

    >>> slow_beta(100, 100, 0.9, 0.999)
    0.999
    """
    share = min(k / steps, 1.0)
    start, end = math.log(first), math.log(last)
    return min(math.exp(start * end / ((1 - share) * end + share * start)), last)


class AdEMAMix(Adaptive):
    """The rule on lists of tensors.

    Args:
        parameters: with their gradients.
        steps: over which alpha and beta_3 rise.
        lr, betas (three), alpha, weight_decay, eps: of the rule.
    """

    def __init__(
        self,
        parameters: Sequence[Any],
        *,
        steps: int,
        lr: float,
        betas: tuple[float, float, float],
        alpha: float,
        weight_decay: float,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, lr=lr, beta_2=betas[1], eps=eps)
        self._fast, self._slow = self.zeros(), self.zeros()
        self._steps, self._betas, self._alpha = steps, betas, alpha
        self._decay = weight_decay

    def update(self, lr: float, grads: list[Any], scale: list[Any]) -> None:
        """By both averages."""
        beta_1, _, last = self._betas
        beta_3 = slow_beta(self.k, self._steps, beta_1, last)
        torch._foreach_lerp_(self._fast, grads, 1 - beta_1)
        torch._foreach_lerp_(self._slow, grads, 1 - beta_3)
        update = list(torch._foreach_div(self._fast, 1 - beta_1**self.k))
        alpha = self._alpha * min(self.k / self._steps, 1.0)
        torch._foreach_add_(update, self._slow, alpha=alpha)
        torch._foreach_div_(update, scale)
        torch._foreach_mul_(self.weights, 1 - lr * self._decay)
        torch._foreach_add_(self.weights, update, alpha=-lr)


def _ademamix(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    return AdEMAMix(
        [w.parameter for w in weights],
        steps=steps,
        lr=values["lr"],
        betas=(0.9, 1 - values["beta_2_gap"], 1 - values["beta_3_gap"]),
        alpha=values["alpha"],
        weight_decay=values["weight_decay"],
    )


# Centres: AdamW's, and alpha 5; the published beta_3 .9999 is for a hundred times as many steps.
ADEMAMIX = Method(
    "ademamix",
    {
        "lr": Log(3e-5, 3e-2),
        "alpha": Log(2.0, 12.0),
        "beta_3_gap": Log(3e-4, 1e-2),
        "beta_2_gap": Log(1e-3, 0.1),
        "weight_decay": Log(1e-3, 0.1),
    },
    _ademamix,
    source="arXiv 2409.03137",
)
