"""How does a rule update in one pass over a GPU's memory? By one launch for all tensors.

The loops are in gpu_rules.py, in Triton, which torch brings where it has CUDA; without it, or
where it cannot compile, lists take their place. Parameters in float32, bfloat16 or float16, state
in these too; coefficients are numbers of this process, since to read one back would wait for the
device.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

_LOG = logging.getLogger("hidim")
_WIDTHS = {"dana": 3, "adana": 4, "mk4": 4, "ademamix": 5, "star": 5}
_TYPES = frozenset(
    [(torch.float32, state) for state in (torch.float32, torch.bfloat16, torch.float16)]
    + [(low, low) for low in (torch.bfloat16, torch.float16)]
    + [(low, torch.float32) for low in (torch.bfloat16, torch.float16)]
)
_NUMBERS = 11  # of a rule, at most
_REMEMBERED = 64  # tables: two for each group, device and dtype of the optimizers of a process
_failed: list[str] = []


def available(p: Tensor, state: Tensor) -> bool:
    """Whether there is a loop for such parameters and state."""
    return (p.dtype, state.dtype) in _TYPES and p.is_cuda and not _failed and _triton()


@functools.cache
def _triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def update(rule: str, lists: list[list[Tensor]], numbers: list[float]) -> bool:
    """Update in place: `lists` holds p, g and the buffers, flat, on one device.

    Args:
        rule: a key of `_WIDTHS`.
        lists: each of the same length, of tensors of like sizes.
        numbers: as for `Kernel.run`.

    Returns:
        False, with nothing changed, if the loop cannot be made here; the log says why, once.
    """
    from hidim.torch._machine import gpu_rules

    ps = lists[0]
    device, on_gpu = ps[0].device, ps[0].is_cuda  # Triton's interpreter has none
    addresses = tuple([t.data_ptr() for row in zip(*lists, strict=True) for t in row])
    stream = torch.cuda.current_stream(device).cuda_stream if on_gpu else 0
    rows, aligned = _table(addresses, device, stream)
    sizes = tuple([p.numel() for p in ps])
    places, which, starts = _blocks(sizes, gpu_rules.BLOCK, device, stream)
    c = numbers + [0.0] * (_NUMBERS - len(numbers))
    here = not on_gpu or device.index == torch.cuda.current_device()
    try:
        with nullcontext() if here else torch.cuda.device(device):
            gpu_rules.one_pass[(len(which),)](
                rows, places, which, starts, *c, rule, _WIDTHS[rule],
                _named(ps[0].dtype), _named(lists[2][0].dtype), aligned, gpu_rules.BLOCK,
            )  # fmt: skip
    except Exception as error:  # Triton compiles here, with a compiler of this machine
        _failed.append(rule)
        reason = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        _LOG.warning("hidim: Triton made no one-pass step (%s); lists take its place", reason[0])
        return False
    return True


@functools.cache
def _named(dtype: torch.dtype) -> Any:
    """Triton's name of a type."""
    import triton.language as tl

    return {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}[
        dtype
    ]


@functools.lru_cache(_REMEMBERED)
def _table(addresses: tuple[int, ...], device: torch.device, stream: int) -> tuple[Tensor, bool]:
    """Addresses on the device, and whether all begin whole vectors.

    A stream has a table of its own, since memory is handed on by streams.
    """
    aligned = all(address % 16 == 0 for address in addresses)
    return torch.tensor(addresses, dtype=torch.int64, device="cpu").to(device), aligned


@functools.lru_cache(_REMEMBERED)
def _blocks(
    sizes: tuple[int, ...], block: int, device: torch.device, stream: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Sizes, and for every block its tensor and first entry, on the device."""
    counts = [-(-n // block) for n in sizes]
    which = np.repeat(np.arange(len(sizes)), counts)
    first = np.cumsum(counts) - counts
    starts = (np.arange(len(which)) - first[which]) * block
    made = [np.asarray(x, dtype=np.int64) for x in (sizes, which, starts)]
    sizes_there, which_there, starts_there = (torch.from_numpy(x).to(device) for x in made)
    return sizes_there, which_there, starts_there
