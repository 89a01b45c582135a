"""What is a bundle of runs that step side by side, and what do all of them share?

Each way to move a bundle is a file: eigenbasis.py, raw.py and diffusion.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

# Numbers per array: small enough to stay in cache, large enough to drown the call overhead.
CHUNK = 2**14
_VECDOT = getattr(np, "vecdot", None)


class Walk(ABC):
    """A bundle of runs; implement `advance` and `risk`."""

    @abstractmethod
    def advance(self, first: int, count: int) -> np.ndarray:
        """Make updates first .. first+count-1; risk of each run after each, (count, runs).

        A run that leaves float range shows as infinity or NaN from there on.
        """

    @abstractmethod
    def risk(self, weight: float) -> np.ndarray:
        """Risk of each run now at the point theta + weight * momentum, shape (runs,)."""


def generator(seed: int, *key: int) -> np.random.Generator:
    """A stream of its own per key, none of them the default_rng(seed) that draws W."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))


def bundles(runs: int, modes: int) -> list[int]:
    """How many runs step together, bundle by bundle, so that their arrays stay in cache."""
    size = max(1, min(runs, CHUNK // max(modes, 1)))
    return [size] * (runs // size) + ([runs % size] if runs % size else [])


def row_dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner product of each row of `a` with the same row of `b`."""
    if _VECDOT is not None:  # NumPy 2: twice as fast
        return np.asarray(_VECDOT(a, b))
    return np.einsum("ij,ij->i", a, b)
