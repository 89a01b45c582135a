"""Best thresholds, batches clipped as a whole, and where bounded steps stop."""

import math
from dataclasses import replace

import numpy as np
import pytest

import hidim
from hidim.algorithms.changed import Sign
from hidim.systems.thresholds import clip_numbers
from tests.systems.test_transformed import CAUCHY, MOMENTUM, RATE, STUDENT, correlated, level


@pytest.mark.parametrize(
    ("law", "gains"),
    [
        (hidim.noise.StudentT(2.2, 1.0), (1.560, 3.733, 5.980, 6.524)),
        (hidim.noise.StudentT(3.0, 1.0), (1.042, 1.395, 1.849, 1.961)),
        (hidim.noise.Laplace(1.0), (1.00001, 1.039, 1.362, 1.725)),
    ],
)
def test_the_best_threshold_gains_what_the_page_says(law, gains):
    found = [hidim.best_threshold(law, excess) for excess in (5.0, 0.5, 0.05, 0.005)]
    np.testing.assert_allclose([one.gain for one in found], gains, rtol=4e-4)
    for one, excess in zip(found, (5.0, 0.5, 0.05, 0.005), strict=True):
        for factor in (0.97, 1.03):
            at = np.array([2 * excess]), np.array([factor * one.threshold])
            mu, nu, _ = (v[0] for v in clip_numbers(law.mixture, *at))
            assert mu**2 / nu < one.mu**2 / one.nu


def test_the_best_threshold_in_numbers():
    found = hidim.best_threshold(hidim.noise.StudentT(2.2, 1.0), 0.05)
    np.testing.assert_allclose(
        [found.threshold, found.mu, found.nu], [0.8930, 0.5217, 0.5051], rtol=2e-4
    )
    cauchy = hidim.best_threshold(hidim.noise.Cauchy(1.0), 0.05)
    assert cauchy.mu**2 / cauchy.nu == pytest.approx(0.3796, rel=2e-4)
    assert cauchy.gain == math.inf
    for light in (hidim.noise.Gaussian(1.0), hidim.noise.Uniform(1.0), hidim.noise.Rademacher(1.0)):
        for excess in (5.0, 0.05):
            never = hidim.best_threshold(light, excess)
            assert (never.threshold, never.mu, never.gain) == (math.inf, 1.0, 1.0)
            assert never.nu == pytest.approx(2 * excess + 1.0)


@pytest.mark.parametrize(
    "law", [hidim.noise.Gaussian(1.0), hidim.noise.Uniform(1.0), hidim.noise.Rademacher(1.0)]
)
def test_far_out_nothing_is_clipped_to_the_last_bit(law):
    # c^2 times what rounding leaves of 1 - mu made 2e-4 of nu at c = 1e6, on some processors.
    spectrum = hidim.Spectrum(np.arange(1.0, 31) ** -1.0, np.full(30, 0.08), 0.0, noise=law)
    at = [10, 100, 1000]
    best = hidim.predict(spectrum, hidim.clipped(hidim.sgd(0.01), "best"), at=at)
    plain = hidim.predict(spectrum, hidim.sgd(0.01), at=at)
    np.testing.assert_allclose(best.risk, plain.risk, rtol=1e-12)


def test_the_best_schedule_is_plain_descent_on_a_faster_clock():
    law, rate = hidim.noise.StudentT(2.2, 1.0), 1e-3
    spectrum = hidim.Spectrum(np.arange(1.0, 31) ** -0.5, np.full(30, 0.08), 0.0, noise=law)
    t = np.arange(0, 601, 20)
    found = hidim.predict(spectrum, hidim.clipped(hidim.sgd(rate), "best"), at=t)
    speed = np.array([hidim.best_threshold(law, R).gain for R in found.excess])
    clock = np.concatenate([[0.0], np.cumsum(10 * (speed[1:] + speed[:-1]))])
    plain = hidim.predict(spectrum, hidim.sgd(rate), at=np.round(clock))
    # Rounded to whole steps, and but for the square of the rate in the mean's decay.
    np.testing.assert_allclose(found.excess, plain.excess, rtol=2e-3)
    norms = hidim.clipped(hidim.sgd(rate), "best", kind="norm")
    same = hidim.predict(spectrum, norms, at=t)
    np.testing.assert_allclose(same.risk, found.risk, rtol=1e-12)


@pytest.mark.parametrize(
    ("batch", "momentum"),
    [
        (1, False),
        (4, True),
        (32, True),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in ((1, True), (4, False), (32, False))
        ),
    ],
)
def test_batches_clipped_as_a_whole_meet_their_runs(batch, momentum):
    spectrum = level(None, 60, 0.1)
    inner = MOMENTUM if momentum else hidim.sgd(RATE)
    algorithm = hidim.clipped(inner, 5.0 / math.sqrt(batch), kind="batch")
    options = {"at": [5, 20, 60], "batch_size": batch}
    run = hidim.simulate(spectrum, algorithm, runs=30, seed=5, **options)
    curve = hidim.predict(spectrum, algorithm, **options)
    assert np.all(np.abs(curve.excess - run.excess) < 4 * run.stderr + 0.01 * curve.excess)


def test_single_samples_are_their_own_batches():
    spectrum = level(None, 80, 0.1)
    batch, norm = (hidim.clipped(MOMENTUM, 3.0, kind=kind) for kind in ("batch", "norm"))
    one, other = (hidim.predict(spectrum, a, at=[1, 10, 200]) for a in (batch, norm))
    np.testing.assert_allclose(one.risk, other.risk, rtol=5e-3)  # kappa to leading order
    far = hidim.predict(level(None, 20, 0.1), batch, steps=1e8, batch_size=4)
    assert far.status == "ok"
    assert far.provenance["effort"]["blocks"] <= 60


