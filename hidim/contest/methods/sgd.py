"""SGD with Nesterov momentum, torch's own.

Centres: learning rate .1, momentum .9 and decay 1e-4, those of image networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hidim.contest.entries import Method, Weight
from hidim.contest.spaces import Log


def _sgd(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    return torch.optim.SGD(
        [w.parameter for w in weights],
        lr=values["lr"],
        momentum=1 - values["momentum_gap"],
        nesterov=True,
        weight_decay=values["weight_decay"],
    )


SGD_M = Method(
    "sgd-m",
    {
        "lr": Log(1e-3, 10.0),
        "momentum_gap": Log(0.03, 0.3),
        "weight_decay": Log(1e-5, 1e-3),
    },
    _sgd,
    source="Sutskever et al. 2013",
)
