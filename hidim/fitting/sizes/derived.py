"""Which parameters and tokens follow from the other columns of a table of runs?

    parameters = 12 layers x width^2 (+ vocabulary x width, which the logits multiply)
    parameters = flops / (6 x tokens)
    tokens     = steps x sequences x context, or steps x tokens per step

Each is said. Limits: the first counts a feed-forward of four widths, or a gated one of 8/3, and
neither biases nor positions; batches are read as sequences only as far as people have so many.
Source: Kaplan et al. 2020, table 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIX = 6.0  # training flops per token and parameter
_SEQUENCES = 65536  # no batch has more; a number beyond counts tokens


def params_of(column: Any) -> np.ndarray | None:
    """Parameters from the shape of transformers, or from flops and tokens, shape (n,).

    Args:
        column: the RunColumns of a table that has no column of parameters.
    """
    layers, width = (column(role, needed=False) for role in ("layers", "width"))
    if layers is not None and width is not None:
        body: np.ndarray = 12 * layers * width**2
        vocabulary = column("vocabulary", needed=False)
        if vocabulary is None:
            column.said.append("params = 12 x layers x width^2, without embeddings")
            return body
        column.said.append("params = 12 x layers x width^2 + vocabulary x width")
        return np.asarray(body + vocabulary * width)
    flops = column("flops", needed=False, tolerant=True)
    if flops is None:
        return None
    if column.by_ratio or column.name("tokens", needed=False) is None:
        each = column.ratio(np.ones(len(flops)))
        if each is None:
            return None
        column.said.append("params = square root of flops / (6 x that ratio)")
        return np.asarray(np.sqrt(flops / (SIX * each)))
    tokens = column("tokens", needed=False, tolerant=True)
    if tokens is None:
        return None
    column.said.append("params = flops / (6 x tokens)")
    return np.asarray(flops / (SIX * tokens))


def tokens_of(column: Any) -> np.ndarray | None:
    """Tokens from the steps of runs and what a step takes in, shape (n,).

    Raises:
        ValueError: steps and a batch of which nobody knows whether it counts tokens.
    """
    steps = column("steps", needed=False, tolerant=True)
    if steps is None:
        return None
    in_tokens = column("batch_tokens", needed=False, tolerant=True)
    if in_tokens is not None:
        column.said.append(f"tokens = {column.name('steps')!r} x {column.name('batch_tokens')!r}")
        return np.asarray(steps * in_tokens)
    batch, context = (column(r, needed=False, tolerant=True) for r in ("batch", "context"))
    if batch is None:
        return None
    name = column.name("batch")
    if context is None or batch.max() > _SEQUENCES:
        raise ValueError(
            f"{column.source!r} has no tokens, and {name!r} does not say how many a step takes in: "
            "rename it tokens_per_step if it counts tokens, or add a column context beside the "
            "number of sequences."
        )
    column.said.append(
        f"tokens = {column.name('steps')!r} x {name!r} (sequences) x {column.name('context')!r}"
    )
    return np.asarray(steps * batch * context)
