"""Bands hold: for rows and for the curve behind them, whichever law is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hidim import Table
from hidim.fitting import FittedLaw, Run, fit
from hidim.fitting.logs.histories import fell_before
from hidim.fitting.schedules.bands import jackknife
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import schedule_law
from hidim.fitting.schedules.variation import luck, pooled, variation
from tests.fitting.conftest import rates

Maker = Callable[..., Run]
STEPS = np.arange(1000.0, 24001.0, 128)
UNITS = Units(time=3e-4 * 23500, steps=24000.0, rate=3e-4)
TRUTHS = {
    "fsl": [2.5, -1.2, 0.45, -1.7, 5.8, -0.7, 0.8, 0.92, 0.1, 0.0, 1.0],
    "mpl": [2.5, -1.2, 0.45, -1.7, 5.8, -0.7, 0.8],
    "mtl": [2.5, -1.2, 0.45, -2.0, 3.6],
}
FITTED = ("cosine", "constant", "stage")


def noisy(
    truth: str, name: str, rng: np.random.Generator, *, sd: float = 3e-3, ar: float = 0.0
) -> tuple[Run, np.ndarray]:
    """A run that obeys a law up to noise of its rows, and its true losses."""
    lr = rates(name)
    run = Run(STEPS, lr, None, 1000.0, name)
    loss = schedule_law(truth).loss(np.array(TRUTHS[truth]), UNITS.clock(run.rate, STEPS))
    jitter = rng.standard_normal(len(STEPS))
    for i in range(1, len(STEPS)):
        jitter[i] = ar * jitter[i - 1] + np.sqrt(1 - ar * ar) * jitter[i]
    return Run(STEPS, lr, loss * np.exp(sd * jitter), 1000.0, name), loss


def coverage(truth: str, ar: float, sets: int) -> tuple[float, float]:
    """Shares of an unseen run's rows and of its true final losses inside the bands."""
    rows, finals = [], []
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        law = fit([noisy(truth, name, rng, ar=ar)[0] for name in FITTED])
        unseen, loss = noisy(truth, "wsd", rng, ar=ar)
        rows.append(law.score(unseen)["band_coverage"])
        low, high = law.band(unseen, of="curve")
        finals.append(low[-1] <= loss[-1] <= high[-1])
    return float(np.mean(rows)), float(np.mean(finals))


@pytest.mark.slow
@pytest.mark.parametrize("ar", [0.0, 0.9])
@pytest.mark.parametrize("truth", TRUTHS)
def test_bands_of_fifty_sets_hold(truth: str, ar: float) -> None:
    # docs/benchmarks/fits.md has the numbers of this study.
    rows, finals = coverage(truth, ar, 50)
    assert 0.85 <= rows <= 0.97
    assert finals >= 0.8


def test_another_law_may_be_the_true_one() -> None:
    rows, finals = coverage("mtl", 0.0, 2)
    assert 0.85 <= rows <= 0.97
    assert finals == 1.0


@pytest.fixture(scope="module")
def law() -> FittedLaw:
    rng = np.random.default_rng(0)
    return fit([noisy("mpl", name, rng)[0] for name in FITTED])


def test_the_band_of_a_curve_leaves_out_the_noise_of_rows(law: FittedLaw) -> None:
    unseen, loss = noisy("mpl", "wsd", np.random.default_rng(9))
    rows, curve = (np.log(np.divide(*law.band(unseen, of=of)[::-1])) for of in ("rows", "curve"))
    # Right after the warm-up the early signal is what is known least, for rows and curve alike.
    assert np.all((curve < 0.8 * rows)[1:])
    low, high = law.band(unseen, of="curve")
    assert np.mean((low <= loss) & (loss <= high)) > 0.9
    with pytest.raises(ValueError, match="rows, curve"):
        law.band(unseen, of="row")


def test_the_other_laws_are_weighted_by_what_was_left_out(law: FittedLaw) -> None:
    weights = {member.law.name: member.weight for member in law.members}
    assert set(weights) == {"mpl", "mtl"}
    assert weights["mpl"] > weights["mtl"]
    assert sum(weights.values()) < 1


def test_what_was_measured_once_counts_beside_its_default() -> None:
    assert pooled(0.0, 4e-3, 3) == pytest.approx(4e-3 / np.sqrt(2))
    assert pooled(1e-2, 4e-3, 10**6) == pytest.approx(1e-2, rel=1e-4)
    # Hold-outs as large as they are as a rule were no luck.
    assert luck([1e-3, 1e-3, 1e-3], 3) == 0.0
    assert luck([1e-4, 1e-4, 1e-4], 3) > 6e-4
    rng = np.random.default_rng(0)
    rows, between = variation([3e-3 * rng.standard_normal(500) for _ in range(3)])
    assert rows == pytest.approx(3e-3, rel=0.1)
    assert between < 1e-3
    offset = [3e-3 * rng.standard_normal(500) + sign * 4e-3 for sign in (-1, 1, 1)]
    assert variation(offset)[1] > 2.5e-3


