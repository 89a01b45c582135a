"""Micro-steps beside optimizer steps are told, wherever length and warm-up differ by one factor."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.cli.reach import counted_otherwise
from hidim.fitting import FittedLaw, Run, fit, read_run
from hidim.fitting.schedules.alike import counts_otherwise

Maker = Callable[..., Run]
STEPS = np.arange(1000, 24_001, 250).astype(float)


@pytest.fixture(scope="module")
def path(synthetic: Maker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a law fitted to micro-steps, 8 to an optimizer step."""
    run = synthetic("stage", steps=STEPS)
    found = fit(Run(8 * STEPS, run.lr, run.loss, 8000.0, "micro"), "mpl")
    name = tmp_path_factory.mktemp("law") / "law.json"
    found.save(name)
    return str(name)


@pytest.mark.parametrize(
    ("warmup", "last", "told"),
    [
        (1000, 24_000, "8 times shorter than micro .* --step-scale 0.125"),
        (1010, 23_750, "8 times shorter"),  # as logged
        (64_000, 1_536_000, "8 times longer than micro"),
        (2000, 24_000, ""),  # another warm-up
        (8000, 24_000, ""),
        (0, 24_000, ""),
        (8000, 192_000, ""),
        (12_000, 288_000, ""),  # no whole factor
    ],
)
def test_a_plan_in_other_steps_than_the_fitted_runs_is_told(
    warmup: float, last: float, told: str, path: str
) -> None:
    said = " ".join(counted_otherwise(FittedLaw.load(path), "plan", warmup, last))
    assert bool(said) == bool(told)
    assert re.search(told, said)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("cosine peak=3e-4 end=3e-5 warmup=1000 steps=24000", "--step-scale 0.125"),
        ("cosine peak=3e-4 end=3e-5 steps=24000", "33% of the plan"),
        ("cosine peak=3e-4 end=3e-5 warmup=8000 steps=192000", ""),
    ],
)
def test_a_forecast_says_so(
    words: str, told: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["forecast", path, "--schedule", words]) == 0
    out = capsys.readouterr().out
    assert told in out
    assert ("micro-steps" in out) == bool(told)


def test_a_plan_says_so(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", path, "--steps", "24000", "--warmup-steps", "1000"]) == 0
    assert "--step-scale 0.125" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [30, 80, len(STEPS)])
def test_logged_rates_tell_how_many_steps_are_one(
    rows: int, synthetic: Maker, tmp_path: Path
) -> None:
    run, log = synthetic("cosine", steps=STEPS), tmp_path / "log.csv"
    lines = zip(8 * STEPS, run.lr, run.measured(), strict=True)
    log.write_text(
        "\n".join(["step,lr,loss", *(f"{s},{r:.8g},{y}" for s, r, y in lines)][: rows + 1])
    )
    words = "cosine peak=3e-4 end=3e-5 warmup=1000 steps=24000"
    with pytest.raises(ValueError, match=r"--step-scale 0\.125"):
        read_run(log, schedule=words)
    assert np.allclose(read_run(log, schedule=words, step_scale=0.125).steps, STEPS[:rows])
    log.write_text("\n".join(["step,lr,loss", *(f"{s},3e-4,{3 - s / 1e5}" for s in STEPS)]))
    with pytest.raises(ValueError, match="Leave the schedule out"):  # a rate that stands still
        read_run(log, schedule="wsd peak=3e-4 end=3e-5 warmup=1000 decay=8000 steps=24000")


def test_a_warm_up_that_was_said_of_all_runs_hides_nothing(synthetic: Maker) -> None:
    one, two = (replace(synthetic(name, steps=STEPS), label=name) for name in ("constant", "stage"))
    other = Run(8 * two.steps, two.lr, two.measured(), two.warmup_steps, "other")
    assert "8 times those of constant" in counts_otherwise(other, [one, other])
    assert counts_otherwise(two, [one, two]) == ""
