"""Which threshold, and what does it buy: against the theories it searches, and against runs."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import hidim
from hidim import noise
from hidim.problems.noise import Mixture
from hidim.rates.clip_search import as_gaussian, fisher_information, gain_map, huber_excess


@dataclass(frozen=True)
class Contaminated:
    """A law of one's own: one label in ten is far off."""

    variance: float = 0.409

    @property
    def mixture(self):
        return Mixture(np.array([0.9, 0.1]), np.zeros(2), np.array([0.01, 4.0]))

    def draw(self, rng, shape):
        return np.where(rng.random(shape) < 0.1, 2.0, 0.1) * rng.standard_normal(shape)


MODES = 1.0 / np.arange(1, 13)
HEAVY = hidim.Spectrum(MODES, np.ones(12), 0.01, noise=Contaminated())
STEPS = 60


@pytest.fixture(scope="module")
def found():
    return hidim.clipping(HEAVY, STEPS, 2)


def test_the_constant_threshold_is_a_best_one(found):
    gamma, c = float(found.algorithm.gamma_2(0)), found.threshold
    least = found.constant.excess[-1]
    for times in (0.7, 1.4):
        for tried in (
            hidim.clipped(hidim.sgd(times * gamma), c),
            hidim.clipped(hidim.sgd(gamma), times * c),
        ):
            assert hidim.predict(HEAVY, tried, at=[STEPS], batch_size=2).excess[-1] > 0.999 * least


def test_the_schedule_is_that_of_predictions_written_as_tables(found):
    # The rate of "best" is gamma times 2P mu / nu; of the tables it stands in them.
    start = float(found.schedule.gamma_2(0)) / found.larger_rate[0]
    best = hidim.clipped(hidim.sgd(start), "best")
    curve = hidim.predict(HEAVY, best, at=found.scheduled.steps, batch_size=2)
    assert found.scheduled.excess == pytest.approx(curve.excess, rel=0.015)


def test_both_beat_sgd_at_its_best_rate_and_a_run_of_the_schedule_agrees(found):
    assert found.times_lower("constant") > 1.2
    assert found.times_lower("scheduled") > 1.2
    assert found.times_sooner("constant") > 1.2
    at = [10, 30, STEPS]
    run = hidim.simulate(HEAVY, found.schedule, at=at, batch_size=2, runs=400, seed=1)
    z = (run.risk - found.scheduled.at(at)) / run.stderr
    # The scalars at the mean excess: 12 modes are few.
    assert np.abs(z).max() < 4 or run.risk == pytest.approx(found.scheduled.at(at), rel=0.03)


def test_rates_may_be_larger_than_the_descent_is_faster_and_never_beat_the_score(found):
    assert np.all(found.larger_rate >= found.gain)
    assert np.all(found.gain > 1)
    assert np.all((found.share > 0.5) & (found.share <= 1 + 1e-6))
    row = hidim.best_threshold(noise.StudentT(3, 1.0), 0.05)
    assert row.gain == pytest.approx(1.849, abs=1e-3)


@pytest.mark.parametrize("law", [None, noise.Gaussian(0.3), noise.Uniform(0.3)])
def test_light_tails_are_never_clipped(law):
    spectrum = hidim.Spectrum(MODES, np.ones(12), 0.1, noise=law)
    found = hidim.clipping(spectrum, 100)
    assert not found.helps
    assert found.verdict.startswith("never")
    assert found.constant is found.schedule is found.threshold is None
    assert np.all(found.thresholds == math.inf)


def test_noise_without_a_variance_has_curves_of_clipping_alone():
    spectrum = hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.0, noise=noise.Cauchy(0.2))
    found = hidim.clipping(spectrum, 5, kind="norm")
    assert set(found.curves) == {"constant", "scheduled"}
    assert max(curve.excess[-1] for curve in found.curves.values()) < 0.5
    assert found.times_lower("constant") is None
    assert "length" in found.caution  # two modes are too few for a norm
    assert found.to_dict()["gain"][0] is None


def test_the_map_of_gains_has_its_ridge_at_the_best_threshold():
    spectrum = hidim.Spectrum([1.0], [1.0], 0.0, noise=noise.Laplace(1.0))
    best = hidim.best_threshold(noise.Laplace(1.0), 0.05)
    around = np.array([0.8, 1.0, 1.25]) * best.threshold
    gains = gain_map(spectrum, np.array([0.05]), around)[0]
    assert gains[1] == pytest.approx(best.gain)
    assert gains[1] > max(gains[0], gains[2])


def test_the_fisher_information_of_a_laplace_law_is_known():
    # Of a bare Laplace law 2 / variance; a residual has a little Gaussian on top of it.
    assert fisher_information(noise.Laplace(1.0).mixture, 1e-5) == pytest.approx(2.0, rel=0.01)
    assert fisher_information(noise.Cauchy(1.0).mixture, 1e-6) == pytest.approx(0.5, rel=1e-3)


def test_measured_residuals_are_the_noise_and_runs_on_the_rows_agree():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((1500, 8)) * np.arange(1, 9) ** -0.5
    y = X @ np.ones(8) + Contaminated().draw(rng, 1500)
    spectrum = as_gaussian(hidim.Spectrum.from_data(X, y))
    left = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    assert spectrum.law.noise.variance == pytest.approx(np.mean(left**2))
    clipped, at = hidim.clipped(hidim.sgd(0.05), 0.5), [10, 30, 100]
    predicted = hidim.predict(spectrum, clipped, at=at)
    # Simulated on the rows themselves, drawn from the table; these rows are nearly Gaussian.
    run = hidim.simulate_rows(X, y, clipped, 100, runs=200, seed=0, at=at)
    assert run.risk - 0.5 * np.mean(left**2) == pytest.approx(predicted.excess, rel=0.1)


def test_on_a_table_clipped_descent_goes_to_hubers_optimum():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((60, 6))
    y = X @ np.ones(6) + Contaminated().draw(rng, 60)
    spectrum = hidim.Spectrum.from_data(X, y)
    far = huber_excess(spectrum.law.rows, 0.3, "residual")
    slow = hidim.clipped(hidim.sgd(0.1), 0.3)
    # Simulated, with so large a batch that next to no noise is left.
    run = hidim.simulate_rows(X, y, slow, 400, batch_size=400, runs=4, seed=0, at=[400])
    assert run.risk[0] - spectrum.risk_floor == pytest.approx(far, rel=0.05)
    assert far > 0.01
    found = hidim.clipping(spectrum, 20)
    assert found.huber > 0
    assert "Huber's optimum" in found.caution


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.clipping(HEAVY, 0), "`steps`"),
        (lambda: hidim.clipping(HEAVY, 10, math.inf), "`batch_size`=inf"),
        (lambda: hidim.clipping(HEAVY, 10, kind="batch"), "`kind`"),
        (lambda: hidim.clipping(hidim.Spectrum([1.0], [1.0], 0.0, kurtosis=2.0), 9), "kurtosis"),
        (lambda: hidim.clipping(hidim.Spectrum([1.0], [0.0], 1.0), 10), "optimum"),
    ],
)
def test_what_has_no_answer_is_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask()
