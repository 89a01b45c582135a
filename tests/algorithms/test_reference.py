"""The reference rules are what their names say, by identities they were not written from."""

import numpy as np
import pytest

from hidim.algorithms import reference


def trajectory(optimizer, steps=50, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(6)
    for _ in range(steps):
        p = optimizer.step(p, np.linspace(0.5, 2.0, 6) * p + rng.standard_normal(6))
    return p


def test_accelerated_sgd_is_the_family_member_with_its_constants():
    lr, kappa, xi, c = 0.01, 50.0, 4.0, 0.7
    mixing = c**2 * xi / kappa
    anchor = c / (c + mixing)
    member = reference.GeneralMomentum(
        lr, gamma_3=(1 - anchor) * (c * xi - 1), forgetting=1 - anchor * (1 - mixing)
    )
    jain = reference.AcceleratedSGD(lr, kappa=kappa, xi=xi, small_const=c)
    # Two algebraically equal recursions over 50 steps: float64 rounding.
    np.testing.assert_allclose(trajectory(jain), trajectory(member), rtol=1e-12)


def test_constant_rates_without_forgetting_are_heavy_ball():
    heavy = reference.GeneralMomentum(0.02, gamma_2=0.0, gamma_3=1.0, forgetting=0.1)
    rng = np.random.default_rng(3)
    p = q = rng.standard_normal(4)
    previous = q
    for _ in range(30):
        g = rng.standard_normal(4)
        p = heavy.step(p, g)
        q, previous = q - 0.02 * g + 0.9 * (q - previous), q
    np.testing.assert_allclose(p, q, rtol=1e-12)


@pytest.mark.parametrize("readme", [False, True])
def test_adana_without_its_extra_terms_is_adam_without_bias_correction(readme):
    options = {"alpha_form": "readme"} if readme else {}
    adana = reference.ADANA(0.01, gradient_scale=0.0, alpha_scale=0.0, **options)
    m = v = np.zeros(6)
    rng = np.random.default_rng(1)
    p = q = rng.standard_normal(6)
    for t in range(1, 40):
        g = rng.standard_normal(6)
        beta = 1 - 8 / (8 + t)
        m, v = beta * m + (1 - beta) * g, beta * v + (1 - beta) * g**2
        p, q = adana.step(p, g), q - (0.0 if readme else 0.01) * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(p, q, rtol=1e-13)


def test_clips_that_never_bind_leave_the_unclipped_rules():
    mk4 = trajectory(reference.DanaMK4(0.01, clip=1e9))
    np.testing.assert_allclose(mk4, trajectory(reference.ADANA(0.01)), rtol=1e-12)
    star = trajectory(reference.DanaStarMK4(0.01, clip=1e9))
    np.testing.assert_allclose(star, trajectory(reference.DanaStar(0.01)), rtol=1e-12)


def test_log_time_decay_shrinks_the_old_parameter_by_omega_over_its_time():
    adana = reference.ADANA(0.5, omega=4.0, t_0=100.0, peak_lr=1.0)
    p = adana.step(np.array([2.0]), np.array([0.0]))
    assert p[0] == pytest.approx(2.0 * (1 - 0.5 * 4 / 101), rel=1e-15)
