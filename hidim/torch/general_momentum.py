"""Any member of the general momentum family, its four coefficients given as schedules.

    y <- (1 - Delta(t)) y + gamma_1(t) g,   p <- p - lr (gamma_2(t) g + gamma_3(t) y)

Source: arXiv 2505.16098 (Gen-Mom-SGD).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from hidim.algorithms.schedules import Forgetting, PowerLaw, Schedule
from hidim.torch._machine.momentum import MomentumFamily
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.schedules import cooldown_at, value_at

_DECAY = PowerLaw(1.0, 0.85)
_FORGETTING = Forgetting(8.0)


class GeneralMomentum(MomentumFamily):
    """The family itself; by default the same as `DANADecaying`.

    Args:
        params: parameters, named parameters or groups.
        lr: factor on `rates` together.
        gamma_1, gamma_2, gamma_3, forgetting: numbers or schedules of hidim, functions of the
            number of updates t = 0, 1, ...; none negative.
        rates: which of the gammas lr multiplies, gamma_2 and gamma_3 by default.
        weight_decay, decoupled_weight_decay, initial_step, maximize, foreach, fused, capturable,
            differentiable, stochastic_rounding, state_dtype, cooldown: as in `DANADecaying`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> heavy_ball = GeneralMomentum(
        ...     [torch.nn.Parameter(torch.zeros(3))], lr=0.1, gamma_2=0.0, gamma_3=1.0,
        ...     forgetting=0.1)
    """

    scale_keys: ClassVar[tuple[str, ...]] = (
        "gamma_1", "gamma_2", "gamma_3", "forgetting", "cooldown",
    )  # fmt: skip

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        *,
        gamma_1: float | Schedule = 1.0,
        gamma_2: float | Schedule = 1.0,
        gamma_3: float | Schedule = _DECAY,
        forgetting: float | Schedule = _FORGETTING,
        rates: tuple[str, ...] = ("gamma_2", "gamma_3"),
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        initial_step: int = 0,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        stochastic_rounding: bool = False,
        state_dtype: torch.dtype | None = None,
        cooldown: float | Schedule | None = None,
    ) -> None:
        super().__init__(params, locals())

    @staticmethod
    def rule(group: dict[str, Any], t: Any) -> tuple[Any, Any, Any, Any]:
        """The four schedules at `t`."""
        names = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
        gamma_1, gamma_2, gamma_3, forgetting = (value_at(group[name], t) for name in names)
        return gamma_1, gamma_2, gamma_3 * cooldown_at(group.get("cooldown"), t), forgetting
