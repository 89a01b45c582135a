"""What do the transformations on log-time averages of g and g^2 share?

The clock t = 1, 2, ..., the weight a = delta/(delta + t), the growth (1 + t)^(1 - kappa), and
decoupled weight decay in two forms: a constant one times the learning rate, and the log-time

    p <- p (1 - lr/peak_lr omega/(t_0 + t)),

whose factor is the schedule's and not the rate: omega/t with the rate itself multiplies the
weights by 1 - omega lr at t = 1.
Source: arXiv 2602.05298.
"""

import math
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hidim.algorithms.transfer import MUCH_LONGER, late_start
from hidim.optax import _core
from hidim.optax._overdecay import refuse_constant, refuse_log_time
from hidim.support.checks import choice, non_negative, positive

MAY_BE_ZERO = ("alpha_scale", "gradient_scale", "eps")


class Decay(NamedTuple):
    """The learning rate and the weight decay that goes with it, as the user gave them."""

    learning_rate: optax.ScalarOrSchedule
    weight_decay: optax.ScalarOrSchedule = 0.0
    omega: optax.ScalarOrSchedule = 0.0
    t_0: float = 1000.0
    peak_lr: float | None = None
    decay_after: bool = False
    first: float = 1.0  # t of the first update

    def check(self) -> None:
        """Refuse what cannot be meant, by its name."""
        for name in ("learning_rate", "weight_decay", "omega", "t_0"):
            _core.checked(non_negative, name, getattr(self, name))
        if self.peak_lr is not None:
            _core.checked(positive, "peak_lr", self.peak_lr)
        elif not _core.is_zero(self.omega) and (
            callable(self.learning_rate) or _core.is_zero(self.learning_rate)
        ):
            raise ValueError(
                "`peak_lr` must be given when `omega` is used and `learning_rate` is a schedule "
                "or 0: the log-time decay follows lr / peak_lr."
            )

    def refuse_overdecay(self, initial_step: Any) -> None:
        """Refuse a decay that would turn weights over, where it can be known."""
        rate, peak = self.learning_rate, self.peak_lr
        beside = refuse_constant(rate, self.weight_decay, peak=peak)
        relative: Any = 1.0 if peak is None else lambda count: _core.scalar(rate, count) / peak
        refuse_log_time(
            self.omega, self.t_0, relative,
            beside=beside, first=self.first, initial_step=initial_step,
        )  # fmt: skip

    def share(self, count: jax.Array, rate: jax.Array) -> jax.Array:
        """The share of the parameter that the update after `count` others removes."""
        removed = rate * _core.scalar(self.weight_decay, count)
        if not _core.is_zero(self.omega):
            # Without a peak the rate is constant, also when a traced value stands for it.
            factor = 1.0 if self.peak_lr is None else rate / _core.as_float(self.peak_lr)
            t = count + self.first
            log_time = _core.scalar(self.omega, count) / (_core.scalar(self.t_0, count) + t)
            removed = removed + factor * log_time
        return removed

    @property
    def absent(self) -> bool:
        return _core.is_zero(self.weight_decay) and _core.is_zero(self.omega)


def build_adaptive(
    state_type: type,
    rule: _core.ArrayRule,
    slot_dtypes: list[Any],
    numbers: dict[str, Any],
    decay: Decay,
    *,
    mask: Any,
    initial_step: int,
    clock: str = "torch",
    cooldown: optax.ScalarOrSchedule | None = None,
    biased: str = "",
) -> optax.GradientTransformationExtraArgs:
    """Check the arguments and lift `rule`; its coefficients are `numbers` and what t makes.

    Beside `numbers` and `rate` the rule reads t = 1, 2, ..., `updates` (done by this state, this
    one included), `a` and `growth`; its `alpha_scale` is cooled down. `biased` is the name of a
    rule whose g/s is as long as s is short, where v begins at 0.
    """
    decay.check()
    choice("clock", clock, ("torch", "jax"))
    decay = decay._replace(first=0.0 if clock == "jax" else 1.0)
    _core.check_initial_step(initial_step)
    decay.refuse_overdecay(initial_step)
    _core.check_cooldown(cooldown)
    for name, value in numbers.items():
        if name == "clip" and _core.is_number(value) and value == math.inf:
            continue  # never clips
        _core.checked(non_negative if name in MAY_BE_ZERO else positive, name, value)

    known = [x for x in (numbers["delta"], initial_step) if _core.is_number(x)]
    if biased and len(known) == 2:
        longer = math.sqrt((1 + initial_step) / numbers["delta"])
        if longer > MUCH_LONGER:
            message = late_start(biased, initial_step, numbers["delta"], longer)
            warnings.warn(message, stacklevel=3)

    def coefficients(count: jax.Array, rate: jax.Array, *slots: Any) -> _core.Coefficients:
        c = {name: _core.scalar(value, count) for name, value in numbers.items()}
        t = count + decay.first
        return c | {
            "t": t,
            "alpha_scale": c["alpha_scale"] * _core.cooldown_at(cooldown, t),
            "updates": count + 1.0 - _core.as_float(initial_step),
            "a": c["delta"] / (c["delta"] + t),
            "growth": (1.0 + t) ** (1.0 - c["kappa"]),
        }

    return _core.build(
        state_type,
        _core.on_pairs_of_reals(rule),
        coefficients,
        learning_rate=decay.learning_rate,
        slot_dtypes=slot_dtypes,
        decay=None if decay.absent else decay.share,
        decay_mode="after" if decay.decay_after else "before",
        mask=mask,
        initial_step=initial_step,
    )


def averages(
    g: jax.Array, m: jax.Array, v: jax.Array, c: _core.Coefficients
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The new m and v, and s = sqrt(v) + eps."""
    m = m + c["a"] * (g - m)
    v = _core.average_squares(v, g, c["a"])
    return m, v, jnp.sqrt(v) + c["eps"]
