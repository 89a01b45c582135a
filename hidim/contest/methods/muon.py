"""Muon for the hidden matrices, AdamW for the rest: torch's own of both.

Filters of convolutions are matrices of outputs by all else, as Jordan et al. (2024) take them;
embeddings, the output layer and vectors are AdamW's. One learning rate for both, by the scaling of
updates to AdamW's size (arXiv 2502.16982). Needs torch 2.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from hidim.contest.entries import Method, Weight
from hidim.contest.spaces import Log


class Both:
    """Two optimizers as one."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], views: Any) -> None:
        self._optimizers, self._views = optimizers, views
        self.param_groups = [group for one in optimizers for group in one.param_groups]

    def step(self) -> None:
        """One update of each."""
        for view, parameter in self._views:
            view.grad = parameter.grad.flatten(1)
        for one in self._optimizers:
            one.step()


def _muon(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    hidden = [w.parameter for w in weights if w.kind == "matrix"]
    others = [w.parameter for w in weights if w.kind != "matrix"]
    views = [(nn.Parameter(p.detach().flatten(1)), p) for p in hidden]
    decay = values["weight_decay"]
    optimizers: list[torch.optim.Optimizer] = []
    if views:
        optimizers.append(
            torch.optim.Muon(
                [view for view, _ in views],
                lr=values["lr"],
                momentum=1 - values["momentum_gap"],
                weight_decay=decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    if others:
        betas = (0.9, 1 - values["beta_2_gap"])
        optimizers.append(
            torch.optim.AdamW(others, lr=values["lr"], betas=betas, weight_decay=decay, fused=True)
        )
    return Both(optimizers, views)


# Centres: AdamW's, and momentum .95.
MUON = Method(
    "muon",
    {
        "lr": Log(3e-5, 3e-2),
        "momentum_gap": Log(0.02, 0.125),
        "beta_2_gap": Log(1e-3, 0.1),
        "weight_decay": Log(1e-3, 0.1),
    },
    _muon,
    source="Jordan et al. 2024, arXiv 2502.16982",
)
