"""How is a predicted algorithm trained?

`hidim.Momentum` holds the four schedules that `hidim.predict` integrates; the transformation made
here takes exactly those steps, so what was predicted is what is trained.
"""

from typing import Any

import jax
import optax

from hidim.algorithms import Momentum
from hidim.algorithms.gradients import IN_TRAINING, plain_gradient
from hidim.optax import _core
from hidim.optax.momentum import build_momentum
from hidim.optax.schedules import as_optax_schedule


def from_algorithm(
    algorithm: Momentum,
    learning_rate: optax.ScalarOrSchedule = 1.0,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    decoupled_weight_decay: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
    cooldown: optax.ScalarOrSchedule | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The transformation that takes the steps of `algorithm`.

    Args:
        algorithm: a member of the momentum family, such as `hidim.dana_decaying(...)`.
        learning_rate: further factor, number or schedule, on the rates that a learning-rate
            schedule scales (gamma_2 and gamma_3 for most, see `hidim.Momentum.scheduled`).
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does: the
            theory's ridge is part of the loss.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.
        mu_dtype: dtype of the buffer y, by default the parameter's own (float32 for float16).
        cooldown: number of updates of the run or schedule, a factor on gamma_3 as in
            `hidim.optax.dana_decaying`.

    Raises:
        ValueError: `algorithm` is not a `hidim.Momentum` or has a gradient of its own; a negative
            rate or decay, or a cool-down that is no number of updates.

    >>> import hidim, jax.numpy as jnp
    >>> optimizer = from_algorithm(hidim.dana_decaying(0.5, 0.1, kappa_3=0.5, delta=8.0))
    >>> optimizer.update(jnp.ones(2), optimizer.init(jnp.zeros(2)))[0]
    Array([-0.6, -0.6], dtype=float32)
    """
    if not isinstance(algorithm, Momentum):
        raise ValueError(
            f"`algorithm` must be a hidim.Momentum such as hidim.dana_decaying(...), "
            f"got {type(algorithm).__name__}."
        )
    plain_gradient(algorithm, IN_TRAINING)
    _core.check_cooldown(cooldown)
    names = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
    schedules = {name: as_optax_schedule(getattr(algorithm, name)) for name in names}

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        values = {name: schedule(t) for name, schedule in schedules.items()}
        values["gamma_3"] = values["gamma_3"] * _core.cooldown_at(cooldown, t)
        return values | {name: rate * values[name] for name in algorithm.rates}

    return build_momentum(
        coefficients,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        mask=mask,
        initial_step=initial_step,
        mu_dtype=mu_dtype,
    )
