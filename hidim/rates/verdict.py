"""How does a run hold, in one line, and what is to be careful about?"""

from __future__ import annotations

import math

import numpy as np

from hidim.curve import DIVERGENCE_FACTOR, Curve

# What the norm is called, and what grows.
NORM, GAIN = ("kernel norm", "moments"), ("gain of the loop", "modes")
ROWS = ("gain of the rows", "moments")


def verdict(
    stable: bool,
    run: Curve,
    grid: np.ndarray,
    norm: np.ndarray,
    growth: float,
    names: tuple[str, str] = NORM,
) -> str:
    """The outcome of a run.

    Args:
        stable: whether it holds, and where nothing moves also ever after.
        grid, norm: steps, and the norm or gain there.
        growth: per step, frozen at the last.
        names: of the norm, and of what grows.
    """
    last, (name, moments) = float(grid[-1]), names
    if run.status == "diverged":
        at = "an early step" if run.diverged_at is None else f"step {run.diverged_at:.9g}"
        return f"diverges: the risk passes {DIVERGENCE_FACTOR:g} times its start at {at}"
    if not stable:
        return (
            f"unstable: the {name} is {norm[0]:.4g} and the {moments} grow by {growth:.3g} per "
            f"step, too little to pass {DIVERGENCE_FACTOR:g} times the start in {last:.4g} steps"
        )
    highest = float(np.max(norm))
    if math.isnan(highest):
        return f"holds over {last:.4g} steps; this theory gives single steps alone, and no {name}"
    if run.batch_size == math.inf and highest < 1.0 and names != GAIN:
        return f"stable: full batches carry no noise and every mode contracts over {last:.4g} steps"
    if highest < 1.0:
        return f"stable: the {name} stays at or below {highest:.4g} over {last:.4g} steps"
    return f"holds over {last:.4g} steps, although the {name} reaches {highest:.4g}"


def warning(
    grid: np.ndarray,
    norm: np.ndarray,
    growth: float,
    highest: float,
    names: tuple[str, str] = NORM,
) -> str:
    """What to be careful about on a run that holds; empty if nothing.

    Args:
        highest: largest risk over that at the start; the others as in `verdict`.
    """
    parts, (name, moments) = [], names
    over = grid[norm >= 1.0]
    if over.size:
        parts.append(f"the {name} is 1 or more between steps {over[0]:.6g} and {over[-1]:.6g}")
    if growth > 0:
        parts.append(
            f"with the rates of the last step the {moments} would grow by {growth:.3g} per step, "
            "so a longer run may diverge"
        )
    if highest > 1.1:
        parts.append(f"on its way the risk rises to {highest:.3g} times its start")
    return "; ".join(parts)
