"""Claims about what commands hand back: tables, strict JSON, files whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

from hidim.cli.main import main
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


PREDICT = ("predict", "--alpha", "1", "--beta", "0.7", "--d", "20", "--algorithm", "sgd")
PREDICT += ("--at", "0,10,100")
HEADER = "step,flops,risk"


def run(command, folder):
    """What a shell prints for a command of this package, which must succeed."""
    line = f"{shlex.quote(sys.executable)} -m hidim {shlex.join(PREDICT)} {command}"
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_dash_prints_the_rows_instead_of_the_table(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*PREDICT, "--csv", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="descriptors as files are POSIX")
def test_standard_output_by_its_path_is_a_dash(tmp_path):
    assert run("--csv /dev/stdout | cat", tmp_path) == run("--csv -", tmp_path)
    run("--csv /dev/stdout > out", tmp_path)
    assert (tmp_path / "out").read_text() == run("--csv -", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(os.name == "nt", reason="descriptors as files are POSIX")
def test_other_descriptors_and_devices_leave_the_table(tmp_path):
    assert "status: ok" in run("--csv /dev/null", tmp_path)
    assert "status: ok" in run("--csv /dev/fd/3 3> rows", tmp_path)
    assert (tmp_path / "rows").read_text().startswith(HEADER)


def test_two_things_cannot_both_be_printed(capsys):
    assert main([*PREDICT, "--csv", "-", "--json"]) == 2
    assert "--csv" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["fit", "none.csv"], ["fit", "--law", "power", "none.csv"]])
def test_a_law_needs_a_file_with_a_name(capsys, command):
    assert main([*command, "--out", "-"]) == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [("--plot", "a.png", "--csv", "./a.png"), ("--plot", "-")])
def test_a_figure_needs_a_file_of_its_own(capsys, tmp_path, monkeypatch, flags):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main([*PREDICT, *flags]) == 2
    assert "--plot" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [("--steps", "0"), ("--at", "0")])
@pytest.mark.parametrize("command", ["predict", "simulate", "compare", "stability"])
def test_a_figure_of_step_0_alone_is_refused_before_any_work(capsys, tmp_path, command, flags):
    if command == "stability" and flags[0] == "--at":
        pytest.skip("stability has no --at")
    asked = [command, *PREDICT[1:9], *flags, "--plot", str(tmp_path / "a.png")]
    assert main(asked) == 2
    assert "--plot" in capsys.readouterr().err
    assert main(asked[:-2]) == 0  # without a figure step 0 is a step like any other


def test_a_figure_of_one_step_shows_a_point(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.svg"
    assert main([*PREDICT[:9], "--at", "100", "--plot", str(path)]) == 0
    assert "<use " in path.read_text().split('id="line2d_', 1)[1]
