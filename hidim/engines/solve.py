"""Which engine answers, at which steps: the table of engines, and one Curve out of any of them.

Everything here reads a Spectrum and an algorithm; who asks with names and problems calls
`hidim.predict` (prediction.py), which ends here.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from hidim._version import __version__
from hidim.algorithms.momentum import Momentum, as_algorithm
from hidim.curve import Curve, log_spaced_steps, step_array
from hidim.problems.spectrum import Spectrum
from hidim.support import checks

# Engine name -> module with
# `solve(spectrum, algorithm, batch_size, at, *, moments, readout) -> Curve`, steps ascending.
ENGINES = {
    "exact": "hidim.engines.exact",
    "ode": "hidim.engines.ode",
    "volterra": "hidim.engines.volterra",
    "asymptotic": "hidim.engines.asymptotic",
}
MAX_STEPS = 1e20


def solve(
    spectrum: Spectrum,
    algorithm: Momentum,
    steps: float | None = None,
    *,
    at: Iterable[float] | None = None,
    batch_size: float = 1,
    engine: str = "auto",
    moments: bool = False,
    readout: str = "gradient",
    seed: int | None = None,
) -> Curve:
    """Expected risk at every step asked for; the arguments are those of `hidim.predict`.

    >>> from hidim.algorithms import sgd
    >>> solve(Spectrum([1.0], [1.0], 0.0), sgd(0.5), at=[0, 1], batch_size=math.inf).risk.tolist()
    [0.5, 0.125]
    """
    as_algorithm(algorithm)
    checks.choice("engine", engine, ["auto", *ENGINES])
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    asked = asked_steps(steps, at)
    algorithm.readout(readout)
    chosen = "exact" if engine == "auto" else engine
    ascending, back = np.unique(asked, return_inverse=True)
    curve = importlib.import_module(ENGINES[chosen]).solve(
        spectrum, algorithm, batch_size, ascending, moments=moments, readout=readout
    )
    return replace(
        curve,
        steps=curve.steps[back],
        risk=curve.risk[back],
        moments=None if curve.moments is None else curve.moments[back],
        label=algorithm.name,
        dimension=spectrum.dimension,
        batch_size=batch_size,
        risk_floor=spectrum.risk_floor,
        provenance={
            "hidim": __version__,
            "engine": chosen,
            "problem": spectrum.provenance or spectrum.label or "Spectrum",
            "algorithm": algorithm.to_dict(),
            "batch_size": batch_size if math.isfinite(batch_size) else "inf",
            "seed": seed,
            "readout": readout,
        }
        | curve.provenance,
    )


def asked_steps(steps: float | None, at: Iterable[float] | None) -> np.ndarray:
    """The steps to report, checked, in the order asked for."""
    if steps is not None:
        steps = checks.whole("steps", steps, minimum=0)
        if steps > MAX_STEPS:
            raise ValueError(f"`steps` must be at most {MAX_STEPS:g}, got {steps:g}.")
    if at is None:
        if steps is None:
            raise ValueError("give `steps`, the last optimizer step, or the list `at`.")
        return log_spaced_steps(steps)
    try:
        asked = step_array(at if isinstance(at, np.ndarray) else list(at))
    except (TypeError, ValueError):
        raise ValueError(f"`at` must be a list of whole steps >= 0, got {at!r}.") from None
    if asked.ndim != 1 or asked.size == 0:
        raise ValueError("`at` must be a list of at least one step.")
    last = float(asked.max())
    if last > (MAX_STEPS if steps is None else steps):
        limit = f"`steps` ({steps:g})" if steps is not None else f"{MAX_STEPS:g}"
        raise ValueError(f"`at` asks for step {last:g}, beyond {limit}.")
    return asked
