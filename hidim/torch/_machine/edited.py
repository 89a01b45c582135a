"""Has anybody changed a parameter group since it was last checked? Then what changed is checked.

Schedulers, sweeps and callbacks write into groups in mid-run, where a constructor sees nothing: a
negative rate would climb the loss without a word. Values are compared by identity, which costs a
microsecond a group and touches no tensor; only what is another object goes through `options.py`.
Limits: a rate in a tensor is read on a CPU only, and what is changed inside a list is not seen.
"""

from __future__ import annotations

from collections.abc import Container
from operator import is_
from typing import Any

import torch

from hidim.torch._machine.options import check_option, check_together

_NEW = object()


def refuse_edits(optimizer: Any, known: Container[str] | None = None) -> None:
    """Refuse a step while a changed option is bad, before anything has moved.

    Args:
        known: options to look at; None for all.

    Raises:
        ValueError: naming the option, its value and the remedy.
    """
    seen: dict[int, dict[str, Any]] = optimizer.__dict__.setdefault("_seen", {})
    for group in optimizer.param_groups:
        lr = group.get("lr")
        if isinstance(lr, torch.Tensor):  # may have changed in place; read on a CPU only
            check_option("lr", lr)
        before = seen.get(id(group), {})
        if len(group) == len(before) and all(map(is_, group.values(), before.values())):
            continue
        lost = [name for name in optimizer.defaults if name not in group]
        if lost and known is None:  # of a base that is another's, it is for that base to say
            raise ValueError(
                f"a parameter group has lost `{lost[0]}`: put it back, its default is "
                f"{optimizer.defaults[lost[0]]!r}."
            )
        changed = {k: v for k, v in group.items() if v is not before.get(k, _NEW)}
        if known is not None:
            changed = {k: v for k, v in changed.items() if k in known}
        for name, value in changed.items():
            if name != "initial_step" or value is not None:  # a wrapper's may be left out
                check_option(name, value)
        if known is None and changed.keys() - {"lr"}:
            check_together(group)
        seen[id(group)] = dict(group)
