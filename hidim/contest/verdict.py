"""Who beat tuned AdamW, by how much, and could it be chance? A rule fixed before any run.

With m and s the mean and standard deviation of n = 5 fresh seeds, a method *meets* tuned AdamW's
full length (target m_0, s_0) at a length if

    (m_0 - m) sqrt(n) >= c sigma,   sigma = sqrt(s_0^2 + s^2),   c = t_{.95}(4) = 2.132.

Derivation: the left side over sigma is Welch's t. Its distribution under equal means lies, whatever
the ratio of the two variances, between Student's with n - 1 and with 2 (n - 1) degrees of freedom,
so the quantile for n - 1 = 4 keeps false alarms at or below 5 %; with equal variances they are
P(t_8 > 2.132) = 3.3 %. Lengths are asked from the longest down and the first that is not met ends
the asking, so the three questions together keep the 5 % (a fixed sequence needs no correction).
Limits: 5 % is for one method on one task. Common seeds correlate the groups, which makes the rule
stricter where the correlation is positive. A diverged seed makes a mean infinite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SEEDS, LENGTHS = 5, (1.0, 0.75, 0.5)
C = 2.132  # Student's t, one-sided 5 %, 4 degrees of freedom


def meets(target: Sequence[float], values: Sequence[float], *, c: float = C) -> bool:
    """Whether `values` beat `target` by the rule; both of the same length.

    >>> meets([2.0, 2.1, 2.2], [1.0, 1.1, 1.2])
    True
    >>> meets([2.0, 2.1, 2.2], [2.0, 2.1, 2.2])
    False
    """
    return score(target, values) >= c


def score(target: Sequence[float], values: Sequence[float]) -> float:
    """(target mean - mean) sqrt(n) / sigma; -inf where a seed of `values` diverged."""
    a, b = np.asarray(target, dtype=float), np.asarray(values, dtype=float)
    return float(_scores(a[None], b[None])[0])


def _scores(a: np.ndarray, b: np.ndarray) -> np.ndarray:  # (pairs, seeds) each
    """`score` of every row."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ahead = a.mean(axis=1) - b.mean(axis=1)
        sigma = np.sqrt(a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1))
        found: np.ndarray = ahead * math.sqrt(b.shape[1]) / sigma
    equal = np.where(ahead == 0, 0.0, np.copysign(math.inf, ahead))
    found = np.where(sigma == 0, equal, found)
    found = np.where(np.isfinite(a).all(axis=1), found, math.inf)
    return np.where(np.isfinite(b).all(axis=1), found, -math.inf)


def shortest(target: Sequence[float], by_length: Mapping[float, Sequence[float]]) -> float | None:
    """The shortest length that meets the target, every longer one meeting it too; else None."""
    found = None
    for length in sorted(by_length, reverse=True):
        if not meets(target, by_length[length]):
            break
        found = length
    return found


