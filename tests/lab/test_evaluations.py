"""Claims about evaluations: few by default, where curves are compared, and changing no number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hidim.lab import RunFolder, Settings, train
from hidim.lab.reports.measured import consolidate, measured_runs
from hidim.lab.training.result import evaluation_steps, few_evaluations
from hidim.lab.training.store import load_checkpoint


@pytest.mark.parametrize("steps", [1, 2, 5, 30, 300, 10_000, 123_457])
def test_ten_evaluations_at_most_and_one_at_the_end(steps):
    marks = few_evaluations(steps)
    assert marks[0] == 0
    assert marks[-1] == steps
    assert len(marks) <= 10
    assert len(set(marks)) == len(marks)


def test_evaluations_cost_a_default_run_less_than_a_twentieth():
    """By tokens: an evaluated one costs a third of one trained on, forward without backward."""
    s = Settings()
    evaluated = len(few_evaluations(s.steps)) * s.validation_tokens / 3
    assert evaluated < 0.05 * s.steps * s.tokens_per_step
    before = len(evaluation_steps(s.steps)) * s.validation_tokens / 3
    assert before > 0.15 * s.steps * s.tokens_per_step


def test_evaluations_change_no_number(small, tmp_path):
    small = small.replace(evaluation_growth=1.1)
    often = train(small, tmp_path / "often")
    few = train(small.replace(evaluation_growth=None), tmp_path / "few")
    assert few.validation_loss == often.validation_loss
    rows = {row["step"]: row for row in RunFolder(tmp_path / "often").rows()}
    own = RunFolder(tmp_path / "few").rows()
    marks = few_evaluations(small.steps)
    assert [row["step"] for row in own if "validation_loss" in row] == marks
    assert {row["step"] for row in own} == set(marks) | set(rows)
    for row in own:
        if row["step"] in rows and "validation_loss" in row:
            assert row["validation_loss"] == rows[row["step"]]["validation_loss"]
    weights = [load_checkpoint(tmp_path / n / "checkpoint.pt")["model"] for n in ("often", "few")]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_curve_has_its_evaluations_and_their_stretches_of_training(small, tmp_path):
    train(small.replace(evaluation_growth=None), tmp_path / "few")
    folder = RunFolder(tmp_path / "few")
    curve, rows = folder.curve(), folder.rows()
    assert curve.steps.tolist() == few_evaluations(small.steps)
    assert curve.provenance["train"]["steps"] == [row["step"] for row in rows]
    # The mean since the evaluation before is that of all steps in between.
    ends = [row["step"] for row in rows]
    for k, (low, high) in enumerate(zip(curve.steps[:-1], curve.steps[1:], strict=True), start=1):
        inside = [n for n, end in enumerate(ends) if low < end <= high]
        lengths = [ends[n] - ends[n - 1] for n in inside]
        mean = np.average([rows[n]["train_loss"] for n in inside], weights=lengths)
        assert curve.columns["train"][k] == pytest.approx(mean, rel=1e-12)
    assert math.isnan(curve.columns["train"][0])


def test_a_table_tells_a_loss_that_is_no_number_from_none(small, tmp_path):
    pytest.importorskip("pyarrow")
    few = small.replace(evaluation_growth=None, optimizer="sgd")
    train(few, tmp_path / "runs" / "few")
    train(few.replace(lr=1e30, clip=0.0), tmp_path / "runs" / "lost")
    folder = {run.name: run for run in measured_runs(tmp_path / "runs")}
    table = {run.name: run for run in measured_runs(consolidate(tmp_path / "runs"))}
    for name, status in (("few", "ok"), ("lost", "diverged")):
        assert folder[name].status == table[name].status == status
        np.testing.assert_array_equal(folder[name].curve.risk, table[name].curve.risk)
        np.testing.assert_array_equal(folder[name].loss, table[name].loss)
    assert folder["lost"].final == math.inf
