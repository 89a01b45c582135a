"""Which learning-rate schedule should a run of given length follow, by a fitted law?

A law's optimum is where the law is least tested, so three things bound it. The rate never falls
below every fitted and every usual shape at its share of the run. What counts is the least gain
over the best fitted shape, by the law, by every refit and by the other laws that fit as well. And
each step away from that shape has to earn more than what the law missed on runs it had not seen.
Without a gain beyond that, the plan is the best fitted shape itself.
Limits: a longer run or another peak than fitted is an extrapolation, which the plan reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hidim.fitting.logs.rates import Rate
from hidim.fitting.schedules.aims import HEARD, SHARE, Aim, Task, descend
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.shapes import distances, shape_of
from hidim.support.checks import instance, non_negative, positive, whole
from hidim.support.results import Saved

_MINDED = 1e-5  # relative loss that a round end of the schedule may cost


@dataclass(frozen=True, eq=False)
class PlannedSchedule(Saved, format="hidim-planned-schedule/1"):
    """A schedule and what the law expects of it.

    Attributes:
        steps: knots, optimizer steps, shape (knots,); straight lines between them.
        lr: learning rate at the knots, shape (knots,).
        warmup_steps: linear warm-up from zero before the first knot.
        loss: predicted final loss.
        band: lower and upper end of its 90 % band, of a smoothed curve.
        compared: predicted final loss of the usual shapes of the same peak, floor and length, and
            of the fitted ones stretched to it.
        extrapolation: how far it goes beyond the fitted runs, as `FittedLaw.extrapolation` says.
        distance: how far it lies from the shape of each fitted run: the mean difference of log
            rates over shares of the run.
        gain: by what fraction it ends below the best fitted shape, predicted.
        regret: by what fraction it may end above that shape, at worst over all refits and laws;
            negative where all of them prefer it.
    """

    steps: np.ndarray
    lr: np.ndarray
    warmup_steps: float
    loss: float
    band: tuple[float, float]
    compared: dict[str, float]
    extrapolation: dict[str, float] = field(default_factory=dict)
    distance: dict[str, float] = field(default_factory=dict)
    gain: float = 0.0
    regret: float = 0.0

    def __repr__(self) -> str:
        run = f"{self.steps[-1]:,.0f} steps, rate {self.lr.max():.4g} to {self.lr[-1]:.4g}"
        low, high = self.band
        return f"PlannedSchedule({run}: loss {self.loss:.4g}, {low:.4g} to {high:.4g})"


def best_schedule(
    law: FittedLaw,
    steps: float,
    *,
    peak: float | None = None,
    floor: float | None = None,
    warmup_steps: float | None = None,
    knots: int = 21,
    bounded: bool = True,
) -> PlannedSchedule:
    """The schedule that the law, its refits and its rivals prefer to the best fitted shape.

    Args:
        law: a fitted schedule-aware law.
        steps: length of the run, optimizer steps, warm-up included.
        peak: highest rate; default the highest fitted one.
        floor: lowest rate; default the lowest fitted one, or its share of a peak below it.
        warmup_steps: linear warm-up from zero, not optimised; default that of the fitted runs.
        knots: points of the piecewise-linear schedule.
        bounded: stay near what was fitted; False takes the law at its word.

    Raises:
        ValueError: the law ignores the schedule, steps, peak and floor do not fit together, the
            fitted runs differ in their warm-up and none is given, or the run ends in the burn-in.
    """
    instance("law", law, FittedLaw, "as fit gives and FittedLaw.load reads")
    warmup_steps = _fitted_warmup(law, steps) if warmup_steps is None else warmup_steps
    task = _task(law, steps, peak, floor, warmup_steps, int(whole("knots", knots, minimum=3)))
    usual = {name: task.rate(shape) for name, shape in _usual(task.share).items()}
    fitted = {f"as {name}": task.fitted(name) for name in law.schedules}
    candidates = usual | fitted
    compared = {name: float(task.finals(rate)[0]) for name, rate in candidates.items()}
    sound = [name for name in fitted or usual if compared[name] > 0]
    if not sound:
        raise ValueError(
            f"law {law.law.name!r} predicts no loss after {task.steps:g} steps: it cannot plan so "
            "far from the fitted runs."
        )
    base = candidates[min(sound, key=lambda name: compared[name])]
    judged = task.judged(candidates.values()) if bounded else replace(task, judges=task.judges[:1])
    reference = judged.finals(base)
    aim = Aim(judged, reference, shape_of(base, task.steps, SHARE), bounded)
    best, value = base, aim.of(base)
    if task.peak > task.floor:
        lowest = task.lowest(candidates.values()) if bounded else np.zeros(len(task.share))
        ranked = sorted(candidates, key=lambda name: aim.of(candidates[name]))
        for start in (candidates[name] for name in ranked[:2]):
            found = task.rate(descend(aim.of_shapes, task.shape(start), lowest))
            for rate in (start, found):
                if aim.of(rate) < value:
                    best, value = rate, aim.of(rate)
    ended = task.ended(best)
    if best is not base and aim.of(ended) < value + _MINDED:
        best = ended
    return _planned(judged, best, compared, reference)


def _fitted_warmup(law: FittedLaw, steps: float) -> float:
    """The warm-up of the fitted runs, of a plan of so many steps."""
    known = law.warmup_steps
    if known is None:
        raise ValueError(
            "the fitted runs differ in their warm-up: give `warmup_steps`, that of the plan (0 for "
            "none)."
        )
    if known >= positive("steps", steps):
        raise ValueError(
            f"`steps` end at {steps:g}, in the warm-up of the fitted runs to {known:g}, and before "
            "the burn-in of the law: ask for later steps, in the unit of the fitted logs "
            "(optimizer steps or tokens)."
        )
    return known


def _planned(
    task: Task, best: Rate, compared: dict[str, float], reference: np.ndarray
) -> PlannedSchedule:
    law, end = task.law, np.array([task.steps])
    predicted = float(law.predict(best, end)[0])  # refuses a run that ends in the burn-in
    low, high = law.band(best, end, of="curve")
    ratio = task.finals(best) / reference - 1.0
    knots, lr = _columns(best)
    shapes = {n: shape_of(r, float(r.steps[-1]), SHARE) for n, r in law.schedules.items()}
    return PlannedSchedule(
        knots,
        lr,
        task.warmup,
        predicted,
        (float(low[0]), float(high[0])),
        compared,
        law.extrapolation(best, end),
        distances(shape_of(best, task.steps, SHARE), SHARE, shapes),
        float(-ratio[0]),
        float(np.max(ratio)),
    )


def _task(
    law: FittedLaw,
    steps: float,
    peak: float | None,
    floor: float | None,
    warmup_steps: float,
    knots: int,
) -> Task:
    """The task behind the arguments of `best_schedule`, checked."""
    if law.law.response == "none":
        raise ValueError(f"law {law.law.name!r} does not see the shape of a schedule; fit fsl.")
    steps = positive("steps", steps)
    peak = law.units.rate if peak is None else positive("peak", peak)
    low = law.reach["lowest_rate"] if floor is None else non_negative("floor", floor)
    if floor is None and low > peak:  # far below the fitted runs: their share of the peak
        low *= peak / law.units.rate
    warmup = non_negative("warmup_steps", warmup_steps)
    if low > peak:
        raise ValueError(f"`floor` ({low:g}) must not exceed `peak` ({peak:g}).")
    if warmup >= steps:
        raise ValueError(f"`warmup_steps` ({warmup:g}) must be below `steps` ({steps:g}).")
    # Knots denser towards the end, where the schedule bends.
    share = 1.0 - (1.0 - np.linspace(0.0, 1.0, knots)) ** 2
    judges = [(law.law, law.vector), *((law.law, vector) for vector in law.replicas)]
    judges += [(m.law, m.vector) for m in law.members if m.weight >= HEARD]
    return Task(law, steps, peak, low, warmup, share, tuple(judges))


def _usual(share: np.ndarray) -> dict[str, np.ndarray]:
    decay = np.clip((share - 0.8) / 0.2, 0.0, 1.0)
    return {
        "constant": np.ones_like(share),
        "cosine": 0.5 * (1 + np.cos(np.pi * share)),
        "linear": 1 - share,
        "wsd, last 20 % linear": 1 - decay,
    }


def _columns(rate: Rate) -> tuple[np.ndarray, np.ndarray]:
    """Knots and rates joined by straight lines; a jump takes the step before it."""
    steps: list[float] = []
    lr: list[float] = []
    for step, before, after in zip(rate.steps, rate.before, rate.after, strict=True):
        if before != after and (not steps or step - 1 > steps[-1]):
            steps.append(step - 1)
            lr.append(before)
        steps.append(step)
        lr.append(after)
    return np.array(steps), np.array(lr)
