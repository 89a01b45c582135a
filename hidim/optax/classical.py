"""Which step do the classical accelerated methods take on stochastic gradients?

Both are members of the momentum family: `accelerated_sgd` (Jain et al. 2018) with constant
schedules, `stochastic_nesterov` with gamma_1 = t (t+1)/(t+2), gamma_3 = lr/(t+1) and
forgetting 1/(t+2), which diverges on power-law random features for every rate (Even et al. 2021)
and is here for study.
"""

from typing import Any

import jax
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
        mu_dtype: dtype of the buffer y, the parameter's own by default.

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
    As momentum: gamma_1 = long_step - lr, gamma_2 = lr, gamma_3 = 1 - anchor, forgetting
    1 - anchor (1 - mixing), which follows the three sequences under any learning-rate schedule.

    Args:
        learning_rate: number or schedule of the short step.
        kappa: ratio of the long step to the short one on a deterministic problem, above 0.
        xi: statistical advantage, above 0 and at most sqrt(kappa).
        small_const: c, in (0, 1].
        weight_decay: ridge added to the gradient, g + weight_decay p, as torch's SGD does.
        decoupled_weight_decay: shrink the old parameter by 1 - lr weight_decay instead.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the step at which a fresh state starts its clock.
        mu_dtype: dtype of the buffer y, the parameter's own by default.

    Raises:
        ValueError: an argument outside its range, by its name.
    """
    for name, value in (("kappa", kappa), ("xi", xi), ("small_const", small_const)):
        _core.checked(positive, name, value)

    def coefficients(t: jax.Array, rate: jax.Array, y: optax.Updates) -> _core.Coefficients:
        c, advantage = _core.scalar(small_const, t), _core.scalar(xi, t)
        mixing = c * c * advantage / _core.scalar(kappa, t)
        return {
            "gamma_1": rate * (c * advantage - 1.0),
            "gamma_2": rate,
            "gamma_3": mixing / (c + mixing),
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
