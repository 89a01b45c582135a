"""Claims about `hidim predict`, and about the problem and algorithm flags all commands share."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import hidim
from hidim.cli.main import main

PLRF = ("--alpha", "1", "--beta", "0.7", "--d", "60", "--v", "240")
SGD = ("--algorithm", "sgd", "--gamma-2", "0.3")
RATES = ("--gamma-2", "0.2", "--gamma-3", "0.05", "--kappa-3", "0.5", "--delta", "6")


def answer(capsys, *arguments):
    """The JSON a command prints; NaN and Infinity are refused on reading."""

    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    assert main([*map(str, arguments), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out, parse_constant=refuse)


def refusal(capsys, *arguments):
    """The one line with which a command refuses."""
    assert main(list(map(str, arguments))) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def problem():
    return hidim.PLRF(alpha=1.0, beta=0.7, d=60, v=240)


@pytest.mark.parametrize("seed", [None, 3])
def test_it_answers_what_python_answers(capsys, seed):
    flags = () if seed is None else ("--seed", seed)
    found = answer(capsys, "predict", *PLRF, *SGD, *flags, "--at", "0,10,1e4", "--batch-size", 4)
    curve = hidim.predict(problem(), hidim.sgd(0.3), at=[0, 10, 10_000], batch_size=4, seed=seed)
    assert found["steps"] == [0, 10, 10_000]
    assert found["risk"] == pytest.approx(list(curve.risk), rel=1e-12)
    assert found["status"] == "ok"


def test_the_kurtosis_of_data_and_noise_are_the_problems(capsys):
    flags = ("--noise-variance", 0.5, "--kurtosis", 3, "--noise-kurtosis", 2)
    found = answer(capsys, "simulate", *PLRF, *SGD, *flags, "--at", "0,10", "--runs", 3)
    plrf = hidim.PLRF(1.0, 0.7, 60, 240, 0.5, kurtosis=3.0, noise_kurtosis=2.0)
    curve = hidim.simulate(plrf, hidim.sgd(0.3), at=[0, 10], runs=3)
    assert found["risk"] == pytest.approx(list(curve.risk), rel=1e-12)
    assert (found["problem"]["kurtosis"], found["problem"]["noise_kurtosis"]) == (3, 2)
    assert main(["predict", *PLRF, *SGD, *map(str, flags), "--at", "10"]) == 0
    assert "noise_variance=0.5, kurtosis=3, noise_kurtosis=2" in capsys.readouterr().out


def test_every_rate_flag_is_the_parameter_it_names(capsys):
    found = answer(capsys, "predict", *PLRF, *RATES, "--steps", 100)
    assert found["algorithm"] == hidim.dana_decaying(0.2, 0.05, 0.5, 6.0).to_dict()


def test_rates_left_out_are_the_recommended_ones(capsys):
    recommended = hidim.recommend(problem(), "dana-decaying")
    found = answer(capsys, "predict", *PLRF, "--steps", 100)
    assert found["algorithm"] == recommended.to_dict()
    found = answer(capsys, "predict", *PLRF, "--steps", 100, "--kappa-3", 0.75)
    changed = hidim.PowerLaw(recommended.gamma_3.scale, 0.75)
    assert found["algorithm"]["gamma_3"] == repr(changed)
    assert found["algorithm"]["gamma_2"] == recommended.to_dict()["gamma_2"]


@pytest.mark.parametrize(
    "name", ["sgd", "sgd-momentum", "dana-constant", "dana-decaying", "accelerated-sgd"]
)
def test_recommended_rates_of_every_algorithm_run(capsys, name):
    found = answer(capsys, "predict", *PLRF, "--algorithm", name, "--steps", 1000)
    assert found["status"] == "ok"
    assert found["risk"][-1] < found["risk"][0]


def test_schedule_free_takes_its_readout(capsys):
    flags = ("--algorithm", "schedule-free-sgd", "--gamma", 0.3, "--at", 1000)
    point = answer(capsys, "predict", *PLRF, *flags)["risk"][0]
    average = answer(capsys, "predict", *PLRF, *flags, "--readout", "average")["risk"][0]
    assert point != average


@pytest.mark.parametrize(
    ("flags", "schedule"),
    [
        (("--schedule", "cosine", "--final", 0.1), hidim.Cosine(1000, final=0.1)),
        (("--warmup", 50), hidim.Warmup(50)),
        (
            ("--schedule", "wsd", "--warmup", 50, "--decay-fraction", 0.3),
            hidim.WSD(1000, warmup=50, decay_fraction=0.3),
        ),
        (
            ("--schedule", "cosine", "--warmup", 50),
            hidim.Warmup(50) * hidim.Cosine(1000),
        ),
    ],
)
def test_a_learning_rate_schedule_multiplies_the_rates(capsys, flags, schedule):
    found = answer(capsys, "predict", *PLRF, *SGD, *flags, "--steps", 1000)
    curve = hidim.predict(problem(), hidim.sgd(0.3).scheduled(schedule), at=found["steps"])
    assert found["risk"] == pytest.approx(list(curve.risk), rel=1e-10)


def test_a_schedule_file_multiplies_the_rates(capsys, tmp_path):
    (tmp_path / "lr.csv").write_text("step,factor\n0,1\n500,0.5\n1000,0\n")
    flags = ("--schedule", tmp_path / "lr.csv", "--steps", 1000)
    found = answer(capsys, "predict", *PLRF, *SGD, *flags)
    table = hidim.Table([0, 500, 1000], [1, 0.5, 0])
    curve = hidim.predict(problem(), hidim.sgd(0.3).scheduled(table), at=found["steps"])
    assert found["risk"] == pytest.approx(list(curve.risk), rel=1e-10)


@pytest.mark.parametrize("kind", ["json", "npz", "csv"])
def test_a_spectrum_comes_from_a_file(capsys, tmp_path, kind):
    eigenvalues, error_sq, floor = [1.0, 0.25, 0.1], [1.0, 2.0, 3.0], 0.05
    path = tmp_path / f"s.{kind}"
    names = {"eigenvalues": eigenvalues, "error_sq": error_sq}
    if kind == "json":
        path.write_text(json.dumps({**names, "risk_floor": floor}))
    elif kind == "npz":
        np.savez(path, risk_floor=floor, **names)
    else:
        rows = [f"{a},{b},{floor}" for a, b in zip(eigenvalues, error_sq, strict=True)]
        path.write_text("\n".join(["eigenvalues,error_sq,risk_floor", *rows]) + "\n")
    found = answer(capsys, "predict", "--spectrum", path, *SGD, "--at", "0,50")
    truth = hidim.predict(hidim.Spectrum(eigenvalues, error_sq, floor), hidim.sgd(0.3), at=[0, 50])
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-12)


def test_a_spectrum_is_measured_from_data(capsys, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 5)), rng.standard_normal(40)
    np.savez(tmp_path / "d.npz", X=X, y=y)
    flags = ("--data", tmp_path / "d.npz", "--algorithm", "sgd", "--gamma-2", 0.1)
    found = answer(capsys, "predict", *flags, "--at", "0,50")
    truth = hidim.predict(hidim.Spectrum.from_data(X, y), hidim.sgd(0.1), at=[0, 50])
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-12)


def test_large_and_infinite_numbers_are_numbers(capsys):
    flags = ("--alpha", 1, "--beta", 0.7, "--d", "1e3", "--v", "inf", *SGD)
    found = answer(capsys, "predict", *flags, "--steps", "1e20", "--batch-size", "inf")
    assert found["steps"][-1] == 1e20
    assert found["problem"]["v"] == "inf"
    assert found["batch_size"] is None


def test_divergence_is_a_status_and_strict_json(capsys):
    flags = ("--algorithm", "sgd", "--gamma-2", 3, "--steps", 1000)
    found = answer(capsys, "predict", *PLRF, *flags)
    assert found["status"] == "diverged"
    assert found["diverged_at"] <= 1000
    assert found["risk"][-1] is None


def test_the_table_says_what_it_shows(capsys):
    assert main(["predict", *PLRF, *SGD, "--steps", "1e4"]) == 0
    captured = capsys.readouterr()
    for text in ("alpha=1", "sgd", "gamma_2=0.3", "10,000", "status: ok", hidim.__version__):
        assert text in captured.out
    assert captured.err == ""


def test_csv_and_figure_are_written_beside_the_table(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    csv, figure = tmp_path / "a.csv", tmp_path / "a.svg"
    flags = ("--steps", "1e3", "--csv", str(csv), "--plot", str(figure))
    assert main(["predict", *PLRF, *SGD, *flags]) == 0
    rows = np.genfromtxt(csv, delimiter=",", names=True)
    assert rows.dtype.names == ("step", "flops", "risk")
    assert rows["step"][-1] == 1000
    assert "</svg>" in figure.read_text()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--alpha", "-1", "--beta", 0.7, "--d", 60), ("alpha", "-1")),
        (("--alpha", 0, "--beta", 0.7, "--d", 60), ("alpha", "0")),
        (("--alpha", "nan", "--beta", 0.7, "--d", 60), ("alpha", "nan")),
        (("--alpha", 1, "--beta", "inf", "--d", 60), ("beta", "inf")),
        (("--alpha", 1, "--beta", 0.7, "--d", 60, "--v", 50), ("v", "50")),
        (("--alpha", 0.4, "--beta", 0.7, "--d", 60), ("v", "0.4")),
        (("--alpha", 1, "--beta", 0.7, "--d", 1.5), ("d", "1.5")),
        (("--alpha", 1, "--beta", 0.7), ("--d",)),
        ((*PLRF, "--gamma-2", -0.1), ("gamma_2", "-0.1")),
        ((*PLRF, "--gamma-2", "x"), ("--gamma-2", "x")),
        ((*PLRF, "--steps", -5), ("steps", "-5")),
        ((*PLRF, "--steps", 1.5), ("steps", "1.5")),
        ((*PLRF, "--steps", "1e21"), ("steps", "1e+20")),
        ((*PLRF, "--batch-size", 0), ("batch_size", "0")),
        ((*PLRF, "--batch-size", 2.5), ("batch_size", "2.5")),
        ((*PLRF, "--at", "1,x"), ("--at", "1,x")),
        ((*PLRF, "--at", "1e21"), ("`at`", "1e+20")),
        ((*PLRF, "--schedule", "lr.txt"), (".csv", "lr.txt")),
        ((*PLRF, "--at", "1e4", "--steps", 100), ("at", "100")),
        ((*PLRF, "--seed", -1), ("seed", "-1")),
        ((*PLRF, "--kurtosis", 0.5), ("kurtosis", "at least 1")),
        (("--spectrum", "a.json", "--kurtosis", 2), ("one problem", "--kurtosis")),
        ((*PLRF, "--kappa-3", 0.5), ("sgd has no --kappa-3", "--gamma-2")),
        ((*PLRF, "--final", 0.5), ("--final", "constant")),
        ((*PLRF, "--schedule", "cosine", "--final", 5), ("--final", "0 to 1", "5")),
        ((*PLRF, "--schedule", "wsd", "--final", -1), ("--final", "-1")),
        ((*PLRF, "--schedule", "wsd", "--decay-fraction", 5), ("decay_fraction", "5")),
        ((*PLRF, "--warmup", 0.5), ("warmup", "0.5")),
        ((*PLRF, "--warmup", -5), ("warmup", "-5")),
        ((*PLRF, "--schedule", "wsd", "--warmup", 0.5), ("warmup", "0.5")),
        ((*PLRF, "--schedule", "cosine", "--warmup", -5), ("warmup", "-5")),
        ((*PLRF, "--steps", "1e400"), ("--steps", "1e400")),
        ((*PLRF, "--batch-size", "1e400"), ("--batch-size", "1e400")),
        ((*PLRF[:4], "--d", 50_000, "--seed", 1), ("too large", "no --seed")),
        (("--alpha", 0.4, "--beta", 0.7, "--d", 60), ("--v 240",)),
        ((*PLRF, "--schedule", "cosin"), ("cosine",)),
        ((*PLRF, "--schedule", "none.csv"), ("none.csv",)),
        ((*PLRF, "--readout", "average"), ("readout", "average")),
        (("--spectrum", "none.json"), ("none.json",)),
        (("--data", "none.npz"), ("none.npz",)),
        ((*PLRF, "--spectrum", "a.json"), ("one problem", "--v")),
        ((*PLRF, "--csv", "no/such/folder/a.csv"), ("no/such/folder", "missing")),
        ((*PLRF, "--plot", "no/such/folder/a.png"), ("no/such/folder", "missing")),
        ((*PLRF, "--plot", "a.txt"), ("--plot", ".png")),
    ],
)
def test_bad_input_is_refused_in_one_line(capsys, tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    error = refusal(capsys, "predict", "--algorithm", "sgd", *flags)
    assert all(word in error for word in words), error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ['{"eigenvalues": [1]}', "[1, 2]", "not json", '{"eigenvalues": [1], "error_sq": [NaN]}'],
)
def test_a_file_without_a_spectrum_is_refused(capsys, tmp_path, text):
    path = tmp_path / "s.json"
    path.write_text(text)
    assert str(path) in refusal(capsys, "predict", "--spectrum", path, *SGD)


BIG = 12345678901234567891


@pytest.mark.parametrize("seed", [2**53 + 1, BIG])
def test_a_seed_beyond_2_53_draws_the_w_of_python(capsys, seed):
    found = answer(capsys, "predict", *PLRF, *SGD, "--seed", seed, "--at", "10")
    W = np.random.default_rng(seed).standard_normal((240, 60)) / math.sqrt(60)
    trace = np.sum((np.arange(1, 241.0) ** -2)[:, None] * W**2)
    assert problem().spectrum(seed).trace == pytest.approx(trace, rel=1e-12)
    truth = hidim.predict(problem(), hidim.sgd(0.3), at=[10], seed=seed)
    assert found["risk"][0] == truth.risk[0]
    assert found["problem"]["seed"] == seed
    simulated = answer(capsys, "simulate", *PLRF, *SGD, "--seed", seed, "--at", "10", "--runs", 2)
    assert simulated["predicted"][0] == found["risk"][0]


def test_a_file_of_another_kind_for_data_is_named_with_what_is_wanted(capsys, tmp_path):
    (tmp_path / "s.xlsx").write_text("a,b\n1,2\n")
    error = refusal(capsys, "predict", "--data", tmp_path / "s.xlsx", *SGD)
    assert "s.xlsx" in error
    assert ".npz with X" in error
    assert "pickle" not in error
    np.savez(tmp_path / "d.npz", features=np.eye(2), targets=np.ones(2))
    error = refusal(capsys, "predict", "--data", tmp_path / "d.npz", *SGD)
    assert "'features', 'targets'" in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("step,factor,factor\n0,1,2\n", "twice"),
        ("step,facter\n0,1\n", "Did you mean 'factor'"),
        ("step,factor,lr\n0,1,2\n", "'lr' is unknown"),
        ("step,factor\n5,1\n0,1\n", "ascend"),
    ],
)
def test_a_schedule_file_with_other_columns_is_refused(capsys, tmp_path, text, words):
    (tmp_path / "lr.csv").write_text(text)
    error = refusal(capsys, "predict", *PLRF, *SGD, "--schedule", tmp_path / "lr.csv")
    assert words in error
    assert "lr.csv" in error


def test_data_with_nan_is_refused(capsys, tmp_path):
    np.savez(tmp_path / "d.npz", X=np.full((4, 2), math.nan), y=np.zeros(4))
    assert "`X`" in refusal(capsys, "predict", "--data", tmp_path / "d.npz", *SGD)


def test_stochastic_nesterov_has_no_recommended_rate(capsys):
    error = refusal(capsys, "predict", *PLRF, "--algorithm", "stochastic-nesterov")
    assert "stochastic-nesterov" in error


def test_rtol_is_asked_for_and_said(capsys):
    found = answer(capsys, "predict", *PLRF, *SGD, "--at", "100,1e4", "--rtol", "1e-11")
    assert found["provenance"]["rtol"] == 1e-11
    assert found["provenance"]["error"] <= 1e-11
    assert main(["predict", *PLRF, *SGD, "--at", "100"]) == 0
    assert ", rtol 1e-08, error " in capsys.readouterr().out
    assert "`rtol`" in refusal(capsys, "predict", *PLRF, *SGD, "--rtol", "1")


def test_a_curve_that_missed_its_rtol_is_shown_with_its_error_and_what_to_do(capsys):
    flags = ("--engine", "volterra", "--at", "100", "--rtol", "1e-12")
    assert main(["predict", *PLRF, *SGD, *flags]) == 0
    line = next(one for one in capsys.readouterr().out.splitlines() if "status" in one)
    assert line.startswith("status: inaccurate; the risk may be off by 1.0e-09 of itself")
    assert line.endswith("more than rtol 1e-12: trust no more digits")
    assert answer(capsys, "predict", *PLRF, *SGD, *flags)["status"] == "inaccurate"


def test_sensitivities_are_columns_of_table_csv_and_json(capsys, tmp_path):
    flags = ("--at", "0,1e3", "--sensitivity", "gamma-2,kappa_3", "--csv", tmp_path / "a.csv")
    assert main(list(map(str, ["predict", *PLRF, *RATES, *flags]))) == 0
    shown = capsys.readouterr().out
    assert "risk  d_gamma_2  d_kappa_3" in shown
    columns = answer(capsys, "predict", *PLRF, *RATES, *flags)["columns"]
    header, *rows = (tmp_path / "a.csv").read_text().splitlines()
    assert header == "step,flops,risk,d_gamma_2,d_kappa_3"
    assert float(rows[1].split(",")[3]) == columns["d_gamma_2"][1]

    def log_risk(kappa_3):
        algorithm = hidim.dana_decaying(0.2, 0.05, kappa_3, 6.0)
        return math.log(hidim.predict(problem(), algorithm, at=[1000], rtol=1e-12).risk[0])

    slope = (log_risk(0.501) - log_risk(0.499)) / 0.002
    assert columns["d_kappa_3"][1] == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [(",", "names no parameter"), ("gama_2", "Did you mean 'gamma_2'"), ("kappa_3", "kappa_3")],
)
def test_parameters_that_there_are_not_are_refused(capsys, asked, said):
    line = refusal(capsys, "predict", *PLRF, *SGD, "--at", 9, "--sensitivity", asked)
    assert said in line
    assert "sensitivity" in line
