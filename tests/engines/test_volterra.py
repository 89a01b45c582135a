"""Claims about the integral equation: its solution is the exact curve, at every rate."""

import itertools
import math

import numpy as np
import pytest

import hidim
from hidim.engines.volterra import forcing, kernel, renewal_series
from tests.engines.truth import recursion

SPECTRUM = hidim.PLRF(1.0, 0.7, d=30, v=120).spectrum(2)
SMALL = hidim.Spectrum([1.0, 0.4, 0.1], [1.0, 2.0, 3.0], 0.05)


def plain_recursion(spectrum, gamma, batch_size, steps):
    """SGD's second moments, one step at a time, from the definition."""
    lam, error, risks = spectrum.eigenvalues, spectrum.error_sq.copy(), []
    for _ in range(steps + 1):
        risk = spectrum.risk_floor + 0.5 * lam @ error
        risks.append(risk)
        square = (1 + 1 / batch_size) * lam**2 * error + lam / batch_size * 2 * risk
        error = error - 2 * gamma * lam * error + gamma**2 * square
    return np.array(risks)


# The solver's only error is rounding in transforms, about 1e-16 of the largest value within a
# stretch; risks fall by some decades within one.
@pytest.mark.parametrize("batch_size", [1, 4, 64])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.98])
def test_sgd_solution_is_the_recursion_at_every_rate(share, batch_size):
    gamma = share * hidim.stability(SPECTRUM, hidim.sgd(0.1), 1, batch_size).largest_gamma_2
    curve = hidim.predict(
        SPECTRUM, hidim.sgd(gamma), batch_size=batch_size, engine="volterra", at=range(3001)
    )
    truth = plain_recursion(SPECTRUM, gamma, batch_size, 3000)
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-10)


def test_solution_keeps_its_digits_while_the_risk_falls_by_200_decades():
    spectrum = hidim.Spectrum(np.ones(3), np.ones(3), 0.0)
    curve = hidim.predict(spectrum, hidim.sgd(0.1), engine="volterra", at=range(3001))
    truth = plain_recursion(spectrum, 0.1, 1, 3000)
    assert truth[-1] < 1e-200
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-9)


@pytest.mark.parametrize("gamma", [0.3, 0.49, 0.51, 0.99999, 1.0, 1.3])
def test_full_batches_keep_their_digits_however_much_a_step_removes(gamma):
    spectrum = hidim.Spectrum([1.0], [1.0], 0.0)
    at = np.arange(20)
    curve = hidim.predict(spectrum, hidim.sgd(gamma), at=at, batch_size=math.inf, engine="volterra")
    np.testing.assert_allclose(curve.risk, 0.5 * (1 - gamma) ** (2.0 * at), rtol=1e-10)


@pytest.mark.parametrize("floor", [0.0, 1e-2])
@pytest.mark.parametrize(
    "algorithm",
    [hidim.sgd_momentum(0.05, 0.005, 0.1), hidim.sgd(0.1).scheduled(hidim.Cosine(500, 0.5))],
    ids=["momentum", "cosine"],
)
def test_many_modes_are_put_on_fewer_nodes_only_where_nothing_is_lost(algorithm, floor):
    # 620 modes between one half and one: without a floor the risk falls by 15 decades.
    spectrum = hidim.Spectrum(np.linspace(0.5, 1, 620), np.ones(620), floor)
    at = [0, 10, 100, 300]
    curve = hidim.predict(spectrum, algorithm, at=at, batch_size=64, engine="volterra")
    truth = recursion(spectrum, algorithm, 64, 300)[at]
    np.testing.assert_allclose(curve.risk, truth, rtol=2e-9)


def test_a_readout_that_is_not_asked_for_costs_nothing():
    average = hidim.schedule_free_sgd(0.2, 0.0)
    at = [0, 100, 30_000]
    curve = hidim.predict(SMALL, average, at=at, engine="volterra")
    np.testing.assert_array_equal(
        curve.risk, hidim.predict(SMALL, hidim.sgd(0.2), at=at, engine="volterra").risk
    )
    with pytest.raises(ValueError, match="engine='exact'"):
        hidim.predict(SMALL, average, at=at, engine="volterra", readout="average")


def test_a_risk_may_sink_below_float_range():
    at = [0, 100, 5000, 50_000]
    for batch_size in (1, math.inf):
        options = {"at": at, "batch_size": batch_size}
        spectrum = hidim.Spectrum(np.ones(3), np.ones(3), 0.0)
        curve = hidim.predict(spectrum, hidim.sgd(0.1), engine="volterra", **options)
        truth = recursion(spectrum, hidim.sgd(0.1), batch_size, 5000)[at[:-1]]
        np.testing.assert_allclose(curve.risk, [*truth, 0.0], rtol=1e-9, atol=1e-300)


