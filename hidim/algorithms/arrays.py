"""How is one formula written for NumPy, torch and jax.numpy alike?

A formula takes `xp`, one of the three modules, and calls of it what all three have under one name
and meaning (`exp`, `cos`, `clip` with both bounds). What they call differently stands here.
Nothing is imported: `xp` comes from the caller, so NumPy alone is needed. NumPy computes in
float64, torch in the type of the tensor it is given, JAX in its default float. Arrays of all three
are typed as NumPy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def as_time(t: Any, xp: Any) -> np.ndarray:
    """Steps as an array of real numbers of the library's own."""
    if xp is np:
        return np.asarray(t, dtype=np.float64)
    if xp.__name__ == "torch":
        return t if isinstance(t, xp.Tensor) else xp.tensor(t, dtype=xp.float64)
    return xp.asarray(t).astype(xp.result_type(float))


def filled(value: float, t: Any, xp: Any) -> np.ndarray:
    """`value` at every step; in torch a number, which costs a captured graph no launch."""
    if xp is np:
        return np.full(np.shape(t), value)
    plain: Any = value
    return plain if xp.__name__ == "torch" else xp.full_like(as_time(t, xp), value)


def at_most(x: np.ndarray, bound: float, xp: Any) -> np.ndarray:
    """The lesser of `x` and a number."""
    return np.minimum(x, bound) if xp is np else xp.clip(x, None, bound)


def at_least(x: np.ndarray, bound: float, xp: Any) -> np.ndarray:
    """The greater of `x` and a number."""
    return np.maximum(x, bound) if xp is np else xp.clip(x, bound, None)


def beside(values: Sequence[float], x: Any, xp: Any) -> np.ndarray:
    """Numbers as an array of the type of `x`, where `x` is."""
    if xp.__name__ == "torch":
        return xp.tensor(values, dtype=x.dtype, device=x.device)
    return xp.asarray(values, dtype=x.dtype)


def last_index(knots: np.ndarray, x: Any, xp: Any) -> np.ndarray:
    """Index of the last of the ascending `knots` that is not above `x`; 0 before the first."""
    inside = x.contiguous() if xp.__name__ == "torch" else x  # torch warns of the copy it makes
    return at_least(xp.searchsorted(knots, inside, side="right") - 1, 0, xp)


def interpolate(x: Any, knots: Any, values: Any, xp: Any) -> np.ndarray:
    """Straight lines between (knots, values), held beyond both ends."""
    if xp.__name__ != "torch":
        return xp.interp(x, knots, values)
    left = last_index(knots, x, xp)
    right = xp.clip(left + 1, None, len(knots) - 1)
    width = xp.clip(knots[right] - knots[left], xp.finfo(x.dtype).tiny, None)
    share = xp.clip((x - knots[left]) / width, 0.0, 1.0)
    return values[left] + (values[right] - values[left]) * share
