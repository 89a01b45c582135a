"""Adam and signs of momentum: numbers of the page, runs of the raw algorithms, limits, refusals."""

import math
import re

import numpy as np
import pytest
from scipy.signal import lfilter

import hidim
from hidim.rates.limits import limit_risk
from hidim.systems.adam import SignumSystem
from hidim.systems.base import System
from hidim.systems.builders import system_of
from hidim.systems.inverse_root import remembered
from hidim.systems.running import adam_numbers, signum_numbers


def level(d=100, floor=0.3):
    lam = np.arange(1.0, d + 1) ** -0.3
    return hidim.Spectrum(lam, np.full(d, 2.0 / lam.sum()), floor)


def correlated(d=100, noise_variance=3.0):
    places = np.arange(float(d))
    units = 1.0 + 0.5 * np.sin(1.7 * places)
    K = 0.6 ** np.abs(np.subtract.outer(places, places)) * np.outer(units, units)
    target = 0.2 * np.cos(places**1.5)
    return hidim.Spectrum.from_covariance(K, target, noise_variance=noise_variance)


# Published numbers.


@pytest.mark.parametrize(
    ("betas", "a", "b"),
    [
        ((0.0, 0.0), (2 / math.pi, 1e-6), (1.0, 1e-6)),
        ((0.5, 0.5), (0.838, 0.0015), (0.888, 0.002)),
        ((0.8, 0.95), (0.934, 0.002), (0.911, 0.004)),
        ((0.9, 0.99), (0.983, 0.005), (0.974, 0.005)),
        pytest.param((0.9, 0.99999), (1.0, 1e-3), (1.0, 2e-3), marks=pytest.mark.slow),
    ],
)
def test_adams_drift_and_noise_are_those_of_the_page(betas, a, b):
    found = adam_numbers(*betas, 1.0)
    assert found.drift == pytest.approx(a[0], abs=a[1])
    assert found.alone == pytest.approx(b[0], abs=b[1])


@pytest.mark.parametrize(("beta", "a", "b"), [(0.5, 1.409, 2.747), (0.9, 3.504, 14.05)])
def test_the_drift_and_noise_of_signs_of_momentum_are_those_of_the_page(beta, a, b):
    found = signum_numbers(beta, 1.0)
    assert found.drift == pytest.approx(a, abs=6e-4)
    assert found.alone == pytest.approx(b, rel=4e-3)


@pytest.mark.slow
def test_long_memories_have_the_limits_of_the_page():
    found = signum_numbers(0.99, 1.0)
    assert found.drift == pytest.approx(math.sqrt(4 / (math.pi * 0.01)), rel=2e-3)
    assert found.alone == pytest.approx(2 * math.log(2) / 0.01, rel=4e-3)
    assert found.alone / found.drift**2 == pytest.approx(
        1.089, rel=7e-3
    )  # 1 / (1 - beta) still counts


def test_drifts_are_means_over_samples():
    rng = np.random.default_rng(0)
    for beta_1, beta_2, batch in ((0.6, 0.9, 3), (0.0, 0.7, 1)):
        f = rng.chisquare(batch, (10_000, 60)) / batch
        p = f * rng.standard_normal(f.shape) ** 2
        lags = np.arange(60)
        v = (1 - beta_2) * p @ beta_2**lags
        seen = (1 - beta_1) * p @ (beta_1 * 1.0) ** lags / np.sqrt(v)
        found = adam_numbers(beta_1, beta_2, batch).drift
        assert abs(found - seen.mean()) < 5 * seen.std() / 100 + 1e-3
        w = beta_1**lags
        seen = math.sqrt(2 / math.pi) * (f @ w) / np.sqrt(f @ w**2)
        found = signum_numbers(beta_1, batch).drift
        assert abs(found - seen.mean()) < 5 * seen.std() / 100


def test_noise_at_a_correlation_is_what_two_coordinates_add_up_to():
    rng, beta, C = np.random.default_rng(0), 0.5, 0.6
    f, x, other = rng.standard_normal((3, 400_000))
    y = C * x + 0.8 * other
    first, second = (np.sign(lfilter([1.0], [1.0, -beta], f * one))[1000:] for one in (x, y))
    lags = range(-12, 13)
    total = sum(np.mean(first[12:-12] * np.roll(second, k)[12:-12]) for k in lags)
    assert signum_numbers(beta, 1.0).noise(np.array(C)) == pytest.approx(total, abs=0.02)
    assert signum_numbers(0.0, 1.0).noise(np.array(0.5)) == pytest.approx(1 / 3)


# Runs of the raw algorithms.

