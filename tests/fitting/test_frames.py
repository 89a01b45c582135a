"""Frames, mappings and records are logs like any other, whatever their columns are called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hidim.fitting import Run, so_far
from hidim.fitting.logs.inputs import as_runs, given_run
from hidim.fitting.schedules.fit import fit

STEPS = np.arange(100.0, 3001.0, 50.0)
LR = np.where(STEPS < 1500, 1e-3, 2e-4)
LOSS = 2 + (STEPS / 1000) ** -0.5 - 0.1 * (STEPS > 1500)


class Index(np.ndarray):
    name = "step"


class Frame:
    """What of a data frame is read: its columns, a column by its name, a named index."""

    def __init__(self, columns: dict[str, Any], index: Any = None) -> None:
        self._columns, self.columns, self.index = columns, list(columns), index

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]


def same(found: list[Run], count: int = 1) -> bool:
    return len(found) == count and all(
        np.array_equal(run.steps, STEPS)
        and np.array_equal(run.lr, LR)
        and np.array_equal(run.measured(), LOSS)
        for run in found
    )


def test_columns_are_found_by_the_names_of_logs() -> None:
    named = {"global_step": STEPS, "train/lr": LR, "train/loss": LOSS}
    records = [
        dict(zip(named, map(float, row), strict=True)) for row in zip(*named.values(), strict=True)
    ]
    apart = [
        {"step": s} | kind
        for s, lr, y in zip(STEPS, LR, LOSS, strict=True)
        for kind in ({"loss": y}, {"lr": lr})
    ]
    index = Frame({"lr": LR, "loss": LOSS}, STEPS.view(Index))
    lists = {name: cells.tolist() for name, cells in named.items()}
    for given in (named, Frame(named), records, [records], apart, index, lists, [lists]):
        assert same(as_runs(given))
        assert same(
            [given_run("run", given[0] if isinstance(given, list) and len(given) == 1 else given)]
        )


def test_several_runs_come_apart_or_have_the_names_they_are_given() -> None:
    one = {"step": STEPS, "lr": LR, "loss": LOSS}
    names = np.repeat(["a", "b"], len(STEPS))
    long = {name: np.tile(cells, 2) for name, cells in one.items()} | {"run": names}
    found = as_runs(Frame(long))
    assert same(found, 2)
    assert [run.label for run in found] == ["a", "b"]
    with pytest.raises(ValueError, match="`run` holds several runs, and one is asked for: a, b"):
        given_run("run", Frame(long))
    named = as_runs({"x": one, "y": Frame(one), "z": (STEPS, LR, LOSS)})
    assert same(named, 3)
    assert [run.label for run in named] == ["x", "y", "z"]


def test_nan_in_a_frame_is_a_blank_but_at_the_end_of_a_run() -> None:
    rows = np.sort(np.append(STEPS, STEPS[::10]))
    first = np.append(True, np.diff(rows) > 0)
    lr, loss, val = (np.full(len(rows), np.nan) for _ in range(3))
    lr[first], loss[first], val[~first] = LR, LOSS, 3.0
    frame = {"step": rows, "lr": lr, "loss": loss, "val_loss": val}
    assert same(as_runs(Frame(frame)))
    gone = np.where(STEPS > 2500, np.nan, LOSS)
    with pytest.raises(ValueError, match=r"column 'loss' is nan\. A diverged run has no law"):
        as_runs(Frame({"step": STEPS, "lr": LR, "loss": gone}))


def test_what_is_missing_is_asked_for_as_python_can_give_it() -> None:
    frame = Frame({"tokens": STEPS, "lr": LR, "loss": LOSS})
    with pytest.raises(ValueError, match=r"has lr, loss, tokens\.|has tokens, lr, loss\.") as told:
        as_runs(frame)
    assert "Rename it step" in str(told.value)
    assert "--" not in str(told.value)
    with pytest.raises(
        ValueError, match=r"no column for the learning rate.*`lr` for a constant one"
    ):
        as_runs({"step": STEPS, "loss": LOSS})
    with pytest.raises(ValueError, match=r"its columns are \(a\[:, 0\], a\[:, 1\], a\[:, 2\]\)"):
        as_runs([np.column_stack([STEPS, LR, LOSS])])


def test_a_law_takes_what_a_fit_takes() -> None:
    run = Run(STEPS, LR, LOSS)
    frame = Frame({"step": STEPS, "learning_rate": LR, "loss": LOSS})
    law = fit(frame, "mtl")
    assert np.array_equal(law.predict(frame), law.predict(run), equal_nan=True)
    assert law.score(frame) == law.score(run)
    plan = Frame({"step": STEPS, "learning_rate": LR})
    assert so_far(law, frame, plan).verdict == so_far(law, run, run).verdict == "go on"


def test_a_frame_without_its_warm_up_has_that_of_the_fitted_runs() -> None:
    law = fit(Run(STEPS, LR, LOSS, 90.0), "mtl")
    late = STEPS >= 600
    frame = Frame({"step": STEPS[late], "lr": LR[late], "loss": LOSS[late]})
    told = Run(STEPS[late], LR[late], LOSS[late], 90.0)
    assert law.score(frame) == law.score(told) != law.score(replace(told, warmup_steps=0.0))
    assert np.array_equal(law.predict(frame), law.predict(told), equal_nan=True)
