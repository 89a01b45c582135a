"""predict(): one call from problem and algorithm to a loss curve, by the engine asked for."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

import hidim
from hidim.algorithms.momentum import Momentum
from hidim.curve import Curve, log_spaced_steps, step_array
from hidim.problems import as_spectrum
from hidim.support import checks

# Engine name -> module with `solve(spectrum, algorithm, batch_size, at, ...) -> Curve`.
ENGINES = {
    "exact": "hidim.dynamics.exact",
    "ode": "hidim.dynamics.ode",
    "volterra": "hidim.dynamics.volterra",
    "asymptotic": "hidim.dynamics.asymptotic",
}
MAX_STEPS = 1e20


def predict(
    problem: Any,
    algorithm: Momentum,
    steps: float | None = None,
    batch_size: float = 1,
    engine: str = "auto",
    seed: int | None = None,
    at: Iterable[float] | None = None,
    *,
    moments: bool = False,
    readout: str = "gradient",
) -> Curve:
    """Expected risk of `algorithm` on `problem`, at every step asked for.

    Args:
        problem: a PLRF or another problem, or a Spectrum.
        algorithm: a member of the momentum family, such as ``hidim.sgd(0.1)``.
        steps: last optimizer step, up to 1e20; with `at` alone, the largest of those.
        batch_size: samples per step, a whole number or math.inf for full batches.
        engine: "exact" (discrete steps; what "auto" picks), "ode" (continuous time),
            "volterra" (integral equation) or "asymptotic" (the scaling law).
        seed: None for the deterministic equivalent, a number to draw that W.
        at: the steps to report, in any order; by default 0, the first steps, then 24 points
            per decade up to `steps` inclusive.
        moments: also return every mode's three second moments; not with "asymptotic".
        readout: "gradient" for the iterate, or another point of the algorithm, such as
            "average" for Schedule-Free; "asymptotic" has the iterate only.

    Returns:
        A Curve. A run that grows past float range has infinite risk from there on and
        status "diverged".

    Raises:
        ValueError: an argument is out of range or unknown.

    Example:
        >>> import hidim
        >>> spectrum = hidim.Spectrum([1.0, 0.25], [1.0, 1.0], 0.01)
        >>> curve = hidim.predict(spectrum, hidim.sgd(0.2), steps=1000)
        >>> curve.status, round(float(curve.risk[-1]), 4)
        ('ok', 0.0118)
    """
    if not isinstance(algorithm, Momentum):
        raise ValueError(
            f"`algorithm` must be a hidim algorithm such as hidim.sgd(0.1), got {algorithm!r}."
        )
    checks.choice("engine", engine, ["auto", *ENGINES])
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    asked = asked_steps(steps, at)
    algorithm.readout(readout)
    chosen = "exact" if engine == "auto" else engine
    if chosen == "asymptotic":
        _refuse_what_a_law_lacks(moments, readout)
    spectrum = as_spectrum(problem, seed)
    ascending, back = np.unique(asked, return_inverse=True)
    options: dict[str, Any] = {"moments": moments, "readout": readout}
    if chosen == "asymptotic":
        options = {"problem": problem}
    solve = importlib.import_module(ENGINES[chosen]).solve
    curve = solve(spectrum, algorithm, batch_size, ascending, **options)
    return replace(
        curve,
        steps=curve.steps[back],
        risk=curve.risk[back],
        moments=None if curve.moments is None else curve.moments[back],
        label=algorithm.name,
        dimension=spectrum.dimension,
        batch_size=batch_size,
        provenance={
            "hidim": hidim.__version__,
            "engine": chosen,
            "problem": spectrum.provenance or spectrum.label or "Spectrum",
            "algorithm": algorithm.to_dict(),
            "batch_size": batch_size if math.isfinite(batch_size) else "inf",
            "seed": seed,
            "readout": readout,
        }
        | curve.provenance,
    )


def _refuse_what_a_law_lacks(moments: bool, readout: str) -> None:
    if moments:
        raise ValueError(
            "`moments` must be False with engine='asymptotic', which knows the risk alone; "
            "for every mode's moments use engine='exact'."
        )
    if readout != "gradient":
        raise ValueError(
            f"`readout` must be 'gradient' with engine='asymptotic', got {readout!r}; "
            "for other points of the algorithm use engine='exact'."
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
