"""Which learning-rate schedule does a fitted law like best for a run of given length?

Minimises the law's final loss over rates that never rise, between a floor and a peak, on a
grid of knots, starting from constant, cosine, linear and warm-up-stable-decay shapes.
Limits: the law extrapolates; a schedule far from the fitted ones comes with a wide band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hidim.fitting.logs.rates import Rate
from hidim.support.checks import non_negative, positive, whole
from hidim.support.results import Saved

if TYPE_CHECKING:
    from hidim.fitting.schedules.law import FittedLaw


@dataclass(frozen=True, eq=False)
class PlannedSchedule(Saved, format="hidim-planned-schedule/1"):
    """A schedule and what the law expects of it.

    Attributes:
        steps: knots, optimizer steps, shape (knots,); straight lines between them.
        lr: learning rate at the knots, shape (knots,).
        warmup_steps: linear warm-up from zero before the first knot.
        loss: predicted final loss.
        band: lower and upper end of its 90 % band.
        compared: predicted final loss of the usual shapes of the same peak, floor and length.
        extrapolation: how far it goes beyond the fitted runs, as `FittedLaw.extrapolation` says.
    """

    steps: np.ndarray
    lr: np.ndarray
    warmup_steps: float
    loss: float
    band: tuple[float, float]
    compared: dict[str, float]
    extrapolation: dict[str, float] = field(default_factory=dict)


def best_schedule(
    law: FittedLaw,
    steps: float,
    *,
    peak: float | None = None,
    floor: float | None = None,
    warmup_steps: float = 0.0,
    knots: int = 21,
) -> PlannedSchedule:
    """The schedule with the lowest predicted final loss.

    Args:
        law: a fitted schedule-aware law.
        steps: length of the run, optimizer steps, warm-up included.
        peak: highest rate; default the highest fitted one.
        floor: lowest rate; default the lowest fitted one.
        warmup_steps: linear warm-up from zero, not optimised.
        knots: points of the piecewise-linear schedule.

    Raises:
        ValueError: the law ignores the schedule, or steps, peak and floor do not fit together.
    """
    if law.law.response == "none":
        raise ValueError(f"law {law.law.name!r} does not see the shape of a schedule; fit fsl.")
    steps = positive("steps", steps)
    peak = law.units.rate if peak is None else positive("peak", peak)
    low = law.reach["lowest_rate"] if floor is None else non_negative("floor", floor)
    warmup = non_negative("warmup_steps", warmup_steps)
    count = int(whole("knots", knots, minimum=3))
    if low > peak:
        raise ValueError(f"`floor` ({low:g}) must not exceed `peak` ({peak:g}).")
    if warmup >= steps:
        raise ValueError(f"`warmup_steps` ({warmup:g}) must be below `steps` ({steps:g}).")
    # Knots denser towards the end, where the schedule bends.
    share = 1.0 - (1.0 - np.linspace(0.0, 1.0, count)) ** 2
    grid = warmup + (steps - warmup) * share
    end = np.array([steps])

    def rate(shape: np.ndarray) -> Rate:
        lr = low + (peak - low) * shape
        return Rate(grid, lr, lr, warmup)

    def final(shape: np.ndarray) -> float:
        return float(law.predict(rate(shape), end)[0])

    shapes = _usual(share)
    compared = {name: final(shape) for name, shape in shapes.items()}
    ranked = sorted(compared, key=lambda name: compared[name])
    best, value = shapes[ranked[0]], compared[ranked[0]]
    if peak > low:
        for name in ranked[:2]:
            shape, loss = _descend(final, shapes[name])
            if loss < value:
                best, value = shape, loss
    lr = low + (peak - low) * best
    ends = law.band(rate(best), end)
    return PlannedSchedule(
        grid,
        lr,
        warmup,
        value,
        (float(ends[0][0]), float(ends[1][0])),
        compared,
        law.extrapolation(rate(best), end),
    )


def _usual(share: np.ndarray) -> dict[str, np.ndarray]:
    decay = np.clip((share - 0.8) / 0.2, 0.0, 1.0)
    return {
        "constant": np.ones_like(share),
        "cosine": 0.5 * (1 + np.cos(np.pi * share)),
        "linear": 1 - share,
        "wsd, last 20 % linear": 1 - decay,
    }


def _descend(final: Callable[[np.ndarray], float], shape: np.ndarray) -> tuple[np.ndarray, float]:
    """Minimise over falling shapes: each knot keeps a share of the one before."""
    from scipy.optimize import minimize

    def unpack(shares: np.ndarray) -> np.ndarray:
        return np.concatenate([[1.0], np.cumprod(shares)])

    ratio = np.clip(shape[1:] / np.maximum(shape[:-1], 1e-9), 0.0, 1.0)
    found = minimize(
        lambda shares: final(unpack(shares)),
        np.clip(ratio, 0.02, 0.998),
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * len(ratio),
        options={"maxiter": 60, "ftol": 1e-12},
    )
    return unpack(found.x), float(found.fun)
