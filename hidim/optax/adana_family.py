"""Which step do the adaptive members (ADANA and its relatives) take?

With a = delta/(delta + t), t = 1, 2, ..., m and v the EMAs of g and g^2 with weight a and no bias
correction, s = sqrt(v) + eps, r = m/s:

    ADANA    p <- p - lr [g/s + r + (1+t)^(1-kappa) r]
    MK4      p <- p - lr [g/s + r + sign(m) min((1+t)^(1-kappa) |r|, clip)]
    Star     p <- p - lr [g n + m n + sign(m) tau' max(tau t, 1)^(1-kappa) |m| n/tau']
    StarMK4  the same with max(tau t, 1)^(1-kappa) |m| n/tau' clipped at clip

tau is the EMA of |g|/(|g| + s), tau' = max(min(tau, 1/2)/(1 - min(tau, 1/2)), 1/(1+t)) and
n = sqrt(tau')/s. Complex arrays count as pairs of reals.
Source: arXiv 2602.05298. Link to DANA: kappa is its kappa_3, 1 / (2 alpha).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hidim.optax import _core
from hidim.optax.adaptive import Decay, averages, build_adaptive
from hidim.support.checks import choice


class AdanaState(NamedTuple):
    """`count` updates were done (int32); `m` and `v` average g and g^2."""

    count: jax.Array  # type: ignore[assignment]
    m: optax.Updates
    v: optax.Updates


class DanaStarState(NamedTuple):
    """`AdanaState` and `tau`, how often each entry carries a gradient."""

    count: jax.Array  # type: ignore[assignment]
    m: optax.Updates
    v: optax.Updates
    tau: optax.Updates


def adana(
    learning_rate: optax.ScalarOrSchedule,
    kappa: float = 0.85,
    delta: float = 8.0,
    eps: float = 1e-8,
    alpha_scale: float = 1.0,
    gradient_scale: float = 1.0,
    alpha_form: str = "code",
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
    """ADANA: Adam's scaling with DANA's growing momentum, in place of AdamW.

    Args:
        learning_rate: number or schedule of the step. Start from AdamW's.
        kappa: the momentum factor grows as t^(1 - kappa); above 0, 0.75 to 0.9 in practice.
        delta: constant of the log-time averages, above 0.
        eps: added to the root of v, above 0.
        alpha_scale: factor on the growing term, at least 0.
        gradient_scale: factor on g/s, at least 0. With `alpha_scale` also 0 what is left is Adam
            with beta_1 = beta_2 = 1 - delta/(delta + t) and no bias correction.
        alpha_form: "code" for the authors' code, alpha = 1 + alpha_scale (1 + t)^(1 - kappa),
            "whole" for alpha_scale (1 + (1 + t)^(1 - kappa)), alpha_scale their gamma_3_factor, or
            "readme" for their page, which leaves the 1 out. The two sources disagree.
        weight_decay: decoupled decay of the old parameter, times the learning rate.
        omega: log-time decay of the old parameter, lr/peak_lr omega/(t_0 + t); the authors use 4.
        t_0: its offset in steps, a tenth of the run in the authors' launcher.
        peak_lr: largest value of the learning rate, needed by `omega` when the rate is a
            schedule; a number is its own peak.
        decay_after: decay the moved parameter, as the authors' code does.
        mask: tree of booleans, or function of the parameters, saying which to decay.
        initial_step: the number of updates at which a fresh state starts its clock, which both
            the averages and a learning-rate schedule read. The first updates are then
            sqrt(initial_step / delta) of the rate, as v begins at 0.
        mu_dtype: dtype of m, by default the parameter's own (float32 for float16).
        nu_dtype: dtype of v, by default as for m. bfloat16 loses the late averages, whose weight
            8/t falls below its rounding: give float32 for long runs.
        clock: "torch", t = 1 in the first update, or "jax", t = 0 as in the authors' JAX code.
        cooldown: number of updates of the run, after which the growing term has gone
            (`hidim.CoolDown(cooldown)`), or a schedule, hidim's or any function of t, that
            multiplies it. As an array, an integer.

    Raises:
        ValueError: an argument outside its range, by its name.

    >>> import jax.numpy as jnp, optax
    >>> optimizer = adana(1e-3)
    >>> state = optimizer.init(jnp.zeros(2))
    >>> updates, state = optimizer.update(jnp.array([1.0, -1.0]), state)
    >>> [round(float(u), 6) for u in updates]
    [-0.00305, 0.00305]
    """
    choice("alpha_form", alpha_form, ("code", "readme", "whole"))
    base = 1.0 if alpha_form == "code" else 0.0
    inner = 1.0 if alpha_form == "whole" else 0.0

    def rule(g: jax.Array, m: jax.Array, v: jax.Array, c: _core.Coefficients) -> tuple:
        m, v, s = averages(g, m, v, c)
        alpha = base + c["alpha_scale"] * (inner + c["growth"])
        return c["rate"] * ((c["gradient_scale"] * g + alpha * m) / s), m, v

    return build_adaptive(
        AdanaState,
        rule,
        [mu_dtype, nu_dtype],
        dict(
            kappa=kappa,
            delta=delta,
            eps=eps,
            alpha_scale=alpha_scale,
            gradient_scale=gradient_scale,
        ),
        Decay(learning_rate, weight_decay, omega, t_0, peak_lr, decay_after),
        mask=mask,
        initial_step=initial_step,
        clock=clock,
        cooldown=cooldown,
        biased="adana",
    )


def dana_mk4(
    learning_rate: optax.ScalarOrSchedule,
    kappa: float = 0.85,
    delta: float = 8.0,
    clip: float = 2.0,
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
    """DANA-MK4: ADANA whose growing momentum term is clipped per entry at `clip`.

    Args:
        clip: largest size of the growing term in units of the learning rate, above 0.

    The other arguments and errors are those of `adana`.

    >>> import jax.numpy as jnp
    >>> optimizer = dana_mk4(1e-3)
    >>> state = optimizer.init(jnp.zeros(2))
    """

    def rule(g: jax.Array, m: jax.Array, v: jax.Array, c: _core.Coefficients) -> tuple:
        m, v, s = averages(g, m, v, c)
        # sign(m) min(|x|, clip) is x clipped on both sides, as x has the sign of m.
        extra = jnp.clip(c["alpha_scale"] * c["growth"] * (m / s), -c["clip"], c["clip"])
        return c["rate"] * ((g + m) / s + extra), m, v

    return build_adaptive(
        AdanaState,
        rule,
        [mu_dtype, nu_dtype],
        dict(kappa=kappa, delta=delta, clip=clip, eps=eps, alpha_scale=alpha_scale),
        Decay(learning_rate, weight_decay, omega, t_0, peak_lr, decay_after),
        mask=mask,
        initial_step=initial_step,
        clock=clock,
        cooldown=cooldown,
        biased="dana_mk4",
    )


def dana_star(
    learning_rate: optax.ScalarOrSchedule,
    kappa: float = 0.85,
    delta: float = 8.0,
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
    """DANA-Star: ADANA for entries whose gradient is often zero, as in embeddings.

    A third average tau measures how often an entry carries a gradient; the step is damped by its
    root and the momentum grows with the entry's own time tau t.

    The arguments and errors are those of `adana`; `nu_dtype` is also the dtype of tau.

    >>> import jax.numpy as jnp
    >>> optimizer = dana_star(1e-3)
    >>> state = optimizer.init(jnp.zeros(2))
    """
    return build_adaptive(
        DanaStarState,
        star_rule(clipped=False),
        [mu_dtype, nu_dtype, nu_dtype],
        dict(kappa=kappa, delta=delta, eps=eps, alpha_scale=alpha_scale),
        Decay(learning_rate, weight_decay, omega, t_0, peak_lr, decay_after),
        mask=mask,
        initial_step=initial_step,
        clock=clock,
        cooldown=cooldown,
    )


def dana_star_mk4(
    learning_rate: optax.ScalarOrSchedule,
    kappa: float = 0.85,
    delta: float = 8.0,
    clip: float = 2.0,
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
    """DANA-Star-MK4: DANA-Star whose growing momentum term is clipped at `clip`.

    The arguments and errors are those of `dana_mk4`; `nu_dtype` is also the dtype of tau.

    >>> import jax.numpy as jnp
    >>> optimizer = dana_star_mk4(1e-3)
    >>> state = optimizer.init(jnp.zeros(2))
    """
    return build_adaptive(
        DanaStarState,
        star_rule(clipped=True),
        [mu_dtype, nu_dtype, nu_dtype],
        dict(kappa=kappa, delta=delta, clip=clip, eps=eps, alpha_scale=alpha_scale),
        Decay(learning_rate, weight_decay, omega, t_0, peak_lr, decay_after),
        mask=mask,
        initial_step=initial_step,
        clock=clock,
        cooldown=cooldown,
    )


def star_rule(*, clipped: bool) -> _core.ArrayRule:
    """One array's step of DANA-Star, with or without MK4's clip."""

    def rule(
        g: jax.Array, m: jax.Array, v: jax.Array, tau: jax.Array, c: _core.Coefficients
    ) -> tuple[jax.Array, ...]:
        m, v, s = averages(g, m, v, c)
        size = jnp.abs(g)
        tau = tau + c["a"] * (size / (size + s) - tau)
        share = jnp.minimum(tau, 0.5)
        odds = jnp.maximum(share / (1.0 - share), 1.0 / (1.0 + c["t"]))
        n = jnp.sqrt(odds) / s
        step = m * n
        own_time = jnp.maximum(tau * c["t"], 1.0)
        # exp(log) and not a power, which XLA computes entry by entry on a CPU: 6 times slower.
        extra = c["alpha_scale"] * jnp.exp((1.0 - c["kappa"]) * jnp.log(own_time)) * step
        if clipped:  # sign(m) min(|x|, clip) is x clipped on both sides, as x has the sign of m
            extra = odds * jnp.clip(extra / odds, -c["clip"], c["clip"])
        return c["rate"] * (g * n + extra + step), m, v, tau

    return rule
