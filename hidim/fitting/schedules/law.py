"""What does a fitted law predict for another schedule, and how wide is its band?

`bands.py` says what a band is made of, none of it from the curves it is asked about.
Limits: bands describe schedules of the same model, data and batch size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hidim.algorithms.words import read_words
from hidim.curve import Curve
from hidim.fitting.logs.inputs import given_run, is_kept
from hidim.fitting.logs.rates import Rate
from hidim.fitting.logs.runs import Run, as_rate, check_steps
from hidim.fitting.loss_units import factors, level_of
from hidim.fitting.schedules import kept
from hidim.fitting.schedules.bands import (
    RUN_TO_RUN,
    Member,
    between_laws,
    jackknife,
    loss_at,
    slopes_at,
)
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import ScheduleLaw
from hidim.fitting.written import WrittenLaw
from hidim.support.checks import choice, finite

_BANDS = ("rows", "curve")


@dataclass(frozen=True, eq=False)
class FittedLaw(WrittenLaw):
    """A schedule-aware law with the parameters that fit some runs, and what it was fitted to.

    Attributes:
        law: the form of the law.
        vector: parameters as searched (see `parameters` for their values), shape (p,).
        units: scales of the fit.
        replicas: parameters of the refits with a group left out, shape (groups, p).
        noise: relative error of single rows that no refit explains, a fraction.
        growth: relative error per unit of log(steps / longest fitted run), a fraction.
        reach: what the fit has seen: last step, lowest and highest rate, and the first step.
        holdout: label of each left-out curve to its mean relative error when left out.
        in_sample: label of each curve to its mean relative error in the fit.
        provenance: version, files, points: whatever reproduces the fit.
        warnings: what about the data or the fit deserves a look before the law is used.
        between: relative error of a smoothed curve that no refit explains, a fraction: what two
            runs of one configuration differ by.
        members: other laws fitted to the same runs, which widen the band where they disagree.
        schedules: label of each fitted run to its learning rate.
        covariance: what data and priors leave open of `vector`, shape (p, p), or (0, 0).
    """

    law: ScheduleLaw
    vector: np.ndarray
    units: Units
    replicas: np.ndarray
    noise: float
    growth: float
    reach: dict[str, float]
    holdout: dict[str, float]
    in_sample: dict[str, float]
    provenance: dict[str, Any]
    warnings: tuple[str, ...] = ()
    between: float = RUN_TO_RUN
    members: tuple[Member, ...] = ()
    schedules: dict[str, Rate] = field(default_factory=dict)
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __repr__(self) -> str:
        runs, last = len(self.in_sample), self.reach["last_step"]
        return self._in_line(f"{self.law.name}, {runs} run(s) to step {last:,.0f}")

    @property
    def parameters(self) -> dict[str, float]:
        """Parameter values. Several are seldom identified: quote bands on predictions instead."""
        return {
            p.name: math.exp(v) if p.log else float(v)
            for p, v in zip(self.law.parameters, self.vector, strict=True)
        }

    @property
    def uncertainty(self) -> dict[str, float]:
        """Standard error of each parameter, by Fisher's information and the priors: relative for
        those searched by their logarithm, in units of the parameter for floor and exponents."""
        spread = np.sqrt(np.diagonal(self.covariance)) if self.covariance.size else []
        return dict(zip(self.law.names, map(float, spread), strict=bool(len(spread))))

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters of which the data say less than the priors, or nothing within a factor e."""
        found = self.uncertainty
        units = factors(self.law.names, level_of(self.law.names, self.vector))
        widths = {
            p.name: p.prior[1] * 0.5**0.5 if p.prior else unit
            for p, unit in zip(self.law.parameters, units, strict=True)
        }
        return tuple(name for name, spread in found.items() if spread > widths[name])

    def predict(
        self, schedule: Any, steps: Any = None, *, warmup_steps: float | None = None
    ) -> np.ndarray:
        """Loss after `steps` optimizer steps under `schedule`.

        Args:
            schedule: a Run, a Curve, a data frame or the path of a log, a callable of the step
                such as hidim.Cosine(...) times a rate, words (`hidim.read_schedule`), a pair
                (steps, lr), or with `steps` the rate at each of them, shape (n,).
            steps: where to predict, shape (n,); default the Run's, the Curve's or the pair's own.
            warmup_steps: linear warm-up that a pair leaves out, or that a callable gets. None is
                that of the fitted runs for pairs that begin after step 0 without rising and for
                words that say none, and none at all for whatever says its own.

        Returns:
            Loss, shape (n,), in the unit of the fitted losses; NaN before `begins`, where the law
            says nothing.

        Raises:
            ValueError: no such schedule, steps that are negative or not finite, or all of them
                before `begins`.
        """
        rate, at = self._asked(schedule, steps, warmup_steps)
        return np.where(self._held(rate, at), self._loss(rate, at), np.nan)

    def begins(self, schedule: Any, *, warmup_steps: float | None = None) -> float:
        """First step of which the law says anything: the end of the warm-up, and of the burn-in
        of the shortest fitted run, before which no power law holds and none was fitted."""
        warmup = self._warmup_of(schedule) if warmup_steps is None else warmup_steps
        ready = as_rate(schedule, np.ones(1), warmup).ready_step
        return max(ready, self.reach["first_step"])

    @property
    def warmup_steps(self) -> float | None:
        """Warm-up of the fitted runs, in optimizer steps; None where they differ by a tenth."""
        curves = self.provenance.get("curves", ())
        found = [max(float(c.get(k, 0.0)) for k in ("warmup_steps", "ready_step")) for c in curves]
        if not found:
            return 0.0
        return found[0] if max(found) <= 1.1 * min(found) else None

    def band(
        self,
        schedule: Any,
        steps: Any = None,
        *,
        level: float = 0.9,
        warmup_steps: float | None = None,
        of: str = "rows",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end of the band that holds a share `level` of measured points.

        Args:
            schedule, steps, warmup_steps: as for `predict`.
            level: share of the points of an unseen run, between 0 and 1.
            of: "rows" as they are logged, or the "curve" behind them, without the noise that
                averaging rows takes away.

        Returns:
            Two arrays of shape (n,), NaN where the prediction is.
        """
        from scipy.special import ndtri

        if not 0 < finite("level", level) < 1:
            raise ValueError(f"`level` must lie between 0 and 1, got {level!r}.")
        rate, at = self._asked(schedule, steps, warmup_steps)
        middle = np.where(self._held(rate, at), self._loss(rate, at), np.nan)
        half = ndtri((1 + level) / 2) * self._spread(rate, at, middle, choice("of", of, _BANDS))
        return middle * np.exp(-half), middle * np.exp(half)

    def extrapolation(
        self, schedule: Any, steps: Any = None, *, warmup_steps: float | None = None
    ) -> dict[str, float]:
        """How far beyond the fitted runs a prediction reaches, as ratios: 1 is inside.

        `steps` over the longest fitted run, intrinsic `time` over its longest, `peak_rate` over
        the highest fitted, `low_peak` (the lowest fitted peak over this one), `lowest_rate` (the
        lowest fitted one over this one's, infinite where this one decays to zero and they did not)
        and `sudden_fall`, by which the rate falls at once, over the largest fitted. Of a fitted
        size of a law over sizes also `size_steps` and `size_lowest_rate`, against the runs of that
        size alone.
        """
        rate, at = self._asked(schedule, steps, warmup_steps)
        last = np.array([at.max()])
        lowest, known = rate.lowest, self.reach
        peaks = [one.peak for one in self.schedules.values()]
        low_peak = min(peaks) if peaks else known.get("lowest_peak", self.units.rate)

        def depth(fitted: float) -> float:
            return fitted / lowest if lowest else math.inf if fitted else 1.0

        found = {
            "steps": float(last[0]) / self.units.steps,
            "time": float(rate.time(last)[0]) / self.units.time,
            "peak_rate": rate.peak / self.units.rate,
            "low_peak": low_peak / rate.peak,
            "lowest_rate": depth(known["lowest_rate"]),
        }
        if self.schedules:
            falls = [one.sudden_fall for one in self.schedules.values()]
            found["sudden_fall"] = 1.0 if np.inf in falls else rate.sudden_fall / max(falls)
        if "size_steps" in known:
            found["size_steps"] = float(last[0]) / known["size_steps"]
        if "size_lowest_rate" in known:
            found["size_lowest_rate"] = depth(known["size_lowest_rate"])
        return found

    def score(self, run: Any, *, level: float = 0.9) -> dict[str, float]:
        """Errors on a Run, a Curve, a data frame or a log, as fractions: mean_relative_error,
        max_relative_error, final_error (predicted less measured, in loss units) and band_coverage,
        by the band of `level`.

        Rows before `begins`, where no law of this family holds, do not count. What is no Run and
        says nothing of a warm-up has that of the fitted runs.
        """
        run = self._warmed(run, given_run("run", run))
        counted = self._held(run.rate, run.steps)
        loss, predicted = run.measured()[counted], self.predict(run)[counted]
        error = np.abs(predicted / loss - 1.0)
        low, high = (end[counted] for end in self.band(run, level=level))
        return {
            "mean_relative_error": float(error.mean()),
            "max_relative_error": float(error.max()),
            "final_error": float(predicted[-1] - loss[-1]),
            "band_coverage": float(np.mean((loss >= low) & (loss <= high))),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_dict` makes an equal law."""
        return kept.to_dict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FittedLaw:
        """The law behind `to_dict`.

        Raises:
            ValueError: not a fitted law, or a damaged one.
        """
        return cls(**kept.from_dict(data))

    def _asked(
        self, schedule: Any, steps: Any, warmup_steps: float | None
    ) -> tuple[Rate, np.ndarray]:
        if isinstance(schedule, Curve):
            schedule = Run.of(schedule, warmup_steps=warmup_steps or 0.0)
        elif is_kept(schedule):
            schedule = self._warmed(schedule, given_run("schedule", schedule, loss="optional"))
        if steps is None:
            if isinstance(schedule, Run):
                steps = schedule.steps
            elif isinstance(schedule, tuple | list) and len(schedule) == 2:
                steps = schedule[0]
            else:
                raise ValueError("`steps` is needed for this schedule: where to predict?")
        at = check_steps(steps)
        if _is_rates(schedule, at):
            schedule = (at, schedule)
        if warmup_steps is None:
            warmup_steps = self._warmup_of(schedule)
        return as_rate(schedule, at, warmup_steps), at

    def _warmup_of(self, schedule: Any) -> float:
        """The warm-up of the fitted runs where a schedule leaves open what was before it."""
        if isinstance(schedule, str):
            return 0.0 if read_words(schedule).warmup is not None else self.warmup_steps or 0.0
        if not isinstance(schedule, tuple | list) or len(schedule) != 2:
            return 0.0
        return self._warmup_before(as_rate(schedule, np.ones(1)))

    def _warmup_before(self, rate: Rate) -> float:
        """The same, of a rate as rows tell it."""
        says = rate.steps[0] == 0 or rate.ready_step > 0
        known = self.warmup_steps or 0.0
        return 0.0 if says or known > rate.steps[-1] else known

    def _warmed(self, given: Any, run: Run) -> Run:
        """A log as it was read with the warm-up it leaves out; a Run and a Curve say theirs."""
        if isinstance(given, Run | Curve) or run.schedule is not None:
            return run
        known = self._warmup_before(run.rate)
        return replace(run, warmup_steps=known) if known else run

    def _held(self, rate: Rate, at: np.ndarray) -> np.ndarray:
        """Which of the steps the law speaks of, (n,)."""
        begins = self.begins(rate)
        held: np.ndarray = (at >= begins) & (at > 0)
        if len(at) and not held.any():
            raise ValueError(
                f"`steps` end at {at.max():g}, before the burn-in of the law at {begins:g} "
                f"(fitted to {self.units.steps:g}): ask for later steps, in the unit of the fitted "
                "logs (optimizer steps or tokens)."
            )
        return held

    def _loss(self, rate: Rate, at: np.ndarray) -> np.ndarray:
        return loss_at(self.law, self.vector, self.units, rate, at)

    def _spread(self, rate: Rate, at: np.ndarray, middle: np.ndarray, of: str) -> np.ndarray:
        """Standard deviation of log loss at `at`, shape (n,)."""
        known = ~np.isnan(middle)
        at, middle = at[known], middle[known]
        refits = [loss_at(self.law, v, self.units, rate, at) for v in self.replicas]
        others = [(m.weight, loss_at(m.law, m.vector, self.units, rate, at)) for m in self.members]
        told = np.zeros(len(at))
        if self.covariance.size:
            slope = slopes_at(self.law, self.vector, self.units, rate, at) / middle[:, None]
            told = np.einsum("ni,ij,nj->n", slope, self.covariance, slope)
        variance = np.maximum(jackknife(refits, middle), told) + between_laws(others, middle)
        variance += self.noise**2 if of == "rows" else self.between**2
        beyond = np.maximum(at / self.units.steps, rate.time(at) / self.units.time)
        variance += (self.growth * np.log(np.maximum(beyond, 1.0))) ** 2
        out = np.full(len(known), np.nan)
        out[known] = np.sqrt(variance)
        return out


def _is_rates(schedule: Any, at: np.ndarray) -> bool:
    """Whether `schedule` is one learning rate for each step, not a pair of columns."""
    if not isinstance(schedule, np.ndarray | list | tuple) or len(schedule) != len(at):
        return False
    return all(np.ndim(value) == 0 for value in schedule)
