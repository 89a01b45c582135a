"""How does a rule update in one pass over memory? By a loop over all tensors in one call.

On a CPU the loops are C++, in kernel/rules.h, and library.py says where the compiled ones come
from; on a GPU they are Triton's (gpu_pass.py). A call takes tensors of any shapes and up to 2^63
entries; coefficients are arguments. On a CPU parameters and state may be in
float64, float32, bfloat16 or float16 (16 bits are widened to float32 and rounded once), on as
many threads as `torch.set_num_threads` says.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine import gpu_pass
from hidim.torch._machine.layout import ORDINARY, flat_lists
from hidim.torch._machine.library import library, say_once

_RULES = {"dana": 0, "adana": 1, "mk4": 2, "ademamix": 3, "star": 4}
# Of parameters and of their state, in the order of `chosen` in one_pass.cpp.
_TYPES = {
    (torch.float32, torch.float32): 0,
    (torch.float64, torch.float64): 1,
    (torch.bfloat16, torch.bfloat16): 2,
    (torch.bfloat16, torch.float32): 3,
    (torch.float16, torch.float16): 4,
    (torch.float16, torch.float32): 5,
    (torch.float32, torch.bfloat16): 6,
    (torch.float32, torch.float16): 7,
    (torch.float32, torch.float64): 8,
}
# Fewer entries than this for each thread are done sooner than the thread is started.
_SHARE = 1 << 16


class Kernel:
    """The loop of one rule.

    Args:
        rule: its name, a key of `_RULES`.
    """

    def __init__(self, rule: str) -> None:
        self.name, self.rule = rule, _RULES[rule]

    def available(self, p: Tensor, state: Tensor, *, asked: bool = False) -> bool:
        """Whether there is a loop for such parameters and state; `asked`: say why there is not."""
        if p.is_cuda:
            return gpu_pass.available(p, state)
        if not p.is_cpu or (p.dtype, state.dtype) not in _TYPES:
            return False
        if library() is None:
            if asked:
                say_once()
            return False
        return True

    def update(
        self,
        group: dict[str, Any],
        ps: list[Tensor],
        gs: list[Tensor],
        state: list[list[Tensor]],
        numbers: list[float],
    ) -> list[int]:
        """Update what is dense and of dtypes known here; the positions of the rest."""
        everything = list(range(len(ps)))
        kinds = {tensors[0].dtype for tensors in state}
        if gs[0].dtype != ps[0].dtype or len(kinds) != 1:
            return everything
        if not self.available(ps[0], state[0][0], asked=bool(group["fused"])):
            return everything
        lists, left = flat_lists(ps, gs, state)
        return left if not lists[0] or self.run(lists, numbers) else everything

    def run(self, lists: list[list[Tensor]], numbers: list[float]) -> bool:
        """Update in place: `lists` holds p, g and the buffers, flat.

        Args:
            numbers: sign of the gradient, factor kept of the old parameter, factor kept of the
                new one, lr, then the rule's own.

        Returns:
            False, with nothing changed, if the tensors have no memory that can be read.
        """
        if not ORDINARY.issuperset(map(type, chain.from_iterable(lists))):
            return False  # the address of one that stands for others is 0, and is not refused
        ps = lists[0]
        if ps[0].is_cuda:
            if not gpu_pass.update(self.name, lists, numbers):
                return False
            _changed(ps)
            return True
        built = library()
        assert built is not None
        try:
            pointers = [t.data_ptr() for row in zip(*lists, strict=True) for t in row]
        except RuntimeError:  # tensors that stand for others
            return False
        sizes = [p.numel() for p in ps]
        threads = min(torch.get_num_threads(), sum(sizes) // _SHARE + 1)
        done = built.one_pass(
            self.rule,
            _TYPES[ps[0].dtype, lists[2][0].dtype],
            ctypes.c_int64(len(ps)),
            (ctypes.c_int64 * len(ps))(*sizes),
            (ctypes.c_void_p * len(pointers))(*pointers),
            (ctypes.c_double * len(numbers))(*numbers),
            ctypes.c_int64(len(numbers)),
            ctypes.c_int64(threads),
        )
        if done != 0:
            raise RuntimeError(f"the one-pass kernel does not know rule {self.rule}: code {done}.")
        _changed(ps)
        return True


def _changed(ps: list[Tensor]) -> None:
    """Tell autograd, which a kernel of our own does not."""
    with suppress(RuntimeError):  # inference tensors have no versions
        torch.autograd.graph.increment_version(ps)
