"""Accountants, against the numbers of dp-accounting (RDP at integer orders, and its PLD)."""

import math

import pytest

import hidim


@pytest.mark.parametrize(
    ("given", "epsilon"),
    [((0.01, 1.0, 1000, 1e-5), 2.107753), ((0.05, 2.0, 500, 1e-6), 3.103813)],
)
def test_renyi_divergences_add_up_to_the_known_epsilon(given, epsilon):
    assert hidim.privacy.rdp_epsilon(*given) == pytest.approx(epsilon, abs=1e-6)


@pytest.mark.parametrize(("mu", "epsilon"), [(0.5, 1.99309), (1.0, 4.37718), (2.0, 9.99726)])
def test_a_gaussian_mechanism_has_the_known_epsilon(mu, epsilon):
    assert hidim.privacy.gdp_epsilon(mu, 1e-5) == pytest.approx(epsilon, abs=6e-6)


def test_equal_to_dp_accounting_where_it_is_installed():
    dp = pytest.importorskip("dp_accounting")
    for q, sigma, steps, delta in (
        (0.01, 1.0, 1000, 1e-5),
        (0.2, 3.0, 50, 1e-6),
        (1.0, 5.0, 9, 1e-5),
    ):
        accountant = dp.rdp.RdpAccountant(list(range(2, 64)))
        event = dp.PoissonSampledDpEvent(q, dp.GaussianDpEvent(sigma))
        accountant.compose(event, steps)
        expected = accountant.get_epsilon(delta)
        found = hidim.privacy.rdp_epsilon(q, sigma, steps, delta)
        assert found == pytest.approx(expected, rel=1e-5)


def test_every_sample_in_every_batch_is_the_gaussian_mechanism():
    # With many steps at little noise the smallest order is best, eps_2 = 1 / sigma^2 per step.
    found = hidim.privacy.rdp_epsilon(1.0, 0.5, 100, 1e-5)
    assert found == pytest.approx(100 * 4.0 + math.log(0.5) - math.log(2e-5))
    assert hidim.privacy.rdp_epsilon(0.0, 1.0, 100, 1e-5) == 0.0
    assert hidim.privacy.rdp_epsilon(0.1, 1.0, 0, 1e-5) == 0.0
    assert hidim.privacy.gdp_epsilon(0.01, 0.5) == 0.0


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.privacy.rdp_epsilon(1.2, 1.0, 10, 1e-5), "`sampling_rate`"),
        (lambda: hidim.privacy.rdp_epsilon(0.1, 0.0, 10, 1e-5), "`noise_multiplier`"),
        (lambda: hidim.privacy.rdp_epsilon(0.1, 1.0, 1.5, 1e-5), "`steps`"),
        (lambda: hidim.privacy.gdp_epsilon(1.0, 1.0), "`delta`"),
        (lambda: hidim.privacy.gdp_epsilon(-1.0, 0.1), "`mu`"),
    ],
)
def test_numbers_out_of_range_are_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask()
