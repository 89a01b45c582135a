"""Claims about what commands hand back: tables, strict JSON, files whole or not at all."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from hidim.cli.output import plain, rows_to_show, table, write_csv, write_figure


def test_json_is_strict_whatever_is_in_it():
    value = {"a": np.array([1.0, math.inf, math.nan]), "b": (np.float32(2), None, math.inf)}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "a": [1.0, None, None],
        "b": [2.0, None, None],
    }


def test_csv_keeps_full_precision(tmp_path):
    risk = np.array([1 / 3, 1e-300, math.inf])
    write_csv(str(tmp_path / "a.csv"), {"step": np.arange(3), "risk": risk})
    read = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True)
    assert np.array_equal(read["risk"], risk)


def test_columns_of_different_length_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        write_csv(str(tmp_path / "a.csv"), {"a": [1, 2], "b": [1]})
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_fails_half_way_leaves_the_old_one(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="on purpose"):
        write_figure(str(path), _fail, size=(2, 2))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_written_in_the_format_its_name_says(tmp_path, suffix, magic):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"a.{suffix}"
    write_figure(str(path), lambda ax: ax.plot([1, 2], [1, 2]), size=(2, 2))
    assert path.read_bytes().startswith(magic)


@pytest.mark.parametrize("last", [10, 1e4, 1e8, 1e20])
def test_a_table_stays_readable_at_any_length(last):
    steps = np.unique(np.rint(np.geomspace(1, last, 600)))
    rows = rows_to_show(np.concatenate([[0.0], steps]))
    assert len(rows) <= 40
    assert rows[0] == 0
    assert rows[-1] == len(steps)


def test_every_row_of_a_short_curve_is_shown():
    assert list(rows_to_show(np.arange(7))) == list(range(7))


def test_two_columns_may_share_a_name():
    assert table([("runs", ["1"]), ("runs", ["22"])]) == "  runs  runs\n     1    22"


def _fail(_ax):
    raise RuntimeError("on purpose")