def test_a_refit_that_predicts_no_loss_has_no_say() -> None:
    middle, good, bad = np.array([2.0]), np.array([2.02]), np.array([-0.1])
    variance = jackknife([good, good, good], middle)
    assert jackknife([good, good, bad], middle) == pytest.approx(variance)
    assert jackknife([bad], middle) == 0.0


@pytest.mark.parametrize("sd", [pytest.param(0.03, marks=pytest.mark.slow), 0.1])
def test_noise_is_no_misfit(sd: float) -> None:
    rng = np.random.default_rng(1)
    fitted = fit([noisy("mpl", name, rng, sd=sd)[0] for name in FITTED], "mpl")
    assert len(fitted.warnings) == 1
    assert "rows scatter by" in fitted.warnings[0]
    unseen, loss = noisy("mpl", "wsd", rng, sd=sd)
    low, high = fitted.band(unseen, of="curve")
    assert np.mean((low <= loss) & (loss <= high)) > 0.8


def test_rows_shuffled_among_noise_are_still_refused() -> None:
    rng = np.random.default_rng(2)
    runs = [noisy("mpl", name, rng, sd=0.05)[0] for name in FITTED]
    mixed = rng.permutation(runs[2].measured())
    runs[2] = Run(runs[2].steps, runs[2].lr, mixed, 1000.0, "mixed")
    with pytest.raises(ValueError, match="shuffled"):
        fit(runs)


def test_the_end_of_a_run_alone_is_refused_and_a_missing_start_is_told() -> None:
    rng = np.random.default_rng(3)
    whole, loss = noisy("mpl", "cosine", rng)

    def late(first: float) -> Run:
        keep = whole.steps >= first
        return Run(whole.steps[keep], whole.lr[keep], whole.measured()[keep], 1000.0, "late")

    with pytest.raises(ValueError, match="begin at step 19,"):
        fit(late(19_000))
    fitted = fit(late(6000))
    assert "begin at step" in fitted.warnings[0]
    assert "is assumed" in fitted.warnings[0]
    unseen, loss = noisy("mpl", "wsd", rng)
    low, high = fitted.band(unseen, of="curve")
    assert low[-1] < loss[-1] < high[-1]
    early = unseen.steps < 6000
    # What no row said: the power law before the first of them.
    assert np.all(np.log(high / low)[early][1:-1] > 0.01)


def test_a_rate_that_fell_before_the_first_row_is_asked_for() -> None:
    early, late = ends("cosine", "constant", np.random.default_rng(3))
    assert "begin at step 16,104 of 23,912 at a rate of" in fell_before(late, [early, late])
    assert not fell_before(early, [early, late])
    assert not fell_before(late, [late])  # nothing says that it had a higher one
    assert not fell_before(replace(late, schedule=Table(late.steps, late.lr)), [early, late])


@pytest.mark.slow
def test_the_end_of_a_run_with_its_schedule_tells_the_response() -> None:
    # A constant run and the end of a cosine, taken to have had its low rate all along: the end of
    # a WSD came out .09 too high, far out of its band, with a warning.
    rng = np.random.default_rng(3)
    early, late = ends("cosine", "constant", rng)
    with pytest.raises(ValueError, match=r"rate fell from before.* Give its schedule, --schedule"):
        fit([early, late])
    whole = noisy("mpl", "cosine", rng)[0]
    told = fit([early, replace(late, schedule=Table(whole.steps, whole.lr))])
    unseen, loss = noisy("mpl", "wsd", rng)
    low, high = told.band(unseen, of="curve")
    assert low[-1] < loss[-1] < high[-1]


def ends(name: str, beside: str, rng: np.random.Generator) -> tuple[Run, Run]:
    """A whole run, and the last third of another."""
    whole, run = noisy("mpl", beside, rng)[0], noisy("mpl", name, rng)[0]
    keep = run.steps >= 16_000
    rows = (run.steps[keep], run.lr[keep], run.measured()[keep])
    return whole, Run(*rows, 1000.0, "late")


def test_refits_that_feel_no_decay_do_not_widen_the_band() -> None:
    # A WSD run whose rows hold its warm-up: the last step of that is a change of the rate by .03 %,
    # and all that half of the run, or three quarters, feel. The priors alone told the response.
    steps = np.arange(250.0, 24001.0, 250.0)
    lr = 3e-4 * np.minimum(steps / 2000.0, np.minimum(1.0, (26_000 - steps) / 6000))
    lr[7] = 2.999e-4
    run = Run(steps, lr, None, 0.0, "wsd")
    clock = UNITS.clock(run.rate, steps)
    loss = schedule_law("mpl").loss(np.array(TRUTHS["mpl"]), clock)
    assert 0 < UNITS.clock(run.rate, steps[:48]).felt < 1e-3 < 0.6 < clock.felt
    noise = 3e-3 * np.random.default_rng(1).standard_normal(len(steps))
    law = fit(Run(steps, lr, loss * np.exp(noise), 0.0, "wsd"), "mpl")
    low, high = law.band(run, of="curve")
    assert low[-1] < loss[-1] < high[-1] < 1.02 * low[-1]
    far = law.band("cosine peak=3e-4 end=3e-5 warmup=2000 steps=24000", [24_000], of="curve")
    assert far[1][0] < 1.1 * far[0][0]
