"""Train random features in JAX with SGD and DANA, and print the predicted risk beside the measured.

Run it with `python examples/optax_plain_loop.py` after `pip install 'hidim[optax]'`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import hidim
from hidim.optax import from_algorithm

D, V, STEPS, SEED = 100, 400, 10_000, 0
PROBLEM = hidim.PLRF(alpha=1.0, beta=0.3, d=D, v=V)
INDEX = jnp.arange(1.0, V + 1.0)
SCALE, TARGET = INDEX**-PROBLEM.alpha, INDEX**-PROBLEM.beta
FEATURES = jnp.asarray(np.random.default_rng(SEED).standard_normal((V, D)) / np.sqrt(D))


def loss(theta: jax.Array, x: jax.Array) -> jax.Array:
    return 0.5 * ((x @ FEATURES) @ theta - x @ TARGET) ** 2


def train(optimizer: optax.GradientTransformation, key: jax.Array) -> jax.Array:
    """The risk after `STEPS` steps on fresh samples."""

    def step(carry: tuple, key: jax.Array) -> tuple:
        theta, state = carry
        x = SCALE * jax.random.normal(key, (V,))
        updates, state = optimizer.update(jax.grad(loss)(theta, x), state, theta)
        return (optax.apply_updates(theta, updates), state), None

    start = (jnp.zeros(D), optimizer.init(jnp.zeros(D)))
    (theta, _), _ = jax.lax.scan(step, start, jax.random.split(key, STEPS))
    return 0.5 * jnp.sum((SCALE * (FEATURES @ theta - TARGET)) ** 2)


for algorithm in (hidim.sgd(0.3), hidim.dana_decaying(0.3, 0.1, kappa_3=0.5, delta=8.0)):
    runs = jax.jit(jax.vmap(lambda key, a=algorithm: train(from_algorithm(a), key)))
    risks = runs(jax.random.split(jax.random.key(1), 16))
    predicted = hidim.predict(PROBLEM, algorithm, STEPS, seed=SEED, at=[STEPS]).risk[0]
    measured = f"{risks.mean():.5f} ± {risks.std() / 4:.5f}"
    print(f"{algorithm.name:14s} measured {measured}, predicted {predicted:.5f}")
