"""How are the updates of many parameters counted at the cost of one?

Every parameter has a `step` tensor of its own in the state. To add 1 to each of many such scalars
takes as long as all the rest of a small model's step, so those that count together are given
neighbouring places in one piece of memory, which is read and written as a whole. They stay the
tensors they were, and where each lies is looked up at every step, so that whatever is put into the
state counts.

A count is float32 as in torch's optimizers, which stands still at 2^24 updates: before that it is
made float64. Limits: not where no step reads it back, under capturable=True; loading does it there.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.compat import ordinary_tensors

_CODES = {torch.float32: "f", torch.float64: "d"}
_FULL = 2.0**24 - 1  # one more, and float32 cannot tell that from the next


def new_count(value: float, device: torch.device | str = "cpu") -> Tensor:
    """`value` updates as a 0-D tensor; never in the parameter's type or a default of 16 bits.

    >>> new_count(257.0).dtype, new_count(2.0**24).dtype
    (torch.float32, torch.float64)
    """
    double = torch.get_default_dtype() == torch.float64 or value >= _FULL
    wide = double and torch.device(device).type != "mps"
    return torch.tensor(value, dtype=torch.float64 if wide else torch.float32, device=device)


def make_room(step: Tensor) -> None:
    """Let a count that this process can read go on beyond what float32 holds."""
    if step.dtype == torch.float32 and step.item() >= _FULL:
        step.data = step.double()


class Clock:
    """The counts of one parameter group."""

    def __init__(self) -> None:
        self._memory = memoryview(b"")  # the counts that lie together
        self._count = struct.Struct("f")  # one of them
        self._places: list[int] = []  # their addresses
        self._most = _FULL  # they have room below this
        self._last: list[int] = []  # addresses at the last step

    def advance(self, steps: list[Tensor]) -> list[float]:
        """Add 1 to every count and return the new values."""
        real = type(steps[0]) is Tensor  # a subclass may stand for one without memory
        places = [step.data_ptr() for step in steps] if real else []
        if places != self._places and places == self._last and _can_join(steps, places):
            self._join(steps)
            places = self._places
        self._last = places
        if places and places == self._places:
            # Not torch's or NumPy's addition: calling either takes longer than all of this.
            now, size = bytes(self._memory), self._count.size
            if now == now[:size] * len(steps):
                (count,) = self._count.unpack_from(now)
                if count < self._most:
                    self._memory[:] = self._count.pack(count + 1) * len(steps)
                    return list(self._count.unpack_from(self._memory)) * len(steps)
        if max([step.item() for step in steps]) >= _FULL:
            for step in steps:
                make_room(step)
        torch._foreach_add_(steps, 1)
        return [step.item() for step in steps]

    def _join(self, steps: list[Tensor]) -> None:
        with ordinary_tensors():
            together = torch.stack(steps)
        array: Any = together.numpy()  # the same memory
        for step, place in zip(steps, together.unbind(), strict=True):
            step.data = place
        self._memory = memoryview(array).cast("B")
        self._count = struct.Struct(_CODES[together.dtype])
        self._most = _FULL if together.dtype == torch.float32 else math.inf
        self._places = [step.data_ptr() for step in steps]


def _can_join(steps: list[Tensor], places: list[int]) -> bool:
    """Whether these are distinct scalars of this process alone, in ordinary memory."""
    return len(set(places)) == len(places) and all(
        type(step) is Tensor
        and step.is_cpu
        and step.dim() == 0
        and step.dtype == steps[0].dtype in _CODES
        and not step.is_shared()
        for step in steps
    )
