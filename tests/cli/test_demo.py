"""Claims about `hidim demo`: real data, runs beside predictions, honest where theory misses."""

from __future__ import annotations

import json

import numpy as np
import pytest

import hidim
from hidim.cli import demo
from hidim.cli.main import main

pytest.importorskip("sklearn")
from hidim.cli import demo_data


def test_digits_are_alike_and_some_tumours_are_long():
    X, y = demo_data.digits()
    assert X.shape == (1797, 600)
    assert set(y) == {-1.0, 1.0}
    assert hidim.tail_ratio(X) < 1.1
    assert hidim.tail_ratio(demo_data.tumours()[0]) > 2


def test_a_part_names_the_rows_and_what_a_gaussian_would_have_recommended():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 4))
    X[7] *= 8.0
    part = demo._real("key", "title", lambda: (X, X @ np.ones(4)), steps=10, runs=2)
    assert part.note.startswith("gain 0.")
    assert "carried by rows 7, " in part.note
    assert "are mean-square unstable here" in part.text
    assert part.note.endswith("unstable")
    assert all(curve.status == "ok" for curve in part.predicted)
    alike = demo._real("key", "title", lambda: (np.tile(np.eye(2), (5, 1)), np.ones(10)), 10, 2)
    assert "spread over some 10 rows" in alike.note
    assert "hold here too" in alike.text


def row(off, stderr=0.01):
    found = {"algorithm": "sgd", "step": 10, "predicted": 1.0, "run": 1 + off}
    return found | {"stderr": stderr, "off": off}


def test_the_verdict_counts_what_is_beyond_its_error_bars():
    text = demo._verdict([row(0.01), row(0.03), row(-0.05)])
    assert "Median distance 3.0 %; 2 of 3 beyond two standard errors; farthest -5.0 %" in text
    assert "part here" not in text


def test_the_verdict_says_where_runs_leave_the_prediction():
    text = demo._verdict([row(0.01), row(4.0, stderr=3.0), row(np.inf, stderr=np.inf)])
    assert "2 of 3 lie at more than twice the prediction" in text


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file" / "demo")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_the_whole_demonstration(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["demo", "--quick", "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    distances = [
        abs(r["off"]) / (2 * r["stderr"] / r["predicted"]) for r in found["digits"]["rows"]
    ]
    # Half of them within two standard errors.
    assert np.median(distances) < 1
    assert max(abs(r["off"]) for r in found["tumours"]["rows"]) < 0.3  # as 8 runs know it
    assert "carried by rows 212" in found["tumours"]["text"]
    names = {path.name for path in tmp_path.iterdir()}
    assert {"demo.png", "report.txt", "power-law.csv", "digits.csv", "tumours.csv"} <= names
