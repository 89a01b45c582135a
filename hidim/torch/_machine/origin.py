"""Whose checkpoint is it, if not this optimizer's, and what takes its numbers over?

Told by the options in its groups. No state carries over from one method to another: averages of
another memory would have to be taken for one's own; numbers do.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hidim.torch._machine.gain import SHADOW
from hidim.torch._machine.options import FLAGS, LATER, RULE_OPTIONS

_SGD = {"momentum", "dampening", "nesterov"}
_ADAM = {"betas", "amsgrad"}
_DANA = {"DANADecaying", "DANAConstant", "GeneralMomentum", "AcceleratedSGD", "StochasticNesterov"}
_FROM_SGD = "`from_sgd(params, lr=..., momentum=..., steps=..., initial_step=...)`"
_FROM_ADAM = "`from_adamw(params, lr=..., steps=...)`"


def remedy(optimizer: Any, state_dict: Any) -> str:
    """What to do with a checkpoint that is refused: a sentence, or nothing if nobody knows it."""
    if not isinstance(state_dict, Mapping):
        return _of_optax(state_dict)
    if "param_groups" not in state_dict:
        return _of_more(state_dict)
    groups = state_dict["param_groups"]
    group = groups[0] if isinstance(groups, list) and groups else None
    if not isinstance(group, dict):
        return ""
    own = type(optimizer).__name__
    for key, wrapper in (("decay_step", "LogTimeWeightDecay"), ("norms", "NormalizeAndProject")):
        if key in group:
            return (
                f"It was written through {wrapper}: build that around its base, and load it there."
            )
    if group.keys() >= _SGD:
        if own in _DANA:
            return (
                f"It is SGD's: {_FROM_SGD} makes a DANADecaying of its numbers, without its state."
            )
        return f"It is SGD's: {own} takes AdamW's numbers, and {_FROM_SGD} makes a DANADecaying."
    if group.keys() >= _ADAM:
        if own in _DANA:
            return f"It is AdamW's: {own} takes SGD's numbers, and {_FROM_ADAM} makes an ADANA."
        return (
            f"It is AdamW's: {_FROM_ADAM} makes an ADANA of its numbers; begin it without a state, "
            "with a short warm-up."
        )
    other = _class_of(group, state_dict.get("state"))
    if other is None or other == own:
        return ""
    return (
        f"It is {other}'s: load it into {other}, or begin {own} without a state on the weights "
        "that it has moved."
    )


def of_wrapper(wrapper: str, missing: list[str]) -> str:
    """For a checkpoint without the options of a wrapper: it was written by what is wrapped."""
    start = ", initial_step=..." if "decay_step" in missing else ""
    return (
        f"If the wrapped optimizer wrote it alone, load it there and wrap it then: `{wrapper}(base"
        f"{start})`."
    )


def _class_of(group: dict[str, Any], state: Any) -> str | None:
    """The class of ours that has most of the group's options, and none that the group lacks."""
    ours = sys.modules["hidim.torch"]
    entries = [e for e in state.values() if e] if isinstance(state, dict) else []
    kept = set(entries[0]) - {"step", SHADOW} if entries else None
    found: list[tuple[int, str]] = []
    for name in ours.__all__:
        cls = getattr(ours, name)
        buffers = getattr(cls, "buffers", None)  # wrappers have none
        if buffers is None or (kept is not None and kept != set(buffers)):
            continue
        options = set(inspect.signature(cls).parameters) - {"params", "options", "base"}
        needed = options - set(LATER) - set(FLAGS)
        if needed <= group.keys() and not (RULE_OPTIONS & group.keys()) - options:
            found.append((len(needed), name))
    return max(found)[1] if found else None


def _of_optax(state: Any) -> str:
    """Optax's states are named tuples with a count, alone or in the tuple of a chain."""
    parts = state if type(state) is tuple else (state,)
    counts = [
        int(part.count) for part in parts if hasattr(part, "_fields") and "count" in part._fields
    ]
    if not counts:
        return ""
    return (
        f"It is Optax's, after {max(counts)} updates: torch's optimizers load no state of its, so "
        "load it with hidim.optax, or begin without a state on the weights."
    )


def _of_more(saved: Mapping[Any, Any]) -> str:
    """For what holds a state_dict somewhere inside, or is a model's."""
    for key, value in saved.items():
        if isinstance(value, Mapping) and value.keys() >= {"state", "param_groups"}:
            return f"It holds one: give its {key!r} entry."
    if isinstance(several := saved.get("optimizer_states"), list) and several:
        return "It holds one: give its 'optimizer_states'[0] entry."
    if saved and all(isinstance(value, Tensor) for value in saved.values()):
        return "It is a model's: give that of an optimizer."
    return ""
