"""A run whose loss changed at one step says so, and one whose rate alone changed does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import Run, fit, read_run
from hidim.fitting.schedules.shifts import shift_of
from tests.fitting.conftest import STEPS

Maker = Callable[..., Run]


def changed(run: Run, size: float, at: float, over: float = 0.0) -> Run:
    """The run with its log loss changed by `size` from a step on, or over some steps."""
    share = np.clip((run.steps - at) / over, 0, 1) if over else run.steps >= at
    return Run(run.steps, run.lr, run.measured() * np.exp(size * share), 1000.0, run.label)


@pytest.mark.parametrize("name", ["cosine", "wsd", "constant"])
@pytest.mark.parametrize("size", [0.015, -0.02])
def test_a_sudden_change_is_found_where_it_is(synthetic: Maker, name: str, size: float) -> None:
    found = shift_of(changed(synthetic(name, noise=3e-3), size, 13_000))
    assert found is not None
    # Five standard errors of one row among its neighbours: the step is known to a few rows.
    assert found.step == found.whole == pytest.approx(13_000, abs=3 * 128)
    assert found.size == pytest.approx(size, abs=0.004)


def test_a_slow_climb_is_found(synthetic: Maker) -> None:
    found = shift_of(changed(synthetic("cosine", noise=3e-3), 0.05, 10_000, 4000))
    assert found is not None
    assert found.step == pytest.approx(10_000, abs=800)
    assert found.whole == pytest.approx(14_000, abs=800)
    assert found.size == pytest.approx(0.05, abs=0.01)


def test_a_change_that_does_not_last_is_no_change_for_good(synthetic: Maker) -> None:
    run = synthetic("cosine", noise=3e-3)
    bump = np.where(run.steps < 12_000, 0.0, 0.03 * np.exp(-(run.steps - 12_000) / 1000))
    found = shift_of(Run(run.steps, run.lr, run.measured() * np.exp(bump), 1000.0, "cosine"))
    assert found is not None
    assert "back in some 2,000 steps" in found.told("cosine")


@pytest.mark.parametrize("rise", [10, 20])
def test_a_slow_spike_that_rises_over_some_rows_is_over(synthetic: Maker, rise: int) -> None:
    run, since = synthetic("cosine", noise=3e-3), np.arange(len(STEPS)) - 80
    bump = np.clip((since + 1) / rise, 0, 1) * np.exp(-np.maximum(since - rise, 0) / 15)
    found = shift_of(Run(run.steps, run.lr, run.measured() * np.exp(0.08 * bump), 1000.0, "it"))
    assert found is not None
    assert found.step == pytest.approx(STEPS[80], abs=8 * 128)
    assert "and back in some" in found.told("it")
    assert found.remedy == "Leave these rows out."


@pytest.mark.parametrize("name", ["cosine", "wsd", "stage", "constant"])
def test_noise_that_remembers_and_falls_of_the_rate_are_no_change(
    synthetic: Maker, name: str
) -> None:
    run, rng = synthetic(name, noise=0.0), np.random.default_rng(3)
    jitter = rng.standard_normal(len(STEPS))
    for i in range(1, len(STEPS)):
        jitter[i] = 0.9 * jitter[i - 1] + np.sqrt(1 - 0.81) * jitter[i]
    noisy = Run(run.steps, run.lr, run.measured() * np.exp(3e-3 * jitter), 1000.0, name)
    assert shift_of(noisy) is None
    assert shift_of(synthetic(name, noise=3e-3)) is None


def test_a_moving_average_and_rounded_losses_are_no_change(synthetic: Maker) -> None:
    run = synthetic("cosine", noise=1e-2)
    loss = run.measured().copy()
    for i in range(1, len(loss)):
        loss[i] = 0.9 * loss[i - 1] + 0.1 * loss[i]
    assert shift_of(Run(run.steps, run.lr, loss, 1000.0, "cosine")) is None
    assert shift_of(Run(run.steps, run.lr, np.round(run.measured(), 1), 1000.0, "cosine")) is None


def test_the_fit_of_a_changed_run_names_the_step(synthetic: Maker) -> None:
    law = fit(changed(synthetic("cosine", noise=3e-3), 0.02, 13_000))
    (said,) = [one for one in law.warnings if "explains" in one]
    assert "% higher from step 13," in said
    assert "other data" in said


@pytest.mark.slow
@pytest.mark.parametrize("size", ["25M", "100M", "400M"])
def test_measured_runs_have_not_changed(measured: Callable[..., Path], size: str) -> None:
    for path in sorted(measured("llm-curves", size).glob("*.csv")):
        steps, lr, loss = np.loadtxt(path, delimiter=",", skiprows=1).T
        assert shift_of(Run(steps, lr, loss, 2160.0)) is None
        # Soon after the rate of `wsdcon` has fallen nobody could tell.
        at = 0.75 * steps[-1]
        found = shift_of(Run(steps, lr, loss * np.where(steps < at, 1.0, 1.015), 2160.0))
        assert found is not None
        assert found.step == pytest.approx(at, abs=3 * 128)


def test_a_change_that_is_taken_back_ends_there(synthetic: Maker) -> None:
    run = synthetic("constant", noise=3e-3)
    found = shift_of(changed(changed(run, 0.012, 6000), -0.012, 11_000))
    assert found is not None
    assert found.step == pytest.approx(6000, abs=5 * 128)
    assert found.until == pytest.approx(11_000, abs=5 * 128)
    assert found.size == pytest.approx(0.012, abs=0.004)
    assert "higher from step" in found.told("it")
    assert found.remedy == "Leave these rows out."


def test_the_first_of_two_changes_is_told(synthetic: Maker) -> None:
    run = synthetic("constant", noise=3e-3)
    found = shift_of(changed(changed(run, 0.015, 7000), 0.025, 15_000))
    assert found is not None
    assert (found.step, found.until) == (pytest.approx(7000, abs=5 * 128), np.inf)


@pytest.mark.parametrize("size", [0.12, 0.3])
def test_a_slow_spike_is_told_from_its_first_row_and_in_full(synthetic: Maker, size: float) -> None:
    run = synthetic("cosine", noise=3e-3)
    bump = np.where(run.steps < 12_000, 0.0, size * np.exp(-(run.steps - 12_000) / 800))
    found = shift_of(Run(run.steps, run.lr, run.measured() * np.exp(bump), 1000.0, "cosine"))
    assert found is not None
    assert found.step == pytest.approx(12_000, abs=128)
    # The first row stands up to 128 steps after the spike began: 15 % of it.
    assert found.size == pytest.approx(size, rel=0.2)
    assert np.isfinite(found.passes)


@pytest.mark.parametrize(("averaged", "every"), [("no", 100), ("window", 100), ("window", 250)])
def test_a_rate_that_falls_right_after_a_row_is_no_change(
    averaged: str, every: int, tmp_path: Path
) -> None:
    # A multi-power law, exact, whose drop the log shows one row late.
    steps, drop = np.arange(1.0, 20_001.0), 3e-4
    lr = np.where(steps <= 9000, 4e-4, 4e-4 - drop)
    since = np.maximum(steps - 9000, 0.0) * (4e-4 - drop) ** 0.45
    loss = 2.7 + 0.54 * np.cumsum(lr) ** -0.52 - 440 * drop * (1 - (1 + 2 * since) ** -0.45)
    if averaged == "window":
        loss = np.repeat(loss.reshape(-1, every).mean(axis=1), every)
    rows = np.arange(every, 20_001, every)
    path = tmp_path / "drop.csv"
    table = np.column_stack([rows, lr[rows - 1], loss[rows - 1]])
    np.savetxt(path, table, "%.6g", ",", header="step,lr,loss", comments="")
    assert shift_of(read_run(path, averaged=averaged)) is None


@pytest.mark.parametrize("mean", [False, True])
def test_a_rate_that_jumped_between_two_rows_is_no_change(synthetic: Maker, mean: bool) -> None:
    # The rate falls at 8,000; the log has rows at 7,880 and 8,130 and says no more of when.
    run, every = synthetic("stage", noise=0.0, steps=np.arange(890.0, 24_001, 10)), 25
    rows = np.arange(every - 1, len(run.steps), every)
    loss, steps = run.measured()[rows], run.steps[rows]
    if mean:
        loss = run.measured()[: len(rows) * every].reshape(-1, every).mean(axis=1)
        steps = steps - 5 * (every - 1)
    lr = np.where(run.steps[rows] < 8000, 3e-4, 9e-5)
    assert shift_of(Run(steps, lr, loss, 1000.0, "stage")) is None
