"""Muon for the hidden matrices, AdamW for the rest: torch's own of both, put together by the lab.

Filters of convolutions are matrices of outputs by all else, as Jordan et al. (2024) take them;
embeddings, the output layer and vectors are AdamW's. One learning rate for both, by the scaling of
updates to AdamW's size (arXiv 2502.16982). Needs torch 2.9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from hidim.contest.entries import Method, Weight
from hidim.contest.spaces import Log
from hidim.lab.training.muon import Muon


class OnViews:
    """An optimizer of matrices that are views of parameters, whose gradients it takes."""

    def __init__(self, optimizer: Muon, views: Sequence[tuple[Any, Any]]) -> None:
        self._optimizer, self._views = optimizer, views
        self.param_groups = optimizer.param_groups

    def step(self) -> None:
        """One update."""
        for view, parameter in self._views:
            view.grad = parameter.grad.flatten(1)
        self._optimizer.step()


def _muon(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    hidden = [w.parameter for w in weights if w.kind == "matrix"]
    views = [(nn.Parameter(p.detach().flatten(1)), p) for p in hidden]
    others = [("output", w.parameter) for w in weights if w.kind != "matrix"]
    optimizer = Muon(
        [*(("hidden", view) for view, _ in views), *others],
        lr=values["lr"],
        momentum=1 - values["momentum_gap"],
        betas=(0.9, 1 - values["beta_2_gap"]),
        weight_decay=values["weight_decay"],
    )
    return OnViews(optimizer, views)


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
