"""Does a checkpoint fit this optimizer? Everything is checked before anything is changed."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import chain
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from hidim.torch._machine import gain
from hidim.torch._machine.clock import new_count
from hidim.torch._machine.damage import labels, no_data, unsound_in, warn_of
from hidim.torch._machine.gain import SHADOW, shadow_dtype
from hidim.torch._machine.options import FLAGS, LATER, RULE_OPTIONS, check_group
from hidim.torch._machine.origin import remedy
from hidim.torch._machine.plain import from_plain


class Loadable(Protocol):
    """What loading needs of an optimizer: torch's own parts, and the buffers of its rule."""

    buffers: ClassVar[tuple[str, ...]]
    defaults: dict[str, Any]
    param_groups: list[dict[str, Any]]
    state: Any
    _optimizer_load_state_dict_pre_hooks: Any
    _optimizer_load_state_dict_post_hooks: Any

    def buffer_dtype(self, group: dict[str, Any], p: Tensor) -> torch.dtype: ...

    def __setstate__(self, state: dict[str, Any]) -> None: ...


class Foreign(Exception):
    """Another optimizer wrote it."""


def refuse_malformed(optimizer: Any, state_dict: Any) -> None:
    """Refuse what is not a state_dict at all, before looking inside."""
    if not isinstance(state_dict, dict):
        found = f"it is a {type(state_dict).__name__}, not a dict"
        raise ValueError(wrong(optimizer, found, remedy(optimizer, state_dict)))
    for key, kind in (("state", dict), ("param_groups", list)):
        if key not in state_dict:
            found, advice = f"it has no {key!r} entry", remedy(optimizer, state_dict)
            found += "" if advice else " (is it truncated?)"
            raise ValueError(wrong(optimizer, found, advice))
        if not isinstance(state_dict[key], kind):
            found = type(state_dict[key]).__name__
            raise ValueError(wrong(optimizer, f"its {key!r} is a {found}, not a {kind.__name__}"))
    for number, group in enumerate(state_dict["param_groups"]):
        if not isinstance(group, dict):
            raise ValueError(wrong(optimizer, f"group {number} is not a dict"))


def load_checked(optimizer: Loadable, state_dict: dict[str, Any]) -> None:
    """`Optimizer.load_state_dict`, refusing what is foreign or truncated with the state intact.

    Buffers take the dtype and device a fresh state would have, and are copies.
    """
    if not isinstance(state_dict, dict):
        found = f"it is a {type(state_dict).__name__}, not a dict"
        raise ValueError(wrong(optimizer, found, remedy(optimizer, state_dict)))
    state_dict = state_dict.copy()
    for hook in list(optimizer._optimizer_load_state_dict_pre_hooks.values()):
        replaced = hook(optimizer, state_dict)
        state_dict = state_dict if replaced is None else replaced
    refuse_malformed(optimizer, state_dict)
    try:
        groups, state = _checked(optimizer, state_dict)
    except Foreign as error:
        raise ValueError(wrong(optimizer, str(error), remedy(optimizer, state_dict))) from None
    names = labels(zip(state_dict["param_groups"], optimizer.param_groups, strict=True))
    own = chain.from_iterable(group["params"] for group in optimizer.param_groups)
    entries = {what: state[p] for what, p in zip(names.values(), own, strict=True) if p in state}
    negative, unsound = unsound_in(entries)
    if negative:
        raise ValueError(wrong(optimizer, negative))
    warn_of(type(optimizer).__name__, unsound)
    for old, new in zip(optimizer.param_groups, groups, strict=True):
        new["params"] = old["params"]
        if "param_names" in old:
            new.setdefault("param_names", old["param_names"])
    optimizer.__setstate__({"state": state, "param_groups": groups})
    for post_hook in list(optimizer._optimizer_load_state_dict_post_hooks.values()):
        post_hook(optimizer)


