"""When does a curve pass a level?"""

from __future__ import annotations

import numpy as np

from hidim.curve import Curve


def time_to_multiple(curve: Curve, floor: float, multiple: float = 2.5) -> float:
    """The first step at which the risk is `multiple` times the floor, NaN if it never is.

    Args:
        curve: a run; between its points the risk is a spline in log-log.
        floor: the risk floor of the problem.
        multiple: above 1 / (1 - N), the factor at which noise of kernel norm N holds the risk.
    """
    from scipy.interpolate import CubicSpline

    known = np.asarray(curve.steps, dtype=np.float64)
    use = (known >= 1) & np.isfinite(curve.risk)
    u, gap = np.log(known[use]), np.log(curve.risk[use] / (multiple * floor))
    below = np.nonzero(gap <= 0)[0]
    if len(below) == 0:
        return float("nan")
    k = int(below[0])
    if k == 0:
        return float(known[use][0])
    near = slice(max(0, k - 4), k + 4)
    roots = CubicSpline(u[near], gap[near]).roots(extrapolate=False)
    inside = roots[(roots >= u[k - 1] - 1e-12) & (roots <= u[k] + 1e-12)]
    return float(np.exp(inside[0] if len(inside) else u[k]))
