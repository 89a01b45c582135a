"""Which windows of the text does step t see? A function of the seed and t alone.

The text is cut into windows of `context` + 1 tokens, each sharing one token with the next; an epoch
visits each once, in a shuffled order, and the cuts move by a random offset from epoch to epoch. The
position in the data is therefore the number of windows seen, and resuming needs nothing else.
"""

from __future__ import annotations

import numpy as np

from hidim.support.checks import given_seed, whole


class Batches:
    """The windows of a run in the order they are trained on.

    Args:
        tokens: shape (n,).
        context: inputs per window, tokens.
        seed: of the order.

    Raises:
        ValueError: the text is shorter than one window.

    >>> batches = Batches(np.arange(100), context=4, seed=0)
    >>> batches.windows(0, 2).shape
    (2, 5)
    """

    def __init__(self, tokens: np.ndarray, *, context: int, seed: int) -> None:
        self.context = int(whole("context", context, minimum=1))
        if len(tokens) < self.context + 1:
            raise ValueError(
                f"`context` must be shorter than the text: {self.context} tokens asked for, and "
                f"the text has {len(tokens)}. Use a shorter context or more text."
            )
        self._tokens = tokens
        self._seed = given_seed("seed", seed)
        # One window is given up so that every offset leaves the same number.
        self.per_epoch = max((len(tokens) - self.context) // self.context, 1)
        self._largest_offset = min(self.context, len(tokens) - 1 - self.per_epoch * self.context)
        self._epoch = -1
        self._starts = np.zeros(0, dtype=np.int64)

    def windows(self, first: int, count: int) -> np.ndarray:
        """Windows `first` to `first + count` of the run, shape (count, context + 1), int64."""
        index = np.arange(first, first + count)
        starts = np.empty(count, dtype=np.int64)
        for epoch in range(first // self.per_epoch, (first + count - 1) // self.per_epoch + 1):
            inside = index // self.per_epoch == epoch
            starts[inside] = self._order(epoch)[index[inside] % self.per_epoch]
        return self._tokens[starts[:, None] + np.arange(self.context + 1)].astype(np.int64)

    def _order(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            random = np.random.default_rng([self._seed, epoch])
            offset = random.integers(self._largest_offset + 1)
            self._starts = offset + self.context * random.permutation(self.per_epoch)
            self._epoch = epoch
        return self._starts


def validation_windows(tokens: np.ndarray, *, context: int, limit: int) -> np.ndarray:
    """The same windows at every evaluation, spread over the held-out text.

    Args:
        tokens: held-out tokens, shape (m,).
        context: inputs per window, tokens.
        limit: most tokens to evaluate.

    Returns:
        Windows, shape (count, context + 1), int64; a short text gives one shorter window.

    Raises:
        ValueError: fewer than two held-out tokens.
    """
    if len(tokens) < 2:
        raise ValueError("the held-out part of the text is empty: give more text.")
    context = min(context, len(tokens) - 1)
    available = (len(tokens) - 1) // context
    count = max(min(available, limit // context), 1)
    starts = context * (np.arange(count) * available // count)
    return tokens[starts[:, None] + np.arange(context + 1)].astype(np.int64)
