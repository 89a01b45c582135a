"""Which values may a parameter group hold? Checked when a group is added, loaded or edited.

Each check raises `ValueError` naming the argument, the value and the remedy.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from hidim.algorithms.schedules import Schedule
from hidim.support import checks
from hidim.torch._machine.schedules import value_at

# What torch's own optimizers default when an old checkpoint lacks it.
FLAGS: dict[str, Any] = {
    "maximize": False,
    "foreach": None,
    "fused": None,
    "capturable": False,
    "differentiable": False,
    "initial_step": 0,
    "stochastic_rounding": False,
    "state_dtype": None,
}

# Options that came after version 0.1: what they are in a checkpoint that lacks them.
LATER: dict[str, Any] = {"clock": "torch", "gain": None, "cooldown": None}

_POSITIVE = {"kappa", "kappa_3", "delta", "dimension", "clip", "xi", "small_const"}
_NON_NEGATIVE = {
    "lr", "weight_decay", "c_3", "eps", "alpha_scale", "gradient_scale", "omega", "t_0", "peak_lr",
}  # fmt: skip
# Options that tell one rule from another: in a checkpoint for a rule without them they are a sign
# of another optimizer. The rest may be a wrapper's (omega, t_0) or a user's own.
RULE_OPTIONS = {
    "kappa", "kappa_3", "c_3", "delta", "dimension", "clip", "xi", "small_const", "eps", "betas",
    "alpha_scale", "alpha_form", "gradient_scale", "decay_after", "gamma_1", "gamma_2", "gamma_3",
    "forgetting", "rates", "momentum", "dampening", "nesterov", "amsgrad",
}  # fmt: skip
_MAY_BE_ZERO = {"kappa_3"}  # the constant-rate reduction
_MAY_BE_NONE = {"dimension", "peak_lr"}
_FREE = ("foreach", "fused", "state_dtype", "gain", "cooldown")
_SCHEDULES = {"gamma_1", "gamma_2", "gamma_3", "forgetting"}
_STATE_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def check_group(group: dict[str, Any]) -> None:
    """Refuse a bad value of a hyperparameter or flag in `group`, naming it."""
    for name, value in group.items():
        check_option(name, value)
    check_together(group)


def check_together(group: dict[str, Any]) -> None:
    """Refuse options of `group` that do not go with each other."""
    if group.get("foreach") and group.get("fused"):
        raise ValueError("`fused` and `foreach` cannot both be True; give one of them.")
    if group.get("differentiable") and group.get("fused"):
        raise ValueError("`fused=True` does not support differentiable=True; leave `fused` out.")
    if group.get("differentiable") and (group.get("gain") or group.get("kappa_3") == "auto"):
        raise ValueError("`gain` cannot be measured with differentiable=True; give kappa_3.")
    for flag in ("differentiable", "capturable"):
        if group.get("stochastic_rounding") and group.get(flag):
            raise ValueError(f"`stochastic_rounding` does not go with {flag}=True; drop one.")
    if group.get("clock") == "jax" and group.get("omega") and group.get("t_0") == 0:
        raise ValueError('`t_0` must be positive with clock="jax": t is 0 in the first update.')
    if group.get("capturable"):
        for name in (_SCHEDULES | {"cooldown"}) & set(group):
            value_at(group[name], torch.zeros(1))  # refuses a schedule that torch cannot evaluate


def check_option(name: str, value: Any) -> None:
    """Refuse one bad value; names without a rule pass."""
    if value is None and (name in _MAY_BE_NONE or name in _FREE):
        return
    if name == "kappa_3" and value == "auto":
        return
    if isinstance(value, str) and name in _POSITIVE | _NON_NEGATIVE | _SCHEDULES:
        raise ValueError(f"`{name}` must be a number, got {value!r}.")
    if isinstance(value, torch.Tensor) and name in _POSITIVE | _NON_NEGATIVE:
        if value.numel() != 1:
            raise ValueError(
                f"Tensor {name} must be 1-element, got `{name}` of shape {tuple(value.shape)}."
            )
        if name != "lr":
            raise ValueError(f"`{name}` must be a number; only `lr` may be a tensor.")
        if value.device.type == "cpu":
            checks.non_negative(name, number(value))
    elif name in _MAY_BE_ZERO or name in _NON_NEGATIVE:
        checks.non_negative(name, value)
    elif name == "clip" and value == math.inf:
        return
    elif name in _POSITIVE:
        checks.positive(name, value)
    elif name in _SCHEDULES:
        _check_schedule(name, value)
    elif name in ("initial_step", "min_dim"):
        if checks.whole(name, value) >= 2**53:
            raise ValueError(f"`{name}` must be below 2**53, where counts end, got {value!r}.")
    elif name == "rates":
        _check_rates(value)
    elif name == "betas":
        _check_betas(value)
    elif name == "alpha_form":
        checks.choice(name, value, ("code", "readme", "whole"))
    elif name == "gain":
        checks.choice(name, value, ("measured",))
    elif name == "cooldown":
        _check_cooldown(value)
    elif name == "clock":
        checks.choice(name, value, ("torch", "jax"))
    elif name == "state_dtype" and value not in _STATE_DTYPES:
        raise ValueError(f"`state_dtype` must be a real floating dtype or None, got {value!r}.")


def _check_cooldown(value: Any) -> None:
    if isinstance(value, Schedule):
        _check_schedule("cooldown", value)
        return
    if isinstance(value, str | torch.Tensor) or callable(value):
        raise ValueError(
            f"`cooldown` must be the number of updates of the run or a schedule, got {value!r}; "
            "for example 20_000 or hidim.CoolDown(20_000, 0.1)."
        )
    checks.whole("cooldown", value, minimum=1)


def _check_schedule(name: str, value: Any) -> None:
    if not isinstance(value, Schedule):
        if callable(value):
            raise ValueError(
                f"`{name}` must be a number or a schedule, got a {type(value).__name__}, which no "
                "checkpoint could hold. hidim has PowerLaw, Forgetting, Warmup, Cosine, WSD, Table "
                "and their products, for example hidim.PowerLaw(1.0, 0.85); one of your own is a "
                "frozen dataclass that derives from hidim.algorithms.Schedule."
            )
        checks.non_negative(name, value)
        return
    try:
        hash(value)
    except TypeError as error:
        raise ValueError(
            f"`{name}` could change while it is used ({error}): write {type(value).__name__} as a "
            "frozen dataclass of numbers, text and tuples."
        ) from None


def number(value: Any) -> float:
    """The value of a number or one-element tensor, outside of any autograd graph."""
    return float(value.detach()) if isinstance(value, torch.Tensor) else float(value)


def _check_rates(value: Any) -> None:
    known = ("gamma_1", "gamma_2", "gamma_3")
    if not isinstance(value, tuple | list) or not set(value) <= set(known):
        raise ValueError(f"`rates` must be some of {', '.join(known)}, got {value!r}.")


def _check_betas(value: Any) -> None:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"`betas` must be two numbers, got {value!r}.")
    for beta in value:
        if not 0 <= checks.finite("betas", beta) < 1:
            raise ValueError(f"`betas` must lie in [0, 1), got {value!r}.")
