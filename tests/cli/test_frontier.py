"""Claims about `hidim frontier --runs`: runs of one's own, whoever made them."""

from __future__ import annotations

import csv
import json
import math

import pytest

import hidim
from hidim.cli.main import main
from hidim.fitting.sizes.ladders import read_ladders
from tests.measure.ladders import exponents, ladder

ETA, XI = exponents(0.34, 0.28)


def write(path, header, rows):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return str(path)


@pytest.fixture
def text_runs(tmp_path):
    """Two optimizers on one text: tokens = compute / 6 / size, and a floor of 1.8."""
    rows = [
        (name, n, f / (6 * n), loss)
        for name, a in (("adamw", 4.0), ("adana", 3.0))
        for n, f, loss in ((n, f[k], loss[k]) for n, f, loss in
                           ladder(0.34, 0.28, a=a, b=a, floor=1.8) for k in range(len(f)))
    ]  # fmt: skip
    return write(tmp_path / "runs.csv", ("method", "N", "tokens", "val_loss"), rows)


def answer(capsys, *flags):
    assert main(["frontier", *flags, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_table_of_runs_shows_its_exponents(capsys, text_runs):
    rows = answer(capsys, "--runs", text_runs, "--floor", "fit")["rows"]
    assert [row["runs"] for row in rows] == ["adamw", "adana"]
    for row in rows:
        assert row["floor"] == pytest.approx(1.8, abs=0.01)
        assert row["eta"]["value"] == pytest.approx(ETA, abs=0.003)
        assert row["xi"]["value"] == pytest.approx(XI, abs=0.003)
        assert row["eta_theory"] is None


def test_the_table_says_what_bends_and_what_to_do(capsys, text_runs):
    assert main(["frontier", "--runs", text_runs]) == 0
    text = capsys.readouterr().out
    assert "settled: no, " in text
    assert "--floor fit" in text
    assert "window in flops" in text


def test_saved_curves_bring_their_own_law(capsys, tmp_path):
    for d in (40, 80, 160, 320, 640):
        problem = hidim.PLRF(1.0, 0.7, d)
        hidim.predict(problem, "sgd", steps=3 * d**2).save(tmp_path / f"{d}.json")
    (row,) = answer(capsys, "--runs", str(tmp_path))["rows"]
    law = hidim.scaling_law(1.0, 0.7, "sgd")
    assert row["eta_theory"] == law.eta
    assert row["eta"]["value"] == pytest.approx(law.eta, abs=0.02)  # d of hundreds
    (row,) = answer(capsys, "--runs", str(tmp_path), "--alpha", "1", "--beta", "0.3")["rows"]
    assert row["eta_theory"] == hidim.scaling_law(1.0, 0.3, "sgd").eta


def test_runs_of_the_lab_are_read_and_refused_where_they_show_none(capsys):
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    assert main(["frontier", "--runs", "docs/results/lstm-ladder.parquet"]) == 2
    assert "got 4. Run more sizes." in capsys.readouterr().err


def test_steps_and_compute_are_columns_too(tmp_path):
    plain = ladder(sizes=5)
    rows = [(n, f / n, loss) for n, fs, ls in plain for f, loss in zip(fs, ls, strict=True)]
    steps = read_ladders(write(tmp_path / "a.csv", ("d", "step", "risk"), rows))["runs"]
    rows = [(n, f, loss) for n, fs, ls in plain for f, loss in zip(fs, ls, strict=True)]
    named = {"params": "size of it", "flops": "spent"}
    file = write(tmp_path / "b.csv", ("size of it", "spent", "loss"), rows)
    flops = read_ladders(file, columns=named)["runs"]
    for one, other in zip(steps, flops, strict=True):
        assert one[1] == pytest.approx(other[1])
        assert math.isclose(one[0], other[0])


def test_seeds_are_runs_of_their_own(tmp_path):
    rows = [(n, f, loss * (1 + seed / 100), seed) for seed in (0, 1)
            for n, fs, ls in ladder(sizes=5) for f, loss in zip(fs, ls, strict=True)]  # fmt: skip
    file = write(tmp_path / "a.csv", ("params", "flops", "loss", "seed"), rows)
    assert len(read_ladders(file)["runs"]) == 10
    file = write(tmp_path / "b.csv", ("params", "flops", "loss"), [row[:3] for row in rows])
    with pytest.raises(ValueError, match="run=NAME"):
        read_ladders(file)


@pytest.mark.parametrize(
    ("header", "rows", "word"),
    [
        (("params", "flops", "loss"), [(10, 1e3, 2.0), (20, 1e3, 1.9)], "one row per run"),
        (("params", "loss"), [(10, 2.0)], "tokens=D"),
        (("flops", "loss"), [(10, 2.0)], "params"),
        (("params", "flops", "loss"), [("", "", "")], "no row"),
        (("params", "flops", "loss"), [(10, 1e3, 2.0), (10, 1e4, "nan")], "leave its rows out"),
    ],
)
def test_tables_without_curves_are_refused_in_one_line(capsys, tmp_path, header, rows, word):
    file = write(tmp_path / "a.csv", header, rows)
    assert main(["frontier", "--runs", file]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--alpha", "1", "--beta", "0.7"], "needs --algorithm NAME"),
        (["--v-over-d", "4"], "--v-over-d goes with the law"),
        (["--batch-size", "4"], "--batch-size goes with the law"),
        (["--algorithm", "sgd:c_2=1"], "'sgd:c_2=1' goes with the law"),
    ],
)
def test_what_only_a_law_reads_is_not_passed_over(capsys, tmp_path, flags, word):
    rows = [(n, f, loss) for n, fs, ls in ladder(sizes=5) for f, loss in zip(fs, ls, strict=True)]
    file = write(tmp_path / "a.csv", ("params", "flops", "loss"), rows)
    assert main(["frontier", "--runs", file, *flags]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--runs", "nowhere"], "no file or folder"),
        (["--runs", ".", "--flops", "1e9"], "--flops"),
        (["--runs", ".", "--alpha", "1"], "--beta"),
        (["--alpha", "1", "--beta", "1"], "--flops missing"),
        (["--runs", "tests/cli"], "no saved curves"),
        (["--runs", ".", "--law-only"], "--law-only"),
        (["--alpha", "1", "--beta", "1", "--flops", "1e9", "--window", "1", "2"], "--window"),
        (["--alpha", "1", "--beta", "1", "--flops", "1e9", "--floor", "fit"], "--floor"),
        (["--alpha", "1", "--beta", "1", "--flops", "1e9", "--columns", "loss=L"], "--columns"),
    ],
)
def test_bad_requests_are_one_line(capsys, flags, word):
    assert main(["frontier", *flags]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1
