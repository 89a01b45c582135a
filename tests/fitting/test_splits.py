"""Rows of validation are told by a column, and nothing else of the table is lost."""

from __future__ import annotations

import pytest

from hidim.fitting.logs.splits import parted

PHASE = ["train", "val", "train", "val"]


def test_losses_of_other_rows_go_apart() -> None:
    found, said = parted({"step": [1, 1, 2, 2], "loss": [3.0, 3.5, 2.0, 2.5], "phase": PHASE}) or (
        {},
        "",
    )
    assert found == {
        "step": [1, 1, 2, 2],
        "loss": [3.0, None, 2.0, None],
        "val_loss": [None, 3.5, None, 2.5],
    }
    assert said == "2 rows whose 'phase' is not training ('val') count as validation"


def test_losses_that_are_of_validation_by_name_stay() -> None:
    for name in ("val_loss", "eval/loss", "Loss test"):
        apart = [None, 3.5, None, 2.5]
        table = {"loss": [3.0, None, 2.0, None], name: apart, "phase": PHASE}
        for columns in (table, dict(reversed(table.items()))):
            found = (parted(columns) or ({}, ""))[0]
            assert found[name] == apart
            assert found["loss"] == table["loss"]


def test_a_blank_is_of_training_and_said() -> None:
    found, said = parted({"loss": [4.0, 3.0, 2.0, 1.0], "phase": ["", None, "train", "val"]}) or (
        {},
        "",
    )
    assert found["loss"] == [4.0, 3.0, 2.0, None]
    assert found["val_loss"] == [None, None, None, 1.0]
    assert said.startswith("1 rows")
    assert said.endswith("2 where it is blank as training")


@pytest.mark.parametrize(
    ("name", "cells"),
    [("event", PHASE), ("is_train", [True, False] * 2), ("is_eval", ["False", "True"] * 2)],
)
def test_other_columns_tell_them_apart_too(name: str, cells: list[object]) -> None:
    found, _ = parted({"loss": [3.0, 3.5, 2.0, 2.5], name: cells}) or ({}, "")
    assert found["loss"] == [3.0, None, 2.0, None]
