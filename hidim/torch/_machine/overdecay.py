"""Would the weight decay of a step take all of a weight, or more, and so turn its sign?

A decoupled decay multiplies weights by 1 - lr weight_decay - (lr / peak_lr) omega / (t_0 + t). With
omega = 4 and t_0 = 1 that is -1 in the first update, without a word in the sources' formulas. No
constructor can tell: the scheduler that comes after it may warm lr up, where the same numbers do
no harm, or raise it. So every step asks before anything moves; while the worst time, the first,
would do no harm, that costs a microsecond a group. Limits: a rate or count on a device is not
waited for; another library's own decay is its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from hidim.torch._machine import peak
from hidim.torch._machine.fit import Moving
from hidim.torch._machine.options import number


def refuse_overdecay(optimizer: Any, rows: list[Moving]) -> None:
    """Refuse a step of which decay alone would leave nothing of a weight, or turn it over.

    Raises:
        ValueError: naming the option, what it would take, and the remedy.
    """
    for row in rows:
        group = row.group
        if row.params and (group["weight_decay"] or group.get("omega")):
            first = float(optimizer.first_time)
            counts = [entry.get("step", group["initial_step"]) for entry in row.entries]
            refuse_in_group(optimizer.kept, group, first, counts)


def refuse_in_group(kept: Any, group: dict[str, Any], first: float, counts: Iterable[Any]) -> None:
    """The same for one group.

    Args:
        kept: `(group, t, lr)` -> the factor on the old parameter.
        first: the time of a first update.
        counts: the numbers of updates done, as numbers or tensors.
    """
    lr = group["lr"]
    if isinstance(lr, Tensor) and not lr.is_cpu:
        return
    lr = number(lr)
    if group.get("omega"):  # as the step would learn it; a refused rate leaves no peak behind
        group = dict(group)
        peak.follow(group)
    if kept(group, first, lr) > 0:
        return
    known = [number(n) for n in counts if not isinstance(n, Tensor) or n.is_cpu]
    if known and kept(group, t := min(known) + first, lr) <= 0:
        _refuse(group, lr, t, 1 - kept(group, t, lr))


def _refuse(group: dict[str, Any], lr: float, t: float, taken: float) -> None:
    does = f"would take {taken:.3g} times a weight in update {t:g}, and turn its sign"
    does = does if taken > 1 else f"would take all of a weight in update {t:g}"
    if lr * group.get("weight_decay", 0.0) >= 1:
        raise ValueError(
            f"`weight_decay` = {group['weight_decay']:g} at lr = {lr:g} {does}: lr x weight_decay "
            "must stay below 1. Lower one of them. Nothing has been changed."
        )
    omega = group["omega"]
    below = "" if group.get("peak_given", True) else " by a scheduler, or with peak_lr given"
    raise ValueError(
        f"`t_0` = {group['t_0']:g} beside omega = {omega:g} {does}: give a tenth of the run, at "
        f"least 3 omega = {3 * omega:g}, or warm lr up{below}. Nothing has been changed."
    )
