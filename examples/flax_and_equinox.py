"""ADANA in flax nnx, flax linen and Equinox: `pip install 'hidim[optax]' flax equinox`.

`python examples/flax_and_equinox.py`; three loops over the same data, each as its library has it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from flax import linen, nnx
from flax.training.train_state import TrainState

from hidim.optax import adana

STEPS = 60
X = jax.random.normal(jax.random.key(0), (256, 8))
Y = jnp.sin(X[:, :1]) + X[:, 1:2]


def optimizer(mask) -> optax.GradientTransformation:
    """Log-time decay of the matrices alone: `mask` says which they are."""
    rate = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 5, STEPS)
    return adana(rate, omega=1.0, t_0=STEPS, peak_lr=1e-2, mask=mask)


def matrices(params):
    return jax.tree.map(lambda p: p.ndim > 1, params)


def with_nnx() -> list[float]:
    class Model(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.first, self.last = nnx.Linear(8, 16, rngs=rngs), nnx.Linear(16, 1, rngs=rngs)

        def __call__(self, x):
            return self.last(jnp.tanh(self.first(x)))

    model = Model(nnx.Rngs(0))
    state = nnx.Optimizer(model, optimizer(matrices), wrt=nnx.Param)

    @nnx.jit
    def step(model, state):
        loss, grads = nnx.value_and_grad(lambda m: jnp.mean((m(X) - Y) ** 2))(model)
        state.update(model, grads)
        return loss

    return [float(step(model, state)) for _ in range(STEPS)]


def with_linen() -> list[float]:
    model = linen.Sequential([linen.Dense(16), jnp.tanh, linen.Dense(1)])
    state = TrainState.create(
        apply_fn=model.apply, params=model.init(jax.random.key(1), X), tx=optimizer(matrices)
    )

    @jax.jit
    def step(state):
        def loss_of(params):
            return jnp.mean((state.apply_fn(params, X) - Y) ** 2)

        loss, grads = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=grads), loss

    losses = []
    for _ in range(STEPS):
        state, loss = step(state)
        losses.append(float(loss))
    return losses


def with_equinox() -> list[float]:
    model = eqx.nn.MLP(8, 1, 16, 1, activation=jnp.tanh, key=jax.random.key(2))
    tx = optimizer(matrices(eqx.filter(model, eqx.is_inexact_array)))  # a module as the mask
    state = tx.init(eqx.filter(model, eqx.is_inexact_array))

    @eqx.filter_jit
    def step(model, state):
        def loss_of(model):
            return jnp.mean((jax.vmap(model)(X) - Y) ** 2)

        loss, grads = eqx.filter_value_and_grad(loss_of)(model)
        updates, state = tx.update(grads, state, eqx.filter(model, eqx.is_inexact_array))
        return eqx.apply_updates(model, updates), state, loss

    losses = []
    for _ in range(STEPS):
        model, state, loss = step(model, state)
        losses.append(float(loss))
    return losses


for name, losses in {"nnx": with_nnx(), "linen": with_linen(), "equinox": with_equinox()}.items():
    print(f"{name}: loss {losses[0]:.3f} -> {losses[-1]:.3f}")
