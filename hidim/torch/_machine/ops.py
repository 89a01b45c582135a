"""In-place arithmetic whose factor is a number, a 0-D tensor, or one 0-D tensor per parameter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Tensors = list[Tensor]


def as_data(value: Any, like: Any) -> Any:
    """A number as a 0-D tensor where the time `like` is one; what is a tensor already, as it is.

    torch.compile (2.13) keeps a number's old value for ever where one graph uses it both in
    arithmetic with tensors and as an `alpha=` or another scalar argument. Whatever is used in both
    ways becomes data here, before its first use.
    """
    if isinstance(value, Tensor) or not isinstance(like, Tensor):
        return value
    return torch.ones((), dtype=like.dtype, device=like.device) * value


def add_scaled(x: Tensor, y: Tensor, factor: Any) -> None:
    """x <- x + factor y."""
    if isinstance(factor, Tensor):
        x.add_(y * factor)
    else:
        x.add_(y, alpha=factor)


def foreach_add_scaled(
    xs: Tensors, ys: Tensors, factor: Any, *, over: Tensors | None = None
) -> None:
    """x <- x + factor y for every pair, or factor y / z with the z of `over`; may change y."""
    if over is not None:
        if isinstance(factor, float):
            torch._foreach_addcdiv_(xs, ys, over, value=factor)
            return
        torch._foreach_div_(ys, over)
    if isinstance(factor, Tensor | list):
        torch._foreach_add_(xs, torch._foreach_mul(ys, factor))
    else:
        torch._foreach_add_(xs, ys, alpha=factor)


def foreach_clip(xs: Tensors, bound: Any) -> None:
    """x <- min(max(x, -bound), bound) for every x."""
    if isinstance(bound, Tensor | list):
        bounds = bound if isinstance(bound, list) else [bound] * len(xs)
        for x, most in zip(xs, bounds, strict=True):
            x.clamp_(-most, most)
    else:
        torch._foreach_clamp_max_(xs, bound)
        torch._foreach_clamp_min_(xs, -bound)


def foreach_shift(xs: Tensors, value: Any) -> None:
    """x <- x + value for every x.

    Of `_foreach_add_` with one 0-D tensor for all, a compiled graph (torch 2.13) keeps the first
    value for ever.
    """
    torch._foreach_add_(xs, [value] * len(xs) if isinstance(value, Tensor) else value)


def minus(factor: Any) -> Any:
    """-factor, entry by entry for a list."""
    return [-f for f in factor] if isinstance(factor, list) else -factor


def complement(factor: Any) -> Any:
    """1 - factor, entry by entry for a list."""
    return [1 - f for f in factor] if isinstance(factor, list) else 1 - factor
