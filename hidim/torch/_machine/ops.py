"""Arithmetic on lists by a number, a 0-D tensor, or one 0-D tensor per parameter."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Tensors = list[Tensor]
_FEW = 4  # to make a 0-D tensor takes as long as it saves for three


def as_data(value: Any, like: Any) -> Any:
    """A number as a 0-D tensor where the time `like` is one; what is a tensor already, as it is.

    torch.compile (2.13) keeps a number's old value for ever where one graph uses it both in
    arithmetic with tensors and as an `alpha=` or another scalar argument. Whatever is used in both
    ways becomes data here, before its first use.
    """
    if isinstance(value, Tensor) or not isinstance(like, Tensor):
        return value
    return torch.ones((), dtype=like.dtype, device=like.device) * value


def quick(xs: Tensors, value: Any) -> Any:
    """A number as a 0-D tensor of the dtype of `xs`, which must be one, where that is faster.

    On a CPU torch makes a tensor of a number anew for each of a list: half of what it takes to
    multiply a small tensor by one, and the same bits.
    """
    if isinstance(value, float) and len(xs) > _FEW and xs[0].is_cpu:
        return torch.full((), value, dtype=xs[0].dtype, device="cpu")
    return value


def foreach_scale(xs: Tensors, factor: Any) -> None:
    """x <- factor x for every x; by a number only where all are of one dtype."""
    torch._foreach_mul_(xs, quick(xs, factor))


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


def foreach_average(ms: Tensors, gs: Tensors, a: Any) -> None:
    """m <- (1-a) m + a g for every m."""
    # Every list call reads its tensors anew: one, where state and gradient are alike.
    if isinstance(a, float) and ms[0].dtype == gs[0].dtype:
        torch._foreach_lerp_(ms, gs, a)
    else:
        foreach_scale(ms, complement(a))
        foreach_add_scaled(ms, gs, a)


def foreach_average_squares(vs: Tensors, gs: Tensors, a: Any) -> None:
    """v <- (1-a) v + a g^2 for every v."""
    foreach_scale(vs, complement(a))
    if isinstance(a, float) and vs[0].dtype == gs[0].dtype:
        torch._foreach_addcmul_(vs, gs, gs, value=a)
    else:
        foreach_add_scaled(vs, list(torch._foreach_mul(gs, gs)), a)


def foreach_root(vs: Tensors, eps: Any, *, alike: bool) -> Tensors:
    """New tensors sqrt(v) + eps; `alike` says that all are of one dtype."""
    roots = writable(torch._foreach_sqrt(vs))
    foreach_shift(roots, quick(roots, eps) if alike else eps)
    return roots


def writable(xs: Any) -> Tensors:
    """Tensors that autograd keeps for a derivative (a root, a term of a sum), to be written over.

    Copies where a step is differentiable, else themselves.
    """
    return [x.clone() for x in xs] if torch.is_grad_enabled() else list(xs)


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
