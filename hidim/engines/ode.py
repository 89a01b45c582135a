"""The continuous-time limit of the moments, in closed correspondence with the exact engine.

Integrates d(moments)/dt = (step map - identity) moments with the same block collocation
(Radau IIA, order 13, adaptive, 3e-7 of the risk per block), from t = 0 on. It is the differential
equation of arXiv 2505.16098 with its curvature terms kept, so fixed points and stability
thresholds are those of the discrete recursion. The curves differ by some ten percent up to step 30
or so, twofold at worst, and by 0.2 % after, 4 % at worst; they agree as rates shrink.
"""

from __future__ import annotations

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import Curve
from hidim.engines.exact import curve_from_record
from hidim.engines.march import march
from hidim.problems.spectrum import Spectrum

SUPPORTS = "every member of the momentum family; continuous time, apart from the steps early on"


def solve(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    at: np.ndarray,
    *,
    moments: bool = False,
    readout: str = "gradient",
) -> Curve:
    """Continuous-time curve at the times `at` (ascending, in optimizer steps)."""
    record = march(
        spectrum, algorithm, batch_size, at,
        discrete=False, keep_moments=moments, readout=algorithm.readout(readout),
    )  # fmt: skip
    return curve_from_record(record, algorithm, at, readout)
