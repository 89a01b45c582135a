"""The DANA and ADANA families, hidim.torch's.

Centres are the sources': kappa .85, delta 8, omega 4, t_0 a tenth of the run (arXiv 2505.16098,
2602.05298), and AdamW's range of rates. Log-time decay is on where the name says so, and for MK4
and Star, whose authors use it; DANA-decaying takes SGD's range of rates, moved up by three since
it has no heavy ball.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hidim.torch as optimizers
from hidim.contest.entries import Method, Weight
from hidim.contest.spaces import Linear, Log, Range

_SPACE: dict[str, Range] = {"lr": Log(3e-5, 3e-2), "kappa": Linear(0.7, 1.0)}
_LOG_TIME: dict[str, Range] = {**_SPACE, "omega": Log(1.0, 16.0)}


def _dana(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
    return optimizers.DANADecaying([w.parameter for w in weights], **values)


def _of(kind: Any) -> Callable[[Sequence[Weight], Mapping[str, Any], int], Any]:
    def build(weights: Sequence[Weight], values: Mapping[str, Any], steps: int) -> Any:
        options = dict(values)
        if "omega" in options:
            options |= {"t_0": steps / 10, "peak_lr": values["lr"]}
        return kind([w.parameter for w in weights], **options)

    return build


DANA_DECAYING = Method(
    "dana-decaying",
    {"lr": Log(3e-3, 30.0), "kappa_3": Linear(0.5, 1.2), "weight_decay": Log(1e-5, 1e-3)},
    _dana,
    source="arXiv 2505.16098",
)
ADANA = Method(
    "adana",
    {**_SPACE, "weight_decay": Log(1e-3, 0.1)},
    _of(optimizers.ADANA),
    source="arXiv 2602.05298",
)
ADANA_LOG_TIME = Method(
    "adana-log-time", _LOG_TIME, _of(optimizers.ADANA), source="arXiv 2602.05298"
)
MK4 = Method("mk4", _LOG_TIME, _of(optimizers.DanaMK4), source="arXiv 2602.05298")
STAR = Method("star", _LOG_TIME, _of(optimizers.DanaStar), source="arXiv 2602.05298")
