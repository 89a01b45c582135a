"""Does a prediction keep what it promises? Curves against their truth, one verdict each.

An error is the distance to the truth over the largest true risk within a factor two in time: a
risk that rings touches zero, and nobody asks for digits of that. Promised are an error of at most
`rtol` or another status than "ok", an estimate (`curve.provenance["error"]`) that is no less than
the error, and the verdict "diverged" where the truth ends a thousand times above its start.
"""

import hashlib
import inspect
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import hidim
from hidim.support import files
from tests.agreement.configurations import Configuration
from tests.agreement.decimals import power_risks
from tests.agreement.longdouble import Run, risks

RTOL = 1e-8
# Errors below are those of adding up 1e5 steps in float64: no estimate is asked to be close.
ROUNDING = 1e-12
HAS_RTOL = "rtol" in inspect.signature(hidim.predict).parameters
_GIVEN_UP, _DIVERGED = 1e18, 1e3  # times the start, as `predict` promises
_NEAR = 1e-7  # a risk this close to a threshold may be seen on either side of it
_SMALLEST = 1e-290  # a run that sinks below is judged no longer: float64 ends soon


@dataclass(frozen=True, eq=False)
class Truth:
    """What is right at the asked steps, all of shape (asked,) but for the last three."""

    at: np.ndarray
    risk: np.ndarray
    scale: np.ndarray  # largest risk within a factor two in time
    highest: np.ndarray  # largest risk of the iterate so far
    crossed: np.ndarray  # (2,) steps between which that passes 1000 times the start, or infinity
    start: float  # of the iterate
    last: float

    @classmethod
    def of(cls, at: np.ndarray, risk: np.ndarray, iterate: np.ndarray) -> "Truth":
        """From the risk at every step, at the point read and at the iterate."""
        scale = np.array([risk[t // 2 : 2 * t + 1].max() for t in at])
        highest, start = np.maximum.accumulate(iterate), float(iterate[0])
        edge = _DIVERGED * start
        over = [highest > edge * (1 - _NEAR), highest > edge * (1 + _NEAR)]
        crossed = np.array([part.argmax() if part[-1] else math.inf for part in over])
        return cls(at, risk[at], scale, highest[at], crossed, start, float(iterate[-1]))

    @classmethod
    def of_some(cls, at: np.ndarray, risk: np.ndarray) -> "Truth":
        """From the risk at some steps, at least two in each octave."""
        near = (at >= at[:, None] / 2) & (at <= 2 * at[:, None])
        scale = np.where(near, risk, 0.0).max(axis=1)
        over = np.flatnonzero(~(risk <= _DIVERGED * risk[0]))
        crossed = at[[over[0] - 1, over[0]]] if over.size else np.array([math.inf, math.inf])
        ends = float(risk[0]), float(risk[-1])
        return cls(at, risk, scale, np.maximum.accumulate(risk), crossed, *ends)


def truths(
    given: Sequence[Configuration], cache: Path | None = None
) -> Iterator[tuple[int, Truth]]:
    """(index, truth) of every configuration; those not in the folder `cache` are found and kept."""
    runs = [Run(c.spectrum, c.algorithm, c.batch_size, c.steps, c.readout) for c in given]
    places = [_place(cache, run, c) for run, c in zip(runs, given, strict=True)]
    missing = []
    for i, place in enumerate(places):
        if place is not None and place.exists():
            yield i, _kept(place)
        else:
            missing.append(i)
    for k, risk, iterate in risks([runs[i] for i in missing]):
        i = missing[k]
        yield i, _keep(places[i], Truth.of(given[i].at, risk, iterate))


def power_truths(
    given: Sequence[Configuration], cache: Path | None = None
) -> Iterator[tuple[int, Truth]]:
    """The same at constant rates for any number of steps, a second or two each."""
    for i, c in enumerate(given):
        place = _place(cache, Run(c.spectrum, c.algorithm, c.batch_size, 0, c.readout), c)
        if place is not None and place.exists():
            yield i, _kept(place)
            continue
        risk = power_risks(c.spectrum, c.algorithm, c.batch_size, c.at, c.readout)
        yield i, _keep(place, Truth.of_some(c.at, risk))


def _kept(place: Path) -> Truth:
    with np.load(place) as kept:
        return Truth(**{name: kept[name] for name in kept})


def _keep(place: Path | None, truth: Truth) -> Truth:
    if place is not None:
        files.write_with(place, lambda stream: np.savez(stream, **vars(truth)))
    return truth


def _place(cache: Path | None, run: Run, configuration: Configuration) -> Path | None:
    """Where a truth is kept, named by everything that it depends on."""
    if cache is None:
        return None
    spectrum, seen = run.spectrum, hashlib.sha256(" ".join(Truth.__annotations__).encode())
    arrays = (spectrum.eigenvalues, spectrum.error_sq, spectrum.multiplicity)
    numbers = np.array([spectrum.risk_floor, run.batch_size])
    for array in (*arrays, numbers, configuration.at, run.values(0, run.steps + 1)):
        seen.update(np.ascontiguousarray(array).tobytes())
    return cache / f"{seen.hexdigest()[:32]}.npz"


def default_cache() -> Path:
    """A folder that lasts from one command to the next."""
    return Path(tempfile.gettempdir()) / "hidim-accuracy"


@dataclass(frozen=True)
class Verdict:
    """How far a curve was from its truth, and what it said of itself."""

    name: str
    error: float
    step: int  # where
    estimate: float | None
    status: str
    rtol: float
    broken: tuple[str, ...] = ()  # promises about divergence
    effort: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ratio(self) -> float:
        """Estimate over error; NaN without an estimate."""
        if self.estimate is None:
            return math.nan
        return self.estimate / self.error if self.error > 0 else math.inf

    @property
    def faults(self) -> tuple[str, ...]:
        """The promises that were not kept."""
        found = list(self.broken)
        if self.error > self.rtol and self.status == "ok":
            found.append(f"error {self.error:.1e} above rtol {self.rtol:g} with status ok")
        if self.estimate is not None and not self.estimate >= self.error:
            found.append(f"estimate {self.estimate:.1e} below error {self.error:.1e}")
        return tuple(found)


def judge(configuration: Configuration, truth: Truth, rtol: float = RTOL) -> Verdict:
    """Predict and compare; an `rtol` that `predict` does not take yet is not given to it."""
    options = {"at": truth.at, "batch_size": configuration.batch_size, "seed": configuration.seed}
    options |= {"readout": configuration.readout} | ({"rtol": rtol} if HAS_RTOL else {})
    problem = configuration.problem
    start = time.process_time()
    curve = hidim.predict(problem, configuration.algorithm, **options)
    seconds = time.process_time() - start
    return compare(configuration.name, curve, truth, rtol, seconds)


def compare(
    name: str, curve: hidim.Curve, truth: Truth, rtol: float = RTOL, seconds: float = 0.0
) -> Verdict:
    """The verdict on a curve at the steps of a truth."""
    afloat = np.minimum.accumulate(truth.risk) > _SMALLEST
    seen = afloat & np.isfinite(curve.risk) & np.isfinite(truth.scale)
    errors = np.zeros(len(truth.at))
    errors[seen] = np.abs(curve.risk[seen] - truth.risk[seen]) / truth.scale[seen]
    worst = int(np.argmax(errors))
    broken = _broken(curve, truth) if afloat.all() else ()
    estimate = curve.provenance.get("error")
    return Verdict(
        name, float(errors[worst]), int(truth.at[worst]), estimate, curve.status, rtol,
        broken, curve.provenance.get("effort", {}), seconds,
    )  # fmt: skip


def _broken(curve: hidim.Curve, truth: Truth) -> tuple[str, ...]:
    """What was said wrongly about divergence, which is that of the iterate."""
    found = []
    lost = ~np.isfinite(curve.risk)
    # An asked step may lie well behind the one where the run was given up, never before it.
    highest, ends = truth.highest / truth.start, truth.last / truth.start
    if lost.any() and not highest[lost][0] >= _GIVEN_UP * (1 - 1e-3):
        found.append(f"given up at {highest[lost][0]:.1e} x the start")
    away = ends > _DIVERGED * (1 + _NEAR) and curve.status == "ok"
    back = ends < _DIVERGED * (1 - _NEAR) and curve.status == "diverged"
    if away or (back and highest[-1] < _GIVEN_UP):
        found.append(f"status {curve.status}, ends at {ends:.3g} x the start")
    first, last = truth.crossed
    if curve.status == "diverged" and not first <= curve.diverged_at <= last:
        found.append(f"diverged at {curve.diverged_at:g}, not {last:g}")
    return tuple(found)
