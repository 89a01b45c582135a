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
from hidim.contest.spaces import Log


def slow_beta(k: int, steps: int, first: float, last: float) -> float:
    """beta_3 at update k: its half-life rises linearly, from beta_1's to its own.

    >>> slow_beta(100, 100, 0.9, 0.999)
    0.999
    """
    share = min(k / steps, 1.0)
    start, end = math.log(first), math.log(last)
    return min(math.exp(start * end / ((1 - share) * end + share * start)), last)


class AdEMAMix:
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
        self.param_groups = [{"params": list(parameters), "lr": lr}]
        self._weights = list(parameters)
        self._fast, self._slow, self._squares = (
            [torch.zeros_like(p.detach()) for p in parameters] for _ in range(3)
        )
        self._steps, self._betas, self._alpha = steps, betas, alpha
        self._decay, self._eps, self._k = weight_decay, eps, 0

    @torch.no_grad()
    def step(self) -> None:
        """One update."""
        self._k += 1
        lr = float(self.param_groups[0]["lr"])  # type: ignore[arg-type]
        beta_1, beta_2, last = self._betas
        beta_3 = slow_beta(self._k, self._steps, beta_1, last)
        grads = [p.grad for p in self._weights]
        torch._foreach_lerp_(self._fast, grads, 1 - beta_1)
        torch._foreach_lerp_(self._slow, grads, 1 - beta_3)
        torch._foreach_mul_(self._squares, beta_2)
        torch._foreach_addcmul_(self._squares, grads, grads, value=1 - beta_2)
        scale = list(torch._foreach_div(self._squares, 1 - beta_2**self._k))
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, self._eps)
        update = list(torch._foreach_div(self._fast, 1 - beta_1**self._k))
        alpha = self._alpha * min(self._k / self._steps, 1.0)
        torch._foreach_add_(update, self._slow, alpha=alpha)
        torch._foreach_div_(update, scale)
        torch._foreach_mul_(self._weights, 1 - lr * self._decay)
        torch._foreach_add_(self._weights, update, alpha=-lr)


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
