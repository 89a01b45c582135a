"""Rows of two lengths have the moments of the law, by every method."""

import math

import numpy as np
import pytest

import hidim
from hidim.problems.law import DataLaw
from hidim.simulation.lengths import Lengths
from tests.engines.truth import recursion

AT = [1, 3, 10, 40, 200]
DANA = hidim.dana_decaying(0.08, 0.02, 0.5, 6.0)


def bare(kurtosis, noise_kurtosis, floor=0.1):
    values = np.arange(1, 16.0) ** -1.5
    return hidim.Spectrum(
        values, np.ones(15), floor, kurtosis=kurtosis, noise_kurtosis=noise_kurtosis
    )


def worst(run, truth):
    return np.max(np.abs(run.risk - truth[AT]) / run.stderr)


@pytest.mark.parametrize("kurtosis", [1.0, 1.3, 2.0, 5.0, 40.0])
def test_rows_have_the_kurtoses_asked_for(kurtosis):
    for ratio in (1.0, kurtosis, 0.5 * (1 + kurtosis)):
        lengths = Lengths.of(DataLaw(kurtosis, ratio), noisy=True)
        if kurtosis == 1:
            assert lengths is None
            continue
        weight = np.array([1 - lengths.long, lengths.long])
        square, noise = lengths.squares, lengths.noise
        assert np.all(square > 0)
        assert np.all(noise >= 0)
        found = [weight @ square, weight @ square**2, weight @ noise, weight @ (noise * square)]
        np.testing.assert_allclose(found, [1.0, kurtosis, 1.0, ratio], rtol=1e-13)


@pytest.mark.parametrize("algorithm", [hidim.sgd(0.1), DANA], ids=["sgd", "dana"])
@pytest.mark.parametrize(("kurtosis", "ratio"), [(3.0, 1.0), (3.0, 3.0), (1.6, 0.8)])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_mean_of_runs_has_the_moments_of_the_law(algorithm, kurtosis, ratio, batch_size):
    spectrum = bare(kurtosis, ratio)
    run = hidim.simulate(spectrum, algorithm, at=AT, batch_size=batch_size, runs=3000)
    assert worst(run, recursion(spectrum, algorithm, batch_size, 200)) < 4


def test_a_floor_of_its_own_kurtosis_is_seen():
    # So that the test above cannot pass with either kurtosis left out.
    run = hidim.simulate(bare(3.0, 3.0, floor=1.0), hidim.sgd(0.1), at=AT, runs=3000)
    for other in (bare(3.0, 1.0, floor=1.0), bare(1.0, 1.0, floor=1.0)):
        assert worst(run, recursion(other, hidim.sgd(0.1), 1, 200)) > 8


def test_samples_drawn_one_by_one_have_the_law_of_the_problem():
    problem = hidim.PLRF(1.0, 0.5, d=8, v=24, noise_variance=0.2, kurtosis=2.5, noise_kurtosis=1.4)
    spectrum = problem.spectrum(seed=3)
    missed = 2 * spectrum.risk_floor - 0.2
    expected = (2.5 * missed + 1.4 * 0.2) / (missed + 0.2)
    assert spectrum.law.kurtosis == 2.5
    assert spectrum.law.noise_kurtosis == pytest.approx(expected, rel=1e-12)
    slow = hidim.dana_decaying(0.03, 0.008, 0.5, 6.0)  # tails light enough for a spread
    truth = recursion(spectrum, slow, 2, 200)
    options = {"at": AT, "batch_size": 2, "seed": 3, "runs": 3000}
    raw = hidim.simulate(problem, slow, method="raw", **options)
    fast = hidim.simulate(problem, slow, **options)
    assert worst(raw, truth) < 4
    assert worst(fast, truth) < 4
    # More than the mean is the same; 3000 runs with such tails know their spread to 4 %.
    np.testing.assert_allclose(raw.stderr / fast.stderr, 1.0, atol=0.2)


def test_one_elliptical_run_follows_the_same_law_as_many():
    spectrum, at, runs = bare(3.0, 2.0), [3, 30], 500
    alone = np.array(
        [hidim.simulate(spectrum, DANA, at=at, runs=1, seed=k).risk for k in range(runs)]
    )
    error = alone.std(axis=0) / math.sqrt(runs)
    truth = recursion(spectrum, DANA, 1, 30)[at]
    assert np.all(np.abs(alone.mean(axis=0) - truth) < 4 * error)


def test_the_diffusion_has_the_noise_of_the_law_at_small_rates():
    values = np.arange(1, 101.0) ** -0.7
    spectrum = hidim.Spectrum(values, np.ones(100), 1.0, kurtosis=4.0, noise_kurtosis=2.0)
    slow, at = hidim.sgd(0.004), [100, 1000, 3000]
    run = hidim.simulate(spectrum, slow, at=at, runs=400, method="sde")
    # Continuous time, and a mode's own share of the noise left out: some per cent.
    np.testing.assert_allclose(run.risk, recursion(spectrum, slow, 1, 3000)[at], rtol=0.03)


def test_full_batches_see_no_kurtosis():
    runs = [
        hidim.simulate(bare(k, k), DANA, at=AT, batch_size=math.inf, runs=2).risk
        for k in (1.0, 5.0)
    ]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        (bare(3.0, 9.0), "`noise_kurtosis` must lie between 0.3675 and 4.162"),
        (bare(1.0, 2.0), "`noise_kurtosis` must lie between 1 and 1 "),
        (hidim.Spectrum([1.0], [1.0], 0.1, law=DataLaw(rows=np.eye(2))), "measured rows"),
    ],
)
def test_a_law_that_cannot_be_drawn_is_refused_in_one_line(spectrum, message):
    with pytest.raises(ValueError, match=message) as refusal:
        hidim.simulate(spectrum, hidim.sgd(0.1), 10)
    assert "\n" not in str(refusal.value)
