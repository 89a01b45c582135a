"""Claims about the law as a whole: terms, constants, frontier, related laws, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hidim import scaling_law
from hidim.scaling.amplitudes import momentum_factor

NAMES = ("sgd", "dana-constant", "dana-decaying")


def test_the_terms_of_each_phase():
    wanted = {
        (1.0, 0.3): {"F_0", "F_pp"},
        (0.4, 0.3): {"F_0", "F_pp"},
        (0.2, 0.8): {"F_0", "F_pp"},
        (1.0, 0.7): {"F_0", "F_pp", "F_ac"},
        (0.7, 1.2): {"F_0", "F_ac", "K_pp"},
        (0.4, 0.8): {"F_0", "F_pp", "K_pp"},
        (0.27, 0.8): {"F_0", "F_pp", "K_pp"},
    }
    for point, names in wanted.items():
        assert set(scaling_law(*point, "sgd").terms) == names


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("point", [(1, 0.3), (1, 0.7), (1.5, 0.8), (0.7, 1.2), (0.4, 0.8)])
def test_the_frontier_of_the_law_has_its_exponents(point, name):
    law = scaling_law(*point, name)
    best = law.frontier([1e36, 1e39])
    eta = -np.log(best.risk[1] / best.risk[0]) / np.log(1e3)
    xi = np.log(best.d[1] / best.d[0]) / np.log(1e3)
    # Corrections are powers of the budget: below .01 at 1e36 for every point here.
    assert eta == pytest.approx(law.eta, abs=0.01)
    assert xi == pytest.approx(law.xi, abs=0.01)


def test_a_frontier_keeps_to_its_budget_in_whole_numbers():
    best = scaling_law(1, 0.7, "dana-decaying").frontier(3e9)
    assert isinstance(best.d, int)
    assert isinstance(best.steps, int)
    assert 0.99 * 3e9 < best.d * best.steps <= 3e9
    law = scaling_law(1, 0.7, "dana-decaying")
    assert tuple(best) == (best.d, best.steps, best.risk)
    around = [law.risk(3e9 / d, d) for d in (best.d * 0.9, best.d * 1.1)]
    assert best.risk <= min(around)


@pytest.mark.parametrize("flops", [1, 3, 0.5, 0, -1, math.nan, math.inf])
def test_a_budget_too_small_for_any_size_is_refused(flops):
    with pytest.raises(ValueError, match="flops"):
        scaling_law(1, 0.7, "sgd").frontier(flops)


def test_the_trivial_phase_has_no_frontier():
    law = scaling_law(0.2, 0.1, "dana-decaying")
    assert (law.phase, law.eta, law.xi) == ("trivial", 0.0, 0.0)
    with pytest.raises(ValueError, match="alpha"):
        law.frontier(1e9)


def test_without_a_random_matrix_f_ac_drops():
    law = scaling_law(1.5, 0.8, "sgd", variant="no-random-matrix")
    assert set(law.terms) == {"F_0", "F_pp"}
    # F_pp = t^(-rho/2a) meets the truncated tail d^-rho: eta = rho / (2a + 1).
    assert law.eta == pytest.approx(3.6 / 4, abs=1e-12)


def test_ridge_regression_leaves_no_noise_behind():
    law = scaling_law(0.7, 1.2, "sgd", variant="ridge-regression")
    assert set(law.terms) == {"F_0", "F_pp", "F_ac"}
    assert law.eta > scaling_law(0.7, 1.2, "sgd").eta


def test_a_growing_batch_costs_sgd_compute():
    etas = [scaling_law(1, 0.3, "sgd", kappa_b=k).eta for k in (0.0, 0.3, 0.6)]
    # F_pp = F_0 at t = d^2: f = d^(3 + kappa_b), P = d^-1.6.
    assert etas == pytest.approx([1.6 / 3, 1.6 / 3.3, 1.6 / 3.6], abs=1e-12)


def test_momentum_factor_is_the_mellin_transform_of_a_bessel_function():
    from scipy.integrate import quad
    from scipy.special import gamma, jv

    for power, delta, kappa_3 in ((1.2, 8.0, 0.5), (0.5, 6.0, 0.0)):
        nu = (delta + kappa_3 - 1) / (2 - kappa_3)

        def integrand(s, nu=nu, power=power):
            z = np.exp(s / 2)
            return z ** (2 * power) * (gamma(nu + 1) * (2 / z) ** nu * jv(nu, z)) ** 2

        area = quad(integrand, -40, 10, limit=500)[0]
        # e^10 cuts a tail of order u^(p - nu - 1/2): below 1e-6 here.
        wanted = (area / gamma(power)) ** (-1 / power)
        assert momentum_factor(power, delta, kappa_3) == pytest.approx(wanted, rel=1e-5)


def test_too_little_friction_is_refused():
    law = scaling_law(1, 0.7, "dana-constant", delta=1.5)
    with pytest.raises(ValueError, match="delta"):
        law.risk(1e6, 1e3)


def test_unstable_rates_are_refused():
    with pytest.raises(ValueError, match="c_2"):
        scaling_law(1, 0.7, "sgd", c_2=1.5).risk(10, 10)


def test_laws_at_every_kind_of_point_are_finite():
    for a in (0.01, 0.05, 0.25, 0.29, 0.5, 0.75, 1.0, 2.0):
        for b in (0.0, 0.5, 0.50001, 0.75, 1.0, 3.0):
            if a + b > 0.5:
                for name in NAMES:
                    law = scaling_law(a, b, name)
                    assert 0 < law.eta < 2
                    assert 0 < law.xi < 1
                    assert np.isfinite(law.risk([1e3, 1e6], [100, 1e4])).all()


@pytest.mark.parametrize(
    ("a", "b", "d", "ratio"),
    [
        (1, 0.3, 100, 40),
        (1, 0.5, 100, 40),
        (0.4, 0.8, 200, 4),
        (1.5, 2, 60, 40),
        (0.2, 0.45, 99, 4),
    ],
)
def test_the_floor_of_the_law_solves_the_self_consistent_equation(a, b, d, ratio):
    from scipy.optimize import brentq

    from hidim.scaling.terms import floor_risk

    j = np.arange(1, d * ratio + 1.0)
    log_u = brentq(lambda s: np.sum(1 / (1 + np.exp(s) * j ** (2 * a))) - d, -80, 9, xtol=1e-13)
    wanted = np.exp(log_u) * np.sum(j ** (-2 * b) / (1 + np.exp(log_u) * j ** (2 * a)))
    # 2e-3: sums replaced by integrals between half-integers, at these small sizes.
    assert floor_risk(a, b, np.array(float(d)), float(ratio)) == pytest.approx(wanted, rel=2e-3)
