"""Claims about `--algorithm NAME[:key=value,...]`: one grammar in every command."""

from __future__ import annotations

import json

import pytest

import hidim
from hidim.algorithms.named import lookup, names
from hidim.cli.main import COMMANDS, main

PLRF = ("--alpha", "1", "--beta", "0.7", "--d", "40", "--v", "160")
POINT = ("--alpha", "1", "--beta", "0.3")
ONE = {
    "predict": (*PLRF, "--steps", "20"),
    "simulate": (*PLRF, "--steps", "20", "--runs", "2"),
    "stability": (*PLRF, "--steps", "20"),
}
SEVERAL = {
    "compare": (*PLRF, "--steps", "20"),
    "phase": POINT,
    "frontier": (*POINT, "--flops", "1e7", "--law-only"),
    "exponents": (*POINT, "--d-min", "30", "--d-max", "3e3", "--per-decade", "2"),
}


def answer(capsys, command, *flags):
    common = {**ONE, **SEVERAL}[command]
    assert main([command, *common, *flags, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refusal(capsys, command, *flags):
    assert main([command, *{**ONE, **SEVERAL}[command], *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


SPELLINGS = [
    ("SGD", "sgd"),
    ("Sgd_Momentum", "sgd-momentum"),
    ("DANA-decaying", "dana-decaying"),
    ("dana_constant", "dana-constant"),
    ("DANADecaying", "dana-decaying"),
]


@pytest.mark.parametrize("command", [*ONE, "compare", "phase", "frontier"])
@pytest.mark.parametrize(("spelled", "name"), SPELLINGS)
def test_a_name_in_any_spelling_is_that_name_in_every_command(capsys, command, spelled, name):
    found = answer(capsys, command, "--algorithm", spelled)
    other = answer(capsys, command, "--algorithm", name)
    for one in (found, other):
        one.pop("seconds", None)
    assert found == other
    assert name in json.dumps(found)


@pytest.mark.parametrize("command", [*ONE, *SEVERAL])
@pytest.mark.parametrize("spelled", ["dana-decay", "Dana-decayin", "dana decaying 2"])
def test_another_name_is_refused_with_the_nearest(capsys, command, spelled):
    assert "Did you mean 'dana-decaying'?" in refusal(capsys, command, "--algorithm", spelled)


@pytest.mark.parametrize("command", ONE)
def test_keys_and_the_flags_of_version_0_1_say_the_same(capsys, command):
    keys = ("--algorithm", "sgd-momentum:gamma_2=0.1,gamma_3=0.02,delta=0.2")
    flags = ("--algorithm", "sgd-momentum", "--gamma-2", "0.1", "--gamma-3", "0.02")
    found = answer(capsys, command, *keys)
    assert found == answer(capsys, command, *flags, "--delta", "0.2")
    mixed = ("--algorithm", "sgd-momentum:gamma-2=0.1,GAMMA_3=0.02", "--delta", "0.2")
    assert found == answer(capsys, command, *mixed)


@pytest.mark.parametrize("name", [name for name in names() if not lookup(name).no_rates])
def test_every_algorithm_is_predicted_by_its_name(capsys, name):
    found = answer(capsys, "predict", "--algorithm", name)
    problem = hidim.PLRF(1.0, 0.7, 40, 160)
    truth = hidim.predict(problem, hidim.recommend(problem, name), at=found["steps"])
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-12)


def test_a_name_means_the_same_algorithm_as_in_python(capsys):
    flags = ("--noise-variance", "1", "--seed", "3", "--algorithm", "dana-constant")
    found = answer(capsys, "predict", *flags)
    problem = hidim.PLRF(1.0, 0.7, 40, 160, noise_variance=1.0)
    # On label noise the best rates depend on the horizon; on a draw, on that draw.
    truth = hidim.predict(problem, "dana-constant", steps=20, at=found["steps"], seed=3)
    assert found["risk"] == pytest.approx(list(truth.risk), rel=1e-12)
    assert found["algorithm"] == truth.provenance["algorithm"]


@pytest.mark.parametrize("command", ["compare", "phase", "frontier"])
def test_several_may_stand_together_or_apart(capsys, command):
    together = answer(capsys, command, "--algorithm", "sgd", "dana-constant")
    apart = answer(capsys, command, "--algorithm", "sgd", "--algorithm", "dana-constant")
    assert together == apart
    assert together == answer(capsys, command, "--algorithms", "sgd", "dana-constant")


@pytest.mark.parametrize("command", ONE)
def test_a_command_of_one_algorithm_says_which_takes_several(capsys, command):
    assert "hidim compare" in refusal(capsys, command, "--algorithm", "sgd", "dana-constant")


def test_a_member_of_the_general_class_goes_through_the_studies(capsys):
    member = "general-momentum:kappa_2=0.5,kappa_3=0.25"
    found = answer(capsys, "phase", "--algorithm", "sgd", member)
    law = hidim.scaling_law(1.0, 0.3, "general-momentum", kappa_2=0.5, kappa_3=0.25)
    assert found["algorithms"]["general-momentum"]["eta"] == law.eta
    old = answer(capsys, "phase", "--kappa-2", "0.5", "--kappa-3", "0.25")
    assert old["algorithms"]["general-momentum"] == found["algorithms"]["general-momentum"]
    row = answer(capsys, "frontier", "--algorithm", member)["rows"][0]
    assert (row["d"], row["risk"]) == (law.frontier(1e7).d, law.frontier(1e7).risk)
    old_flags = ("--algorithm", "general-momentum", "--kappa-2", "0.5", "--kappa-3", "0.25")
    measured = answer(capsys, "exponents", "--algorithm", member)["rows"][0]
    again = answer(capsys, "exponents", *old_flags)["rows"][0]
    assert measured.pop("algorithm") == member
    assert again.pop("algorithm") == "general-momentum"
    assert measured == again


def test_rates_of_a_law_are_keys_too(capsys):
    row = answer(capsys, "frontier", "--algorithm", "dana-decaying:c_3=0.05,delta=9")["rows"][0]
    law = hidim.scaling_law(1.0, 0.3, "dana-decaying", c_3=0.05, delta=9.0)
    assert row["risk"] == law.frontier(1e7).risk
    assert row["algorithm"] == "dana-decaying:c_3=0.05,delta=9"


def test_rates_of_a_ladder_are_keys_too(capsys):
    flagged = answer(capsys, "exponents", "--algorithm", "sgd", "--rate", "0.25")["rows"][0]
    keyed = answer(capsys, "exponents", "--algorithm", "sgd:rate=0.25")["rows"][0]
    old = answer(capsys, "exponents", "--algorithm", "sgd", "--step", "0.25")["rows"][0]
    assert old == flagged
    assert {k: v for k, v in keyed.items() if k != "algorithm"} == {
        k: v for k, v in flagged.items() if k != "algorithm"
    }


@pytest.mark.parametrize(
    ("command", "flags", "words"),
    [
        ("predict", ("sgd:gamma2=1",), ("no gamma2", "Did you mean gamma_2?")),
        ("predict", ("sgd:kappa_3=1",), ("sgd has no kappa_3", "takes gamma_2")),
        ("predict", ("sgd:gamma_2",), ("gamma_2", "NAME:key=number")),
        ("predict", ("sgd:gamma_2=",), ("gamma_2=", "NAME:key=number")),
        ("predict", ("sgd:gamma_2=fast",), ("'fast' is not a number",)),
        ("predict", ("sgd:gamma_2=1e999",), ("1e999",)),
        ("predict", ("sgd:gamma_2=1,gamma-2=2",), ("gamma_2 is given twice",)),
        ("predict", ("sgd:gamma_2=1", "--gamma-2", "2"), ("--gamma-2 is given twice",)),
        ("predict", ("sgd:gamma_2=-1",), ("`gamma_2`", "-1")),
        ("predict", ("sgd", "--kappa-3", "1"), ("sgd has no --kappa-3", "--gamma-2")),
        ("predict", ("sgd-momentum:delta=5",), ("delta", "(0, 1]", "5")),
        ("predict", ("sgd-momentum", "--delta", "0"), ("--delta", "(0, 1]")),
        ("frontier", ("sgd:gamma_2=1",), ("sgd has no gamma_2", "c_2")),
        ("exponents", ("sgd:gamma_2=1",), ("sgd has no gamma_2", "rate")),
        ("predict", ("sgd,dana-constant",), ("spaces between names",)),
        ("predict", ("sgd:gamma_2=1;delta=2",), ("'gamma_2=1;delta=2'",)),
        ("predict", ("stochastic-nesterov",), ("`algorithm` is 'stochastic-nesterov'",)),
        ("frontier", ("sgd:kappa_1=1",), ("--algorithm general-momentum",)),
        ("exponents", ("sgd:rate=0",), ("`rate`", "0")),
        ("exponents", ("sgd:rate=50",), ("sgd diverges", "smaller rates")),
        ("exponents", ("sgd", "--step", "0"), ("`step`", "0")),
        ("phase", ("sgd:kappa_2=1",), ("sgd has no kappa_2",)),
        ("phase", ("general-momentum:kappa_2=0.5",), ("kappa_3",)),
    ],
)
def test_what_cannot_be_read_is_refused_in_the_words_of_the_user(capsys, command, flags, words):
    error = refusal(capsys, command, "--algorithm", *flags)
    assert all(word in error for word in words), error


@pytest.mark.parametrize("command", [*ONE, *SEVERAL])
def test_help_has_one_flag_for_all_algorithms(capsys, command):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "--algorithm NAME[:key=value,...]" in text
    for flag in ("--gamma", "--kappa-1", "--kappa-2", "--delta", "--interpolation", "--step "):
        assert flag not in text
    known = names(scaling=command not in (*ONE, "compare"))
    assert all(name in text for name in known)


@pytest.mark.parametrize(
    ("command", "flag", "meant"),
    [
        ("predict", "--lr", "--gamma-2"),
        ("compare", "--lr", "--algorithm NAME:gamma_2=X"),
        ("compare", "--kappa-3", "--algorithm NAME:kappa_3=X"),
        ("predict", "--optimizer", "--algorithm"),
        ("predict", "--batch", "--batch-size"),
        ("predict", "--iterations", "--steps"),
        ("predict", "--figure", "--plot"),
        ("simulate", "--repeats", "--runs"),
        ("frontier", "--budget", "--flops"),
        ("predict", "--gama-2", "--gamma-2"),
        ("predict", "--algoritm", "--algorithm"),
    ],
)
def test_a_flag_of_elsewhere_is_answered_with_ours(capsys, command, flag, meant):
    assert f"did you mean {meant}?" in refusal(capsys, command, flag, "1")


@pytest.mark.parametrize("command", [*ONE, *SEVERAL])
def test_nothing_is_suggested_where_nothing_is_near(capsys, command):
    assert "did you mean" not in refusal(capsys, command, "--zzzzzz", "1")
    assert set(ONE) | set(SEVERAL) <= set(COMMANDS)
