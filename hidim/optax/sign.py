"""Which step does sign descent take?

    p <- p - lr sign(g)

coordinate by coordinate; a complex entry counts as a pair of reals. Studied in arXiv 2411.12135.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hidim.optax import _core
from hidim.optax._overdecay import refuse_constant
from hidim.optax.momentum import check_common


class SignState(NamedTuple):
    """`count` updates were done (int32)."""

    count: jax.Array  # type: ignore[assignment]


def sign_sgd(
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    mask: Any = None,
    initial_step: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Sign descent: every coordinate moves by the learning rate against its gradient's sign.

    Args:
        learning_rate: number or schedule of the step.
        weight_decay: decoupled decay of the old parameter, times the learning rate.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.

    Raises:
        ValueError: a negative rate or decay.

    >>> import jax.numpy as jnp
    >>> optimizer = sign_sgd(0.1)
    >>> optimizer.update(jnp.array([3.0, -0.5, 0.0]), optimizer.init(jnp.zeros(3)))[0]
    Array([-0.1,  0.1, -0. ], dtype=float32)
    """
    check_common(learning_rate, weight_decay, initial_step)
    refuse_constant(learning_rate, weight_decay)

    def decay(t: jax.Array, rate: jax.Array) -> jax.Array:
        return rate * _core.scalar(weight_decay, t)

    return _core.build(
        SignState,
        _core.on_pairs_of_reals(lambda g, c: (c["rate"] * jnp.sign(g),)),
        lambda t, rate: {},
        learning_rate=learning_rate,
        slot_dtypes=[],
        decay=None if _core.is_zero(weight_decay) else decay,
        mask=mask,
        initial_step=initial_step,
    )
