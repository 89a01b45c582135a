"""A loss that jumps for good is named, and noise, drops of the rate and spikes are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hidim.fitting import Run, fit
from hidim.fitting.schedules.jumps import changed_unit, jump_of
from tests.fitting.conftest import STEPS

Maker = Callable[..., Run]
FEW = STEPS[::-3][::-1]


def moved(run: Run, size: float, first: float = 13_000.0) -> Run:
    """The run with losses times 1 + size from a step on."""
    return replace(run, loss=run.measured() * np.where(run.steps > first, 1 + size, 1.0))


@pytest.mark.parametrize("size", [0.02, -0.025])
@pytest.mark.parametrize("others", [(), ("constant",)])
def test_a_jump_of_two_percent_is_named_beside_other_runs_and_alone(
    size: float, others: tuple[str, ...], synthetic: Maker
) -> None:
    run = moved(synthetic("cosine", noise=0.003, seed=3, steps=FEW), size)
    runs = [run, *(synthetic(name, noise=0.003, seed=4, steps=FEW) for name in others)]
    (said,) = [text for text in fit(runs).warnings if "jumps by" in text]
    step = float(said.split("at step ")[1].split(", where")[0].replace(",", ""))
    assert abs(step - 13_000) < 1000
    assert ("jumps by +" in said) == (size > 0)


@pytest.mark.parametrize("name", ["cosine", "stage", "wsd"])
@pytest.mark.parametrize("noise", [0.0005, 0.003, 0.02])
def test_noise_and_drops_of_the_rate_are_no_jumps(
    name: str, noise: float, synthetic: Maker
) -> None:
    law = fit([synthetic(name, noise=noise, seed=5, steps=FEW)])
    assert not any("jumps by" in text for text in law.warnings)


def test_noise_alike_from_row_to_row_is_no_jump() -> None:
    """One AR(1) series in twenty at most, of correlation .9."""
    found = 0
    for seed in range(40):
        rng, noise = np.random.default_rng(seed), np.zeros(120)
        for i in range(1, 120):
            noise[i] = 0.9 * noise[i - 1] + 0.003 * 0.19**0.5 * rng.standard_normal()
        found += jump_of(np.arange(1.0, 121), noise, np.ones(120)) is not None
    assert found <= 2


@pytest.mark.parametrize("factor", [4.0, 0.25])
def test_losses_of_another_unit_from_a_step_on_are_refused_by_it(
    factor: float, synthetic: Maker
) -> None:
    run = moved(synthetic("cosine", noise=0.003, seed=6, steps=FEW), factor - 1)
    way = "higher" if factor > 1 else "lower"
    assert f"4 times {way} from step 13," in changed_unit(run)
    with pytest.raises(ValueError, match=f"4 times {way} from step 13,"):
        fit([run])
