"""The frozen kernel norm and growth rate against spectral radii of the full moment matrix."""

import math

import numpy as np
import pytest

from hidim import Momentum, PowerLaw, Spectrum, sgd, stochastic_nesterov
from hidim.systems.kernel_norm import (
    growth_rate,
    kernel_norm,
    mode_transfer,
    small_step_norm,
)


def moment_matrix(spectrum, gammas, batch_size):
    """The full linear map of (error, momentum, cross) moments, from the written recursion."""
    lam, count = spectrum.eigenvalues, spectrum.counts
    g1, g2, g3, forgetting = gammas
    G, D = g2 + g1 * g3, 1.0 - forgetting
    inverse_batch = 0.0 if batch_size == math.inf else 1.0 / batch_size
    kurtosis = spectrum.law.kurtosis  # E (x.A x) x x^T = kurtosis (2 K A K + tr(K A) K)
    e = 1.0 + (2.0 * kurtosis - 1.0) * inverse_batch
    inverse_batch *= kurtosis
    n = lam.size
    blocks = np.zeros((n, 3, n, 3))
    for j, x in enumerate(lam):
        blocks[j, :, j] = [
            [
                1 - 2 * G * x + e * G**2 * x**2,
                g3**2 * D**2,
                -2 * g3 * D + 2 * G * g3 * D * x,
            ],
            [e * g1**2 * x**2, D**2, 2 * g1 * D * x],
            [g1 * x - e * G * g1 * x**2, -g3 * D**2, D - (G + g1 * g3) * D * x],
        ]
        noise = x * inverse_batch * count[j] * np.array([G**2, g1**2, -G * g1])
        blocks[j, :, :, 0] += np.outer(noise, lam)
    return blocks.reshape(3 * n, 3 * n)


def random_case(rng):
    modes = int(rng.integers(1, 9))
    lam = rng.uniform(0.5, 1.5, modes) * np.arange(1, modes + 1.0) ** -rng.uniform(0.0, 3.0)
    count = rng.uniform(0.3, 6.0, modes) if rng.random() < 0.5 else np.ones(modes)
    spectrum = Spectrum(lam, np.ones(modes), 0.0, count)
    batch_size = rng.choice([1, 2, 4, 8, 64, math.inf])
    g2 = rng.choice([0.0, 1.0], p=[0.1, 0.9]) * 10 ** rng.uniform(-3, 0.5) / lam.max()
    g3 = 10 ** rng.uniform(-4, 0.3) / lam.max()
    g1 = rng.choice([1.0, 0.3, 2.5])
    forgetting = rng.choice([10 ** rng.uniform(-3, 0), 1.0, rng.uniform(1.0, 1.9)])
    return spectrum, (g1, g2, g3, forgetting), batch_size


def elliptical_case(rng):
    spectrum, gammas, batch_size = random_case(rng)
    values, counts = spectrum.eigenvalues, spectrum.counts
    kurtosis = 1.0 + rng.exponential(3.0)
    return Spectrum(values, spectrum.error_sq, 0.0, counts, kurtosis=kurtosis), gammas, batch_size


CASES = [random_case(np.random.default_rng(seed)) for seed in range(600)]
CASES += [elliptical_case(np.random.default_rng(seed)) for seed in range(600, 700)]


def test_norm_below_one_exactly_when_the_spectral_radius_is():
    stable = 0
    for spectrum, gammas, batch_size in CASES:
        radius = np.abs(np.linalg.eigvals(moment_matrix(spectrum, gammas, batch_size))).max()
        norm = kernel_norm(spectrum, Momentum(*gammas), batch_size, 0.0)
        if abs(radius - 1) > 1e-9:  # eigenvalues of a nonnormal matrix carry such an error
            assert (norm < 1) == (radius < 1), (gammas, batch_size, norm, radius)
        stable += norm < 1
    assert 150 < stable < 550  # both sides are well represented


