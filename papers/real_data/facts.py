"""The numbers that the page's prose quotes, from what is stored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from papers.real_data.horizons import HORIZONS as KNOWN
from papers.real_data.judge import (
    BANDS,
    GAIN_LIMIT,
    Race,
    confusion,
    race,
    runs_at,
    slope_of_steps,
)
from papers.real_data.measure import TUNED
from papers.real_data.sets import CASES
from papers.real_data.stored import Entries

HORIZONS = (10**3, 10**4, 10**5, 10**6, 10**8)
NAMES = {case.key: case for case in CASES}


def races(predicted: Entries, runs: Entries, name: str) -> list[Race]:
    """One of each case."""
    return [race(case, predicted, runs, name, list(HORIZONS)) for case in predicted]


def known_ratios(tuned: Entries) -> dict[int, np.ndarray]:
    """Horizon -> excess of SGD over DANA-decaying's, each at its best rates for it, (sets,)."""
    return {
        t: np.array([one[f"sgd {t}"]["excess"] / one[f"dana-decaying {t}"]["excess"]
                     for one in tuned.values()])
        for t in KNOWN
    }  # fmt: skip


def decayed_ratios(tuned: Entries) -> tuple[np.ndarray, np.ndarray]:
    """Excess at the last horizon over that of SGD with cosine decay, (sets,): of DANA-decaying with
    the best constant factors, and with cosine decay."""
    sgd = np.array([one["sgd cosine"]["excess"] for one in tuned.values()])
    dana = np.array([one[f"dana-decaying {KNOWN[-1]}"]["excess"] for one in tuned.values()])
    decayed = np.array([one["dana-decaying cosine"]["excess"] for one in tuned.values()])
    return dana / sgd, decayed / sgd


def facts(predicted: Entries, runs: Entries, tuned: Entries) -> dict[str, Any]:
    """Numbers that the prose quotes."""
    ours = list(runs_at("ours", predicted, runs))
    theirs = list(runs_at("theirs", predicted, runs))
    within = [run for run in ours if run.gain <= GAIN_LIMIT]
    error = np.concatenate([run.error for run in within])
    alone = np.concatenate([np.abs(run.risk / run.by_covariance - 1) for run in within])
    score = np.concatenate([(run.risk - run.predicted) / run.stderr for run in within])
    table = confusion(predicted, runs)
    gone = next(iter(table.values()))
    found: dict[str, Any] = {
        "cases": len(predicted),
        "sources": len({NAMES[key].source for key in predicted if key in NAMES}),
        "runs": len(ours),
        "points": len(error),
        "median": 100 * np.median(error),
        "share": 100 * np.mean(error <= 0.05),
        "worst": 100 * error.max(),
        "noise": 100 * np.median(np.concatenate([r.stderr / r.predicted for r in within])),
        "far": 100 * np.mean(np.abs(score) > 3),
        "alone": 100 * np.median(alone),
        "alone_share": 100 * np.mean(alone <= 0.05),
        "alone_worst": 100 * alone.max(),
        "theirs": len(theirs),
        "above": sum(run.gain > 1 for run in theirs),
        "largest_gain": max(run.gain for run in theirs if math.isfinite(run.gain)),
        "gone": sum(gone.values()),
        "gone_above": gone[BANDS[2]],
        "certain": sum(row[BANDS[2]] for row in table.values()),
        "below": sum(row[BANDS[0]] for row in table.values()),
    }
    found["certain_rest"] = found["certain"] - found["gone_above"]
    plain, decayed = (1 / ratio for ratio in decayed_ratios(tuned))
    found |= {
        "cosine": float(np.median(plain)),
        "cosine_least": float(plain.min()),
        "cosine_most": float(plain.max()),
        "cosine_wins": int(np.sum(plain > 1.1)),
        "cosine_loses": int(np.sum(plain < 1 / 1.1)),
        "both_cosine": float(np.median(decayed)),
        "both_cosine_wins": int(np.sum(decayed > 1.1)),
        "both_cosine_loses": int(np.sum(decayed < 1 / 1.1)),
    }
    for t, ratio in known_ratios(tuned).items():
        short = f"known_{t:.0e}".replace("e+0", "e")
        found |= {
            short: float(np.median(ratio)),
            f"{short}_most": float(ratio.max()),
            f"{short}_least": float(ratio.min()),
            f"{short}_wins": int(np.sum(ratio > 1.1)),
        }
    for name in TUNED[1:]:
        told = races(predicted, runs, name)
        key = name.split("-")[1]
        for t in HORIZONS:
            best = np.array([each.best[t] for each in told])
            steps = np.array([each.steps[t] for each in told])
            best, steps = best[np.isfinite(best)], steps[~np.isnan(steps)]
            short = f"{t:.0e}".replace("e+0", "e")
            found[f"{key}_best_{short}"] = float(np.median(best))
            found[f"{key}_steps_{short}"] = float(np.median(steps))
            found[f"{key}_wins_{short}"] = int(np.sum(best > 1.1))
            found[f"{key}_loses_{short}"] = int(np.sum(best < 1 / 1.1))
            found[f"{key}_of_{short}"] = len(best)
            ahead = [each.case for each in told if each.best[t] > 1.1]
            behind = [each.case for each in told if each.best[t] < 1 / 1.1]
            found[f"{key}_ahead_{short}"] = ", ".join(ahead)
            found[f"{key}_behind_{short}"] = ", ".join(behind)
    return found | _powers_of_time(predicted, runs)


def _powers_of_time(predicted: Entries, runs: Entries) -> dict[str, Any]:
    """The power of time of DANA-decaying against theory's, on either side of 2 alpha = 1."""
    pairs = []
    for told in races(predicted, runs, "dana-decaying"):
        alpha, slope = predicted[told.case]["alpha"], slope_of_steps(told)
        if alpha and slope is not None:
            pairs.append((2 - 1 / (2 * alpha[0]) if alpha[0] > 0.5 else 1.0, slope))
    theory, measured = np.array(pairs).T
    steep = theory > 1.0
    return {
        "powers": int(steep.sum()),
        "power": float(np.median(measured[steep])),
        "power_theory": float(np.median(theory[steep])),
        "power_behind": float(np.median((theory - measured)[steep])),
        "flat_powers": int((~steep).sum()),
        "flat_power": float(np.median(measured[~steep])),
        "power_together": float(np.corrcoef(theory, measured)[0, 1]),
    }
