"""Would decay alone take all of a weight in some update, or more, and so turn its sign?

Weights are multiplied by 1 - lr weight_decay - (lr / peak_lr) omega / (t_0 + t): omega = 4 beside
t_0 = 1 makes that -1 in the first update. What is given as numbers is known when a transformation
is made, and refused there; a schedule is asked only where the numbers beside it leave room for
harm, since a warm-up makes them harmless. Limit: what is traced is not seen.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from hidim.optax import _core

_MOST = 1000  # updates for which a schedule is asked, at most


def refuse_constant(rate: Any, weight_decay: Any, *, peak: Any = None) -> float:
    """lr x weight_decay, 0 if unknown, refused from 1 on; `peak` stands for a rate's schedule.

    Raises:
        ValueError: naming `weight_decay` and the rate.
    """
    lr = _number(rate) if peak is None or not callable(rate) else _number(peak)
    share = _number(weight_decay)
    if lr is not None and share is not None and lr * share >= 1:
        raise ValueError(
            f"`weight_decay` = {share:g} at a learning rate of {lr:g} would take {_all(lr * share)}"
            " in one update: their product must stay below 1. Lower one of them."
        )
    return 0.0 if lr is None or share is None else lr * share


def refuse_log_time(
    omega: Any, t_0: Any, relative: Any, *, beside: float = 0.0, first: float, initial_step: Any
) -> None:
    """Refuse relative (omega / (t_0 + t) + beside) >= 1 in any update that can be known.

    Args:
        relative: the rate over its peak, at most 1: a number or `schedule(count)`.
        beside: what another decay takes at the peak.
        first: t of the first update.
        initial_step: updates done before it.

    Raises:
        ValueError: naming `t_0` and `omega`.
    """
    numbers = [_number(x) for x in (omega, t_0, initial_step)]
    strength, offset, begun = (math.nan if x is None else x for x in numbers)
    if not strength > 0 or math.isnan(offset + begun):
        return
    for count in range(_MOST):
        t = begun + first + count
        at_peak = strength / (offset + t) + beside if offset + t > 0 else math.inf
        if at_peak < 1:
            return  # and smaller from here on
        factor = _value_at(relative, begun + count)
        if factor is None:
            return
        share = factor * at_peak if at_peak < math.inf else at_peak
        if share >= 1:
            raise ValueError(
                f"`t_0` = {offset:g} beside omega = {strength:g} would take {_all(share)} in "
                f"update {t:g}: give a tenth of the run, at least 3 omega = {3 * strength:g}, or "
                "warm the learning rate up."
            )


def _all(share: float) -> str:
    return "all of a weight" if share == 1 else f"{share:.3g} times a weight, and turn its sign,"


def _number(value: Any) -> float | None:
    """A number that can be read now, else None."""
    if callable(value) or isinstance(value, jax.core.Tracer) or jnp.ndim(value):
        return None
    return float(value)


def _value_at(schedule: Any, count: float) -> float | None:
    with jax.ensure_compile_time_eval():
        return _number(_core.scalar(schedule, jnp.asarray(count, jnp.int32)))
