"""Do runs and their prediction agree, in units of the runs' own standard error?"""

from __future__ import annotations

import numpy as np

from hidim.curve import Curve


def deviations(measured: Curve, predicted: Curve) -> np.ndarray:
    """(measured - predicted) / standard error at every step, shape (n,).

    Where both are the same number, as before the first step, it is 0; where either has left the
    range of numbers, nothing can be said and it is NaN. Under noise without a variance every risk
    is infinite, and the excess is compared.

    Args:
        measured: a curve with `stderr`.
        predicted: one at the same steps.

    Raises:
        ValueError: no standard errors, or other steps.

    >>> runs = Curve([0, 1, 2], [1.0, 0.5, np.inf], stderr=[0.0, 0.1, np.inf])
    >>> deviations(runs, Curve([0, 1, 2], [1.0, 0.4, np.inf])).round(6).tolist()
    [0.0, 1.0, nan]
    """
    if measured.stderr is None:
        raise ValueError("`measured` has no stderr: simulate at least 2 runs.")
    if not np.array_equal(measured.steps, predicted.steps):
        raise ValueError("`measured` and `predicted` must have the same steps.")
    run, line = measured.finite().risk, predicted.finite().risk
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (run - line) / measured.stderr
    # Before the first step there is no randomness: what is left is rounding.
    same = np.isclose(run, line, rtol=1e-12, atol=0)
    lost = ~(np.isfinite(run) & np.isfinite(line))
    return np.where(lost, np.nan, np.where(same, 0.0, z))