RUNS = {
    "adam (0, 0)": (level(), hidim.adam(3e-3, 0.0, 0.0, basis="diagonal"), 1),
    "adam (.5, .5), B = 4": (level(), hidim.adam(3e-3, 0.5, 0.5, basis="diagonal"), 4),
    "adam (.8, .95)": (level(), hidim.adam(3e-3, 0.8, 0.95, basis="diagonal"), 1),
    "adam (.8, .95), correlated": (correlated(), hidim.adam(3e-3, 0.8, 0.95), 1),
    "adam (.9, .999), slow": (level(), hidim.adam(2e-3, 0.9, 0.999, basis="diagonal"), 1),
    "adam (.9, .999), corrected, B = 32": (
        level(100, 10.0),
        hidim.adam(3e-3, 0.9, 0.999, basis="diagonal", bias_correction=True),
        32,
    ),
    "signum .5": (level(), hidim.signum(1e-3, 0.5, basis="diagonal"), 1),
    "signum .9, correlated": (correlated(noise_variance=20.0), hidim.signum(8e-4, 0.9), 1),
    "signum .9, B = 4": (level(100, 8.0), hidim.signum(6e-4, 0.9, basis="diagonal"), 4),
}  # fmt: skip
FAST = {
    "adam (.8, .95), correlated", "adam (.9, .999), corrected, B = 32", "signum .9, B = 4",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in RUNS]
)
def test_runs_of_the_raw_algorithm_meet_the_prediction(name):
    spectrum, algorithm, batch = RUNS[name]
    options = {"at": [0, 20, 100 if batch < 8 else 60], "batch_size": batch}
    run = hidim.simulate(spectrum, algorithm, runs=40, seed=4, **options)
    curve = hidim.predict(spectrum, algorithm, **options)
    assert curve.status == "ok"
    assert np.all(np.abs(curve.risk - run.risk) < 4 * run.stderr + 0.015 * curve.excess)
    assert run.excess[-1] < 0.96 * curve.excess[0]


def test_a_sign_of_no_momentum_is_a_sign():
    signs = hidim.sign_sgd(1e-3, basis="generic")
    one = hidim.predict(level(), signs, steps=1e3, batch_size=4).risk
    other = hidim.signum(1e-3, 0.0, basis="generic")
    found = hidim.predict(level(), other, steps=1e3, batch_size=4).risk
    np.testing.assert_allclose(found, one, rtol=1e-8)


def test_adam_without_memories_is_signs():
    signs = hidim.sign_sgd(1e-3, basis="diagonal", drift="linear")
    signs = hidim.predict(level(), signs, steps=1e4).risk
    adam = hidim.predict(level(), hidim.adam(1e-3, 0.0, 0.0, basis="diagonal"), steps=1e4).risk
    np.testing.assert_allclose(adam, signs, rtol=2e-4)


def test_a_second_moment_slower_than_the_run_is_sgd_at_a_rate_that_follows_it():
    spectrum, eta, beta_2 = level(), 2e-3, 0.99999
    omega, rho = np.sqrt(spectrum.eigenvalues), np.sqrt(spectrum.eigenvalues) * spectrum.error_sq
    v, risk = 0.0, []
    for t in range(300):
        twice = 0.6 + omega @ rho
        risk.append(twice / 2)
        v = beta_2 * v + (1 - beta_2) * twice
        g = eta / math.sqrt(v / (1 - beta_2 ** (t + 1)))
        rho = (1 - g * omega) ** 2 * rho + g**2 * omega * twice
    adam = hidim.adam(eta, 0.0, beta_2, basis="diagonal", bias_correction=True)
    found = hidim.predict(spectrum, adam, at=np.arange(300))
    np.testing.assert_allclose(found.risk, risk, rtol=3e-4)  # the noise is known to .2 %


def test_the_risk_stops_where_the_page_says():
    spectrum, eta = level(20), 1e-3
    numbers = adam_numbers(0.8, 0.95, 1.0)
    T = eta * numbers.alone * np.sqrt(spectrum.eigenvalues).sum() / (4 * numbers.drift)
    expected = T**2 * (1 + math.sqrt(1 + 0.6 / T**2))
    found = hidim.stability(spectrum, hidim.adam(eta, 0.8, 0.95, basis="diagonal"), 1e5)
    assert found.limit_risk == pytest.approx(0.3 + expected, rel=1e-3)  # its own squares: eta^2
    assert found.limit_risk == pytest.approx(found.curve.risk[-1], rel=1e-7)
    assert found.verdict.startswith("cannot diverge")


BLOCKS = ["adam (.9, .999), slow", "signum .5"]


@pytest.mark.slow  # as tests/agreement does, of plain loops
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_single_steps(name):
    spectrum, algorithm, batch = RUNS[name]
    system = system_of(spectrum, algorithm, batch)
    assert isinstance(system, SignumSystem)
    states, orders = System.steps(system, 0, 800, system.start())
    plain = system.readouts(np.arange(801.0), states, orders)["risk"]
    found = hidim.predict(spectrum, algorithm, at=[1, 30, 300, 800], batch_size=batch)
    np.testing.assert_allclose(found.risk, plain[[1, 30, 300, 800]], rtol=1e-8)
    assert found.provenance["effort"]["blocks"] >= 2


@pytest.mark.parametrize("name", BLOCKS)
def test_a_hundred_million_steps_take_few_blocks(name):
    spectrum, algorithm, batch = RUNS[name]
    far = hidim.predict(spectrum, algorithm, steps=1e8, batch_size=batch)
    assert far.status == "ok"
    assert far.provenance["effort"]["blocks"] <= 60


