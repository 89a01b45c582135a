"""A schedule means the same in JAX as in NumPy."""

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402
from hidim.algorithms.schedules import NesterovWeight, Schedule  # noqa: E402

SCHEDULES = [
    hidim.Constant(0.3),
    hidim.PowerLaw(2.0, 0.7),
    hidim.Forgetting(8.0),
    hidim.Forgetting(8.0, offset=1.0),
    NesterovWeight(0.1),
    hidim.Warmup(50),
    hidim.Cosine(1000, final=0.1),
    hidim.Cosine(10**12),
    hidim.WSD(1000, warmup=20, decay_fraction=0.3),
    hidim.WSD(1000, decay_fraction=0.5, final=0.01, shape="exponential"),
    hidim.Table((0, 10, 500), (1.0, 0.2, 0.4)),
    hidim.Table((0, 10, 500), (1.0, 0.2, 0.4), interpolation="previous"),
    0.1 * hidim.Warmup(50) * hidim.Cosine(1000),
]
STEPS = [0, 1, 9, 10, 49, 50, 499, 500, 999, 1000, 5000, 2_000_000]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_equals_numpy_at_every_step(schedule: Schedule, x64: None) -> None:
    ours = hx.as_optax_schedule(schedule)(jnp.asarray(STEPS))
    np.testing.assert_allclose(ours, schedule(STEPS), rtol=1e-14, atol=1e-15)  # float64 rounding


class Sawtooth(Schedule):
    """A schedule that hidim does not know."""

    def __call__(self, t: Any) -> np.ndarray:
        return np.asarray(t, dtype=np.float64) % 3.0


def test_an_unknown_schedule_is_evaluated_on_the_host() -> None:
    schedule = hx.as_optax_schedule(Sawtooth())
    np.testing.assert_array_equal(jax.jit(schedule)(jnp.arange(5)), [0.0, 1.0, 2.0, 0.0, 1.0])
    np.testing.assert_array_equal(jax.vmap(schedule)(jnp.arange(4)), [0.0, 1.0, 2.0, 0.0])


def test_serves_optimizers_of_others_and_injection() -> None:
    rate = hx.as_optax_schedule(hidim.Warmup(10))
    for optimizer in (optax.sgd(rate), optax.inject_hyperparams(optax.sgd)(learning_rate=rate)):
        params = jnp.ones(2)
        updates, _ = jax.jit(optimizer.update)(params, optimizer.init(params), params)
        np.testing.assert_allclose(updates, [-0.1, -0.1], rtol=1e-6)


def test_what_is_no_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="`schedule`"):
        hx.as_optax_schedule("cosine")  # type: ignore[arg-type]
