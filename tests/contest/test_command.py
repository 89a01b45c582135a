"""Claims about the whole contest: its plan, its rows, going on, and the pages that show it."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from hidim.cli.main import main
from hidim.contest.methods import METHODS
from hidim.contest.protocol import (
    Protocol,
    best_point,
    hold,
    of_this,
    progress_of,
    raise_alarms,
)
from hidim.contest.rows import (
    again,
    differences,
    read_folder,
    read_parquet,
    rows_of,
    seed_folder,
    write_parquet,
)
from hidim.contest.tasks import TASKS

pytest.importorskip("pyarrow")
ROOT = Path(__file__).resolve().parents[2]
SMALL = Protocol(points=4, seeds=2, lengths=(1.0, 0.5))
SAME = ("value", "weights", "gradients", "tokens", "seed", "values", "steps", "point", "index")


def told(row):
    return [row[key] for key in SAME]


@pytest.fixture(scope="module")
def rows(line, tmp_path_factory):
    """A small contest of AdamW and SGD-M."""
    methods = [METHODS.find(name) for name in ("adamw", "sgd-m")]
    return hold(SMALL, [line], methods, rows_of(tmp_path_factory.mktemp("contest")))


def test_every_method_gets_the_same_runs_seeds_and_lengths(rows):
    asked = {}
    for row in rows:
        key = (row["role"], row["index"], row["length"], row["steps"], row["seed"])
        asked.setdefault(row["method"], []).append(key)
    assert len(asked) == 2
    assert len({tuple(keys) for keys in asked.values()}) == 1
    assert len(asked["adamw"]) == SMALL.runs == 8
    tuned = {row["seed"] for row in rows if row["role"] == "tune"}
    fresh = {row["seed"] for row in rows if row["role"] == "final"}
    assert len(tuned) == 1
    assert len(fresh) == 2
    assert not tuned & fresh


def test_the_fresh_seeds_take_the_best_point_of_the_tuning(rows):
    for method in ("adamw", "sgd-m"):
        own = [row for row in rows if row["method"] == method]
        best = best_point([row for row in own if row["role"] == "tune"])
        assert {row["point"] for row in own if row["role"] == "final"} == {best}


def test_the_harness_counts_every_run(rows):
    assert {(row["gradients"], row["tokens"]) for row in rows} == {(20, 160), (10, 80)}


def test_a_contest_that_lost_rows_finds_them_again_bit_for_bit(rows, line, tmp_path):
    """As after kill -9: some rows are there, one is half written under its temporary name."""
    seed_folder(tmp_path, rows[::3])
    (rows_of(tmp_path).folder / ".half.json.x1").write_text('{"value": 1', encoding="utf-8")
    before = {file: file.stat().st_mtime_ns for file in rows_of(tmp_path).folder.iterdir()}
    methods = [METHODS.find(name) for name in ("sgd-m", "adamw")]  # in another order
    second = hold(SMALL, [line], methods, rows_of(tmp_path))
    by_name = {row["name"]: told(row) for row in rows}
    assert {row["name"]: told(row) for row in second} == by_name
    assert all(file.stat().st_mtime_ns == when for file, when in before.items())


def test_rows_go_through_parquet_unchanged_and_are_rerun(rows, line, tmp_path):
    lost = dict(rows[0], value=float("inf"), status="diverged", name="lost.x")
    write_parquet(tmp_path / "rows.parquet", [*rows, lost])
    back = {row["name"]: row for row in read_parquet(tmp_path / "rows.parquet")}
    assert back == {row["name"]: row for row in [*rows, lost]}
    name = next(row["name"] for row in rows if row["method"] == "adamw" and row["length"] == 0.5)
    row, found = again(name, back.values(), [line], [METHODS.find("adamw")])
    assert differences(row, found) == []
    assert differences(row | {"weights": "0"}, found)
    with pytest.raises(ValueError, match="beginning of 8 rows"):
        again("line.adamw", rows, [line], [METHODS.find("adamw")])
    (tmp_path / "bad.parquet").write_text("no", encoding="utf-8")
    with pytest.raises(ValueError, match="no file of contest rows"):
        read_parquet(tmp_path / "bad.parquet")


def test_rows_of_another_length_or_version_are_left_out(rows, line):
    adamw = METHODS.find("adamw")
    own = of_this(SMALL, [line], [adamw], rows)
    assert {row["method"] for row in own} == {"adamw"}
    assert progress_of(SMALL, [line], [adamw], own)[0]["finished"] == SMALL.runs
    for changed in ({"method_version": "r0"}, {"task_version": "r0"}, {"protocol": 0}):
        assert of_this(SMALL, [line], [adamw], [own[0] | changed]) == []
    half = Protocol(points=4, seeds=2, lengths=(1.0, 0.5), scale=0.5)
    assert of_this(half, [line], [adamw], rows) == []


def test_alarms_are_further_seeds_of_the_tuned_baseline(rows, line, tmp_path, monkeypatch):
    monkeypatch.setattr("hidim.contest.protocol.ALARMS", 3)
    seed_folder(tmp_path, rows)
    found = raise_alarms(SMALL, [line], METHODS.find("adamw"), rows_of(tmp_path))
    assert len({row["seed"] for row in found} - {row["seed"] for row in rows}) == 3
    assert len(read_folder(tmp_path)) == len(rows) + 3


def test_a_package_brings_a_method_by_an_entry_point(monkeypatch):
    import importlib.metadata

    point = importlib.metadata.EntryPoint("theirs", "hidim.contest.methods.sgd:SGD_M", "group")

    def entry_points(*, group):
        return [point] if group == "hidim.contest.methods" else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert "theirs" in METHODS.names()
    assert METHODS.find("theirs").entry.name == "sgd-m"
    assert "theirs" not in TASKS.names()


REFUSED = [
    (["--tasks", "imagse"], "'images-cnn'"),
    (["--methods", ","], "needs a task and a method"),
    (["--method", "none.py"], "is no file"),
    (["--workers", "0"], "`workers`"),
    (["--scale", "0"], "`scale`"),
    (["--report", "--out", "nowhere"], "no contest"),
    (["--rerun", "x", "--out", "nowhere"], "no contest"),
    (["--page", "nowhere/page.md"], "missing"),
    (["--false-alarms", "--methods", "sgd-m"], "leave out --methods"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED)
def test_a_wrong_request_is_one_line(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["contest", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_plan_of_the_whole_contest(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in list(TASKS.added):
        monkeypatch.delitem(TASKS.added, name)
    assert main(["contest", "--dry-run", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["runs_left"] == 6 * 12 * 27
    assert 0 < answer["core_hours_left"] < 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_page_shows_a_task_and_a_method_of_ones_own(whole, tmp_path, monkeypatch, capsys):
    """Its files and its commands, in their order, from outside the package."""
    if not whole:  # two runs that tune in the place of twelve
        fewer = partial(Protocol, points=2)
        monkeypatch.setattr("hidim.contest.protocol.Protocol", fewer)
    page = (ROOT / "docs" / "how-to" / "contest.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in list(TASKS.added):
        monkeypatch.delitem(TASKS.added, name)
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        name = re.search(r"# (\w+\.py)", block)[1]
        Path(name).write_text(block, encoding="utf-8")
    lines = re.findall(r"^\$ hidim (contest .*)$", page, flags=re.MULTILINE)
    try:
        for line in lines:
            assert main(line.split()) == 0, capsys.readouterr().err
    finally:
        METHODS.added.clear()
        TASKS.added.clear()
    out = capsys.readouterr().out
    assert "rmsprop" in out
    assert "sines: held-out value" in out
    assert "the same to the last bit" in out


def test_the_stored_page_is_that_of_the_stored_rows(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    for name in list(TASKS.added):
        monkeypatch.delitem(TASKS.added, name)
    stored, page = ROOT / "docs" / "results" / "contest.parquet", tmp_path / "contest.md"
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, file, **how: None)
    assert stored.stat().st_size < 3e6
    flags = ["--from", str(stored), "--out", str(tmp_path / "rows"), "--page", str(page)]
    assert main(["contest", "--report", *flags]) == 0, capsys.readouterr().err
    assert "left out" not in capsys.readouterr().err  # all of them are of today's versions
    assert not (tmp_path / "rows").exists()  # whoever reports writes nothing else
    assert page.read_text() == (ROOT / "docs" / "contest.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_stored_rows_come_out_again(capsys):
    """To the last bit on the same type of machine; on another it says which."""
    stored = str(ROOT / "docs" / "results" / "contest.parquet")
    rows = read_parquet(stored)
    for row in rows[:: len(rows) // 5]:
        code = main(["contest", "--rerun", row["name"], "--from", stored])
        out = capsys.readouterr().out
        assert code == 0 or " is " in out
        if "cpu is" not in out and "torch is" not in out and "python is" not in out:
            assert "the same to the last bit" in out
