"""Claims about `hidim phase` and `hidim frontier` as people call them."""

from __future__ import annotations

import json

import pytest

from hidim.cli.main import main


def answer(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_phase_answers_phase_exponents_and_gain(capsys):
    found = answer(capsys, "phase", "--alpha", "1", "--beta", "0.7")
    assert found["phase"] == "II"
    assert found["algorithms"]["dana-decaying"]["eta"] == pytest.approx(0.8780, abs=5e-5)
    assert found["gain"]["dana-decaying"]["outscales_sgd"]
    assert not found["gain"]["schedule-free-sgd"]["outscales_sgd"]
    assert found["boundaries"][0]["line"] == "2 beta = 1"


def test_phase_prints_a_table_for_people(capsys):
    assert main(["phase", "--alpha", "0.7", "--beta", "1.2"]) == 0
    text = capsys.readouterr().out
    assert "phase III" in text
    assert "only its floor comes sooner" in text  # dana-constant at alpha < 3/4


def test_phase_takes_a_member_of_the_general_class(capsys):
    kappas = ("--kappa-2", "0.5", "--kappa-3", "0.25")
    found = answer(capsys, "phase", "--alpha", "1", "--beta", "0.7", *kappas)
    assert found["algorithms"]["general-momentum"]["floor_time"] == pytest.approx(2.5 / 1.75)


def test_frontier_answers_whole_sizes_within_the_budget(capsys):
    flags = (
        "--alpha",
        "1",
        "--beta",
        "0.7",
        "--algorithm",
        "sgd",
        "--flops",
        "1e8",
        "1e10",
        "--law-only",
    )
    rows = answer(capsys, "frontier", *flags)["rows"]
    assert [row["flops"] for row in rows] == [1e8, 1e10]
    assert all(0 < row["d"] * row["steps"] <= row["flops"] for row in rows)


def test_frontier_sets_exact_curves_beside_the_law(capsys):
    flags = ("--alpha", "1", "--beta", "0.7", "--algorithm", "sgd", "--flops", "1e7")
    law, exact = answer(capsys, "frontier", *flags)["rows"]
    assert (law["source"], exact["source"]) == ("law", "exact")
    # The law's constants are exact as d grows; at d near 1000 they are within 15%.
    assert law["risk"] == pytest.approx(exact["risk"], rel=0.25)
    assert law["d"] == pytest.approx(exact["d"], rel=0.3)


@pytest.mark.parametrize(
    "arguments",
    [
        ["phase", "--alpha", "0", "--beta", "1"],
        ["phase", "--alpha", "nan", "--beta", "1"],
        ["phase", "--alpha", "1", "--beta", "1", "--kappa-2", "0.5"],
        ["frontier", "--alpha", "1", "--beta", "0.7", "--flops", "2"],
        ["frontier", "--alpha", "0.2", "--beta", "0.1", "--flops", "1e9"],
    ],
)
def test_bad_requests_are_one_line_and_exit_2(capsys, arguments):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("hidim: ")
    assert error.count("\n") == 1
