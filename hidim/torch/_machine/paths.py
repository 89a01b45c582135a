"""Which way is a group updated, and in which pieces? One by one, on lists, or in one pass.

Lists make temporaries as large as what they are given, up to seven times the parameters, and read
them back from memory. So they are given slices: temporaries stay below the size of the parameters
and, on a CPU, in its cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from hidim.torch._machine.layout import LOW

_SLICE = 1 << 17  # entries: on a CPU more do not stay in the cache, fewer cost more calls
_LEAST = 1 << 12  # below this, temporaries are smaller than what torch itself keeps
_SHARES_LOW = 32  # of the longest rule: seven temporaries, three buffers


def choose_path(group: dict[str, Any], params: list[Tensor], *, on_cpu: bool = False) -> str:
    """One pass on a CPU and, where there is one, on accelerators; or what the group says.

    `fused=False` alone is the loop, as in torch. `on_cpu`: all are known to be there.
    """
    if group["differentiable"]:
        return "single"
    if group["fused"]:
        return "fused"
    if group["foreach"] is not None:
        return "foreach" if group["foreach"] else "single"
    if group["fused"] is False:
        return "single"
    if on_cpu or all(map(_on_cpu, params)):
        return "fused"
    return "fused" if all(p.device.type in ("cuda", "xpu") for p in params) else "single"


_on_cpu = Tensor.is_cpu.__get__  # type: ignore[attr-defined]


def slices(
    ps: list[Tensor],
    gs: list[Tensor],
    state: list[list[Tensor]],
    temporaries: int,
    *,
    ordered: bool = False,
) -> Iterator[tuple[Sequence[int], list[Tensor], list[Tensor], list[list[Tensor]]]]:
    """Pieces of the lists, in order: positions, parameters, gradients and buffers of each.

    A tensor that is larger than a piece is cut along its longest dimension, whatever its layout;
    if its entries must stay `ordered`, only where they lie in order.

    Args:
        temporaries: how many lists as long as a piece are held while it is updated.
    """
    sizes = [p.numel() for p in ps]
    # 16 bits are widened, with the whole state.
    shares = _SHARES_LOW if ps[0].dtype in LOW else temporaries + 1
    most = max(sum(sizes) // shares, _LEAST)
    if ps[0].is_cpu:
        most = min(most, _SLICE)
    start, held = 0, 0
    for i, size in enumerate(sizes):
        if held + size <= most:
            held += size
            continue
        if start < i:
            yield _run(start, i, ps, gs, state)
        if size <= most:
            start, held = i, size
            continue
        for piece in _cut((ps[i], gs[i], *[tensors[i] for tensors in state]), most, ordered):
            yield (i,), [piece[0]], [piece[1]], [[x] for x in piece[2:]]
        start, held = i + 1, 0
    if start < len(ps):
        yield _run(start, len(ps), ps, gs, state)


def _run(
    start: int, stop: int, ps: list[Tensor], gs: list[Tensor], state: list[list[Tensor]]
) -> tuple[Sequence[int], list[Tensor], list[Tensor], list[list[Tensor]]]:
    """Whole tensors, neighbours in the lists."""
    return (
        range(start, stop),
        ps[start:stop],
        gs[start:stop],
        [tensors[start:stop] for tensors in state],
    )


def _cut(row: tuple[Tensor, ...], most: int, ordered: bool) -> Iterator[tuple[Tensor, ...]]:
    """A parameter with its gradient and buffers, in like pieces of at most about `most` entries."""
    flat = all(map(Tensor.is_contiguous, row))
    if ordered and not flat:
        yield row
        return
    if flat:
        row = tuple([x.view(-1) for x in row])
    shape = row[0].shape
    dim = max(range(len(shape)), key=shape.__getitem__)
    length = max(most * shape[dim] // row[0].numel(), 1)
    pieces = -(-shape[dim] // length)
    length = -(-shape[dim] // pieces)
    yield from zip(*[x.split(length, dim) for x in row], strict=True)
