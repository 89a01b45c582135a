"""Where the optimizers meet simpler or older ones, they are those."""

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402

STEPS = 300
START = jnp.linspace(-1.0, 1.0, 5)


def path(optimizer: Any) -> np.ndarray:
    """Parameters after each step on one fixed sequence of noisy gradients: (STEPS, 5)."""
    noise = jnp.asarray(np.random.default_rng(1).standard_normal((STEPS, 5)))
    start = START.astype(noise.dtype)

    def step(carry: tuple, z: Any) -> tuple:
        params, state = carry
        updates, state = optimizer.update(0.5 * params + z, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return np.asarray(
        jax.jit(lambda c: jax.lax.scan(step, c, noise))((start, optimizer.init(start)))[1]
    )


def assert_same(ours: Any, theirs: Any) -> None:
    # Both in float64: 300 roundings of 1e-16 on paths of order 1.
    np.testing.assert_allclose(path(ours), path(theirs), rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("x64")
class TestReductions:
    def test_dana_without_its_momentum_rate_is_sgd(self) -> None:
        sgd = optax.sgd(0.05)
        assert_same(hx.dana_decaying(0.05, c_3=0.0), sgd)
        assert_same(hx.dana_constant(0.05, c_3=0.0), sgd)
        assert_same(hx.from_algorithm(hidim.sgd(0.05)), sgd)

    def test_dana_decaying_at_kappa_3_zero_is_dana_constant(self) -> None:
        assert_same(
            hx.dana_decaying(0.05, c_3=0.02, kappa_3=0.0, delta=6.0),
            hx.dana_constant(0.05, c_3=2.0, dimension=100, delta=6.0),
        )

    def test_constant_forgetting_is_sgd_with_momentum(self) -> None:
        heavy_ball = hx.general_momentum(0.02, gamma_2=0.0, gamma_3=1.0, forgetting=0.1)
        assert_same(heavy_ball, optax.sgd(0.02, momentum=0.9))
        nesterov = hx.general_momentum(0.02, gamma_2=1.0, gamma_3=0.9, forgetting=0.1)
        assert_same(nesterov, optax.sgd(0.02, momentum=0.9, nesterov=True))

    def test_general_momentum_is_dana_decaying_by_default(self) -> None:
        assert_same(hx.general_momentum(0.05), hx.dana_decaying(0.05))

    def test_an_algorithm_trains_as_the_optimizer_of_its_name(self) -> None:
        assert_same(
            hx.from_algorithm(hidim.dana_decaying(0.05, 0.04, 0.6, 7.0)),
            hx.dana_decaying(0.05, c_3=0.8, kappa_3=0.6, delta=7.0),
        )
        assert_same(
            hx.from_algorithm(hidim.stochastic_nesterov(0.01)), hx.stochastic_nesterov(0.01)
        )

    def test_a_scheduled_algorithm_is_the_algorithm_at_a_scheduled_rate(self) -> None:
        schedule = hidim.Warmup(30) * hidim.Cosine(300, final=0.1)
        for algorithm in (hidim.dana_constant(0.05, 0.01, 8.0), hidim.stochastic_nesterov(0.01)):
            assert_same(
                hx.from_algorithm(algorithm.scheduled(schedule)),
                hx.from_algorithm(algorithm, schedule),
            )

    def test_adana_without_its_extra_terms_is_adam_without_bias_correction(self) -> None:
        adam = log_time_adam(lambda m, s, g: m / s)
        assert_same(hx.adana(0.01, alpha_scale=0.0, gradient_scale=0.0), adam)

    def test_adana_is_adam_plus_its_growing_term_and_the_gradient(self) -> None:
        def direction(m: Any, s: Any, g: Any) -> Any:
            return (g + m) / s

        assert_same(hx.adana(0.01, alpha_scale=0.0), log_time_adam(direction))

    def test_an_infinite_clip_never_clips(self) -> None:
        assert_same(hx.dana_mk4(0.01, clip=np.inf), hx.adana(0.01))
        assert_same(hx.dana_star_mk4(0.01, clip=np.inf), hx.dana_star(0.01))

    def test_the_slow_average_of_ademamix_can_be_switched_off_to_leave_adam(self) -> None:
        assert_same(hx.log_time_ademamix(0.01, alpha_scale=0.0), optax.adam(0.01))

    def test_sign_descent_is_that_of_optax(self) -> None:
        assert_same(hx.sign_sgd(0.01), optax.sign_sgd(0.01))

    def test_weight_decay_is_that_of_adamw_and_of_a_ridge(self) -> None:
        ours = hx.log_time_ademamix(0.01, alpha_scale=0.0, weight_decay=0.3)
        assert_same(ours, optax.adamw(0.01, weight_decay=0.3))
        ridge = optax.chain(optax.add_decayed_weights(0.3), hx.dana_decaying(0.05))
        assert_same(hx.dana_decaying(0.05, weight_decay=0.3), ridge)

    def test_log_time_decay_chained_equals_the_built_in(self) -> None:
        rate = optax.cosine_decay_schedule(0.02, STEPS)
        built_in = hx.adana(rate, omega=3.0, t_0=20.0, peak_lr=0.02)
        chained = optax.chain(
            hx.adana(rate), hx.log_time_weight_decay(3.0, 20.0, lambda t: rate(t) / 0.02)
        )
        assert_same(built_in, chained)


def log_time_adam(direction: Any, rate: float = 0.01, delta: float = 8.0) -> Any:
    """Adam of optax with beta_1 = beta_2 = 1 - delta/(delta + t), read before bias correction."""

    def update(g: Any, state: Any, params: Any = None) -> Any:
        beta = 1.0 - delta / (delta + state.count + 1.0)
        _, state = optax.scale_by_adam(b1=beta, b2=beta).update(g, state)
        s = jax.tree.map(lambda v: jnp.sqrt(v) + 1e-8, state.nu)
        return jax.tree.map(lambda m, s, g: -rate * direction(m, s, g), state.mu, s, g), state

    return optax.GradientTransformation(optax.scale_by_adam().init, update)