def test_norm_is_the_gain_of_the_risk_loop():
    compared = 0
    for spectrum, gammas, batch_size in CASES:
        norm = float(kernel_norm(spectrum, Momentum(*gammas), batch_size, 0.0))
        if math.isinf(norm) or batch_size == math.inf:
            continue
        g1, g2, g3, _ = gammas
        gain = 0.0
        for x, count in zip(spectrum.eigenvalues, spectrum.counts, strict=True):
            one = Spectrum([x], [1.0], 0.0, law=spectrum.law)
            alone = moment_matrix(one, gammas, batch_size)
            c = (
                spectrum.law.kurtosis
                * x
                / batch_size
                * np.array([(g2 + g1 * g3) ** 2, g1**2, -(g2 + g1 * g3) * g1])
            )
            alone[:, 0] -= x * c  # what the mode's own risk feeds back is part of the loop
            gain += count * x * np.linalg.solve(np.eye(3) - alone, c)[0]
        # The 3 x 3 solve loses digits when forgetting and curvature are small (1e-3)^3.
        assert norm == pytest.approx(gain, rel=1e-6)
        compared += 1
    assert compared > 200


def test_growth_rate_is_the_spectral_radius_minus_one():
    unstable = 0
    for spectrum, gammas, batch_size in CASES[:300] + CASES[600:]:
        radius = np.abs(np.linalg.eigvals(moment_matrix(spectrum, gammas, batch_size))).max()
        growth = growth_rate(spectrum, Momentum(*gammas), batch_size, 0.0)
        assert growth == pytest.approx(max(radius - 1, 0.0), rel=1e-8, abs=1e-9)
        unstable += growth > 0
    assert unstable > 50


def test_growth_rate_resolves_one_part_in_1e10():
    # One mode, B = 1, SGD: the moment map is the number 1 - 2 a + 3 a^2, so it grows by
    # a (3 a - 2): 3 parts in 1e10 here.
    spectrum = Spectrum([1.0], [1.0], 0.0)
    excess = 1.5e-10
    a = 2.0 / 3.0 + excess
    assert growth_rate(spectrum, sgd(a), 1, 0) == pytest.approx(a * 3 * (a - 2 / 3), rel=1e-5)
    assert growth_rate(spectrum, sgd(2.0 / 3.0 - excess), 1, 0) == 0.0


def test_sgd_norm_matches_its_closed_form():
    spectrum = Spectrum(np.arange(1, 41.0) ** -2, np.ones(40), 0.0)
    for batch_size, gamma in ((1, 0.3), (4, 0.9), (64, 1.5)):
        a = gamma * spectrum.eigenvalues
        closed = np.sum(a / (batch_size * (2 - a * (batch_size + 1) / batch_size)))
        norm = kernel_norm(spectrum, sgd(gamma), batch_size, [0.0, 1e6])
        np.testing.assert_allclose(norm, closed, rtol=1e-14)


def test_long_rows_are_noisier_by_the_golden_formula():
    kurtosis, rate = 4.0, np.array([0.4, 0.1, 0.02])
    spectrum = Spectrum(rate, np.ones(3), 0.1, [1, 5, 20], kurtosis=kurtosis, noise_kurtosis=2.0)
    transfer = mode_transfer(0.3 * rate, 0.05 * rate, np.full(3, 0.2))
    for batch_size in (1, 3, 10):
        own = (2 * kurtosis - 1) * transfer / batch_size
        golden = kurtosis / batch_size * np.sum(spectrum.counts * transfer / (1 - own))
        norm = kernel_norm(spectrum, Momentum(1.0, 0.3, 0.05, 0.2), batch_size, 0.0)
        assert norm == pytest.approx(golden, rel=1e-14)
    # A mode that a batch of one cannot hold against its own noise.
    assert kernel_norm(spectrum, sgd(2.5), 1, 0.0) == math.inf


