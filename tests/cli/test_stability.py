"""Claims about `hidim stability` and `hidim simulate` as people call them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import hidim
from hidim.cli.main import main

PLRF = ("--alpha", "1", "--beta", "0.7", "--d", "50", "--v", "200")


def answer(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_stability_answers_what_python_answers(capsys):
    flags = ("--algorithm", "sgd", "--gamma-2", "0.3", "--steps", "1e3", "--batch-size", "4")
    found = answer(capsys, "stability", *PLRF, *flags)
    truth = hidim.stability(hidim.PLRF(1.0, 0.7, 50, 200), hidim.sgd(0.3), 1000, batch_size=4)
    assert found["stable"] is True
    assert found["largest_gamma_2"] == pytest.approx(truth.largest_gamma_2)
    assert found["norm"] == pytest.approx(list(truth.norm))


def test_stability_says_when_a_run_is_lost(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    flags = ("--algorithm", "sgd", "--gamma-2", "3", "--steps", "1e3")
    files = ("--csv", str(tmp_path / "n.csv"), "--plot", str(tmp_path / "n.png"))
    assert main(["stability", *PLRF, *flags, *files]) == 0
    text = capsys.readouterr().out
    assert "stable               no" in text
    assert (tmp_path / "n.csv").read_text().startswith("step,norm,small_step_norm\n")
    assert (tmp_path / "n.png").stat().st_size > 1000


def test_simulate_stands_beside_its_prediction(capsys):
    flags = ("--algorithm", "dana-constant", "--steps", "300", "--runs", "60", "--batch-size", "4")
    found = answer(capsys, "simulate", *PLRF, *flags)
    assert len(found["risk"]) == len(found["stderr"]) == len(found["predicted"])
    z = np.array(found["z"])
    assert z[0] == 0
    assert np.all(np.abs(z) < 5)  # about 60 correlated steps; 5 is never reached


def test_full_batches_need_no_error_bars(capsys):
    flags = ("--algorithm", "sgd", "--gamma-2", "0.3", "--steps", "50", "--batch-size", "inf")
    found = answer(capsys, "simulate", *PLRF, *flags)
    assert found["risk"] == pytest.approx(found["predicted"], rel=1e-8)


def test_simulate_draws_points_over_the_line(tmp_path):
    pytest.importorskip("matplotlib")
    flags = ("--algorithm", "sgd", "--steps", "50", "--runs", "4")
    assert main(["simulate", *PLRF, *flags, "--plot", str(tmp_path / "s.pdf")]) == 0
    assert (tmp_path / "s.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--runs", "0"), "runs"),
        (("--method", "sdd"), "Did you mean 'sde'?"),
        (("--steps", "1e12"), "steps"),
    ],
)
def test_simulate_refuses_bad_input_in_one_line(capsys, flags, word):
    assert main(["simulate", *PLRF, "--algorithm", "sgd", *flags]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("method", ["eigenbasis", "raw"])
def test_a_problem_without_v_is_run_beside_the_prediction_for_the_same_w(capsys, method):
    flags = ("--alpha", "1", "--beta", "0.7", "--d", "50", "--algorithm", "sgd", "--steps", "10")
    assert main(["simulate", *flags, "--method", method, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["provenance"]["problem"]["v"] == 200
    assert found["provenance"]["problem"]["v_default"] == "4 d"
    assert found["risk"][0] == pytest.approx(found["predicted"][0], rel=1e-12)


@pytest.mark.parametrize("alpha", ["1", "0.4"])
def test_a_run_without_v_takes_four_d_and_says_so(capsys, alpha):
    flags = ("--alpha", alpha, "--beta", "0.7", "--d", "20", "--algorithm", "sgd", "--steps", "20")
    assert main(["simulate", *flags]) == 0
    assert "v=80 (4 d)" in capsys.readouterr().out
    found = answer(capsys, "simulate", *flags)
    assert found["problem"]["v"] == 80
    problem = hidim.PLRF(float(alpha), 0.7, 20, 80)
    truth = hidim.predict(problem, "sgd", at=found["steps"], seed=0)
    assert found["predicted"] == pytest.approx(list(truth.risk), rel=1e-12)


def test_where_a_run_is_lost_no_deviation_is_claimed(capsys):
    flags = ("--algorithm", "sgd:gamma_2=30", "--steps", "2000", "--runs", "4")
    found = answer(capsys, "simulate", *PLRF, *flags)
    lost = [risk is None for risk in found["risk"]]
    assert any(lost)
    assert all(z is None for z, gone in zip(found["z"], lost, strict=True) if gone)


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    X[17] *= 6.0
    y = X @ [1.0, -1.0, 0.5] + 0.1 * rng.standard_normal(60)
    np.savez(tmp_path / "rows.npz", X=X, y=y)
    return str(tmp_path / "rows.npz"), hidim.Spectrum.from_data(X, y)


def test_on_rows_the_gain_and_who_carries_it_are_said(capsys, rows):
    file, spectrum = rows
    flags = ("--data", file, "--algorithm", "sgd:gamma_2=0.2", "--steps", "1e3")
    found = answer(capsys, "stability", *flags)
    truth = hidim.stability(spectrum, hidim.sgd(0.2), 1000)
    assert found["gain"] == pytest.approx(list(truth.gain))
    assert found["rows"][0] == 17
    assert found["shares"] == pytest.approx(list(truth.shares), abs=1e-6)
    clipped = truth.clipped_gamma_2(0.95)
    assert found["clipped_gamma_2"]["0.95"] == pytest.approx(clipped, rel=1e-6)
    assert clipped > 2 * truth.largest_gamma_2
    assert main(["stability", *flags]) == 0
    text = capsys.readouterr().out
    assert "kernel norm" not in text
    assert "mean-square unstable: the gain is" in text
    assert "rows longer than 95 % of them shortened to that" in text
    assert [line for line in text.splitlines() if line.split()[:1] == ["17"]]


def test_on_rows_the_figure_and_the_file_speak_of_the_gain(rows, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    flags = ("--data", rows[0], "--steps", "1e3", "--plot", str(tmp_path / "g.svg"))
    assert main(["stability", *flags, "--csv", "-"]) == 0
    assert capsys.readouterr().out.startswith("step,gain\n")
    assert (tmp_path / "g.svg").stat().st_size > 1000


def test_full_batches_of_rows_have_no_gain(capsys, rows):
    flags = ("--data", rows[0], "--algorithm", "sgd:gamma_2=0.1", "--batch-size", "inf")
    found = answer(capsys, "stability", *flags, "--steps", "100")
    assert found["stable"]
    assert found["rows"] == []
    assert "full batches" in found["verdict"]


@pytest.mark.parametrize("command", ["predict", "compare", "simulate"])
@pytest.mark.parametrize("rate", ["0.25", "5"])
def test_a_curve_beyond_the_edge_of_its_rows_says_so(capsys, rows, command, rate):
    flags = ("--data", rows[0], "--algorithm", f"sgd:gamma_2={rate}", "--steps", "50")
    assert main([command, *flags]) == 0
    text = capsys.readouterr().out
    assert "mean-square unstable at step 0" in text
    assert "stability says which rates hold" in text
    assert "rtol 1e-08: trust no more digits" not in text


@pytest.mark.parametrize("name", ["dana-decaying", "sgd-momentum"])
def test_a_name_on_rows_means_the_rates_of_python(capsys, rows, name):
    found = answer(capsys, "predict", "--data", rows[0], "--algorithm", name, "--at", "0,100")
    truth = hidim.predict(rows[1], name, at=[0, 100])
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-9)
