"""Who takes the single steps of the momentum family's moments? The library, if there is one."""

from __future__ import annotations

import numpy as np

from hidim.compiled.library import lanes, library, plain


def advance(
    scalars: np.ndarray,
    modes: np.ndarray,
    offset: float,
    states: np.ndarray,
    orders: np.ndarray,
    *,
    alone: bool,
) -> bool:
    """Fill states (updates + 1, kinds, modes) and orders (updates + 1,); False without a library.

    The first of both is given; both are float64, and as NumPy made them. The recursion is that of
    systems/moment_steps.py.

    Args:
        scalars: (updates, 4), G, gamma_1, gamma_3 and D.
        modes: (4, modes), eigenvalues, and what an error, the order and every step add to E g^2.
        offset: of the order.
        alone: there is no momentum, nor will there be any.
    """
    loaded = library()
    if loaded is None:
        return False
    updates, kinds, count = len(scalars), *states.shape[1:]
    for filled, shape in ((states, (updates + 1, kinds, count)), (orders, (updates + 1,))):
        if filled.shape != shape or filled.dtype != np.float64 or not filled.flags.c_contiguous:
            raise ValueError(f"expected contiguous float64 of shape {shape}, got {filled.shape}")
    held, each = plain(scalars, (updates, 4)), plain(modes, (4, count))
    loaded.hidim_moments(
        lanes(), updates, kinds, count, alone or kinds == 1, held.ctypes.data,
        *(row.ctypes.data for row in each), float(offset), states.ctypes.data, orders.ctypes.data,
    )  # fmt: skip
    return True
