"""In-place arithmetic whose factor is a number, a 0-D tensor, or one 0-D tensor per parameter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Tensors = list[Tensor]


def add_scaled(x: Tensor, y: Tensor, factor: Any) -> None:
    """x <- x + factor y."""
    if isinstance(factor, Tensor):
        x.add_(y * factor)
    else:
        x.add_(y, alpha=factor)


def foreach_add_scaled(xs: Tensors, ys: Tensors, factor: Any) -> None:
    """x <- x + factor y for every pair."""
    if isinstance(factor, Tensor | list):
        torch._foreach_add_(xs, torch._foreach_mul(ys, factor))
    else:
        torch._foreach_add_(xs, ys, alpha=factor)


def minus(factor: Any) -> Any:
    """-factor, entry by entry for a list."""
    return [-f for f in factor] if isinstance(factor, list) else -factor
