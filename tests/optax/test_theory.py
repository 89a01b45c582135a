"""Training with the transformation follows the predicted risk: they are the same algorithm."""

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402

PROBLEM = hidim.PLRF(alpha=1.0, beta=0.7, d=16, v=64)
SEED = 3
AT = [1, 4, 16, 64, 256, 1024]
RUNS = 256


def streamed_risks(optimizer: Any, batch_size: int) -> np.ndarray:
    """Risk of each run at the steps `AT`, fresh data at every step: (RUNS, len(AT))."""
    d, v = PROBLEM.d, 64
    index = jnp.arange(1.0, v + 1.0)
    scale, target = index**-PROBLEM.alpha, index**-PROBLEM.beta
    W = jnp.asarray(np.random.default_rng(SEED).standard_normal((v, d)) / np.sqrt(d))

    def loss(theta: Any, x: Any) -> Any:
        return 0.5 * jnp.mean((x @ (W @ theta - target)) ** 2)

    def risk(theta: Any) -> Any:
        return 0.5 * jnp.sum((scale * (W @ theta - target)) ** 2)

    def one_run(key: Any) -> Any:
        def step(carry: tuple, key: Any) -> tuple:
            theta, state = carry
            x = scale * jax.random.normal(key, (batch_size, v))
            updates, state = optimizer.update(jax.grad(loss)(theta, x), state, theta)
            theta = optax.apply_updates(theta, updates)
            return (theta, state), risk(theta)

        theta = jnp.zeros(d)
        keys = jax.random.split(key, AT[-1])
        return jax.lax.scan(step, (theta, optimizer.init(theta)), keys)[1]

    keys = jax.random.split(jax.random.key(0), RUNS)
    risks = jax.jit(jax.vmap(one_run))(keys)  # (RUNS, steps), risks[:, t - 1] is at step t
    return np.asarray(risks[:, jnp.asarray(AT) - 1], np.float64)


ALGORITHMS = {
    "sgd": (hidim.sgd(0.2), 1),
    "dana-constant": (hidim.dana_constant(0.2, 0.01, 8.0), 1),
    "dana-decaying": (hidim.dana_decaying(0.2, 0.05, 0.5, 8.0), 2),
    "accelerated-sgd": (hidim.accelerated_sgd(0.1, 0.4, 0.95, 0.02), 4),
    "schedule-free-sgd": (hidim.schedule_free_sgd(0.3), 1),
}
FAST = ("dana-decaying",)


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in ALGORITHMS]
)
def test_streaming_training_follows_the_prediction(name: str) -> None:
    algorithm, batch_size = ALGORITHMS[name]
    risks = streamed_risks(hx.from_algorithm(algorithm), batch_size)
    curve = hidim.predict(PROBLEM, algorithm, steps=AT[-1], batch_size=batch_size, seed=SEED, at=AT)
    error = risks.std(axis=0, ddof=1) / np.sqrt(RUNS)
    # Six correlated points at a fixed seed: 4 standard errors, and they are small enough to tell.
    assert np.all(np.abs(risks.mean(axis=0) - curve.risk) < 4 * error)
    assert np.all(error < 0.1 * curve.risk)


@pytest.mark.slow
def test_a_named_optimizer_trains_the_predicted_curve_too() -> None:
    risks = streamed_risks(hx.dana_decaying(0.2, c_3=0.25, kappa_3=0.5, delta=8.0), 2)
    algorithm = hidim.dana_decaying(0.2, 0.05, 0.5, 8.0)
    curve = hidim.predict(PROBLEM, algorithm, steps=AT[-1], batch_size=2, seed=SEED, at=AT)
    error = risks.std(axis=0, ddof=1) / np.sqrt(RUNS)
    assert np.all(np.abs(risks.mean(axis=0) - curve.risk) < 4 * error)
