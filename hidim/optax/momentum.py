"""Which step does stochastic momentum take, for any four schedules?

    y <- (1 - forgetting(t)) y + gamma_1(t) g
    p <- p - gamma_2(t) g - gamma_3(t) y            (the new y), t = 0, 1, 2, ...

Every named member of the family is this transformation with its schedules filled in. The buffer
moves as y + (gamma_1 g - forgetting y): late in a run the forgetting is far below the rounding
unit of 1, and 1 - forgetting would lose it.
Source: arXiv 2505.16098.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from hidim.algorithms.schedules import Forgetting, PowerLaw
from hidim.optax import _core
from hidim.optax._overdecay import refuse_constant
from hidim.optax.schedules import as_optax_schedule
from hidim.support.checks import non_negative

# As DANA-decaying by default.
GAMMA_3 = as_optax_schedule(PowerLaw(1.0, 0.85))
FORGETTING = as_optax_schedule(Forgetting(8.0))


class MomentumState(NamedTuple):
    """`count` updates were done (int32); `y` is the momentum buffer, shaped like the parameters."""

    count: jax.Array  # type: ignore[assignment]
    y: optax.Updates


def general_momentum(
    learning_rate: optax.ScalarOrSchedule,
    gamma_1: optax.ScalarOrSchedule = 1.0,
    gamma_2: optax.ScalarOrSchedule = 1.0,
    gamma_3: optax.ScalarOrSchedule = GAMMA_3,
    forgetting: optax.ScalarOrSchedule = FORGETTING,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    decoupled_weight_decay: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
    cooldown: optax.ScalarOrSchedule | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Stochastic momentum with any schedules; the learning rate multiplies gamma_2 and gamma_3.

    By default it is `dana_decaying`. Schedules are hidim's or any function of the step that JAX
    can trace.

    Args:
        learning_rate: number or schedule of the step, the common factor of both rates.
        gamma_1: gain of the momentum buffer, number or schedule.
        gamma_2: gradient term as a ratio to the learning rate, number or schedule.
        gamma_3: momentum term as a ratio to the learning rate, number or schedule.
        forgetting: share of the buffer forgotten at each step, number or schedule; values above 1
            flip the buffer's sign and are allowed, as some published schedules have them early.
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does: the
            theory's ridge is part of the loss.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.
        mu_dtype: dtype of the buffer, by default the parameter's own (float32 for float16).
        cooldown: number of updates of the run or schedule, as in `hidim.optax.dana_decaying`.

    Raises:
        ValueError: a number is negative or not finite, or `cooldown` no number of updates.

    >>> import jax.numpy as jnp, optax
    >>> heavy_ball = general_momentum(0.1, gamma_2=0.0, gamma_3=1.0, forgetting=0.1)
    >>> state = heavy_ball.init(jnp.ones(2))
    >>> updates, state = heavy_ball.update(jnp.ones(2), state)
    >>> updates
    Array([-0.1, -0.1], dtype=float32)
    """
    for name, value in (
        ("gamma_1", gamma_1),
        ("gamma_2", gamma_2),
        ("gamma_3", gamma_3),
        ("forgetting", forgetting),
    ):
        _core.checked(non_negative, name, value)
    _core.check_cooldown(cooldown)

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        return {
            "gamma_1": _core.scalar(gamma_1, t),
            "gamma_2": rate * _core.scalar(gamma_2, t),
            "gamma_3": rate * (_core.scalar(gamma_3, t) * _core.cooldown_at(cooldown, t)),
            "forgetting": _core.scalar(forgetting, t),
        }

    return build_momentum(
        coefficients,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        mask=mask,
        initial_step=initial_step,
        mu_dtype=mu_dtype,
    )


def build_momentum(
    coefficients: Callable[..., _core.Coefficients],
    *,
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: optax.ScalarOrSchedule,
    decoupled_weight_decay: bool,
    mask: Any,
    initial_step: int,
    mu_dtype: Any,
) -> optax.GradientTransformationExtraArgs:
    """The momentum transformation with gamma_1, gamma_2, gamma_3, forgetting as coefficients."""
    check_common(learning_rate, weight_decay, initial_step)
    if decoupled_weight_decay:
        refuse_constant(learning_rate, weight_decay)

    def decay(t: jax.Array, rate: jax.Array) -> jax.Array:
        share = _core.scalar(weight_decay, t)
        return rate * share if decoupled_weight_decay else share

    return _core.build(
        MomentumState,
        momentum_rule,
        coefficients,
        learning_rate=learning_rate,
        slot_dtypes=[mu_dtype],
        decay=None if _core.is_zero(weight_decay) else decay,
        decay_mode="before" if decoupled_weight_decay else "gradient",
        mask=mask,
        initial_step=initial_step,
    )


def momentum_rule(g: jax.Array, y: jax.Array, c: _core.Coefficients) -> tuple[jax.Array, jax.Array]:
    """One array's step: the amount to subtract from the parameter and the new buffer."""
    y = y + (c["gamma_1"] * g - c["forgetting"] * y)
    return c["gamma_2"] * g + c["gamma_3"] * y, y


def check_common(learning_rate: Any, weight_decay: Any, initial_step: Any) -> None:
    """Refuse a negative rate, decay or first step, each by its name."""
    _core.checked(non_negative, "learning_rate", learning_rate)
    _core.checked(non_negative, "weight_decay", weight_decay)
    _core.check_initial_step(initial_step)
