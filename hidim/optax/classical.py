"""Which step do the classical accelerated methods take on stochastic gradients?

Both are members of the momentum family: `accelerated_sgd` (Jain et al. 2018) with constant
schedules, `stochastic_nesterov` with gamma_1 = t (t+1)/(t+2), gamma_3 = lr/(t+1) and
forgetting 1/(t+2), which diverges on power-law random features for every rate (Even et al. 2021)
and is here for study.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from hidim.optax import _core
from hidim.optax.momentum import build_momentum
from hidim.support.checks import positive


def stochastic_nesterov(
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    decoupled_weight_decay: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's method on stochastic gradients, for study: it diverges at every rate.

    The sources put the rate in gamma_1; here it is in gamma_3, the same at a constant rate.

    Args:
        learning_rate: number or schedule of the step.
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does: the
            theory's ridge is part of the loss.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.
        mu_dtype: dtype of the buffer y, by default the parameter's own (float32 for float16).

    Raises:
        ValueError: a negative rate or decay.
    """

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        return {
            "gamma_1": t * ((t + 1.0) / (t + 2.0)),
            "gamma_2": rate,
            "gamma_3": rate / (1.0 + t),
            "forgetting": 1.0 / (t + 2.0),
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


def accelerated_sgd(
    learning_rate: optax.ScalarOrSchedule,
    kappa: float = 1000.0,
    xi: float = 10.0,
    small_const: float = 0.7,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    decoupled_weight_decay: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Accelerated SGD of Jain et al. 2018 in the parameters of Kidambi et al. 2018.

    The parameters are the point q where the gradient is taken, of

        w <- q - lr g;  v <- mixing q + (1 - mixing) v - long_step g;
        q <- anchor w + (1 - anchor) v

    with mixing = c^2 xi / kappa, long_step = c xi lr, anchor = c / (c + mixing), c = small_const.
    As momentum: gamma_2 = lr, gamma_3 = (1 - anchor)(long_step - lr), forgetting
    1 - anchor (1 - mixing). A learning-rate schedule scales both rates, as everywhere in this
    family; the three sequences themselves would put it into gamma_1.

    Args:
        learning_rate: number or schedule of the short step.
        kappa: condition number, at least c^2 xi.
        xi: statistical advantage, at least 1/c and at most sqrt(kappa).
        small_const: the source's constant c = 0.7, below 1.
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.
        mu_dtype: dtype of the buffer y, by default the parameter's own (float32 for float16).

    Raises:
        ValueError: an argument outside its range, by its name.
    """
    for name, value in (("kappa", kappa), ("xi", xi), ("small_const", small_const)):
        _core.checked(positive, name, value)
    if all(map(_core.is_number, (kappa, xi, small_const))):
        if small_const * xi < 1:
            raise ValueError(f"`xi` must be at least 1/small_const = {1 / small_const:.3g}.")
        if small_const**2 * xi > kappa:
            raise ValueError(
                f"`kappa` must be at least small_const^2 xi = {small_const**2 * xi:.3g}."
            )

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        c, advantage = _core.scalar(small_const, t), _core.scalar(xi, t)
        mixing = c * c * advantage / _core.scalar(kappa, t)
        return {
            "gamma_1": jnp.ones_like(t),
            "gamma_2": rate,
            "gamma_3": rate * (c * advantage - 1.0) * mixing / (c + mixing),
            "forgetting": (mixing + c * mixing) / (c + mixing),
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
