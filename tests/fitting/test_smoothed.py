"""A moving average is told with about its decay, and noise that remembers is none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hidim.fitting import Run, fit
from hidim.fitting.schedules.smoothed import decay_of

Maker = Callable[..., Run]


def averaged(run: Run, kept: float) -> Run:
    loss = run.measured().copy()
    for i in range(1, len(loss)):
        loss[i] = kept * loss[i - 1] + (1 - kept) * loss[i]
    return Run(run.steps, run.lr, loss, 1000.0, run.label)


@pytest.mark.parametrize("kept", [0.9, 0.95])
@pytest.mark.parametrize("name", ["cosine", "stage"])
def test_the_decay_of_an_average_is_found(synthetic: Maker, name: str, kept: float) -> None:
    found = decay_of(averaged(synthetic(name, noise=3e-3), kept))
    assert found is not None
    # 180 rows leave an eighth of what a new row adds; an average of 0.9 is none of 0.95.
    assert found.value == pytest.approx(kept, abs=(1 - kept) / 4)


@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_noise_that_remembers_is_no_average(synthetic: Maker, memory: float) -> None:
    run, rng = synthetic("cosine", noise=0.0), np.random.default_rng(5)
    jitter = rng.standard_normal(len(run.steps))
    for i in range(1, len(jitter)):
        jitter[i] = memory * jitter[i - 1] + np.sqrt(1 - memory**2) * jitter[i]
    noisy = Run(run.steps, run.lr, run.measured() * np.exp(3e-3 * jitter), 1000.0, "cosine")
    assert decay_of(noisy) is None


def test_a_fit_asks_for_the_decay(synthetic: Maker) -> None:
    run = averaged(synthetic("cosine", noise=3e-3), 0.95)
    law = fit(run, "mpl", force=True)
    assert any("keeps about 0.9" in one for one in law.warnings)
