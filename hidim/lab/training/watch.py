"""What does a run say of itself, beside its losses?

At every row:

    gradient_norm      of the last gradient, before clipping
    clipped            share of the steps since the row before whose gradient was clipped

and, at evaluations:

    update_to_weight   |last change of the weights, decay included| / |weights|
    momentum_share     |momentum term| / (|momentum term| + |gradient term|) of the last update, of
                       the optimizers of hidim.torch that have both
    flops_per_second   model flops: tokens/s times the flops of a token, forward and backward
    flops_used         those over `peak_flops`, which stands beside it, where one was given

Nothing here costs more than a pass over the gradients a step, which clipping takes anyway; the
weights are copied for the step before an evaluation alone.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn

from hidim.support.checks import positive
from hidim.torch import monitor

_SIDES = {"cpu": 1024, "cuda": 8192}  # of the products that a peak is measured by


class Watch:
    """The numbers beside the losses of a run.

    Args:
        model: as it is trained.
        optimizer: of its parameters.
        clip: largest norm of the gradient; 0 does not clip.
        peak_flops: of the device, per second, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        clip: float,
        peak_flops: float | None = None,
    ) -> None:
        self.parameters, self.optimizer = list(model.parameters()), optimizer
        self.bound, self.peak_flops = clip, peak_flops
        self.norm: Any = None  # of the last gradient before clipping, on the device
        self.clipped: Any = 0  # steps since the last row whose gradient was, on the device
        self.steps = 0  # since the last row
        self._moved: Any = None  # share of the weights that the last step changed
        self._shares = True  # whether the optimizer may have a momentum term beside another

    def clip(self, wanted: bool) -> None:
        """Clip the gradient, and keep the norm that it had if a row will want it."""
        if self.bound:
            self.norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.bound)
            self.clipped = self.clipped + (_whole(self.norm) > self.bound)
        elif wanted:
            gradients = [one.grad for one in self.parameters if one.grad is not None]
            self.norm = torch.nn.utils.get_total_norm(gradients)
        self.steps += 1

    @torch.no_grad()
    def step(self, wanted: bool) -> None:
        """Let the optimizer step, and measure by how much if an evaluation will want it."""
        if not wanted:
            self._moved = None
            self.optimizer.step()
            return
        before = [one.detach().clone() for one in self.parameters]
        self.optimizer.step()
        size = torch.nn.utils.get_total_norm(before)
        torch._foreach_sub_(before, [one.data for one in self.parameters])
        self._moved = _whole(torch.nn.utils.get_total_norm(before)) / _whole(size)

    def row(self) -> dict[str, float | None]:
        """What every row has; counts begin anew."""
        found = {"gradient_norm": None if self.norm is None else float(_whole(self.norm))}
        if self.bound:
            found["clipped"] = float(self.clipped) / self.steps if self.steps else None
        self.clipped, self.steps = 0, 0
        return found

    def evaluated(self, flops_per_second: float | None) -> dict[str, float]:
        """What a row with an evaluation has besides; all processes of a sharded model call it."""
        found: dict[str, float] = {}
        if self._moved is not None:
            found["update_to_weight"] = float(self._moved)
            share = monitor(self.optimizer).get("momentum_share") if self._shares else None
            self._shares = share is not None  # whoever has none after a step never has
            found |= {} if share is None else {"momentum_share": share}
        if flops_per_second is not None:
            found["flops_per_second"] = flops_per_second
            if self.peak_flops is not None:
                found["flops_used"] = flops_per_second / self.peak_flops
                found["peak_flops"] = self.peak_flops
        return found

    def state(self) -> dict[str, float]:
        """What a checkpoint needs to go on counting."""
        return {"clipped": float(self.clipped), "clip_steps": self.steps}

    def load(self, state: dict[str, Any]) -> None:
        """Go on counting; checkpoints of before had no counts."""
        self.clipped = state.get("clipped", 0.0)
        self.steps = int(state.get("clip_steps", 0))


def peak_flops(wanted: float | str | None, device: torch.device, half: bool) -> float | None:
    """The flops per second that `flops_used` is a share of: a given number, or measured.

    Args:
        wanted: a number, "measure" or None.
        device: measured by the fastest of five products of square matrices on it, of 1024 rows on
            a CPU, with as many threads as the run, and 8192 on a GPU.
        half: whether in bfloat16, as the run.

    Raises:
        ValueError: neither a positive number nor "measure".
    """
    if wanted is None:
        return None
    if wanted != "measure":
        if isinstance(wanted, str):
            raise ValueError(f"`peak_flops` must be a number or 'measure', got {wanted!r}.")
        return positive("peak_flops", wanted)
    side = _SIDES.get(device.type, 1024)
    kind = torch.bfloat16 if half else torch.float32
    matrix = torch.full((side, side), 1 / side, dtype=kind, device=device)
    best = float("inf")
    for _ in range(6):  # the first one warms up
        start = time.perf_counter()
        (matrix @ matrix)[0, 0].item()
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def _whole(norm: Any) -> Any:
    # Held in parts, every process knows a part of it.
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
