"""Plans are safe to follow: the truth of hidim's own problems says how they would have gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import hidim
from hidim.fitting import FittedLaw, PlannedSchedule, Run, best_schedule, fit, read_run

Maker = Callable[..., Run]
FEW = np.arange(1000.0, 24_001, 256)  # steps: rows enough for a plan
SETS = (
    ("cosine",),
    ("two",),
    ("wsd",),
    ("constant", "cosine"),
    ("constant", "two"),
    ("cosine", "two"),
    ("linear", "half"),
    ("constant", "cosine", "two"),
    ("constant", "cosine", "late", "wsd"),
)


@dataclass(frozen=True)
class World:
    """A problem whose runs are fitted, and on which the plan is followed."""

    alpha: float
    beta: float
    d: int
    noise: float
    batch: int
    share: float
    steps: int

    @property
    def spectrum(self) -> hidim.Spectrum:
        return hidim.PLRF(self.alpha, self.beta, self.d, noise_variance=self.noise).spectrum()

    @property
    def peak(self) -> float:
        """A share of the largest stable rate."""
        s = self.spectrum
        trace = float(np.sum(s.eigenvalues * s.multiplicity))
        top = float(s.eigenvalues.max())
        return self.share * 2 * self.batch / (trace + (self.batch + 1) * top)

    def shape(self, name: str, steps: int) -> hidim.schedules.Schedule:
        return {
            "constant": hidim.Constant(1.0),
            "cosine": hidim.Cosine(steps, final=0.1),
            "wsd": hidim.WSD(steps, final=0.1),
            "linear": hidim.Table([0, steps], [1.0, 0.05]),
            "two": hidim.Table([0, 0.35 * steps], [1.0, 0.3], "previous"),
            "half": hidim.Table([0, 0.5 * steps], [1.0, 0.5], "previous"),
            "late": hidim.Table([0, 0.6 * steps], [1.0, 0.1], "previous"),
        }[name]

    def run(self, name: str, *, every: int = 40) -> hidim.Curve:
        at = np.unique(np.append(np.arange(self.steps // 100, self.steps, every), self.steps))
        shape = self.shape(name, self.steps)
        found = hidim.predict(
            self.spectrum, hidim.sgd(self.peak * shape), at=at, batch_size=self.batch
        )
        return replace(found, label=name)

    def final(self, schedule: hidim.schedules.Schedule, steps: int) -> float:
        """The exact risk at the end."""
        algorithm = hidim.sgd(schedule)
        found = hidim.predict(self.spectrum, algorithm, at=[steps], batch_size=self.batch)
        return float(found.risk[-1])

    def worse(self, plan: PlannedSchedule, fitted: tuple[str, ...], steps: int) -> float:
        """By what fraction the plan truly ends above the best fitted shape."""
        best = min(self.final(self.peak * self.shape(name, steps), steps) for name in fitted)
        return self.final(hidim.Table(list(plan.steps), list(plan.lr)), steps) / best - 1


@pytest.mark.parametrize(
    ("alpha", "beta", "fitted"),
    [
        (1.0, 0.3, ("constant", "cosine", "two")),
        pytest.param(0.7, 0.2, ("constant", "cosine"), marks=pytest.mark.slow),
        pytest.param(1.0, 0.7, ("cosine",), marks=pytest.mark.slow),
    ],
)
def test_a_plan_is_no_worse_than_the_best_fitted_schedule(
    alpha: float, beta: float, fitted: tuple[str, ...]
) -> None:
    world = World(alpha, beta, 200, 0.3, 2, 0.3, 4000)
    plan = best_schedule(fit([world.run(name, every=120) for name in fitted]), 4000)
    assert world.worse(plan, fitted, 4000) < 0.005
    assert 0.8 < plan.band[0] / plan.loss < plan.band[1] / plan.loss < 1.2
    assert set(plan.distance) == set(fitted)
    # The worst of the judges is smoothed over what two runs differ by.
    assert plan.regret <= 1e-3


@pytest.mark.slow
def test_plans_of_many_problems_are_safe() -> None:
    # docs/benchmarks/fits.md has the numbers of this study.
    rng = np.random.default_rng(7)
    worst, planned = -1.0, 0
    for i in range(90):
        alpha = float(rng.uniform(0.55, 1.5))
        world = World(
            alpha,
            float(rng.uniform(max(0.1, 0.6 - alpha), 1.2)),
            int(rng.choice([100, 300])),
            float(rng.choice([0.01, 0.1, 1.0])),
            int(rng.choice([1, 2, 8])),
            float(rng.choice([0.1, 0.3, 0.6])),
            int(rng.choice([2000, 6000])),
        )
        fitted, steps = SETS[i % len(SETS)], int(world.steps * rng.choice([0.5, 1, 1, 1, 3]))
        try:
            law = fit([world.run(name) for name in fitted])
        except ValueError:
            continue  # a loss that rises at this rate, or that the law does not describe
        planned += 1
        worst = max(worst, world.worse(best_schedule(law, steps), fitted, steps))
    assert planned > 70
    assert worst < 0.005


def test_a_plan_stays_among_fitted_and_usual_shapes(synthetic: Maker) -> None:
    law = fit([synthetic("cosine", steps=FEW[::2])])
    plan = best_schedule(law, 24_000)  # with the warm-up of the fitted runs
    assert plan.warmup_steps == 1000
    share = (plan.steps - 1000) / 23_000
    low = np.minimum(0.1 + 0.45 * (1 + np.cos(np.pi * share)), 1 - 0.9 * share)
    # The fitted log stops at step 23,528 and its shape is stretched to the end.
    assert np.all(plan.lr / 3e-4 >= low - 0.01)
    assert plan.gain >= -plan.regret >= 0
    free = best_schedule(law, 24_000, warmup_steps=1000, bounded=False)
    assert free.loss <= plan.loss


def test_a_law_that_saw_no_schedules_still_plans(synthetic: Maker) -> None:
    law = fit([synthetic(name, steps=FEW[::2]) for name in ("cosine", "stage")])
    old = FittedLaw.from_dict(
        {k: v for k, v in law.to_dict().items() if k not in ("schedules", "members", "covariance")}
    )
    plan = best_schedule(old, 24_000, warmup_steps=1000)
    assert plan.distance == {}
    assert plan.loss <= min(plan.compared.values()) + 1e-3


def test_nothing_is_planned_in_the_burn_in(synthetic: Maker) -> None:
    law = fit([synthetic("stage", steps=FEW)], "mpl")
    with pytest.raises(ValueError, match="burn-in"):
        best_schedule(law, 300)


def test_a_plan_from_a_measured_cosine_is_no_plunge(measured: Callable[..., Path]) -> None:
    path = measured("llm-curves", "25M", "cosine_24000.csv")
    plan = best_schedule(fit(read_run(path, warmup_steps=2160)), 24_000, warmup_steps=2160)
    ends = [measured("llm-curves", "25M", f"{n}_20000_24000.csv") for n in ("wsd", "wsdld")]
    reached = min(float(read_run(path).measured()[-1]) for path in ends)
    assert np.all(plan.lr[plan.steps < 10_000] > 0.6 * 3e-4)
    # Nobody ran this plan; the measured WSD runs, which it resembles, end here.
    assert plan.loss == pytest.approx(reached, rel=0.005)
    assert plan.band[0] < reached < plan.band[1]