def leaderboard(
    rows: Sequence[Mapping[str, Any]],
    *,
    baseline: str = "adamw",
    seeds: int = SEEDS,
    lengths: Sequence[float] = LENGTHS,
) -> list[dict[str, Any]]:
    """One line for each task and method whose fresh seeds are all there.

    Args:
        rows: of one contest.
        baseline: the method that the others are held to.
        seeds: how many a group has.
        lengths: at which there must be a group.

    Returns:
        dicts of task, method, mean, stderr, lengths (mean by length), score (at length 1), meets
        (shortest length or None), tuned (settings), edges (those of them that are the lowest or
        highest tried), diverged (tuning runs that did) and seconds;
        in the order of the tasks, the best mean first.
    """
    groups: dict[tuple[str, str], dict[float, list[float]]] = {}
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["index"]):
        if row["role"] == "final":
            key = (row["task"], row["method"])
            groups.setdefault(key, {}).setdefault(row["length"], []).append(row["value"])
            first.setdefault(key, row)
    whole = {
        key: by
        for key, by in groups.items()
        if set(lengths) <= by.keys() and all(len(by[x]) >= seeds for x in lengths)
    }
    listed = []
    for (task, method), by in whole.items():
        target = whole.get((task, baseline), {}).get(1.0)
        own = [r for r in rows if (r["task"], r["method"]) == (task, method)]
        full = np.asarray(by[1.0], dtype=float)
        fine = bool(np.isfinite(full).all())
        held = method != baseline and target is not None
        listed.append(
            {
                "task": task,
                "method": method,
                "mean": float(full.mean()),
                "stderr": float(full.std(ddof=1) / math.sqrt(len(full))) if fine else math.inf,
                "lengths": {length: float(np.mean(by[length])) for length in sorted(by)},
                "score": score(target, by[1.0]) if held and target is not None else None,
                "meets": shortest(target, by) if held and target is not None else None,
                "tuned": json.loads(first[task, method]["values"]),
                "edges": _edges(json.loads(first[task, method]["values"]), own),
                "diverged": sum(r["role"] == "tune" and r["status"] != "ok" for r in own),
                "seconds": float(np.mean([r["seconds"] for r in own if r["length"] == 1])),
            }
        )
    order = list(dict.fromkeys(row["task"] for row in rows))
    return sorted(listed, key=lambda one: (order.index(one["task"]), one["mean"]))


def _edges(chosen: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the chosen numbers that are the lowest or highest tried."""
    tried = [json.loads(row["values"]) for row in rows if row["role"] == "tune"]
    found = []
    for name, value in chosen.items():
        if isinstance(value, (int, float)) and tried:
            every = [one[name] for one in tried]
            if value in (min(every), max(every)):
                found.append(name)
    return found


def profile(board: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """For each method, its mean over the best mean of the task, on every task that all finished.

    The performance profile of Dolan and Moré (2002) is the share of tasks at or below a ratio.
    """
    tasks: dict[str, dict[str, float]] = {}
    for one in board:
        tasks.setdefault(one["task"], {})[one["method"]] = one["mean"]
    methods = list(dict.fromkeys(one["method"] for one in board))
    common = [means for means in tasks.values() if means.keys() >= set(methods)]
    return {
        method: sorted(means[method] / min(means.values()) for means in common)
        for method in methods
    }


def false_alarms(
    values: Sequence[float], *, pairs: int = 1000, seeds: int = SEEDS, seed: int = 0
) -> dict[str, Any]:
    """How often the rule says that a method beats itself.

    Args:
        values: of many seeds of one tuned method at full length.
        pairs: random pairs of disjoint groups.
        seeds: in a group.
        seed: of the drawing.

    Returns:
        rate, low, high (95 %: Wilson's for these seeds), spread (standard error over seeds by the
        jackknife over blocks of one tenth, since all pairs share them), pairs, runs.

    >>> false_alarms([1.0, 2.0, 3.0, 4.0], seeds=2, pairs=10)["pairs"]
    10
    """
    given = np.asarray(values, dtype=float)
    rate = _alarm_rate(given, pairs, seeds, seed)
    z, n = 1.959964, pairs
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    blocks = max(len(given) // 4, 2)
    without = [
        _alarm_rate(np.delete(given, np.arange(k, len(given), blocks)), pairs, seeds, seed)
        for k in range(blocks)
        if len(given) - len(given) // blocks > 2 * seeds
    ]
    parts = np.asarray(without)
    spread = math.nan
    if len(parts):
        spread = math.sqrt((len(parts) - 1) / len(parts) * np.sum((parts - parts.mean()) ** 2))
    return {
        "rate": rate,
        "low": max(middle - half, 0.0),
        "high": middle + half,
        "spread": spread,
        "pairs": pairs,
        "runs": len(given),
    }


def _alarm_rate(values: np.ndarray, pairs: int, seeds: int, seed: int) -> float:
    rng = np.random.default_rng(seed)
    chosen = np.array(
        [values[rng.permutation(len(values))[: 2 * seeds]] for _ in range(pairs)]
    )  # (pairs, 2 seeds)
    alarms = _scores(chosen[:, :seeds], chosen[:, seeds:]) >= C
    return float(np.mean(alarms))
