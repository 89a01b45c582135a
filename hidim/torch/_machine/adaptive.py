"""How is a member of the ADANA family stepped? Log-time averages, decoupled decay, no bias term.

    a = delta / (delta + t), t = 1, 2, ...;  m <- (1-a) m + a g;  v <- (1-a) v + a g^2
    p <- p (1 - lr weight_decay - (lr / peak_lr) omega / (t_0 + t)) - lr direction

A member gives the direction. Source: arXiv 2602.05298.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from torch import Tensor

from hidim.algorithms.transfer import MUCH_LONGER, late_start
from hidim.torch._machine import peak
from hidim.torch._machine.layout import on_accelerator
from hidim.torch._machine.one_pass import Kernel
from hidim.torch._machine.ops import Tensors, foreach_add_scaled, foreach_scale, minus
from hidim.torch._machine.optimizer import HidimOptimizer
from hidim.torch._machine.options import number


class AdaptiveFamily(HidimOptimizer):
    """A member gives `numbers`, `direction` and the kernel of its fused path.

    The first two entries of the coefficients are the factor kept of the old parameter and lr.
    """

    buffers: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    first_time: ClassVar[int] = 1
    kernel: ClassVar[Kernel | None] = None
    # Whether g/s is as long as s is short: where v begins at 0 and is not corrected for it.
    biased: ClassVar[bool] = False

    def numbers(self, group: dict[str, Any], t: Any) -> tuple[Any, ...]:
        """The member's own coefficients at `t`."""
        raise NotImplementedError

    def direction(
        self, group: dict[str, Any], gs: Tensors, state: list[Tensors], c: tuple[Any, ...]
    ) -> tuple[Tensors, Tensors | None]:
        """Update the averages; what lr multiplies, and what that is still to be divided by."""
        raise NotImplementedError

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; one that says it has no weight decay has no log-time decay either."""
        if isinstance(param_group, dict) and param_group.get("weight_decay", 1) == 0:
            param_group.setdefault("omega", 0.0)
        super().add_param_group(param_group)

    def _complete(self, group: dict[str, Any]) -> None:
        peak.begin(group)

    def _init_state(self, group: dict[str, Any], p: Tensor, entry: dict[str, Any]) -> None:
        super()._init_state(group, p, entry)
        begun, lr = group["initial_step"], group["lr"]
        if self.biased and begun and not (isinstance(lr, Tensor) and not lr.is_cpu):
            share = peak.relative(group, number(lr)) if group["peak_lr"] else 1.0
            longer = min(share, 1.0) * ((1 + begun) / group["delta"]) ** 0.5
            if longer > MUCH_LONGER and not self.__dict__.get("_told"):
                self._told = True
                said = late_start(type(self).__name__, begun, group["delta"], longer)
                warnings.warn(said, stacklevel=2)

    def before_group(self, group: dict[str, Any]) -> None:
        """Read the schedule's peak where the group says it."""
        peak.follow(group)

    def kept(self, group: dict[str, Any], t: Any, lr: Any) -> Any:
        """1 less both decays."""
        t = _on_clock(group, t)
        kept = 1.0
        if group["weight_decay"]:
            kept = kept - lr * group["weight_decay"]
        if group["omega"]:
            kept = kept - peak.relative(group, lr) * group["omega"] / (group["t_0"] + t)
        return kept

    def coefficients(self, group: dict[str, Any], t: Any, lr: Any) -> tuple[Any, ...]:
        """Kept factor, lr, then the member's numbers."""
        return self.kept(group, t, lr), lr, *self.numbers(group, _on_clock(group, t))

    def update(
        self, group: dict[str, Any], ps: Tensors, gs: Tensors, state: list[Tensors], c: Any
    ) -> None:
        """p <- p kept - lr direction (decay before or after)."""
        kept, lr, *numbers = c
        steps, scales = self.direction(group, gs, state, tuple(numbers))
        decays = not isinstance(kept, float) or kept != 1.0
        if decays and not group["decay_after"]:
            foreach_scale(ps, kept)
        foreach_add_scaled(ps, steps, minus(lr), over=scales)
        if decays and group["decay_after"]:
            foreach_scale(ps, kept)

    def fused(
        self, group: dict[str, Any], ps: Tensors, gs: Tensors, state: list[Tensors], c: Any
    ) -> list[int]:
        """One pass over memory for what is dense and of one dtype."""
        kernel = type(self).kernel
        if kernel is None or on_accelerator(c):
            return list(range(len(ps)))
        kept, lr, *numbers = (float(x) for x in c)
        sign = -1.0 if group["maximize"] else 1.0
        before, after = (1.0, kept) if group["decay_after"] else (kept, 1.0)
        return kernel.update(group, ps, gs, state, [sign, before, after, lr, *numbers])


def _on_clock(group: dict[str, Any], t: Any) -> Any:
    """t = 1, 2, ..., or from 0 as in the authors' JAX code."""
    return t - 1 if group.get("clock") == "jax" else t
