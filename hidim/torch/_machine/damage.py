"""What in a checkpoint is damaged although it fits?

Entries that are no numbers are loaded, as torch loads them, and named in one line of warning: a run
may have had them, and may go on. A negative average of squares no run has had, and is refused. One
pass over the state, and one value read per device. Limits: tensors without memory of their own, and
shards that other processes hold, are not looked at; a parameter without a state may have had no
gradient yet (a frozen layer, an unused expert), and is loaded without a word.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.layout import ORDINARY, local_shard, real_view

_SQUARES = {"exp_avg_sq", "max_exp_avg_sq", "square_avg", "tau"}  # averages of what is not negative


def named(number: Any, group: dict[str, Any], place: int) -> str:
    """A parameter in a message: its number in the checkpoint, and its name where that is known."""
    names = group.get("param_names") or ()
    return f"parameter {number}" + (f" ({names[place]})" if place < len(names) else "")


def labels(groups: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> dict[Any, str]:
    """What to call the parameters, by number.

    Args:
        groups: of the checkpoint, and the optimizer's own.
    """
    return {
        number: named(number, own if "param_names" in own else saved, place)
        for saved, own in groups
        for place, number in enumerate(saved["params"])
    }


def unsound_in(entries: dict[str, dict[str, Any]]) -> tuple[str | None, list[str]]:
    """What is negative and must not be, if anything, and the buffers that are not finite.

    Args:
        entries: the state of each parameter, by what to call it.
    """
    found: dict[Any, list[Any]] = {}
    for label, entry in entries.items():
        for key, x in entry.items():
            x = local_shard(x) if isinstance(x, Tensor) else x
            ordinary = type(x) in ORDINARY and not x.is_meta and x.layout == torch.strided
            if (
                ordinary
                and key != "step"
                and x.numel()
                and (x.is_floating_point() or x.is_complex())
            ):
                exact = torch.float32 if x.device.type == "mps" else torch.float64
                ends = torch.stack(torch.aminmax(real_view(x.detach()))).to(exact)
                found.setdefault(x.device, []).append((label, key, ends))
    negative, unsound = None, []
    for rows in found.values():
        both = torch.stack([ends for _, _, ends in rows]).tolist()
        for (label, key, _), (low, high) in zip(rows, both, strict=True):
            if not (-torch.inf < low and high < torch.inf):
                unsound.append(f"`{key}` of {label}")
            elif low < 0 and key in _SQUARES:
                negative = negative or f"`{key}` of {label} is {low:.3g}, and averages squares"
    return negative, unsound


def no_data(key: str, what: str) -> str:
    """What to say of a tensor that was read onto the meta device."""
    return f"`{key}` of {what} is on the meta device: read the file with map_location='cpu'"


def misfit_of(
    optimizer: Any, state_dict: dict[str, Any], names: dict[Any, str], shaped: tuple[str, ...]
) -> str | None:
    """What in a state that another library's optimizer will load as it is could not be stepped.

    Args:
        names: what to call the parameters, by number, in the order of the optimizer's own.
        shaped: names of what has the parameter's shape.
    """
    own = [p for group in optimizer.param_groups for p in group["params"]]
    for (number, what), p in zip(names.items(), own, strict=False):
        entry = state_dict["state"].get(number, {})
        for key, x in entry.items():
            if isinstance(x, Tensor) and x.is_meta and not p.is_meta:
                return no_data(key, what)
        step = entry.get("step", 0)
        count = isinstance(step, int | float) or (isinstance(step, Tensor) and step.numel() == 1)
        if not count or not 0 <= float(step) < math.inf:
            return f"`step` of {what} is {step}"
        for key in shaped:
            x = entry.get(key)
            if type(x) in ORDINARY and type(p) in ORDINARY and x.shape != p.shape:
                return (
                    f"`{key}` of {what} has shape {tuple(x.shape)}, the parameter {tuple(p.shape)}"
                )
    return None


def warn_of(name: str, unsound: list[str]) -> None:
    """One line for what is not finite.

    Args:
        name: of the optimizer.
        unsound: buffers that are not finite.
    """
    if unsound:
        warnings.warn(
            f"{_some(unsound)} in the state_dict loaded into {name} holds nan or inf, and what it "
            "moves will too: take an earlier checkpoint, or start that parameter afresh, "
            "`del optimizer.state[p]`.",
            stacklevel=_callers(),
        )


def _callers() -> int:
    """How far up the stack, from who asks, the code is that called neither from here nor torch."""
    frame, level = sys._getframe(1), 1
    own = (os.path.dirname(os.path.dirname(__file__)), os.path.dirname(torch.__file__))
    while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
        frame, level = frame.f_back, level + 1
    return level


def _some(what: list[str]) -> str:
    return what[0] if len(what) == 1 else f"{what[0]} (and {len(what) - 1} more)"