def test_clips_of_the_mean_and_saturated_signs_say_where_they_stop():
    spectrum = level(8)
    clip = hidim.clipped(hidim.sgd(0.02), 3.0, kind="batch")
    found = hidim.stability(spectrum, clip, 1e4, batch_size=4)
    assert found.limit_risk == pytest.approx(found.curve.risk[-1], rel=1e-8)
    strong = hidim.Spectrum(np.arange(1.0, 9) ** -1.5, np.ones(8), 0.05)
    for batch, steps in ((1, 600), (20, 300)):
        signs = hidim.sign_sgd(5e-2, basis="diagonal", drift="saturated")
        found = hidim.stability(strong, signs, steps, batch_size=batch)
        assert found.limit_risk == pytest.approx(found.curve.risk[-1], rel=2e-4)
    matrix = hidim.MatrixLeastSquares(
        hidim.Spectrum(np.arange(1.0, 13) ** -1.0, np.full(12, 0.02), 0.0), 12
    )
    system = system_of(matrix, hidim.sign_svd(0.05, drift="saturated"), 6)
    found = hidim.predict(matrix, hidim.sign_svd(0.05), at=[200], batch_size=6)
    assert limit_risk(system, 0.0, 1.0) == pytest.approx(found.risk[-1], rel=1e-3)


# Refusals and cautions.


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.adam(0.1, 1.0, 0.9), r"`beta_1` .* \[0, 1\), got 1"),
        (lambda: hidim.adam(0.1, -0.1, 0.9), "`beta_1`"),
        (lambda: hidim.adam(0.1, 0.9, 1.5), "`beta_2`"),
        (lambda: hidim.adam(0.1, 0.9, 0.99, basis="both"), "`basis`"),
        (lambda: hidim.signum(0.1, 1.0), "`beta`"),
        (lambda: hidim.signum(-0.1, 0.5), "`eta`"),
        (lambda: hidim.predict(level(), hidim.adam(0.1, 0.9, 0.99), 9), 'basis="diagonal"'),
        (lambda: hidim.predict(level(), hidim.signum(0.1, 0.9), 9), 'basis="diagonal"'),
        (
            lambda: hidim.predict(level(), hidim.adam(0.1, 0.9, 0.5, basis="diagonal"), 9),
            "`beta_1`.2 must be below `beta_2`",
        ),
        (
            lambda: hidim.predict(
                hidim.Spectrum([1.0], [1.0], 0.0, noise=hidim.noise.Cauchy(0.1)),
                hidim.adam(0.1, 0.9, 0.99, basis="diagonal"),
                9,
            ),
            "Gaussian noise alone",
        ),
        (
            lambda: hidim.predict(
                level(), hidim.signum(0.1, 0.9, basis="diagonal"), 9, batch_size=math.inf
            ),
            "`batch_size`=inf",
        ),
        (lambda: hidim.recommend(level(), "adam"), "best rate falls with the risk"),
        (lambda: hidim.predict(level(), "adam", 9), 'basis="diagonal"'),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(ask, match):
    with pytest.raises(ValueError, match=match) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_first_steps_that_matter_are_said_with_their_size():
    spectrum, options = level(floor=0.5), {"at": [5, 80]}
    algorithm = hidim.adam(3e-3, 0.0, 0.999, basis="diagonal")
    run = hidim.simulate(spectrum, algorithm, runs=60, seed=11, **options)
    curve = hidim.predict(spectrum, algorithm, **options)
    assert curve.status == "inaccurate"
    size = int(re.search(r"too low by some (\d+)%", curve.provenance["caution"])[1]) / 100
    missing = 1 - curve.excess / run.excess
    se = run.stderr / run.excess
    assert np.all(missing > 0)
    assert missing.max() - 2 * se.max() < size < 2 * missing.max()
    corrected = hidim.adam(3e-3, 0.9, 0.999, basis="diagonal", bias_correction=True)
    assert hidim.predict(spectrum, corrected, **options).status == "ok"


def test_where_a_signal_is_strong_the_curve_says_so():
    for algorithm, batch in (
        (hidim.adam(1e-3, 0.9, 0.999, basis="diagonal"), 32),
        (hidim.signum(1e-3, 0.9, basis="diagonal"), 4),
    ):
        found = hidim.predict(level(), algorithm, steps=50, batch_size=batch)
        assert found.status == "inaccurate"
        assert "linear in the signal" in found.provenance["caution"]


@pytest.mark.parametrize("count", [1, 64, 65, 9000])
@pytest.mark.parametrize("decay", [0.0, 1e-9, 0.5, 0.999])
def test_a_recursion_is_that_of_scipy(decay, count):
    x = np.random.default_rng(0).standard_normal((2, count))
    truth, _ = lfilter([1.0], [1.0, -decay], x, axis=1, zi=np.full((2, 1), 3.0 * decay))
    np.testing.assert_allclose(remembered(decay, x, 3.0), truth, rtol=1e-11, atol=1e-12)
