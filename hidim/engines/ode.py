"""The continuous-time limit of the moments, in closed correspondence with the exact engine.

Integrates d(moments)/dt = (step map - identity) moments with the same block collocation
(Radau IIA, order 13, adaptive), from t = 0 on. It is the differential equation of
arXiv 2505.16098 with its curvature terms kept, so fixed points and stability thresholds are
those of the discrete recursion; the curves differ by some percent over the first hundred
steps and agree as steps grow or rates shrink.
"""

from __future__ import annotations

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import Curve
from hidim.engines.exact import NODES_PER_OCTAVE, curve_from_record, may_compress
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
    if not moments and may_compress(spectrum, algorithm, batch_size, float(at[-1])):
        spectrum = spectrum.compress(nodes_per_octave=NODES_PER_OCTAVE)
    record = march(spectrum, algorithm, batch_size, at, discrete=False, keep_moments=moments)
    return curve_from_record(record, algorithm, at, readout)
