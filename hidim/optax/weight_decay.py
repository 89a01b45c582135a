"""How does any optimizer get the log-time weight decay?

    p <- p (1 - schedule(t) omega/(t_0 + t)) + its own update,  t = 1, 2, ...

as the last link of an `optax.chain`. `schedule` is the learning rate over its peak, not the rate.
Source: arXiv 2602.05298 (omega = 4, t_0 a tenth of the run).
"""

from typing import Any, NamedTuple

import jax
import optax

from hidim.optax import _core
from hidim.optax._overdecay import refuse_log_time
from hidim.support.checks import non_negative


class LogTimeWeightDecayState(NamedTuple):
    """`count` updates were done (int32)."""

    count: jax.Array  # type: ignore[assignment]


def log_time_weight_decay(
    omega: optax.ScalarOrSchedule = 4.0,
    t_0: float = 1000.0,
    schedule: optax.ScalarOrSchedule = 1.0,
    *,
    decay_after: bool = False,
    mask: Any = None,
    initial_step: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Decoupled weight decay that falls as 1/t, to be put last in an `optax.chain`.

    Args:
        omega: strength, at least 0: the weights shrink as t^-omega if nothing else moves them.
        t_0: offset in steps, at least 0, about a tenth of the run.
        schedule: learning rate over its peak, a number or a schedule.
        decay_after: decay the moved parameter, as the authors' code does.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the number of updates at which a fresh state starts its clock.

    Raises:
        ValueError: a negative argument, or a decay of a whole weight or more in an update that
            can be known (t_0 + t at most omega), by its name.

    >>> import jax.numpy as jnp, optax
    >>> optimizer = optax.chain(optax.adam(1e-3), log_time_weight_decay(4.0, t_0=99.0))
    >>> params = jnp.ones(1)
    >>> updates, _ = optimizer.update(jnp.zeros(1), optimizer.init(params), params)
    >>> updates
    Array([-0.04], dtype=float32)
    """
    for name, value in (("omega", omega), ("t_0", t_0), ("schedule", schedule)):
        _core.checked(non_negative, name, value)
    _core.check_initial_step(initial_step)
    refuse_log_time(omega, t_0, schedule, first=1.0, initial_step=initial_step)

    def decay(count: jax.Array, factor: jax.Array) -> jax.Array:
        return factor * _core.scalar(omega, count) / (_core.scalar(t_0, count) + count + 1.0)

    return _core.build(
        LogTimeWeightDecayState,
        lambda u, c: (-u,),  # the incoming update is kept: `build` negates what it subtracts
        lambda t, factor: {},
        learning_rate=schedule,
        slot_dtypes=[],
        decay=decay,
        decay_mode="after" if decay_after else "before",
        mask=mask,
        initial_step=initial_step,
    )