def test_divergence_is_seen_at_the_exact_step():
    for spectrum in (SMALL, SPECTRUM):
        for engine_gamma in (1.6, 40.0):
            at = [0, 10, 10_000]
            one = hidim.predict(spectrum, hidim.sgd(engine_gamma), engine="volterra", at=at)
            two = hidim.predict(spectrum, hidim.sgd(engine_gamma), at=at)
            assert (one.status, one.diverged_at) == (two.status, two.diverged_at)
            assert one.status == "diverged"


def test_kernel_and_forcing_solve_the_equation_by_hand():
    algorithm = hidim.sgd(0.5)
    t = np.arange(40)
    F = forcing(SMALL, algorithm, 2, t)
    K = np.array([[kernel(SMALL, algorithm, 2, i, s) for s in t] for i in t])
    by_hand = np.linalg.solve(np.eye(40) - K, F)
    np.testing.assert_allclose(by_hand, plain_recursion(SMALL, 0.5, 2, 39), rtol=1e-12)


def test_two_time_kernel_of_sgd_is_its_convolution_kernel():
    # A momentum that carries weight zero takes the general path.
    general = hidim.Momentum(1.0, 0.5, hidim.PowerLaw(1e-300, 1.0), 0.5)
    t = np.arange(30)
    for s in (0, 7):
        np.testing.assert_allclose(
            kernel(SMALL, general, 2, t, s), kernel(SMALL, hidim.sgd(0.5), 2, t, s), rtol=1e-12
        )
    np.testing.assert_allclose(
        forcing(SMALL, general, 2, t), forcing(SMALL, hidim.sgd(0.5), 2, t), rtol=1e-12
    )


MEMBERS = {
    "sgd": hidim.sgd(0.3),
    "sgd-momentum": hidim.sgd_momentum(0.1, 0.02, 0.1),
    "dana-decaying": hidim.dana_decaying(0.2, 0.05, 0.5, 6.0),
    "cosine": hidim.sgd(0.3).scheduled(hidim.Cosine(100, 0.1)),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_renewal_series_rises_to_the_solution(name):
    at = [0, 1, 5, 30, 150]
    solution = hidim.predict(SMALL, MEMBERS[name], engine="volterra", at=at)
    gaps = []
    for terms in (0, 1, 4, 16, 64):
        series = renewal_series(SMALL, MEMBERS[name], 1, at, terms=terms)
        gaps.append(np.max(solution.risk / series.risk - 1))
    assert all(after < before for before, after in itertools.pairwise(gaps[:-1]))
    assert gaps[0] > 0.05
    assert gaps[-1] < 1e-9  # the kernel's norm is below 0.6: 0.6^64 = 6e-15


def test_full_batches_leave_the_forcing_alone():
    at = [0, 3, 50]
    for algorithm in MEMBERS.values():
        curve = hidim.predict(SMALL, algorithm, batch_size=math.inf, engine="volterra", at=at)
        alone = forcing(SMALL, algorithm, math.inf, at)
        np.testing.assert_allclose(curve.risk, alone, rtol=1e-12)


def test_refuses_in_one_line_what_it_cannot_reach():
    with pytest.raises(ValueError, match="engine='exact'"):
        hidim.predict(SMALL, MEMBERS["sgd-momentum"], 1e6, engine="volterra")
    with pytest.raises(ValueError, match="engine='exact'"):
        hidim.predict(SMALL, hidim.sgd(0.1), 1e9, engine="volterra")
    with pytest.raises(ValueError, match="moments"):
        hidim.predict(SMALL, hidim.sgd(0.1), 5, engine="volterra", moments=True)


def test_a_million_steps_are_quick_and_right():
    at = np.unique(np.geomspace(1, 1e6, 30).astype(int))
    equivalent = hidim.PLRF(1.0, 0.7, d=1000).spectrum()
    gamma = 0.5 / equivalent.trace
    curve = hidim.predict(equivalent, hidim.sgd(gamma), engine="volterra", at=at)
    exact = hidim.predict(equivalent, hidim.sgd(gamma), at=at)
    np.testing.assert_allclose(curve.risk, exact.risk, rtol=1e-7)  # the collocation's own error


@pytest.mark.parametrize("batch_size", [1, 3, math.inf])
@pytest.mark.parametrize(("kurtosis", "ratio"), [(3.0, 1.0), (3.0, 3.0), (1.5, 4.0)])
def test_sgd_on_elliptical_rows_is_the_recursion_of_their_law(kurtosis, ratio, batch_size):
    plain = hidim.PLRF(1.0, 0.7, d=30, v=120, noise_variance=0.5).spectrum(2)
    spectrum = hidim.Spectrum(
        plain.eigenvalues,
        plain.error_sq,
        plain.risk_floor,
        kurtosis=kurtosis,
        noise_kurtosis=ratio,
    )
    for gamma in (0.02, 0.25, 0.9):  # the last diverges at small batches
        curve = hidim.predict(
            spectrum, hidim.sgd(gamma), 300, batch_size, "volterra", at=range(301)
        )
        truth = recursion(spectrum, hidim.sgd(gamma), batch_size, 300)
        np.testing.assert_allclose(curve.risk, truth, rtol=1e-10)
