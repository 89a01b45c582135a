"""How to solve x(t) = f(t) + sum_{s<t} k(t - s - 1) x(s) for many steps.

Online convolution: blocks of the solution are found one after another, and each finished
stretch of 2^m blocks is convolved at once, by FFT, onto the stretch of equal length after it.
O(T log^2 T) time, O(T) memory. Rounding is relative to the largest value within a stretch, so
callers scale out exponential growth or decay first.
Source: van der Hoeven, "Relax, but don't be too lazy" (2002).
"""

from __future__ import annotations

import numpy as np

_BLOCK = 256


def solve_renewal(forcing: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The solution x(0..T-1).

    Args:
        forcing: shape (T,), f.
        kernel: shape (T,) or longer, k.
    """
    size = len(forcing)
    blocks = -(-size // _BLOCK)
    x = np.zeros(blocks * _BLOCK)
    x[:size] = forcing
    k = np.zeros_like(x)
    k[:size] = kernel[:size]
    resolvent = _resolvent(k[: _BLOCK - 1])  # (block, block)
    transforms: dict[int, np.ndarray] = {}
    for block in range(blocks):
        stop = (block + 1) * _BLOCK
        x[stop - _BLOCK : stop] = resolvent @ x[stop - _BLOCK : stop]
        # The largest power of two that divides block + 1: that stretch is now complete.
        length = ((block + 1) & -(block + 1)) * _BLOCK
        reach = min(stop + length, len(x))
        if reach > stop:
            if length not in transforms:
                transforms[length] = np.fft.rfft(k[: 2 * length - 1], 2 * length)
            done = np.fft.rfft(x[stop - length : stop], 2 * length) * transforms[length]
            x[stop:reach] += np.fft.irfft(done, 2 * length)[length - 1 : length - 1 + reach - stop]
    return x[:size]


def apply_kernel(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
    """sum_{s<t} k(t - s - 1) x(s) for t = 0..T-1, shape (T,)."""
    size = len(x)
    length = 1 << (2 * size - 1).bit_length()
    product = np.fft.rfft(kernel[:size], length) * np.fft.rfft(x, length)
    out = np.zeros(size)
    out[1:] = np.fft.irfft(product, length)[: size - 1]
    return out


def _resolvent(kernel: np.ndarray) -> np.ndarray:
    """Inverse of (identity - strictly lower Toeplitz matrix of `kernel`)."""
    size = len(kernel) + 1
    first = np.zeros(size)
    first[0] = 1.0
    for t in range(1, size):
        first[t] = kernel[:t] @ first[t - 1 :: -1]
    lag = np.arange(size)[:, None] - np.arange(size)
    return np.where(lag >= 0, first[np.maximum(lag, 0)], 0.0)
