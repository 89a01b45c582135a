"""Which step does AdEMAMix take on a logarithmic clock?

    p <- p - lr (m_1 / (1 - beta_1^t) + alpha m) / (sqrt(v / (1 - beta_2^t)) + eps)

m_1 and v are Adam's averages, m is a slow one with weight delta/(delta + t) and
alpha = alpha_scale (1 + t)^(1 - kappa), so neither needs a horizon.
Source: arXiv 2409.03137 (AdEMAMix), 2602.05298 (the log-time form).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hidim.optax import _core
from hidim.optax.adaptive import Decay, build_adaptive
from hidim.support.checks import non_negative


class AdEMAMixState(NamedTuple):
    """`count` updates were done (int32); `m_1` is the fast average, `m` the slow one."""

    count: jax.Array  # type: ignore[assignment]
    m_1: optax.Updates
    m: optax.Updates
    v: optax.Updates


def log_time_ademamix(
    learning_rate: optax.ScalarOrSchedule,
    kappa: float = 0.85,
    delta: float = 8.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    alpha_scale: float = 1.0,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    omega: optax.ScalarOrSchedule = 0.0,
    t_0: float = 1000.0,
    *,
    peak_lr: float | None = None,
    decay_after: bool = False,
    mask: Any = None,
    initial_step: int = 0,
    mu_dtype: Any = None,
    nu_dtype: Any = None,
    clock: str = "torch",
    cooldown: optax.ScalarOrSchedule | None = None,
) -> optax.GradientTransformationExtraArgs:
    """AdEMAMix whose slow average and its weight follow log time.

    Args:
        betas: decay rates of the fast average and of v, in [0, 1). Their bias correction counts
            the updates of the state itself, so `initial_step` does not enter it.

    The other arguments and errors are those of `hidim.optax.adana`; `mu_dtype` is the dtype of
    both averages of g.

    >>> import jax.numpy as jnp
    >>> optimizer = log_time_ademamix(1e-3)
    >>> state = optimizer.init(jnp.zeros(2))
    """
    beta_1, beta_2 = betas
    for value in betas:
        if not 0 <= _core.checked(non_negative, "betas", value) < 1:
            raise ValueError(f"`betas` must lie in [0, 1), got {betas!r}.")

    def rule(
        g: jax.Array, m_1: jax.Array, m: jax.Array, v: jax.Array, c: _core.Coefficients
    ) -> tuple[jax.Array, ...]:
        m_1 = m_1 + (1.0 - beta_1) * (g - m_1)
        m = m + c["a"] * (g - m)
        v = _core.average_squares(v, g, 1.0 - beta_2)
        # 1 - beta^n by expm1: the difference cancels while n is small against 1 / (1 - beta).
        fast, square = (unbiased(beta, c["updates"]) for beta in betas)
        s = jnp.sqrt(v / square) + c["eps"]
        return c["rate"] * ((m_1 / fast + c["alpha_scale"] * c["growth"] * m) / s), m_1, m, v

    return build_adaptive(
        AdEMAMixState,
        rule,
        [mu_dtype, mu_dtype, nu_dtype],
        dict(kappa=kappa, delta=delta, eps=eps, alpha_scale=alpha_scale),
        Decay(learning_rate, weight_decay, omega, t_0, peak_lr, decay_after),
        mask=mask,
        initial_step=initial_step,
        clock=clock,
        cooldown=cooldown,
    )


def unbiased(beta: float, updates: jax.Array) -> jax.Array:
    """1 - beta^updates; the logarithm is taken in double, where beta is not yet rounded."""
    return -jnp.expm1(updates * (math.log(beta) if beta > 0 else -math.inf))
