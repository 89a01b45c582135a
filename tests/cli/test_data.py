"""Rows of one's own on the command line are those of Python, and every mistake is one line."""

import json

import numpy as np
import pytest

import hidim
from hidim.cli.main import main
from hidim.problems.features import polynomial, relu

SGD = ("--algorithm", "sgd:gamma_2=0.01")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 4)) * [1.0, 5.0, 0.2, 1.0] + [0.0, 2.0, 0.0, 1.0]
X[:, 3] = 7.0
Y = X[:, :2] @ [[1.0, 0.0], [0.1, 2.0]] + 0.1 * RNG.standard_normal((80, 2))
NAMES = ["size", "age", "depth", "fixed"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [["city", *NAMES, "price", "rent"]]
    rows += [["Rome", *x, *y] for x, y in zip(X.tolist(), Y.tolist(), strict=True)]
    text = "\n".join(",".join(map(str, row)) for row in rows)
    (tmp_path / "rows.csv").write_text(text + "\n")
    np.savez("rows.npz", X=X, y=Y)


def answer(capsys, *flags):
    assert main([*map(str, flags), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_changed_gradients_take_the_rows_for_gaussian_where_that_is_said(capsys):
    one = ("--data", "rows.csv", "--target", "price", "--drop", "city,rent", "--steps", 20)
    signs = ("--algorithm", "sign-sgd:eta=0.01")
    found = answer(capsys, "simulate", *one, *signs, "--gaussian", "--runs", 3)
    spectrum = hidim.Spectrum.from_data(X, Y[:, 0], rows=False)
    truth = hidim.predict(spectrum, hidim.sign_sgd(0.01), at=found["steps"])
    assert found["predicted"] == pytest.approx(list(truth.risk), rel=1e-9)
    assert found["problem"]["gaussian"] is True
    assert main(["predict", *map(str, one), *signs]) == 2
    assert "--gaussian is the Gaussian of the same covariance" in capsys.readouterr().err


ROWS = ("--data", "rows.csv", "--target", "price,rent", "--drop", "city")


@pytest.mark.parametrize(
    ("flags", "inputs", "options"),
    [
        ((), X, {}),
        (("--center",), X, {"center": True}),
        (("--standardize", "--intercept"), X, {"standardize": True, "intercept": True}),
        (("--features", "relu:30"), relu(X, 30), {}),
        (("--features", "relu:30", "--seed", 4), relu(X, 30, seed=4), {}),
        (("--features", "ReLU:3e1", "--seed", 4, "--features-seed", 5), relu(X, 30, seed=5), {}),
        (("--features", "poly:2", "--standardize"), polynomial(X, 2), {}),
        (("--features", "poly:3", "--intercept"), polynomial(X, 3), {"intercept": True}),
    ],
)
def test_a_prediction_is_that_of_python(capsys, flags, inputs, options):
    found = answer(capsys, "predict", *ROWS, *flags, *SGD, "--at", "0,50")
    spectrum = hidim.Spectrum.from_data(inputs, Y, **options)
    truth = hidim.predict(spectrum, hidim.sgd(0.01), at=[0, 50])
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-9)
    said = found["problem"]
    assert (said["rows"], said["target"], said["columns"]) == (80, ["price", "rent"], 4)
    assert said.get("intercept", False) == ("--intercept" in flags)
    assert ("constant" in said) == ("--standardize" in flags or "--features" in flags)
    assert said.get("constant", ["fixed"]) == ["fixed"]


@pytest.mark.parametrize("command", ["compare", "stability", "simulate"])
def test_every_command_that_asks_for_a_problem_takes_rows(capsys, command):
    flags = (*ROWS, "--standardize", *SGD, "--steps", 20)
    found = answer(capsys, command, *flags)
    assert found["problem"]["file"] == "rows.csv"
    assert found["problem"]["standardize"] is True
    archive = answer(capsys, command, "--data", "rows.npz", "--standardize", *SGD, "--steps", 20)
    assert archive["problem"]["trace"] == pytest.approx(found["problem"]["trace"], rel=1e-12)


def test_the_first_line_says_what_was_made_of_the_rows(capsys):
    flags = ("--features", "relu:30", "--seed", "2", "--at", "0")
    assert main(["predict", *ROWS, *flags, *SGD]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert "rows.csv (80 rows; target price, rent; 4 columns standardized; " in first
    assert "features relu:30 of seed 2; never changing: fixed" in first
    assert "): 30 modes, trace" in first


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--data", "rows.csv"), "say which is learned, --target rent."),
        ((*ROWS[:3], "prise", *ROWS[4:]), "Did you mean 'price'?"),
        ((*ROWS[:4], "--drop", "cities"), "Did you mean 'city'?"),
        (ROWS[:4], "'Rome' in row 0 (line 2): write it as numbers, or leave it out, --drop city."),
        (("--data", "row.csv", "--target", "a"), "there is no file 'row.csv'"),
        ((*ROWS, "--features", "rely:3"), "Did you mean 'relu'?"),
        ((*ROWS, "--features", "poly"), "write relu:600, poly:2 or poly:3"),
        ((*ROWS, "--features", "relu:x"), "write relu:600, poly:2 or poly:3"),
        ((*ROWS, "--features", "relu:1e15"), "would need"),
        ((*ROWS, "--features-seed", "1.5", "--features", "relu:3"), "`features_seed`"),
        ((*ROWS, "--v", "3"), "one problem: --data leaves no room for --v"),
        (("--target", "price"), "--target speaks of rows: give --data FILE with it"),
        (("--spectrum", "s.json", "--standardize"), "--standardize speaks of rows"),
        (("--data", "rows.npz", "--target", "y"), "leave out `target`"),
    ],
)
def test_a_mistake_is_answered_in_one_line(capsys, flags, said):
    assert main(["predict", *flags, *SGD]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


ONE = (*ROWS[:2], "--target", "price", "--drop", "city,rent", "--steps", "5")
ADAM = ("--algorithm", "adam:eta=0.01,beta_1=0.5,beta_2=0.9")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((*ONE, *ADAM), "--gaussian is the Gaussian of the same covariance"),
        ((*ONE, "--outputs", "3", *SGD), "--gaussian is the Gaussian of the same covariance"),
        (
            (*ROWS, "--gaussian", *ADAM),
            "rows keep for one output and at most 2048 columns, and these have 2 and 4",
        ),
    ],
)
def test_what_rows_lack_for_an_algorithm_is_said_in_flags(capsys, flags, said):
    assert main(["predict", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_seed_of_features_without_random_features_is_refused(capsys):
    for kind in ((), ("--features", "poly:2")):
        assert main(["predict", *ROWS, *kind, "--features-seed", "1", *SGD]) == 2
        assert "--features-seed goes with --features relu" in capsys.readouterr().err
