"""A log that begins late has the rate of the run that leads to its first row, and no other's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import Run, fit, read_runs
from hidim.fitting.logs.histories import begins_late, with_histories
from hidim.fitting.logs.inputs import as_runs

Make = Callable[..., Run]
WARMUP = 1000.0


def whole(synthetic: Make, name: str) -> Run:
    """A run whose rows hold its warm-up."""
    run = synthetic(name, noise=1e-3, steps=np.arange(200.0, 24_001, 200))
    lr = run.lr * np.minimum(run.steps / WARMUP, 1.0)
    return Run(run.steps, lr, run.measured(), label=name)


def part(run: Run, first: float, last: float, label: str) -> Run:
    keep = (run.steps >= first) & (run.steps <= last)
    return Run(run.steps[keep], run.lr[keep], run.measured()[keep], label=label)


@pytest.mark.parametrize("overlap", [0.0, 1000.0])
def test_parts_of_one_run_have_the_clock_of_the_whole(overlap: float, synthetic: Make) -> None:
    run = whole(synthetic, "cosine")
    ends = ((0, 9000), (9200 - overlap, 17_000), (17_200 - overlap, 24_000))
    parts = [part(run, *ends[k], f"part-{k}") for k in range(3)]
    found = with_histories([parts[2], parts[0], parts[1]])  # in any order
    assert [of and of.label for _, of in found] == ["part-1", None, "part-0"]
    for got, _ in found:
        assert np.allclose(got.rate.time(got.steps), run.rate.time(got.steps), rtol=1e-4)
        assert got.rate.ready_step == run.rate.ready_step
        assert not begins_late(got)


def test_a_branch_has_the_rate_of_its_trunk(synthetic: Make) -> None:
    trunk, tail = whole(synthetic, "constant"), whole(synthetic, "wsd")
    branch = part(tail, 19_400, 24_000, "branch")
    (got, of), _ = with_histories([branch, trunk])
    assert of is trunk
    assert np.allclose(got.rate.time(got.steps), tail.rate.time(got.steps), rtol=2e-3)
    assert "its rate before step 19,400 is that of constant" in got.notes


def test_no_other_run_is_believed(synthetic: Make) -> None:
    trunk = whole(synthetic, "constant")
    late = part(whole(synthetic, "stage"), 7000, 24_000, "late")
    other = replace(trunk, loss=1.1 * trunk.measured())  # of another model
    slower = replace(trunk, lr=0.5 * trunk.lr)  # at another rate
    short = part(trunk, 0, 4000, "short")  # ends long before
    slow = np.where(trunk.steps < 6000, 0.3, 1.0) * trunk.lr  # the same there, and not before
    unlike = Run(trunk.steps, slow, trunk.measured(), label="unlike")
    for others in ([other], [slower], [short], [trunk, unlike]):
        assert with_histories([late, *others])[0] == (late, None)
    assert with_histories([late, trunk])[0][1] is trunk
    early = part(trunk, 600, 24_000, "early")
    assert with_histories([early, trunk])[0] == (early, None)


def test_files_and_arrays_are_told_together(synthetic: Make, tmp_path: Path) -> None:
    trunk, late = whole(synthetic, "constant"), part(whole(synthetic, "stage"), 7000, 24_000, "two")
    for run in (trunk, late):
        rows = np.column_stack([run.steps, run.lr, run.measured()])
        np.savetxt(
            tmp_path / f"{run.label}.csv", rows, "%.9g", ",", "\n", "step,lr,loss", comments=""
        )
    paths = [tmp_path / "two.csv", tmp_path / "constant.csv"]
    arrays = [(run.steps, run.lr, run.measured()) for run in (late, trunk)]
    for found in (read_runs(paths), as_runs(paths), as_runs(arrays)):
        assert found[0].rate.ready_step == trunk.rate.ready_step
        assert not any("is taken to be" in note for note in found[0].notes)
    alone = read_runs(paths[:1])[0]
    assert any("before it the rate is taken to be 0.0003" in note for note in alone.notes)


def test_rows_of_one_log_in_another_are_given_once(synthetic: Make) -> None:
    """A resumed run goes on in a copy of its log; runs off one trunk share its rows and differ."""
    run = whole(synthetic, "cosine")
    copy = part(run, 0, 9000, "copy")
    with pytest.raises(ValueError, match=r"rows of copy are in cosine, too: leave copy out\."):
        fit([copy, run])
    drop = whole(synthetic, "stage")
    loss = np.where(run.steps < 8000, run.measured(), drop.measured())
    branch = Run(run.steps, np.where(run.steps < 8000, run.lr, drop.lr), loss, label="branch")
    assert set(fit([run, branch], "mtl", force=True).in_sample) == {"cosine", "branch"}


def test_a_log_without_the_warm_up_that_another_holds_is_told_by_it(synthetic: Make) -> None:
    trunk = whole(synthetic, "constant")
    run = whole(synthetic, "cosine")
    late = part(run, 2000, 24_000, "late")  # a twelfth of the run, where losses fall fast
    (got, of), _ = with_histories([late, trunk])
    assert of is trunk
    assert np.allclose(got.rate.time(got.steps), run.rate.time(got.steps), rtol=2e-3)
