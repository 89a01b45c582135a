"""`hidim privacy`."""

import json

import pytest

from hidim.cli.main import main

PROBLEM = ("--alpha", "1", "--beta", "0.7", "--d", "10", "--v", "40", "--seed", "1")
GRID = ("--rates", "0.1", "--stds", "0.1,1", "--steps", "5,20")
ONE_PASS = ("--accountant", "one-pass", "--clip", "1")


def test_a_guarantee_names_its_delta_and_accountant(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    assert main(["privacy", *PROBLEM, *GRID, *ONE_PASS, "--plot", str(tmp_path / "p.png")]) == 0
    told = capsys.readouterr().out
    assert "epsilon at delta 1e-05" in told
    assert "accountant  one-pass: a Gaussian mechanism" in told
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_pairs_are_told_as_no_guarantee(capsys):
    assert main(["privacy", *PROBLEM, *GRID, "--accountant", "pair"]) == 0
    told = capsys.readouterr().out
    assert "no (eps, delta) guarantee" in told
    assert "epsilon" not in told
    assert main(["privacy", *PROBLEM, *GRID, "--accountant", "pair", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["guarantee"] is False
    assert "epsilon" not in found
    assert main(["privacy", *PROBLEM, *GRID, "--accountant", "pair", "--csv", "-"]) == 0
    assert "epsilon" not in capsys.readouterr().out


def test_pairs_without_a_number_are_told_before_those_with_one(capsys):
    grid = ("--rates", "0.25", "--stds", "0.1", "--steps", "20", "--accountant", "pair")
    assert main(["privacy", *PROBLEM, *grid]) == 0
    told = capsys.readouterr().out
    assert "of drawn ones have no finite number" in told[: told.index("Renyi divergence of order")]
    assert main(["privacy", *PROBLEM, *grid, "--formula", "mean"]) == 0
    assert "no finite number" not in capsys.readouterr().out


def test_grids_may_be_left_out(capsys):
    words = ("--accountant", "one-pass", "--clip", "1", "--samples", "30", "--json")
    assert main(["privacy", *PROBLEM, *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["steps"]) == {30}
    assert len(found["best"]) > 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--accountant", "poisson"), "`clip` is missing"),
        (("--accountant", "best"), "accountant"),
        (("--accountant", "one-pass", "--clip", "0"), "`clip` must be positive"),
        ((*ONE_PASS, "--delta", "2"), "`delta`"),
        ((*ONE_PASS, "--batch-size", "inf"), "`batch_size`"),
    ],
)
def test_one_line_says_what_is_wrong(capsys, words, said):
    assert main(["privacy", *PROBLEM, *GRID, *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.strip().splitlines()) == 1