def test_full_batches_are_clipped_at_the_length_of_the_gradient():
    spectrum, rate = level(None, 20, 0.1), 0.3
    algorithm = hidim.clipped(hidim.sgd(rate), 0.2, kind="batch")
    found = hidim.predict(spectrum, algorithm, at=np.arange(60), batch_size=math.inf)
    r, risk = -np.sqrt(spectrum.error_sq), []
    for _ in range(60):
        risk.append(0.1 + 0.5 * spectrum.eigenvalues @ r**2)
        g = spectrum.eigenvalues * r
        r = r - rate * g * min(1.0, 0.2 / np.linalg.norm(g))
    np.testing.assert_allclose(found.risk, risk, rtol=1e-9)


def test_gaussian_signs_stop_where_the_closed_form_says():
    for problem, floor in ((level(None, 60, 0.05), 0.05), (correlated(noise_variance=0.1), 0.05)):
        known = problem.law.basis
        diagonal = problem.eigenvalues if known is None else np.diag(known.covariance)
        algorithm = hidim.sign_sgd(1e-3, basis="diagonal" if known is None else None)
        T, v = math.pi * 1e-3 * np.sqrt(diagonal).sum() / 8, math.sqrt(2 * floor)
        found = hidim.stability(problem, algorithm, steps=100)
        expected = floor + T**2 * (1 + math.sqrt(1 + (v / T) ** 2))
        assert found.limit_risk == pytest.approx(expected, rel=1e-9)
        assert found.stable
        assert "cannot diverge" in found.verdict
        far = hidim.predict(problem, replace(algorithm, gradient=Sign("generic")), steps=1e7)
        if known is None:
            assert far.risk[-1] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("algorithm", "noise"),
    [
        pytest.param(hidim.clipped(hidim.sgd(RATE), 0.6), STUDENT, marks=pytest.mark.slow),
        (hidim.clipped(hidim.sgd(8 * RATE), 0.6), CAUCHY),  # diverges unclipped
        pytest.param(hidim.clipped(MOMENTUM, 0.6), STUDENT, marks=pytest.mark.slow),
        (hidim.clipped(MOMENTUM, "best"), STUDENT),
        (hidim.sign_sgd(1e-3, basis="generic"), CAUCHY),
        (hidim.noisy(MOMENTUM, 0.2, 0.05), STUDENT),
    ],
)
def test_runs_stop_where_stability_says(algorithm, noise):
    spectrum = level(noise)
    found = hidim.stability(spectrum, algorithm, steps=50)
    end = hidim.predict(spectrum, algorithm, at=[10**6])
    last = end.excess[0] if noise == CAUCHY else end.risk[0]
    assert found.limit_risk == pytest.approx(last, rel=1e-6)


def test_the_stationary_risk_of_noise_and_a_penalty_is_in_closed_form():
    lam, theta_sq = np.arange(1.0, 21) ** -1.0, np.full(20, 0.3)
    spectrum, g, l2, s, B = hidim.Spectrum(lam, theta_sq, 0.05), 0.1, 0.02, 0.3, 2
    k = lam + l2
    a = 2 * k - g * (k**2 + lam**2 / B)
    tau = -l2 * theta_sq / k
    base = (-2 * l2 * tau + g * (2 * k * l2 * tau + l2**2 * theta_sq + s**2)) / a
    expected = (0.1 + lam @ base) / (1 - g / B * np.sum(lam**2 / a)) / 2
    found = hidim.stability(spectrum, hidim.noisy(hidim.sgd(g), s, l2), steps=10, batch_size=B)
    assert found.limit_risk == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("batch", [1, 8])
def test_noisy_runs_hold_below_the_norm_and_not_above(batch):
    lam, l2 = np.arange(1.0, 21) ** -1.0, 0.02
    spectrum = hidim.Spectrum(lam, np.ones(20), 0.05)

    def norm(g):
        k = lam + l2
        return g / batch * np.sum(lam**2 / (2 * k - g * (k**2 + lam**2 / batch)))

    low, high = 0.0, 0.9 * 2 / ((1 + l2) ** 2 + 1 / batch)
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if norm(middle) < 1 else (low, middle)
    for factor, holds in ((0.98, True), (1.02, False)):
        algorithm = hidim.noisy(hidim.sgd(factor * low), 0.1, l2)
        assert hidim.stability(spectrum, algorithm, 100, batch_size=batch).stable is holds


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.best_threshold(None, 1.0), "`noise` must be a law"),
        (lambda: hidim.best_threshold(STUDENT, 0.0), "`excess` must be positive"),
        (lambda: hidim.clipped(hidim.sgd(0.1), "best", kind="batch"), "residuals or norms"),
        (
            lambda: hidim.predict(level(CAUCHY), hidim.clipped(hidim.sgd(0.1), "best"), steps=9),
            "give a number",
        ),
        (
            lambda: hidim.simulate(level(STUDENT), hidim.clipped(hidim.sgd(0.1), "best"), steps=9),
            "a run does not know",
        ),
        (
            lambda: hidim.predict(
                level(STUDENT), hidim.clipped(hidim.sgd(0.1), 1.0, "batch"), steps=9
            ),
            "Gaussian noise alone",
        ),
    ],
)
def test_what_has_no_best_is_refused_in_one_line(ask, match):
    with pytest.raises(ValueError, match=match) as caught:
        ask()
    assert "\n" not in str(caught.value)
