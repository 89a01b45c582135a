"""Sums over all tensors of a model, and over all processes that hold shards of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def over_shards(rows: list[tuple[Any, Tensor]], width: int) -> Tensor:
    """The sum of vectors that each belong to a parameter, of which this process may hold a shard.

    Args:
        rows: pairs of a parameter and its vector of length `width`.
        width: their length, for an empty list.
    """
    totals: dict[Any, list[Tensor]] = {}
    for p, row in rows:
        totals.setdefault(_sharding(p), []).append(row)
    whole = rows[0][1] * 0 if rows else torch.zeros(width, dtype=torch.float64)
    for processes, parts in totals.items():
        part = torch.stack([x.to(whole.device) for x in parts]).sum(dim=0)
        for group in processes:
            torch.distributed.all_reduce(part, group=group)
        whole = whole + part
    return whole


def _sharding(p: Any) -> tuple[Any, ...]:
    """The process groups over which a DTensor is split; none for a plain or replicated tensor."""
    if not hasattr(p, "placements"):
        return ()
    mesh = p.device_mesh
    return tuple(mesh.get_group(dim) for dim, at in enumerate(p.placements) if at.is_shard())
