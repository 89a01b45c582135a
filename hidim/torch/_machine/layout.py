"""How do tensors lie in memory, and in which type are they computed?

Local shards of DTensors, real views of complex tensors, flat views for the one-pass kernels,
buckets that share a kernel, and bfloat16 widened for arithmetic and rounded back once.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor

from hidim.torch._machine.compat import outside_graphs

LOW = (torch.bfloat16, torch.float16)
ORDINARY = frozenset({Tensor, torch.nn.Parameter})  # have memory; a subclass may only stand for it


def local_shard(x: Any, like: Any = None) -> Tensor:
    """This process's part of a DTensor; a plain tensor as it is.

    A gradient placed unlike its parameter (`like`) is first redistributed to match it.
    """
    if type(x) is Tensor or not hasattr(x, "to_local"):
        return x
    if like is not None and getattr(like, "placements", x.placements) != x.placements:
        x = x.redistribute(placements=like.placements)
    return x.to_local()


def as_stored(
    params: list[Tensor], grads: list[Tensor], state: list[list[Tensor]], *, local: bool
) -> tuple[list[Tensor], list[Tensor], list[list[Tensor]]]:
    """What this process has in memory: local shards, nothing pending on the gradients."""
    grads = [resolved(g) for g in grads]
    if local:
        grads = [local_shard(g, like=p) for p, g in zip(params, grads, strict=True)]
        params = [local_shard(p) for p in params]
        state = [[local_shard(b) for b in tensors] for tensors in state]
    return params, grads, state


def real_view(x: Tensor) -> Tensor:
    """A complex tensor as pairs of reals."""
    return torch.view_as_real(x) if x.is_complex() else x


def resolved(x: Tensor) -> Tensor:
    """`x` with a pending conjugation or negation carried out; kernels read memory as it is."""
    return x.resolve_conj().resolve_neg() if x.is_conj() or x.is_neg() else x


def widen(x: Tensor) -> Tensor:
    """float32 for bfloat16 and float16, otherwise `x` itself."""
    return x.float() if x.dtype in LOW else x


@outside_graphs
def round_stochastically(
    targets: list[list[Tensor]], values: list[list[Tensor]], key: Any, noises: dict[Any, Any]
) -> None:
    """Write parameters and buffers, slot by slot, into what is stored; bfloat16 without bias.

    Goes to the upper neighbour with the probability that makes it unbiased. The noise depends on
    time, place and slot alone, so replicas and resumed runs round alike; it goes on in `noises`
    where a tensor comes in pieces. One call for a whole list, since a graph breaks here.
    """
    t, places = key
    for slot, (olds, news) in enumerate(zip(targets, values, strict=True)):
        for place, target, value in zip(places, olds, news, strict=True):
            if target.dtype == torch.bfloat16:
                target.copy_(_rounded(value, (t, place, slot), noises))
            elif value is not target:
                target.copy_(value)


def _rounded(value: Tensor, seed: tuple[Any, ...], noises: dict[Any, Any]) -> Tensor:
    mixed = 0
    for part in seed:
        mixed = (mixed * 1_000_003 + int(part) + 0x9E3779B9) % 2**63
    generator = noises.get(mixed)
    if generator is None:
        generator = torch.Generator(device=value.device).manual_seed(mixed)
        noises[mixed] = generator
    noise = torch.randint(
        0, 1 << 16, value.shape, dtype=torch.int32, device=value.device, generator=generator
    )
    # bfloat16 is float32 without its last 16 bits: add noise below them, then cut.
    bits = (value.contiguous().view(torch.int32) + noise) & -65536
    return torch.where(torch.isfinite(value), bits.view(torch.float32), value)


def on_device(device: torch.device, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The numbers among `values` as they are, tensors (a rate, a measured gain) on `device`."""
    return tuple([x.to(device) if isinstance(x, Tensor) else x for x in values])


def on_accelerator(values: tuple[Any, ...]) -> bool:
    """Whether to read one of these numbers would wait for a device."""
    return any(isinstance(x, Tensor) and not x.is_cpu for x in values)


def bucket(
    params: list[Tensor], grads: list[Tensor], state: list[list[Tensor]], times: list[float]
) -> dict[tuple[Any, ...], list[int]]:
    """Positions of parameters that one kernel can update: same device, dtypes and time."""
    buckets: dict[tuple[Any, ...], list[int]] = {}
    for i, (p, g, t) in enumerate(zip(params, grads, times, strict=True)):
        kept = tuple(tensors[i].dtype for tensors in state)
        buckets.setdefault((p.device, (p.dtype, g.dtype), kept, t), []).append(i)
    return buckets


def flat_lists(
    ps: list[Tensor], gs: list[Tensor], state: list[list[Tensor]], *, strides: bool = False
) -> tuple[list[list[Tensor]], list[int]]:
    """Parameters, gradients and buffers for a kernel that reads memory from end to end.

    Args:
        ps, gs, state: lists of one length.
        strides: the kernel compares strides, which are free where a size is 1.

    Returns:
        The lists, and the positions of what such a kernel cannot do: parameters with gaps or
        overlaps, buffers laid out unlike theirs.
    """
    lists = [ps, gs, *state]
    ready = all(map(Tensor.is_contiguous, chain.from_iterable(lists)))
    if ready and strides:
        rows = zip(*lists, strict=True)
        ready = all(x.stride() == p.stride() for p, *others in rows for x in others)
    if ready:
        return lists, []
    flat: list[list[Tensor]] = [[] for _ in lists]
    left: list[int] = []
    for i, (p, g, *buffers) in enumerate(zip(*lists, strict=True)):
        views = flat_views(p, [g, *buffers])
        if views is None or any(
            view.data_ptr() != b.data_ptr() for view, b in zip(views[2:], buffers, strict=True)
        ):
            left.append(i)
        elif p.numel():
            for tensors, view in zip(flat, views, strict=True):
                tensors.append(view)
    return flat, left


def flat_views(p: Tensor, others: list[Tensor]) -> list[Tensor] | None:
    """`p` and `others` as 1-D views in one memory order, or None if `p` has gaps or overlaps.

    A tensor of `others` laid out unlike `p` is copied (its last use must be reading).
    """
    if p.is_contiguous():
        return [p.view(-1), *(x.contiguous().view(-1) for x in others)]
    order = sorted(range(p.dim()), key=p.stride, reverse=True)
    if not p.permute(order).is_contiguous():
        return None
    return [x.permute(order).contiguous().view(-1) for x in (p, *others)]
