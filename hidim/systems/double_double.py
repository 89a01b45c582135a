"""Arithmetic in twice the precision: a number as the unevaluated sum of two floats.

Every function takes and returns pairs (high, low) of float64 arrays that broadcast; |low| is at
most half a unit in the last place of high, so a pair carries about 32 digits.
Source: Dekker (1971), Knuth (TAOCP 2, 4.2.2). Limits: no better than float64 within 1e-16 of
underflow, and numbers above 1e300 overflow in `product`.
"""

from __future__ import annotations

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]

_SPLIT = 134217729.0  # 2^27 + 1: cuts 53 bits into two halves whose products are exact


def pair(value: np.ndarray | float) -> Pair:
    """`value` itself, with nothing below it."""
    high = np.asarray(value, dtype=np.float64)
    return high, np.zeros_like(high)


def add(x: Pair, y: Pair) -> Pair:
    """x + y, to 1e-32 of |x| + |y|.

    >>> high, low = add(pair(1.0), pair(1e-20))
    >>> float(high), float(low)
    (1.0, 1e-20)
    """
    total = x[0] + y[0]
    shifted = total - x[0]
    lost = (x[0] - (total - shifted)) + (y[0] - shifted)
    return _renormalised(total, lost + (x[1] + y[1]))


def product(x: Pair, y: Pair) -> Pair:
    """x y, to 1e-32 of itself."""
    total = x[0] * y[0]
    x_top, y_top = _top_half(x[0]), _top_half(y[0])
    x_rest, y_rest = x[0] - x_top, y[0] - y_top
    lost = ((x_top * y_top - total) + x_top * y_rest + x_rest * y_top) + x_rest * y_rest
    return _renormalised(total, lost + (x[0] * y[1] + x[1] * y[0]))


def matrix_product(x: Pair, y: Pair) -> Pair:
    """Products of 2 x 2 matrices, (..., 2, 2)."""
    high, low = product(
        (x[0][..., :, :, None], x[1][..., :, :, None]),
        (y[0][..., None, :, :], y[1][..., None, :, :]),
    )  # (..., row, summed, column)
    return add((high[..., 0, :], low[..., 0, :]), (high[..., 1, :], low[..., 1, :]))


def _top_half(x: np.ndarray) -> np.ndarray:
    scaled = _SPLIT * x
    return scaled - (scaled - x)


def _renormalised(high: np.ndarray, low: np.ndarray) -> Pair:
    total = high + low
    return total, low - (total - high)
