"""How does a schedule of hidim become one that JAX can trace?

The schedules of `hidim.algorithms.schedules` are data that NumPy evaluates; here each is the same
formula in jax.numpy, a function of the step for any optax transformation. A schedule that this
table does not know is evaluated on the host by a callback: right everywhere, slower on a GPU.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hidim.algorithms import schedules
from hidim.algorithms.decays import ExponentialDecay, PolynomialDecay

JaxSchedule = Callable[[Any], jax.Array]


@dataclass(frozen=True)
class OptaxSchedule:
    """A schedule of hidim that JAX can trace; prints and compares as what it wraps."""

    schedule: schedules.Schedule

    def __call__(self, t: Any) -> jax.Array:
        """Value at integer or real steps `t` >= 0 of any shape, float32 (float64 under x64)."""
        return _formula(self.schedule)(as_time(t))

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


def _formula(schedule: schedules.Schedule) -> JaxSchedule:
    make = _FORMULAS.get(type(schedule).__call__, _on_host)
    return make(schedule)


def _on_host(schedule: schedules.Schedule) -> JaxSchedule:
    def formula(t: jax.Array) -> jax.Array:
        return jax.pure_callback(
            lambda steps: np.asarray(schedule(np.asarray(steps)), dtype=t.dtype),
            jax.ShapeDtypeStruct(t.shape, t.dtype),
            t,
            vmap_method="broadcast_all",
        )

    return formula


def _constant(schedule: schedules.Constant) -> JaxSchedule:
    return lambda t: jnp.full_like(t, schedule.value)


def _power_law(schedule: schedules.PowerLaw) -> JaxSchedule:
    return lambda t: schedule.scale * (1.0 + t) ** -schedule.t_exponent


def _forgetting(schedule: schedules.Forgetting) -> JaxSchedule:
    offset = schedule.delta if schedule.offset is None else schedule.offset
    return lambda t: schedule.delta / (offset + t)


def _nesterov_weight(schedule: schedules.NesterovWeight) -> JaxSchedule:
    return lambda t: schedule.scale * (t * ((t + 1.0) / (t + 2.0)))


def _average_weight(schedule: schedules.AverageWeight) -> JaxSchedule:
    return lambda t: 1.0 / jnp.maximum(t + schedule.offset, 1.0)


def _complement(schedule: schedules.Complement) -> JaxSchedule:
    inner = _formula(schedule.schedule)
    return lambda t: 1.0 - inner(t)


def _warmup(schedule: schedules.Warmup) -> JaxSchedule:
    return lambda t: jnp.minimum((t + 1.0) / float(schedule.steps), 1.0)


def _cosine(schedule: schedules.Cosine) -> JaxSchedule:
    def formula(t: jax.Array) -> jax.Array:
        share = jnp.minimum(t / float(schedule.steps), 1.0)
        return schedule.final + (1.0 - schedule.final) * jnp.cos(0.5 * math.pi * share) ** 2

    return formula


def _wsd(schedule: schedules.WSD) -> JaxSchedule:
    start = float(schedule.steps) * (1.0 - schedule.decay_fraction)

    def formula(t: jax.Array) -> jax.Array:
        share = jnp.clip((t - start) / (float(schedule.steps) - start), 0.0, 1.0)
        if schedule.shape == "linear":
            down = 1.0 - (1.0 - schedule.final) * share
        else:
            down = schedule.final**share
        up = jnp.minimum((t + 1.0) / float(schedule.warmup), 1.0) if schedule.warmup else 1.0
        return up * down

    return formula


def _polynomial(schedule: PolynomialDecay) -> JaxSchedule:
    return lambda t: schedule.peak * jnp.clip(1.0 - t / schedule.steps, 0.0, 1.0) ** schedule.power


def _exponential(schedule: ExponentialDecay) -> JaxSchedule:
    def formula(t: jax.Array) -> jax.Array:
        share = jnp.clip((t - schedule.start) / (schedule.steps - schedule.start), 0.0, 1.0)
        return schedule.peak * jnp.exp(math.log(schedule.final) * share)

    return formula


def _table(schedule: schedules.Table) -> JaxSchedule:
    def formula(t: jax.Array) -> jax.Array:
        steps = jnp.asarray(schedule.steps, t.dtype)
        values = jnp.asarray(schedule.values, t.dtype)
        if schedule.interpolation == "linear":
            return jnp.interp(t, steps, values)
        index = jnp.searchsorted(steps, t, side="right") - 1
        return values[jnp.maximum(index, 0)]

    return formula


def _product(schedule: schedules.Product) -> JaxSchedule:
    factors = [_formula(factor) for factor in schedule.factors]

    def formula(t: jax.Array) -> jax.Array:
        value = factors[0](t)
        for factor in factors[1:]:
            value = value * factor(t)
        return value

    return formula


# By the function that NumPy runs, so that a class with a formula of its own is not taken for its
# parent.
_FORMULAS: dict[Any, Callable[[Any], JaxSchedule]] = {
    schedules.Constant.__call__: _constant,
    schedules.PowerLaw.__call__: _power_law,
    schedules.Forgetting.__call__: _forgetting,
    schedules.NesterovWeight.__call__: _nesterov_weight,
    schedules.AverageWeight.__call__: _average_weight,
    schedules.Complement.__call__: _complement,
    schedules.Warmup.__call__: _warmup,
    schedules.Cosine.__call__: _cosine,
    schedules.WSD.__call__: _wsd,
    schedules.Table.__call__: _table,
    schedules.Product.__call__: _product,
    PolynomialDecay.__call__: _polynomial,
    ExponentialDecay.__call__: _exponential,
}
