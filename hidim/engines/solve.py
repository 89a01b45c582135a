"""Which engine answers, at which steps: the table of engines, and one Curve out of any of them.

A problem and an algorithm become a System (systems/builders.py); everything here reads that and
knows no theory. Who asks with names calls `hidim.predict` (prediction.py), which ends here.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hidim._version import __version__
from hidim.algorithms.base import described
from hidim.curve import Curve, log_spaced_steps, step_array
from hidim.engines.control import RTOL, SMALLEST_RTOL, Controlled
from hidim.support import checks
from hidim.systems.base import System
from hidim.systems.builders import system_of

# Engine name -> module with `refuses(system, last) -> str | None`, the remedy in one line, and
# `solve(system, at, *, rtol, shown, moments, sensitivity) -> Controlled`, steps ascending.
ENGINES = {
    "exact": "hidim.engines.exact",
    "ode": "hidim.engines.ode",
    "volterra": "hidim.engines.volterra",
    "asymptotic": "hidim.engines.asymptotic",
    "matrix": "hidim.engines.matrix",
}
MAX_STEPS = 1e20


def solve(
    problem: Any,
    algorithm: Any,
    steps: float | None = None,
    *,
    at: Iterable[float] | None = None,
    batch_size: float = 1,
    engine: str = "auto",
    moments: bool = False,
    readout: str = "gradient",
    seed: int | None = None,
    rtol: float = RTOL,
    sensitivity: Sequence[str] = (),
) -> Curve:
    """Expected risk at every step asked for; the arguments are those of `hidim.predict`.

    >>> from hidim.algorithms import sgd
    >>> from hidim.problems.spectrum import Spectrum
    >>> solve(Spectrum([1.0], [1.0], 0.0), sgd(0.5), at=[0, 1], batch_size=math.inf).risk.tolist()
    [0.5, 0.125]
    """
    checks.choice("engine", engine, ["auto", *ENGINES])
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    rtol = checked_rtol(rtol)
    asked = asked_steps(steps, at)
    seed = checks.seed("seed", seed)
    system = system_of(problem, algorithm, batch_size, seed).read_at(readout, moments=moments)
    names = _parameters(system, sensitivity)
    chosen = "exact" if engine == "auto" else engine
    module = importlib.import_module(ENGINES[chosen])
    ascending, back = np.unique(asked, return_inverse=True)
    reason = module.refuses(system, float(ascending[-1]))
    if reason is not None:
        raise ValueError(reason)
    shown = "risk" if readout == "gradient" else readout
    found = module.solve(
        system, ascending, rtol=rtol, shown=shown, moments=moments, sensitivity=names
    )
    last = float(ascending[-1])
    followed = system.sharper(last) if chosen == "exact" else system
    caution = followed.caution(last) if chosen != "matrix" else ""
    doubt = followed.doubts(ascending, found.record.columns[shown])
    facts = {
        "hidim": __version__,
        "engine": chosen,
        "problem": _described(problem, system, seed),
        "algorithm": described(algorithm),
        "batch_size": batch_size if math.isfinite(batch_size) else "inf",
        "seed": seed,
        "readout": readout,
        "rtol": rtol,
        "error": found.error,
        "effort": found.record.effort,
        **followed.facts(last),
    }
    if doubt:
        facts["finite_size"] = doubt
    if caution:
        facts["caution"] = caution
        found = replace(found, kept=False)
    read = getattr(system, "spectrum", problem)
    floor = getattr(system, "risk_floor", getattr(read, "risk_floor", None))
    outcome = _outcome(found, ascending, back, shown)
    if floor == math.inf:  # of noise without a variance: only the excess is a number
        outcome["columns"]["excess"] = outcome["risk"] - getattr(system, "floor", 0.0)
        outcome["risk"] = np.full(len(asked), math.inf)
    return Curve(
        label=str(getattr(algorithm, "name", type(algorithm).__name__)),
        dimension=getattr(read, "dimension", None),
        batch_size=batch_size,
        risk_floor=floor,
        provenance=facts,
        **outcome,
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


def checked_rtol(rtol: float) -> float:
    """A relative error that an engine can be held to.

    Raises:
        ValueError: it is not between 1e-12 and 1e-2.
    """
    rtol = checks.positive("rtol", rtol)
    if not SMALLEST_RTOL <= rtol <= 1e-2:
        raise ValueError(
            f"`rtol` must lie between {SMALLEST_RTOL:g} and 0.01, got {rtol:g}: float64 keeps no "
            "more, and a curve worse than a percent is none."
        )
    return rtol


def _outcome(
    found: Controlled, ascending: np.ndarray, back: np.ndarray, shown: str
) -> dict[str, Any]:
    """Steps, what is read there, and how it went."""
    record = found.record
    columns = {name: values[back] for name, values in record.columns.items()}
    risk = columns.pop(shown)
    risk = np.where((risk < 0.0) & (risk > -1e-290), 0.0, risk)  # sunk through float range
    status, diverged_at = "ok" if found.kept else "inaccurate", None
    if record.diverged:
        status, step = "diverged", record.crossed_at
        whole = step is not None and step == math.floor(step)
        diverged_at = int(step) if whole and step else step
    return {
        "steps": ascending[back],
        "risk": risk,
        "columns": columns | ({"iterate": columns.pop("risk")} if shown != "risk" else {}),
        "moments": None if record.states is None else record.states[back],
        "status": status,
        "diverged_at": diverged_at,
    }


def _parameters(system: System, names: Sequence[str]) -> list[str]:
    if not isinstance(names, str | Sequence):
        raise ValueError(f"`sensitivity` must be a list of parameters' names, got {names!r}.")
    asked = [names] if isinstance(names, str) else list(names)
    for name in asked:
        if not isinstance(name, str):
            raise ValueError(f"`sensitivity` must name parameters, got {name!r}.")
        try:
            system.moved(name, 1e-3)
        except ValueError as error:
            raise ValueError(f"`sensitivity`: {error}") from None
    return list(dict.fromkeys(asked))


def _described(problem: Any, system: System, seed: int | None) -> Any:
    read = getattr(system, "spectrum", problem)
    said = getattr(read, "provenance", None) or getattr(read, "label", "")
    return said or type(read).__name__
