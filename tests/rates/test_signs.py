"""What sets signs apart from SGD: known numbers, limits, and best rates that are best."""

import math

import numpy as np
import pytest

import hidim
from hidim import noise

I = np.arange(60)
SCALES = 1 + 0.8 * np.sin(1.7 * I)
K = 0.5 ** np.abs(I[:, None] - I) * np.outer(SCALES, SCALES)
THETA = np.ones(60) / np.sqrt(60)
STEPS = 300


def problem(law=None):
    floor = 0.3 if law is None else 0.0
    return hidim.Spectrum.from_covariance(K, THETA, noise_variance=floor, noise=law)


@pytest.fixture(scope="module")
def gaussian():
    return hidim.sign_effects(problem(), STEPS, eta=1e-3)


def test_reshaping_and_preconditioning_are_those_of_the_coordinates(gaussian):
    correlations = K / np.sqrt(np.outer(np.diag(K), np.diag(K)))
    signs = 2 / math.pi * np.arcsin(np.clip(correlations, -1, 1))
    expected = np.trace(K @ signs) / (4 / math.pi**2 * np.trace(K @ correlations))
    assert gaussian.reshaping == pytest.approx(expected, rel=1e-7)
    assert gaussian.reshaping == pytest.approx(2.205, abs=5e-4)
    preconditioned = np.linalg.eigvals(K / np.sqrt(np.diag(K))[:, None]).real
    ratios = [x.max() / x.min() for x in (np.linalg.eigvalsh(K), preconditioned)]
    assert gaussian.condition == pytest.approx(ratios, rel=1e-6)


def test_signs_with_gaussian_noise_are_sgd_at_the_effective_rate(gaussian):
    assert gaussian.compression == pytest.approx(np.ones(len(gaussian.at)), rel=1e-12)
    expected = 2 / math.pi * 1e-3 / np.sqrt(2 * gaussian.curve.risk)
    assert gaussian.effective_rate == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("law", "known"),
    [
        (noise.StudentT(3, 0.3), {1.0: 1.0156, 0.1: 1.1627, 0.01: 1.4652}),
        (noise.Laplace(0.3), {1.0: 1.0055, 0.1: 1.1063, 0.01: 1.3991}),
        (noise.Rademacher(0.3), {1.0: 0.9949, 0.1: 0.7469, 0.01: 0.0022}),
    ],
)
def test_compression_is_the_known_function_of_the_risk(law, known):
    for excess, psi in known.items():
        one = hidim.Spectrum.from_covariance([1.0], [math.sqrt(2 * excess)], noise=law)
        found = hidim.sign_effects(one, 1, eta=1e-9)
        assert found.compression[0] == pytest.approx(psi, abs=6e-5)


def test_the_limit_is_the_closed_form_and_that_of_stability(gaussian):
    T = math.pi * 1e-3 * np.sum(np.sqrt(np.diag(K))) / 8
    expected = T**2 * (1 + math.sqrt(1 + 0.3 / T**2))
    assert gaussian.limit_excess == pytest.approx(expected, rel=1e-6)
    report = hidim.stability(problem(), hidim.sign_sgd(1e-3), STEPS)
    assert report.limit_risk - 0.15 == pytest.approx(expected, rel=1e-6)


def test_no_other_rate_leaves_less_at_the_horizon(gaussian):
    best = hidim.recommend(problem(), "sign-sgd", steps=STEPS)
    assert float(best.gamma_2(0)) == gaussian.best_eta
    least = gaussian.best_curve.excess[-1]
    for times in (0.7, 1.4):
        tried = hidim.sign_sgd(times * gaussian.best_eta)
        assert hidim.predict(problem(), tried, at=[STEPS]).excess[-1] > least


@pytest.mark.parametrize("name", ["adam", "signum"])
def test_rates_of_a_memory_are_searched_too(name):
    covariance = hidim.Spectrum.from_covariance(K[:8, :8], THETA[:8], noise_variance=2.0)
    best = hidim.recommend(covariance, name, steps=30)
    least = hidim.predict(covariance, best, at=[30]).excess[0]
    for times in (0.7, 1.4):
        other = best.scheduled(hidim.Constant(times))
        assert hidim.predict(covariance, other, at=[30]).excess[0] > least


def test_heavy_tails_are_for_signs_and_two_points_for_sgd(gaussian):
    heavy = hidim.sign_effects(problem(noise.StudentT(2.1, 0.3)), STEPS)
    points = hidim.sign_effects(problem(noise.Rademacher(0.3)), STEPS)
    assert heavy.times_lower > gaussian.times_lower > points.times_lower
    assert heavy.verdict.startswith("signs")
    assert points.verdict.startswith("SGD")
    none = hidim.sign_effects(problem(noise.Cauchy(0.3)), 5)
    assert none.times_lower is none.best_gamma_2 is none.sgd_curve is None
    assert np.all(np.isfinite(none.drift))
    assert none.limit_excess > 0


def test_clipped_sgd_is_recommended_for_a_horizon_too():
    spectrum = hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.1)
    assert hidim.recommend(spectrum, "clipped-sgd", steps=50).gradient is None  # never clip
    for name in ("clipped-sgd", "sign-sgd"):
        with pytest.raises(ValueError, match="give `steps`"):
            hidim.recommend(spectrum, name)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.sign_effects(hidim.Spectrum([1.0], [1.0], 0.1), 9), "coordinates"),
        (lambda: hidim.sign_effects(problem(), 0), "`steps`"),
        (lambda: hidim.sign_effects(problem(), 9, math.inf), "`batch_size`"),
        (lambda: hidim.sign_effects(problem(), 9, basis="both"), "`basis`"),
    ],
)
def test_what_has_no_answer_is_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask()
