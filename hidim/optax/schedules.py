"""How does a schedule of hidim become one that JAX can trace?

The schedules of `hidim.algorithms.schedules` are data whose formulas any array library evaluates;
here jax.numpy does, as a function of the step for any optax transformation. A schedule that knows
NumPy alone is evaluated on the host by a callback: right everywhere, slower on a GPU.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hidim.algorithms import schedules


@dataclass(frozen=True)
class OptaxSchedule:
    """A schedule of hidim that JAX can trace; prints and compares as what it wraps."""

    schedule: schedules.Schedule

    def __call__(self, t: Any) -> jax.Array:
        """Value at integer or real steps `t` >= 0 of any shape, float32 (float64 under x64)."""
        time = as_time(t)
        if self.schedule.numpy_only is None:
            return jnp.asarray(self.schedule(time, jnp))
        return _on_host(self.schedule, time)

    def __repr__(self) -> str:
        return f"as_optax_schedule({self.schedule!r})"


def as_optax_schedule(schedule: schedules.Schedule | float) -> OptaxSchedule:
    """`schedule` as a traceable function of the step, for any place that takes an optax schedule.

    The transformations of `hidim.optax` take hidim's schedules as they are; this is for those of
    others, and for `optax.inject_hyperparams`, which calls every schedule itself.

    Args:
        schedule: a schedule of hidim, or a number.

    Raises:
        ValueError: `schedule` is neither a schedule nor a number.

    >>> from hidim.algorithms.schedules import Warmup
    >>> as_optax_schedule(0.1 * Warmup(4))(1)
    Array(0.05, dtype=float32)
    """
    return OptaxSchedule(schedules.as_schedule("schedule", schedule))


def as_time(t: Any) -> jax.Array:
    """Steps as float32, or float64 when x64 is enabled."""
    return jnp.asarray(t).astype(jnp.result_type(float))


def _on_host(schedule: schedules.Schedule, t: jax.Array) -> jax.Array:
    return jax.pure_callback(
        lambda steps: np.asarray(schedule(np.asarray(steps)), dtype=t.dtype),
        jax.ShapeDtypeStruct(t.shape, t.dtype),
        t,
        vmap_method="broadcast_all",
    )