def _checked(optimizer: Loadable, state_dict: dict[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """Groups without parameters, and state, as they are to be."""
    groups = _checked_groups(optimizer, state_dict["param_groups"])
    saved_ids = chain.from_iterable(g["params"] for g in state_dict["param_groups"])
    own = chain.from_iterable(g["params"] for g in optimizer.param_groups)
    of_id = dict(zip(saved_ids, own, strict=True))
    group_of = {
        saved: group
        for old, group in zip(state_dict["param_groups"], groups, strict=True)
        for saved in old["params"]
    }
    state: Any = type(optimizer.state)(optimizer.state.default_factory)
    for saved_id, entry in state_dict["state"].items():
        if saved_id not in of_id:
            if isinstance(saved_id, int):
                raise ValueError(wrong(optimizer, f"its groups have no parameter {saved_id}"))
            state[saved_id] = entry
            continue
        param = of_id[saved_id]
        state[param] = _checked_entry(optimizer, saved_id, entry, param, group_of[saved_id])
    return groups, state


def _checked_groups(optimizer: Loadable, saved: Any) -> list[dict[str, Any]]:
    own = optimizer.param_groups
    if len(saved) != len(own):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, and this {type(optimizer).__name__} has {len(own)}"
        )
    groups = []
    for number, (old, group) in enumerate(zip(saved, own, strict=True)):
        if "params" not in old:
            raise ValueError(wrong(optimizer, f"group {number} has no 'params' entry"))
        if len(old["params"]) != len(group["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: {len(old['params'])} parameters in group {number}, and "
                f"this {type(optimizer).__name__} has {len(group['params'])}"
            )
        optional = {*FLAGS, *LATER}
        missing = [key for key in optimizer.defaults if key not in old and key not in optional]
        if missing:
            raise Foreign(f"group {number} lacks {', '.join(missing)}")
        foreign = sorted(RULE_OPTIONS & set(old) - set(optimizer.defaults))
        if foreign:
            raise Foreign(
                f"group {number} has the unknown {', '.join(foreign)} of another optimizer"
            )
        try:
            restored = {key: from_plain(deepcopy(v)) for key, v in old.items() if key != "params"}
            check_group({**FLAGS, **restored})
            _refuse_scales(restored.get("scaled_by", ()))
            if gain.asked(restored):
                gain.refuse_malformed(restored)
        except ValueError as error:
            raise ValueError(wrong(optimizer, f"in group {number}, {error}")) from None
        groups.append(restored)
    return groups


def _refuse_scales(values: Any) -> None:
    """Refuse what buffers cannot have been scaled with: anything but options of the group."""
    for value in values if isinstance(values, tuple | list) else (math.nan,):
        plain = isinstance(value, int | float)
        if (plain and not 0 <= value < math.inf) or isinstance(value, str):
            raise ValueError(f"`scaled_by` must be the options of a group, got {values!r}.")


def _checked_entry(
    optimizer: Loadable, saved_id: Any, entry: Any, param: Tensor, group: dict[str, Any]
) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(wrong(optimizer, f"the state of parameter {saved_id} is not a dict"))
    if not entry:
        return {}
    needed = ("step", *optimizer.buffers)
    missing = [key for key in needed if key not in entry]
    if missing:
        found = ", ".join(map(str, entry))
        raise Foreign(
            f"the state of parameter {saved_id} lacks {', '.join(missing)} (it has: {found})"
        )
    extra = [SHADOW] if SHADOW in entry else []
    foreign = [str(key) for key in entry if key not in (*needed, *extra)]
    if foreign:
        raise Foreign(f"parameter {saved_id} has unknown state {', '.join(foreign)}")
    checked: dict[str, Any] = {"step": _step_tensor(optimizer, saved_id, entry, param, group)}
    for key in (*optimizer.buffers, *extra):
        value = entry[key]
        shape = tuple(getattr(value, "shape", ()))
        if not isinstance(value, Tensor) or shape != tuple(param.shape):
            raise ValueError(
                wrong(
                    optimizer,
                    f"`{key}` of parameter {saved_id} has shape {shape}, the parameter "
                    f"{tuple(param.shape)}",
                )
            )
        if (
            value.is_complex() != param.is_complex()
            or value.is_floating_point() == value.is_complex()
        ):
            raise ValueError(wrong(optimizer, f"`{key}` of parameter {saved_id} is {value.dtype}"))
        if value.is_meta and not param.is_meta:
            raise ValueError(wrong(optimizer, no_data(key, f"parameter {saved_id}")))
        dtype = shadow_dtype(param) if key == SHADOW else optimizer.buffer_dtype(group, param)
        checked[key] = value.detach().to(device=param.device, dtype=dtype, copy=True)
    return checked


def _step_tensor(
    optimizer: Loadable, saved_id: Any, entry: Any, param: Tensor, group: dict[str, Any]
) -> Tensor:
    value = entry["step"]
    if (isinstance(value, Tensor) and value.numel() != 1) or not isinstance(
        value, Tensor | int | float
    ):
        raise ValueError(wrong(optimizer, f"`step` of parameter {saved_id} is not one number"))
    if isinstance(value, Tensor) and value.is_meta:
        raise ValueError(wrong(optimizer, no_data("step", f"parameter {saved_id}")))
    if not (0 <= float(value) < math.inf and float(value).is_integer()):
        raise ValueError(wrong(optimizer, f"`step` of parameter {saved_id} is {float(value)}"))
    return new_count(float(value), param.device if group.get("capturable") else "cpu")


def wrong(optimizer: Any, problem: str, advice: str = "") -> str:
    """The message for a checkpoint that is refused."""
    return (
        f"this state_dict cannot be loaded into {type(optimizer).__name__}: "
        f"{problem.rstrip('.')}. {advice}{' ' if advice else ''}"
        "Nothing has been changed."
    )
