"""Exponents at the best rate for every horizon, against the best rates of predict's own curves."""

import itertools
import math

import numpy as np
import pytest

import hidim
from hidim.rates.signs import best_sgd, best_sign


def power_law(alpha, beta, d, noise_variance):
    """Modes one by one, then in groups of nearby ones."""
    edges = np.concatenate([np.arange(1, 31), np.geomspace(31, d + 1, 60).round()])
    groups = [np.arange(low, high) for low, high in itertools.pairwise(edges)]
    groups = [j for j in groups if len(j)]
    along = np.array([np.mean(j ** (-2 * alpha)) for j in groups])
    target = np.array([np.sum(j ** (-2 * alpha - 2 * beta)) for j in groups]) / along
    return hidim.Spectrum(along, target, noise_variance / 2, [len(j) for j in groups])


@pytest.mark.parametrize(
    ("name", "noise", "basis"),
    [
        pytest.param("sign-sgd", True, "generic", marks=pytest.mark.slow),
        pytest.param("sgd", True, "generic", marks=pytest.mark.slow),
        pytest.param("sgd", False, "generic", marks=pytest.mark.slow),
    ],
)
def test_best_risks_and_rates_fall_with_the_horizon_as_the_law_says(name, noise, basis):
    spectrum = power_law(1.2, 0.3, 1e5, 0.1 if noise else 0.0)
    risks, rates = [], []
    for steps in (1e5, 1e6):
        best = (
            best_sgd(spectrum, steps, 1.0)
            if name == "sgd"
            else best_sign(spectrum, steps, 1.0, basis)
        )
        risks.append(hidim.predict(spectrum, best, at=[steps], rtol=1e-5).excess[0])
        rates.append(float(best.gamma_2(0)))
    law = hidim.best_rate_law(1.2, 0.3, name, noise=noise, basis=basis)
    assert -math.log10(risks[1] / risks[0]) == pytest.approx(law.risk, abs=0.01)
    assert -math.log10(rates[1] / rates[0]) == pytest.approx(law.rate, abs=0.02)


def test_signs_are_steeper_exactly_in_phase_three_and_twice_as_fast_on_a_diagonal():
    for alpha in (0.7, 1.0, 1.5):
        for beta in (0.2, 0.6, 0.9, 1.3, 2.0):
            sign, sgd = (
                hidim.best_rate_law(alpha, beta, name).risk for name in ("sign-sgd", "sgd")
            )
            assert (sign > sgd + 1e-12) == (beta > alpha)
            for name in ("sign-sgd", "sgd", "clipped-sgd"):
                noisy = hidim.best_rate_law(alpha, beta, name, noise=True)
                assert noisy.risk == noisy.rate == noisy.clock / (1 + noisy.clock)
    assert hidim.best_rate_law(1.5, 0.2, basis="diagonal").risk == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.best_rate_law(0.4, 0.3), "`alpha` must be above 1/2"),
        (lambda: hidim.best_rate_law(1.0, -0.6), "alpha \\+ beta"),
        (lambda: hidim.best_rate_law(1.0, 0.3, "dana-decaying"), "hidim.scaling_law"),
        (lambda: hidim.best_rate_law(1.0, 0.3, basis="both"), "`basis`"),
        (lambda: hidim.scaling_law(1.0, 0.3, "sign-sgd"), "hidim.best_rate_law"),
    ],
)
def test_what_has_no_such_law_is_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask()
