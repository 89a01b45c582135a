"""Log-time weight decay for any optimizer.

    p <- p (1 - (lr / peak_lr) omega / (t_0 + t)),   t = 1, 2, ...,   before each update

Decoupled and independent of the size of lr: only the schedule's shape lr/peak_lr enters.
Source: arXiv 2602.05298, whose runs take omega = 4 and t_0 = a tenth of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.torch._machine import peak
from hidim.torch._machine.clock import make_room, new_count
from hidim.torch._machine.compat import ordinary_tensors
from hidim.torch._machine.ops import as_data
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.overdecay import refuse_in_group
from hidim.torch._machine.wrapper import Wrapper, options_of_base


class LogTimeWeightDecay(Wrapper):
    """Any optimizer with log-time weight decay added; AdamW without its own decay by default.

    Args:
        params: an optimizer to wrap, or parameters, named parameters or groups for `base`.
        lr: learning rate of `base`; not used with an optimizer to wrap.
        omega: strength; 4 in the source. A group with `"weight_decay": 0` of its own (biases and
            norms of `param_groups`) has none unless it gives `omega` too.
        t_0: time before which the decay is flat; a tenth of the run in the source.
        peak_lr: the schedule's highest lr; by default read from the scheduler, as in `ADANA`.
        initial_step: where t starts, 0 by default; with a base that has the option, give it
            there. t is a group's number of updates, kept in the group as `decay_step`.
        weight_decay: `base`'s own weight decay.
        base: class of the optimizer to build from parameters.
        betas, eps, maximize, foreach, fused, capturable, differentiable: of `base`; its own
            default where left out.
        options: further options of `base`, such as SGD's momentum.

    Raises:
        ValueError: a value outside its range, or a base that has `omega` itself (ADANA and its
            relatives), naming the argument.

    Example:
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = LogTimeWeightDecay(torch.optim.SGD(model.parameters(), lr=0.1), t_0=100)
    """

    kept: ClassVar[tuple[str, ...]] = ("decay_step",)

    def __init__(
        self,
        params: Params | torch.optim.Optimizer,
        lr: float | Tensor = 1e-3,
        *,
        omega: float = 4.0,
        t_0: float = 1000.0,
        peak_lr: float | None = None,
        initial_step: int | None = None,
        weight_decay: float = 0.0,
        base: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        betas: tuple[float, float] | None = None,
        eps: float | None = None,
        maximize: bool | None = None,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool | None = None,
        differentiable: bool | None = None,
        **options: Any,
    ) -> None:
        own = {"omega": omega, "t_0": t_0, "peak_lr": peak_lr, "initial_step": initial_step}
        settings = options_of_base(locals())
        if isinstance(params, torch.optim.Optimizer):
            groups = params.param_groups
            if any(group.get("weight_decay") for group in [params.defaults, *groups]):
                for group in groups:
                    _exempt(group)
        elif params is not None and not isinstance(params, Tensor):
            params = [_exempt(dict(x)) if isinstance(x, dict) else x for x in params]
        super().__init__(params, own, base, settings)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; one that says it has no weight decay has no log-time decay either."""
        known = any(param_group is group for group in self.base.param_groups)
        if isinstance(param_group, dict) and not known:
            param_group = _exempt(dict(param_group))
        super().add_param_group(param_group)

    def _complete(self, group: dict[str, Any]) -> None:
        peak.begin(group)
        device = group["params"][0].device if group.get("capturable") and group["params"] else "cpu"
        with ordinary_tensors():
            group.setdefault("decay_step", new_count(float(group["initial_step"] or 0), device))

    def refuse_kept(self, group: dict[str, Any], count: int) -> str | None:
        """Whether `decay_step` is one number of updates."""
        t = group["decay_step"]
        one = isinstance(t, int | float) or (isinstance(t, Tensor) and t.numel() == 1)
        if not one or not 0 <= float(t) < math.inf:
            return f"`decay_step` is {t}"
        return None

    @staticmethod
    def kept_at(group: dict[str, Any], t: Any, lr: Any) -> Any:
        """The factor on the old parameter at `t`."""
        return 1 - peak.relative(group, lr) * group["omega"] / (group["t_0"] + t)

    def refuse_overdecay(self) -> None:
        """Refuse a step whose decay, its own or the base's, would turn a weight over."""
        for group, _ in self._moving():
            if group["omega"]:
                refuse_in_group(self.kept_at, group, 1.0, [group["decay_step"]])
        super().refuse_overdecay()

    def before(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Shrink the old parameters."""
        peak.follow(group)
        t: Any = group["decay_step"]
        on_host = not torch.compiler.is_compiling() and t.device.type == "cpu"
        if on_host:
            make_room(t)
        t += 1
        lr = group["lr"]
        if on_host:
            t = t.item()
            known = isinstance(lr, Tensor) and lr.device.type == "cpu" and not lr.requires_grad
            lr = float(lr) if known else lr
        elif torch.compiler.is_compiling():
            t = t.to(torch.float32 if t.device.type == "mps" else torch.float64)
            lr = as_data(lr, t)
        kept = self.kept_at(group, t, lr)
        if group.get("foreach") or group.get("fused") or params[0].device.type == "cuda":
            torch._foreach_mul_(params, kept)
        else:
            for p in params:
                p.mul_(kept)


def _exempt(group: dict[str, Any]) -> dict[str, Any]:
    """The group itself, without log-time decay if it has no weight decay and names no omega."""
    if group.get("weight_decay", 1) == 0:
        group.setdefault("omega", 0.0)
    return group
