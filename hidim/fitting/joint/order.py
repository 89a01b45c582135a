"""Does the larger model of a ladder have the lower loss, as it does wherever both train?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hidim.fitting.logs.runs import Run

_ABOVE = 0.005  # a fraction of the loss


def check_order(runs: Sequence[Run], sizes: Sequence[float]) -> list[str]:
    """A warning where, at the last step that all runs have, more parameters mean a higher loss."""
    last = min(float(run.steps[-1]) for run in runs)
    best: dict[float, tuple[float, str]] = {}
    for run, size in zip(runs, sizes, strict=True):
        steps, log_loss, _ = run.binned()
        here = float(np.interp(np.log(last), np.log(steps), log_loss)), run.label
        best[size] = min(best.get(size, here), here)
    small, large = min(best), max(best)
    above = best[large][0] - best[small][0]
    if above <= _ABOVE:
        return []
    return [
        f"at step {last:,.0f} the loss of {best[large][1]} ({large:.3g} parameters) lies "
        f"{np.expm1(above):.1%} above that of {best[small][1]} ({small:.3g}): are the sizes, "
        "`params`, those of these runs?"
    ]
