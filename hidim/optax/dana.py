"""Which step do the dimension-adapted members of the family take?

    y <- (1 - delta/(delta + t)) y + g
    p <- p - lr g - gamma_3(t) y                    (the new y), t = 0, 1, 2, ...

with gamma_3(t) = c_3 lr (1 + t)^-kappa_3 (DANA-decaying) or c_3 lr / dimension (DANA-constant).
The forgetting delta/(delta + t) stays in (0, 1]; the printed delta/(1 + t) exceeds 1 early and
flips the sign of y.
Source: arXiv 2505.16098. Use SGD's learning rate, c_3 = 1, delta = 8 (it needs more than 5), and
sweep for the smallest stable kappa_3, which transfers across model sizes.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from hidim.optax import _core
from hidim.optax.momentum import build_momentum
from hidim.support.checks import non_negative, positive


def dana_decaying(
    learning_rate: optax.ScalarOrSchedule,
    c_3: float = 1.0,
    kappa_3: float = 0.85,
    delta: float = 8.0,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    decoupled_weight_decay: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
    cooldown: optax.ScalarOrSchedule | None = None,
) -> optax.GradientTransformationExtraArgs:
    """DANA-decaying: gamma_2 = learning rate, gamma_3(t) = c_3 lr(t) (1 + t)^-kappa_3.

    Args:
        learning_rate: number or schedule of the step; scales both rates. Start from SGD's.
        c_3: ratio of the momentum rate to the learning rate at t = 0.
        kappa_3: decay exponent of the momentum rate, at least 0; 1 / (2 alpha) on power-law
            random features, otherwise the smallest stable value.
        delta: forgetting constant, above 0; 8 in practice.
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does: the
            theory's ridge is part of the loss.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock, which both the momentum
            and a learning-rate schedule read: t = 0 would replay the transient.
        mu_dtype: dtype of the buffer y, by default the parameter's own (float32 for float16).
        cooldown: number of updates of the run, at which the momentum's rate has gone to 0
            (`hidim.CoolDown(cooldown)`), or a schedule, hidim's or any function of t, that
            multiplies it. As an array, an integer.

    Raises:
        ValueError: a negative rate, ratio, exponent or decay, delta not above 0, or a cool-down
            that is no number of updates.

    >>> import jax.numpy as jnp, optax
    >>> optimizer = dana_decaying(0.1)
    >>> params = {"w": jnp.array([1.0, -2.0])}
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update({"w": jnp.ones(2)}, state, params)
    >>> optax.apply_updates(params, updates)
    {'w': Array([ 0.8, -2.2], dtype=float32)}
    """
    _core.checked(non_negative, "c_3", c_3)
    _core.checked(non_negative, "kappa_3", kappa_3)
    _core.checked(positive, "delta", delta)
    _core.check_cooldown(cooldown)

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        scale = _core.scalar(c_3, t) * _core.cooldown_at(cooldown, t)
        return dana_coefficients(t, rate, scale * (1.0 + t) ** -_core.scalar(kappa_3, t), delta)

    return build_momentum(
        coefficients,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        mask=mask,
        initial_step=initial_step,
        mu_dtype=mu_dtype,
    )


def dana_constant(
    learning_rate: optax.ScalarOrSchedule,
    c_3: float = 1.0,
    dimension: float | None = None,
    delta: float = 8.0,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    decoupled_weight_decay: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
    cooldown: optax.ScalarOrSchedule | None = None,
) -> optax.GradientTransformationExtraArgs:
    """DANA-constant: gamma_2 = learning rate, gamma_3 = c_3 lr(t) / dimension.

    Args:
        learning_rate: number or schedule of the step; scales both rates. Start from SGD's.
        c_3: momentum rate times dimension over learning rate.
        dimension: number of parameters; by default all that this transformation sees, complex
            ones counted twice. Give it under `optax.masked` or `optax.multi_transform`, where
            each part sees only its own.
        delta: forgetting constant, above 0; 8 in practice.
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does: the
            theory's ridge is part of the loss.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.
        mu_dtype: dtype of the buffer y, by default the parameter's own (float32 for float16).
        cooldown: number of updates of the run or schedule, as in `dana_decaying`.

    Raises:
        ValueError: a negative rate, ratio or decay, dimension or delta not above 0, or a cool-down
            that is no number of updates.

    >>> import jax.numpy as jnp, optax
    >>> optimizer = dana_constant(0.1, dimension=10)
    >>> state = optimizer.init(jnp.zeros(2))
    >>> optimizer.update(jnp.ones(2), state)[0]
    Array([-0.11, -0.11], dtype=float32)
    """
    _core.checked(non_negative, "c_3", c_3)
    if dimension is not None:
        _core.checked(positive, "dimension", dimension)
    _core.checked(positive, "delta", delta)
    _core.check_cooldown(cooldown)

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        size = count_reals(y) if dimension is None else dimension
        scale = _core.scalar(c_3, t) * _core.cooldown_at(cooldown, t)
        number = _core.scalar(float(size) if dimension is None else size, t)
        return dana_coefficients(t, rate, scale / number, delta)

    return build_momentum(
        coefficients,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
        mask=mask,
        initial_step=initial_step,
        mu_dtype=mu_dtype,
    )


def dana_coefficients(t: jax.Array, rate: jax.Array, ratio: jax.Array, delta: Any) -> dict:
    """The four coefficients at step t, gamma_3 given as its ratio to the learning rate."""
    width = _core.scalar(delta, t)
    return {
        "gamma_1": jnp.ones_like(t),
        "gamma_2": rate,
        "gamma_3": rate * ratio,
        "forgetting": width / (width + t),
    }


def count_reals(tree: Any) -> int:
    """How many real numbers the arrays of `tree` hold (at least 1)."""
    return max(1, sum(x.size * (1 + _core.is_complex(x.dtype)) for x in jax.tree.leaves(tree)))
