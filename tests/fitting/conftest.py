"""Synthetic runs with known parameters, and the measured ones where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import Run
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import schedule_law

REASON = "set HIDIM_DATA to the folder of measured runs (docs/how-to/fit.md says where to get it)"
# floor, signal, decay, release, response rate and exponent, slowing, noise exponent and signal,
# early time
TRUTH = np.array([2.5, -1.2, 0.45, -1.7, 5.8, -0.7, 0.8, 0.92, 0.1, 0.0, 1.0])
STEPS = np.arange(1000, 24001, 128).astype(float)


@pytest.fixture
def measured() -> Callable[..., Path]:
    """A path under the folder HIDIM_DATA, or a skip that says why."""

    def find(*parts: str) -> Path:
        root = os.environ.get("HIDIM_DATA")
        if not root or not Path(root).is_dir():
            pytest.skip(REASON)
        path = Path(root).joinpath(*parts)
        if not path.exists():
            pytest.skip(f"HIDIM_DATA holds no {'/'.join(parts)}")
        return path

    return find


@pytest.fixture(scope="session")
def synthetic() -> Callable[..., Run]:
    """Maker of runs with known parameters."""
    return make_run


def rates(name: str, steps: np.ndarray = STEPS, peak: float = 3e-4) -> np.ndarray:
    """Learning rates of the named schedule at `steps`."""
    if name == "constant":
        return np.full(len(steps), peak)
    if name == "cosine":
        share = np.clip((steps - 1000) / (steps[-1] - 1000), 0, 1)
        return peak * (0.1 + 0.45 * (1 + np.cos(np.pi * share)))
    if name == "stage":
        return np.where(steps < 8000, peak, 0.3 * peak)
    start = 0.8 * steps[-1]
    return np.where(steps < start, peak, peak * 0.1 ** ((steps - start) / (steps[-1] - start)))


def make_run(name: str, *, noise: float = 5e-4, seed: int = 0, steps: np.ndarray = STEPS) -> Run:
    """A run that obeys the law `fsl` with parameters TRUTH, up to noise of the log loss."""
    lr = rates(name, steps)
    run = Run(steps, lr, np.ones(len(steps)), 1000.0, name)
    units = Units(time=3e-4 * 23500, steps=24000.0, rate=3e-4)
    loss = schedule_law("fsl").evaluate(TRUTH, units.clock(run.rate, steps))[0]
    jitter = noise * np.random.default_rng(seed).standard_normal(len(steps))
    return Run(steps, lr, loss * np.exp(jitter), 1000.0, name)
