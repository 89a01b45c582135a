"""Where along a factor on the rates does stability end? Two searches: by the norm, and by runs."""

from __future__ import annotations

import math
from collections.abc import Callable

from hidim.support.roots import bracketed_root

# Relative width to which an edge is bisected by runs; the norm's own edges are exact.
EDGE_TOLERANCE = 2e-3


def where_norm_is_one(highest: Callable[[float], float]) -> float:
    """The factor at which `highest` passes 1: inf if it never does, 0 if it is never below."""
    low = high = 1.0
    while highest(high) < 1.0:
        low, high = high, 4.0 * high
        if high > 1e30:
            return math.inf
    while not highest(low) < 1.0:
        low, high = 0.25 * low, low
        if low < 1e-30:
            return 0.0

    def excess(log_factor: float) -> float:
        # 1/N is nearly straight and finite where N has its pole.
        return 1.0 / max(highest(math.exp(log_factor)), 1e-3) - 1.0

    return math.exp(bracketed_root(excess, math.log(low), math.log(high)))


def where_runs_fail(holds: Callable[[float], bool], start: float, stride: float) -> float:
    """The largest factor whose run holds: bracketed around `start` by `stride`, bisected."""
    low = high = start
    if holds(start):
        while holds(high := stride * low):
            low, stride = high, stride**2 if stride < 4 else stride
            if high > 1e12 * start:
                return math.inf
    else:
        while not holds(low := high / stride):
            high, stride = low, stride**2 if stride < 4 else stride
            if low < 1e-12 * start:
                return 0.0
    while high > low * (1.0 + EDGE_TOLERANCE):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
