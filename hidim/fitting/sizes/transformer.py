"""How many flops does a token cost a transformer, beside the usual 6 per parameter?

A training step does each matrix product three times (forward, and two backward), two flops per
multiplication and addition. Per token, with width w, L layers, context T and vocabulary V,

    6 x body parameters  +  6 w V (logits)  +  12 L w T (attention, all T positions)

The body is what multiplies, without embeddings. Limits: norms, softmax and rotary factors, some per
cent at most, are left out; kernels that skip masked positions do half of the attention term.
Source: Hoffmann et al. 2022, appendix F; Chowdhery et al. 2022, appendix B.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_TIED = 0.15  # how near a count of parameters must be to be recognised


def flops_per_token(
    layers: Any, width: Any, context: Any, vocabulary: Any = 0.0, *, body: Any = None
) -> np.ndarray:
    """Training flops per token of dense transformers, each argument (n,) or a number.

    Args:
        layers: number of blocks.
        width: of the residual stream.
        context: tokens that attend to each other.
        vocabulary: tokens known; 0 leaves the logits out.
        body: parameters without embeddings; 12 layers x width^2 by default.

    >>> float(flops_per_token(12, 768, 1024, 50304)) / (6 * 124e6)
    1.14...
    """
    layers, width = np.asarray(layers, dtype=float), np.asarray(width, dtype=float)
    body = 12 * layers * width**2 if body is None else np.asarray(body, dtype=float)
    attention = 12 * layers * width * np.asarray(context, dtype=float)
    return np.asarray(6 * body + 6 * width * np.asarray(vocabulary, dtype=float) + attention)


def body_of(
    params: np.ndarray, layers: np.ndarray, width: np.ndarray, vocabulary: Any
) -> np.ndarray:
    """Parameters without embeddings, (n,): `params` themselves, or less one or two embeddings,
    whichever is nearest to 12 layers x width^2, or that where none is near."""
    usual = 12 * layers * width**2
    table = width * np.asarray(vocabulary, dtype=float)
    tried = np.stack([params, params - table, params - 2 * table])  # (3, n)
    off = np.median(np.abs(tried / usual - 1), axis=1)
    best = int(np.argmin(off))
    return tried[best] if off[best] < _TIED else usual
