"""Which way is a group updated, and in which pieces? One by one, on lists, or in one pass.

Lists make temporaries as large as what they are given, up to seven times the parameters, and read
them back from memory. So they are given slices: temporaries stay below the size of the parameters
and, on a CPU, in its cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from hidim.torch._machine.layout import LOW

_SLICE = 1 << 17  # entries: on a CPU more do not stay in the cache, fewer cost more calls
_LEAST = 1 << 12  # below this, temporaries are smaller than what torch itself keeps
# The longest rule holds seven temporaries, and 16 bits are widened with the whole state.
_SHARES, _SHARES_LOW = 8, 32


def choose_path(group: dict[str, Any], params: list[Tensor]) -> str:
    """torch's own choice on accelerators (lists); on a CPU one pass; or what the group says.

    `fused=False` alone is the loop, as in torch.
    """
    if group["differentiable"]:
        return "single"
    if group["fused"]:
        return "fused"
    if group["foreach"] is not None:
        return "foreach" if group["foreach"] else "single"
    if group["fused"] is False:
        return "single"
    if all(map(_on_cpu, params)):
        return "fused"
    return "foreach" if all(p.device.type in ("cuda", "xpu") for p in params) else "single"


_on_cpu = Tensor.is_cpu.__get__  # type: ignore[attr-defined]


def slices(
    ps: list[Tensor], gs: list[Tensor], state: list[list[Tensor]], *, ordered: bool = False
) -> Iterator[tuple[list[int], list[Tensor], list[Tensor], list[list[Tensor]]]]:
    """Pieces of the lists, in order: positions, parameters, gradients and buffers of each.

    A tensor that is larger than a piece is cut along its longest dimension, whatever its layout;
    if its entries must stay `ordered`, only where they lie in order.
    """
    shares = _SHARES_LOW if ps[0].dtype in LOW else _SHARES
    most = max(sum(p.numel() for p in ps) // shares, _LEAST)
    if ps[0].is_cpu:
        most = min(most, _SLICE)
    places: list[int] = []
    rows: list[tuple[Tensor, ...]] = []
    held = 0
    for i, row in enumerate(zip(ps, gs, *state, strict=True)):
        size = row[0].numel()
        for piece in (row,) if size <= most else _cut(row, most, ordered):
            here = size if piece is row else piece[0].numel()
            if places and held + here > most:
                yield _columns(places, rows)
                places, rows, held = [], [], 0
            places.append(i)
            rows.append(piece)
            held += here
    if places:
        yield _columns(places, rows)


def _cut(row: tuple[Tensor, ...], most: int, ordered: bool) -> Iterator[tuple[Tensor, ...]]:
    """A parameter with its gradient and buffers, in pieces of about `most` entries."""
    flat = all(map(Tensor.is_contiguous, row))
    if ordered and not flat:
        yield row
        return
    if flat:
        row = tuple([x.view(-1) for x in row])
    shape = row[0].shape
    dim = max(range(len(shape)), key=shape.__getitem__)
    length = max(most * shape[dim] // row[0].numel(), 1)
    yield from zip(*(x.split(length, dim) for x in row), strict=True)


def _columns(
    places: list[int], rows: list[tuple[Tensor, ...]]
) -> tuple[list[int], list[Tensor], list[Tensor], list[list[Tensor]]]:
    ps, gs, *state = map(list, zip(*rows, strict=True))
    return places, ps, gs, state
