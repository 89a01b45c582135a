"""At which budgets does the best size lie between others?

Where all sizes are run to equally many tokens, the small ones have ended at the large budgets, and
the lowest of those that go on says nothing of the best size.
"""

from __future__ import annotations

import numpy as np

_COMPARED = 3  # sizes that are known where one of them is the best
_GAP = 3  # budgets


def inside(table: np.ndarray, begun: np.ndarray | None = None) -> tuple[int, int] | None:
    """The longest stretch of budgets whose lowest size is an inner one: first place and end.

    A run that a larger one had overtaken before it ended is past its best: it counts with its last
    loss. One that ended before is unknown, and where such a one lies between the lowest size and
    the next that is known, the lowest may be it. Gaps of up to three budgets are noise and closed.

    Args:
        table: log loss, shape (budgets, sizes), NaN where a size is not running.
        begun: shape (budgets, sizes), whether a size has made enough steps to be the best; all
            have by default.
    """
    known = table.copy()
    for k in range(table.shape[1]):
        last = np.flatnonzero(np.isfinite(table[:, k]))[-1:]
        if len(last) and np.any(table[last[0], k + 1 :] < table[last[0], k]):
            known[last[0] :, k] = table[last[0], k]
    inner = np.array([_is_inner(*rows) for rows in zip(table, known, strict=True)], dtype=int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inner, [0]])))
    starts, ends = list(edges[::2]), list(edges[1::2])
    for k in range(len(starts) - 1, 0, -1):
        if starts[k] - ends[k - 1] <= _GAP:
            del starts[k], ends[k - 1]
    if begun is not None:  # each stretch from where its best size has made its steps
        best = np.argmin(np.where(np.isfinite(known), known, np.inf), axis=1)
        ready = begun[np.arange(len(best)), best]
        for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
            starts[k] = end if not ready[start:end].any() else start + np.argmax(ready[start:end])
    if not starts:
        return None
    longest = int(np.argmax(np.array(ends) - np.array(starts)))
    return int(starts[longest]), int(ends[longest])


def _is_inner(row: np.ndarray, known: np.ndarray) -> bool:
    """Whether the lowest of the known losses at a budget has known ones on both sides of it."""
    places = np.flatnonzero(np.isfinite(known))
    if len(places) < _COMPARED:
        return False
    best = int(np.argmin(known[places]))
    if best in (0, len(places) - 1):
        return False
    beside = places[[best - 1, best + 1]]
    return bool(np.all(np.isfinite(row[beside]) | (np.abs(beside - places[best]) == 1)))


def bracketed(row: np.ndarray) -> bool:
    """Whether the lowest size at a budget has on both sides sizes that run there."""
    return _is_inner(row, row)
