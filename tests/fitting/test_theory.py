"""Functional scaling laws agree with the exact engine, and their exponents are measured there."""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim.engines.functional import FunctionalLaw
from hidim.scaling.schedules import (
    SCHEDULES,
    asymptotic_kernel,
    asymptotic_signal,
    exponent_table,
    schedule_exponents,
    schedule_of,
)


@pytest.fixture(scope="module")
def problem() -> hidim.PLRF:
    """An easy problem (s = 0.8, beta_F = 2) with label noise and no visible size limit."""
    return hidim.PLRF(1.0, 0.3, 10**6, noise_variance=1.0)


def test_signal_and_kernel_reach_their_power_laws(problem: hidim.PLRF) -> None:
    law = FunctionalLaw(problem.spectrum())
    # corrections: signal T^-(1/2 alpha) from the sum over j, kernel exponentially small in d
    assert law.signal(1e6) == pytest.approx(asymptotic_signal(1.0, 0.3, 1e6), rel=0.02)
    assert law.kernel(1e4) == pytest.approx(asymptotic_kernel(1.0, 1e4), rel=1e-3)


@pytest.mark.parametrize("name", SCHEDULES)
def test_risk_agrees_with_the_exact_engine(problem: hidim.PLRF, name: str) -> None:
    rate = schedule_of(1.0, 0.3, name, 10_000, peak=0.01)
    at = [100, 1_000, 10_000]
    exact = hidim.predict(problem, hidim.sgd(rate), steps=10_000, at=at)
    floor = problem.risk_floor
    law = FunctionalLaw(problem.spectrum()).risk(rate, at)
    # continuous time differs from the discrete recursion by O(rate) = 1 % of the excess
    assert np.allclose(law - floor, exact.risk - floor, rtol=0.01)


def test_finer_grid_changes_the_risk_at_second_order(problem: hidim.PLRF) -> None:
    law = FunctionalLaw(problem.spectrum())
    rate = schedule_of(1.0, 0.3, "wsd", 10_000, peak=0.1)
    coarse, middle, fine = (
        law.risk(rate, [10_000], points_per_decade=n)[0] - problem.risk_floor for n in (25, 50, 100)
    )
    assert abs(middle - fine) < 0.35 * abs(coarse - middle) + 1e-12


def test_first_order_is_close_where_label_noise_rules(problem: hidim.PLRF) -> None:
    law = FunctionalLaw(problem.spectrum())
    full = law.risk(0.01, [1e5])[0] - problem.risk_floor
    first = law.risk(0.01, [1e5], first_order=True)[0] - problem.risk_floor
    # the neglected term is the kernel norm, rate * trace / 2 = 0.8 %, of the noise
    assert first == pytest.approx(full, rel=0.02)


def test_the_law_of_the_data_is_in_the_noise() -> None:
    plain = hidim.PLRF(1.0, 0.3, 1000, noise_variance=0.1)
    heavy = hidim.PLRF(1.0, 0.3, 1000, noise_variance=0.1, kurtosis=4.0, noise_kurtosis=4.0)
    at = [100, 10_000]
    for first_order in (False, True):
        laws = [
            FunctionalLaw(problem.spectrum()).risk(0.02, at, batch_size=b, first_order=first_order)
            for problem, b in ((heavy, 12), (plain, 3))
        ]
        np.testing.assert_allclose(*laws, rtol=1e-13)
    quiet = hidim.PLRF(1.0, 0.3, 1000, noise_variance=0.1, kurtosis=4.0)
    exact = hidim.predict(quiet, hidim.sgd(0.005), at=at).excess
    law = FunctionalLaw(quiet.spectrum()).risk(0.005, at) - quiet.risk_floor
    # In continuous time, and without a mode's own share in its noise: some percent of the excess;
    # the noise of the floor alone, taken at the data's kurtosis, would be off by 60 %.
    np.testing.assert_allclose(law, exact, rtol=0.03)


def best_excess(problem: hidim.PLRF, name: str, steps: float) -> float:
    """Lowest final excess risk over the peak rate, by the exact engine."""
    from scipy.optimize import minimize_scalar

    exponent = schedule_exponents(problem.alpha, problem.beta, name).peak

    def excess(log_scale: float) -> float:
        peak = float(np.exp(log_scale)) * steps**-exponent
        rate = schedule_of(problem.alpha, problem.beta, name, steps, peak=peak)
        curve = hidim.predict(problem, hidim.sgd(rate), steps=steps, at=[steps])
        return float(curve.risk[0]) - problem.risk_floor

    high = min(np.log(0.5 * steps**exponent), 2.0)
    options = {"xatol": 0.05}
    found = minimize_scalar(excess, bounds=(high - 4, high), method="bounded", options=options)
    return float(found.fun)


@pytest.mark.parametrize("name", ["constant", "optimal"])
def test_data_limited_exponent_is_measured_by_predict(problem: hidim.PLRF, name: str) -> None:
    low, high = best_excess(problem, name, 1e6), best_excess(problem, name, 1e7)
    law = schedule_exponents(1.0, 0.3, name)
    assert np.log10(low / high) == pytest.approx(law.eta, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exponential", "wsd"])
def test_logarithms_of_decaying_schedules_are_measured_by_predict(
    problem: hidim.PLRF, name: str
) -> None:
    low, high = best_excess(problem, name, 1e6), best_excess(problem, name, 1e7)
    law = schedule_exponents(1.0, 0.3, name)
    logs = law.log_power * np.log10(7 / 6)
    assert np.log10(low / high) + logs == pytest.approx(law.eta, abs=0.02)


def test_table_of_exponents() -> None:
    # arXiv 2509.19189 with beta_F = 2, s = 0.8: easy
    table = {(row.regime, row.schedule): row for row in exponent_table(1.0, 0.3)}
    s, b = 0.8, 2.0
    assert table["data", "constant"].eta == pytest.approx(s / (s + 1))
    assert table["data", "exponential"].eta == pytest.approx(s * b / (1 + s * b))
    assert table["data", "exponential"].log_power == pytest.approx(s * b / (1 + s * b))
    assert table["data", "wsd"].log_power == pytest.approx((s * b - s) / (1 + s * b))
    assert table["compute", "constant"].eta == pytest.approx(s * b / (1 + s * b + b))
    assert table["compute", "exponential"].eta == pytest.approx(s * b / (2 + s * b))
    assert table["compute", "wsd"].eta == pytest.approx(s * b / (2 + s * b))
    assert table["compute", "wsd"].log_power == pytest.approx((s * b - s) / (2 + s * b))


def test_hard_problems_decay_late_from_the_largest_rate() -> None:
    # beta < 0 makes s < 1 - 1/beta_F
    law = schedule_exponents(1.0, -0.2, "wsd", "compute")
    assert law.difficulty == "hard"
    assert law.peak == 0
    assert law.eta == pytest.approx(0.3 * 2 / (1 + 2))
    rate = schedule_of(1.0, -0.2, "optimal", 1000.0, peak=0.5)
    assert rate(850.0) == pytest.approx(0.5)
    assert rate(1000.0) == pytest.approx(0.5e-3)


def test_problems_outside_the_theory_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha"):
        schedule_exponents(0.4, 0.5, "constant")
    with pytest.raises(ValueError, match="beta"):
        schedule_exponents(0.6, -0.2, "constant")
    with pytest.raises(ValueError, match="schedule"):
        schedule_exponents(1.0, 0.5, "triangle")
