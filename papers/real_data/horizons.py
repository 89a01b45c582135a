"""SGD and DANA-decaying at the best rates for a known horizon.

Constant rates are those of `recommend(..., steps=T)`. That search moves gamma_2 and gamma_3 apart,
so that DANA may become SGD: what it gains over it is what momentum is worth at this horizon. With
cosine decay to zero by T both have one factor of two on all rates, lowered while that helps.
"""

from __future__ import annotations

from typing import Any

import hidim
from papers.real_data.measure import RTOL
from papers.real_data.sets import Case

HORIZONS = (10_000, 1_000_000)
NAMES = ("sgd", "dana-decaying")
DECAYED = HORIZONS[-1]
_SMALLEST = 2.0**-8


def tune_case(case: Case) -> dict[str, Any]:
    """Excess risk at every horizon, and the rates, at batch 1."""
    rows = hidim.Spectrum.from_data(*case.table())
    found: dict[str, Any] = {}
    for name in NAMES:
        for steps in HORIZONS:
            algorithm = hidim.recommend(rows, name, 1, steps=steps)
            risk = hidim.predict(rows, algorithm, at=[steps], rtol=RTOL).risk[0]
            found[f"{name} {steps}"] = {
                "excess": risk - rows.risk_floor,
                "gamma_2": float(algorithm.gamma_2(0.0)),
                "gamma_3": float(algorithm.gamma_3(0.0)),
            }
        best = hidim.recommend(rows, name, 1)
        found[f"{name} cosine"] = _decayed(rows, best)
    return found


def _decayed(rows: Any, algorithm: Any) -> dict[str, Any]:
    """Least excess risk at the last horizon with cosine decay, and the factor on the rates."""
    found: dict[str, Any] = {"excess": float("inf"), "factor": None}
    factor = 1.0
    while factor >= _SMALLEST:
        slower = algorithm.scheduled(hidim.Constant(factor)).scheduled(hidim.Cosine(DECAYED))
        risk = hidim.predict(rows, slower, at=[DECAYED], rtol=RTOL).risk[0]
        if not risk - rows.risk_floor < found["excess"]:
            break
        found = {"excess": risk - rows.risk_floor, "factor": factor}
        factor /= 2
    return found
