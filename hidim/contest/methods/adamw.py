"""AdamW (arXiv 1711.05101) and NAdamW (Dozat 2016, decoupled decay), torch's own.

Centres: torch's lr 1e-3, decay .01 and beta_1 .9; beta_2 between torch's .999 and the .9 to .95 of
short runs. On two tasks AdamW's best rate was the highest tried, so that its line, the target, may
be too high there: `adamw-high` is AdamW once more with ten times the rates, to see by how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hidim.contest.entries import Method, Weight
from hidim.contest.spaces import Log, Range

ADAM_SPACE: dict[str, Range] = {
    "lr": Log(3e-5, 3e-2),
    "beta_1_gap": Log(0.03, 0.3),
    "beta_2_gap": Log(1e-3, 0.1),
    "weight_decay": Log(1e-3, 0.1),
}
HIGH_SPACE: dict[str, Range] = {**ADAM_SPACE, "lr": Log(3e-4, 0.3)}


def adam_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """lr, betas and weight decay as torch's classes take them."""
    betas = (1 - values["beta_1_gap"], 1 - values["beta_2_gap"])
    return {"lr": values["lr"], "betas": betas, "weight_decay": values["weight_decay"]}


def _adamw(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    return torch.optim.AdamW([w.parameter for w in weights], fused=True, **adam_options(values))


def _nadamw(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    return torch.optim.NAdam(
        [w.parameter for w in weights], decoupled_weight_decay=True, **adam_options(values)
    )


ADAMW = Method("adamw", ADAM_SPACE, _adamw, source="arXiv 1711.05101")
ADAMW_HIGH = Method("adamw-high", HIGH_SPACE, _adamw, source="arXiv 1711.05101")
NADAMW = Method("nadamw", ADAM_SPACE, _nadamw, source="Dozat 2016")
