"""Ladders of runs whose exponents are known: loss = a N^-p + b t^-q + floor, compute = N t.

At compute f the best size is N* ~ f^(q / (p + q)), where the loss falls like f^(-p q / (p + q)).
"""

from __future__ import annotations

import numpy as np

PAIRS = ((0.5, 0.5), (1.6, 0.8), (0.35, 0.37))
SHARES = {"points": 0.05, "sizes": 0.02, "curves": 0.02}
NOISES = tuple(SHARES)


def exponents(p, q):
    """eta and xi."""
    return p * q / (p + q), q / (p + q)


def ladder(p=0.5, q=0.5, *, sizes=8, decades=3.0, a=1.0, b=1.0, floor=0.0, noise="", share=None,
           rng=None):  # fmt: skip
    """(size, compute, loss) of each size, with noise of single points, whole sizes, or slow drifts.

    By default a share of a twentieth of the loss for single points, 2 % for whole sizes, and 2 %
    with a memory of half a decade.
    """
    share = share or SHARES.get(noise)
    runs = []
    for n in np.geomspace(100, 100 * 10**decades, sizes):
        last = 30 * n ** (p / q) * (b / a) ** (1 / q)
        t = np.geomspace(1, last, int(24 * np.log10(last)))
        loss = floor + a * n**-p + b * t**-q
        if noise == "points":
            loss = loss * np.exp(share * rng.standard_normal(len(t)))
        elif noise == "sizes":
            loss = loss * np.exp(share * rng.standard_normal())
        elif noise == "curves":
            loss = loss * np.exp(share * slow(len(t), rng))
        runs.append((n, n * t, loss))
    return runs


def slow(count, rng, memory=12):
    """Gauss-Markov noise of unit variance."""
    keep = np.exp(-1 / memory)
    kicks = np.sqrt(1 - keep**2) * rng.standard_normal(count)
    found = [rng.standard_normal()]
    for kick in kicks[1:]:
        found.append(keep * found[-1] + kick)
    return np.array(found)


P, Q, FLOOR = 0.34, 0.28, 1.8
FLOOR_SHARES = {"points": 0.005, "sizes": 0.002, "curves": 0.002}  # of the loss, floor included


def equal_tokens(last, *, sizes=8, points=80):
    """Chinchilla's law with every size run to equally many tokens."""
    t = np.geomspace(1e6, last, points)
    return [
        (n, 6 * n * t, FLOOR + 400 * n**-P + 400 * t**-Q) for n in np.geomspace(1e6, 1e9, sizes)
    ]


def best_size(flops):
    return (P / Q) ** (1 / (P + Q)) * (flops / 6) ** (Q / (P + Q))
