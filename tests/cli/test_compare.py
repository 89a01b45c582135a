"""Claims about `hidim compare`: several optimizers side by side."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import hidim
from hidim.cli.main import main

PLRF = ("--alpha", "1", "--beta", "0.7", "--d", "60", "--v", "240")


def answer(capsys, *arguments):
    assert main(["compare", *PLRF, *arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_the_four_of_the_paper_are_compared_by_default(capsys):
    found = answer(capsys, "--steps", "1e4")
    names = ["sgd", "sgd-momentum", "dana-constant", "dana-decaying"]
    assert [curve["label"] for curve in found["predicted"]] == names
    assert found["simulated"] == []
    assert found["summary"][0]["speedup"] == pytest.approx(1.0, rel=1e-6)


def test_curves_that_missed_their_rtol_are_compared_and_named(capsys, monkeypatch):
    predict, errors = hidim.predict, iter([1e-9, 3.1e-7])

    def rough(*arguments, **options):
        curve, error = predict(*arguments, **options), next(errors)
        status = "ok" if error < 1e-8 else "inaccurate"
        return replace(curve, status=status, provenance=curve.provenance | {"error": error})

    monkeypatch.setattr(hidim, "predict", rough)
    assert main(["compare", *PLRF, "--steps", "100", "--algorithms", "sgd", "dana-constant"]) == 0
    text = capsys.readouterr().out
    assert "dana-constant: the risk may be off by 3.1e-07 of itself" in text
    assert "sgd: the risk" not in text
    assert text.splitlines()[-1].count("error 3.1e-07") == 1  # the largest of the two


def test_an_algorithm_may_carry_its_own_rates(capsys):
    found = answer(capsys, "--steps", "100", "--algorithms", "sgd:gamma_2=0.1", "sgd:gamma_2=0.2")
    problem = hidim.PLRF(alpha=1.0, beta=0.7, d=60, v=240)
    for curve, rate in zip(found["predicted"], (0.1, 0.2), strict=True):
        truth = hidim.predict(problem, hidim.sgd(rate), at=curve["steps"])
        assert curve["risk"] == pytest.approx(list(truth.risk), rel=1e-10)


def test_runs_stand_beside_the_predictions(capsys):
    flags = ("--steps", "200", "--runs", "40", "--algorithms", "sgd", "dana-constant")
    found = answer(capsys, *flags)
    for line, run in zip(found["predicted"], found["simulated"], strict=True):
        assert line["steps"] == run["steps"]
        z = (np.array(run["risk"]) - line["risk"])[1:] / np.array(run["stderr"])[1:]
        assert np.all(np.abs(z) < 5)  # about 60 correlated steps; 5 is never reached


def test_a_spectrum_of_your_own_is_compared_and_run(capsys, tmp_path):
    (tmp_path / "s.csv").write_text("eigenvalues,error_sq\n1,1\n0.25,2\n0.1,3\n")
    flags = ("--algorithms", "sgd:gamma_2=0.2", "--steps", "50", "--runs", "4", "--json")
    assert main(["compare", "--spectrum", str(tmp_path / "s.csv"), *flags]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["simulated"][0]["stderr"]) == len(found["predicted"][0]["risk"])


def test_one_table_and_one_figure(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    files = ("--csv", str(tmp_path / "a.csv"), "--plot", str(tmp_path / "a.png"))
    assert main(["compare", *PLRF, "--steps", "1e3", "--runs", "4", *files]) == 0
    text = capsys.readouterr().out
    assert "dana-decaying" in text
    assert "times fewer" in text
    header = (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
    assert header[:3] == ["step", "flops", "sgd"]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--algorithms", "sgd", "sgd"), "twice"),
        (("--algorithm", "sgd", "--algorithm", "SGD"), "twice"),
        (("--gamma-2", "0.1"), "--algorithm NAME:gamma_2=X"),
        (("--algorithms", "sgdd"), "Did you mean 'sgd'?"),
        (("--algorithms", "sgd:gamma_2"), "gamma_2"),
        (("--algorithms", "sgd:kappa_3=1"), "sgd has no kappa_3"),
        (("--runs", "-1"), "runs"),
        (("--runs", "1"), "runs"),
    ],
)
def test_bad_input_is_refused_in_one_line(capsys, flags, word):
    assert main(["compare", *PLRF, *flags]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


RISING = ("--alpha", "0.4", "--beta", "0.7", "--d", "100", "--v", "400", "--noise-variance", "1")
SEVERAL_RATES = ("sgd:gamma_2=0.05", "sgd:gamma_2=0.02", "sgd:gamma_2=0.003")


def test_who_ends_above_its_lowest_risk_is_called_so(capsys):
    # Label noise lifts what a large rate had reached.
    flags = (*RISING, "--steps", "1e5", "--algorithm", *SEVERAL_RATES)
    assert main(["compare", *flags]) == 0
    text = capsys.readouterr().out
    assert "sgd:gamma_2=0.05 passed" in text
    assert "and rose to" in text
    assert "sgd:gamma_2=0.003 passed" not in text


@pytest.mark.parametrize("first", SEVERAL_RATES)
def test_an_algorithm_against_itself_is_one_times_as_fast(capsys, first):
    others = [text for text in SEVERAL_RATES if text != first]
    flags = (*RISING, "--steps", "1e5", "--algorithm", first, *others, "--json")
    assert main(["compare", *flags]) == 0
    rows = json.loads(capsys.readouterr().out)["summary"]
    assert rows[0]["speedup"] == 1
    for row in rows:
        as_low = row["final_risk"] <= rows[0]["final_risk"] * (1 + 1e-3)
        assert (row["speedup"] is not None) == as_low


def test_runs_without_v_take_four_d_in_the_prediction_too(capsys):
    flags = ("--alpha", "1", "--beta", "0.7", "--d", "30", "--steps", "50", "--runs", "40")
    assert main(["compare", *flags, "--algorithm", "sgd", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problem"]["v"] == 120
    problem = hidim.PLRF(1.0, 0.7, 30, 120)
    steps = found["predicted"][0]["steps"]
    truth = hidim.predict(problem, "sgd", at=steps, seed=0)
    assert found["predicted"][0]["risk"] == pytest.approx(list(truth.risk), rel=1e-12)


def test_steps_may_come_in_any_order(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    flags = ("--at", "1e3,0,30", "--runs", "2", "--plot", str(tmp_path / "a.svg"), "--json")
    assert main(["compare", *PLRF, "--algorithm", "sgd", "dana-constant", *flags]) == 0
    rows = json.loads(capsys.readouterr().out)["summary"]
    assert rows[0]["steps_to_first"] == 1000
