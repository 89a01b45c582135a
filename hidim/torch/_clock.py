"""How are the updates of many parameters counted at the cost of one addition?

Every parameter has a `step` tensor of its own in the state. To add 1 to each of many such scalars
takes as long as all the rest of a small model's step, so those that count together are given
neighbouring places in one piece of memory, where one addition and one reading serve all. They stay
the tensors they were; where each lies is looked up at every step, so that whatever is put into the
state counts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Clock:
    """The counts of one parameter group."""

    def __init__(self) -> None:
        self._together = np.zeros(0)
        self._places: list[int] = []  # addresses of the counts in `_together`
        self._last: list[int] = []  # addresses at the last step

    def advance(self, steps: list[Tensor]) -> list[float]:
        """Add 1 to every count and return the new values."""
        places = [step.data_ptr() for step in steps]
        if places != self._places:
            if places != self._last or not _can_join(steps, places):
                self._last = places
                torch._foreach_add_(steps, 1)
                return [step.item() for step in steps]
            self._join(steps)
        self._together += 1
        counts: list[float] = self._together.tolist()
        return counts

    def _join(self, steps: list[Tensor]) -> None:
        together = torch.stack(steps)
        for step, place in zip(steps, together.unbind(), strict=True):
            step.data = place
        self._together = together.numpy()  # the same memory
        self._places = [step.data_ptr() for step in steps]


def _can_join(steps: list[Tensor], places: list[int]) -> bool:
    """Whether these are distinct scalars of this process alone, in ordinary memory."""
    return len(set(places)) == len(places) and all(
        type(step) is Tensor
        and step.device.type == "cpu"
        and step.dim() == 0
        and step.dtype == steps[0].dtype
        and not step.is_shared()
        for step in steps
    )