def test_infinite_batch_leaves_only_the_conditions_of_the_modes():
    spectrum = Spectrum([1.0, 0.0], [1.0, 1.0], 0.0)
    assert kernel_norm(spectrum, sgd(1.9), math.inf, 0.0) == 0.0
    assert kernel_norm(spectrum, sgd(2.1), math.inf, 0.0) == math.inf
    assert growth_rate(spectrum, sgd(2.1), math.inf, 0.0) == pytest.approx(1.1**2 - 1)


@pytest.mark.parametrize("gamma_2", [0.0, 0.2])
@pytest.mark.parametrize("gamma_3", [0.0, 0.2])
@pytest.mark.parametrize("forgetting", [0.0, 1e-300, 0.5, 1.0, 1.9])
def test_zero_schedules_and_zero_eigenvalues_give_no_nan(gamma_2, gamma_3, forgetting):
    spectrum = Spectrum([1.0, 0.1, 0.0], [1.0, 1.0, 1.0], 0.0)
    algorithm = Momentum(1.0, gamma_2, gamma_3, forgetting)
    for batch_size in (1, math.inf):
        norm = kernel_norm(spectrum, algorithm, batch_size, [0.0, 5.0])
        assert not np.isnan(norm).any()
        assert not np.isnan(small_step_norm(spectrum, algorithm, batch_size, [0.0])).any()
        assert not math.isnan(growth_rate(spectrum, algorithm, batch_size, 0.0))
        if gamma_3 == 0.0 and batch_size == 1:
            np.testing.assert_allclose(norm, kernel_norm(spectrum, sgd(gamma_2), 1, [0.0, 5.0]))


def test_small_step_norm_is_the_limit_of_small_rates():
    spectrum = Spectrum(np.arange(1, 31.0) ** -1.2, np.ones(30), 0.0)
    ratios = []
    for scale in (1e-3, 1e-4):
        algorithm = Momentum(1.0, scale, 0.1 * scale**2, 0.5 * scale)
        exact = kernel_norm(spectrum, algorithm, 2, 0.0)
        ratios.append(abs(small_step_norm(spectrum, algorithm, 2, 0.0) / exact - 1))
    assert ratios[1] < 0.11 * ratios[0] < 1e-3  # first order in the rates


def test_known_case_where_the_small_step_norm_is_too_optimistic():
    spectrum = Spectrum(np.arange(1, 31.0) ** -1.2, np.ones(30), 0.0)
    algorithm = Momentum(1.0, 0.434, 0.0176, 0.038)
    assert small_step_norm(spectrum, algorithm, 1, 0.0) == pytest.approx(0.893, abs=1e-3)
    assert kernel_norm(spectrum, algorithm, 1, 0.0) > 1
    assert growth_rate(spectrum, algorithm, 1, 0.0) == pytest.approx(0.0195, abs=1e-4)


def test_norm_follows_the_schedules_and_keeps_the_shape_of_the_times():
    spectrum = Spectrum([1.0, 0.5], [1.0, 1.0], 0.0)
    times = np.array([[0.0, 1.0], [10.0, 1e18]])
    norm = kernel_norm(spectrum, sgd(PowerLaw(0.5, 0.5)), 1, times)
    assert norm.shape == times.shape
    assert norm[1, 0] == pytest.approx(float(kernel_norm(spectrum, sgd(0.5 * 11**-0.5), 1, 0.0)))


def test_stochastic_nesterov_is_unstable_from_some_step_on():
    spectrum = Spectrum(np.arange(1, 101.0) ** -2, np.ones(100), 0.0)
    algorithm = stochastic_nesterov(0.1 / spectrum.trace)
    norm = kernel_norm(spectrum, algorithm, 1, np.array([0.0, 10.0, 1e4]))
    assert norm[0] < 1 < norm[2]
    assert growth_rate(spectrum, algorithm, 1, 1e4) > 0


def test_transfer_of_a_mode_diverges_at_its_own_edge():
    edge = (2 - 0.3) * (2 - 0.5)
    below, above = mode_transfer(np.array(0.3), np.array([edge - 1e-6, edge + 1e-6]), np.array(0.5))
    assert below > 1e5
    assert above == math.inf
