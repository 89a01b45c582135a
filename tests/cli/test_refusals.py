"""What people mistype is answered in one line that they can act on, before any work."""

import pytest

import hidim
from hidim.cli.main import main

PROBLEM = ("--alpha", "1", "--beta", "0.7")
PREDICT = ("predict", *PROBLEM, "--d", "100")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predict", "--alpha", ".4", "--beta", ".8", "--d", "100", "--v", "inf"), "--v 400"),
        ((*PREDICT, "--at", "-1,2"), "`at` must be at least 0, got -1"),
        ((*PREDICT, "--algorithm", "sgd:=1"), "cannot read '=1' in 'sgd:=1'"),
        ((*PREDICT, "--algorithm", "sgd:d=1 v=2"), "'d=1 v=2'"),  # as it was written
        ((*PREDICT, "--algorithm", "nesterov"), "Did you mean 'stochastic-nesterov'?"),
        ((*PREDICT, "--algorithm", "dana"), "Did you mean 'dana-"),
        (("stability", *PROBLEM, "--d", "100", "--at", "5"), "did you mean --steps?"),
        *(
            ((command, *PROBLEM, *more, "--algorithm", "sgd:gamma_2=.1"), "predict takes gamma_2")
            for command, *more in (("phase",), ("exponents",), ("frontier", "--flops", "1e9"))
        ),
        (("exponents", *PROBLEM, "--last-decades", "-1"), "`last-decades`"),
        (("exponents", *PROBLEM, "--multiple", ".5"), "`multiple`"),
        (("exponents", *PROBLEM, "--d-min", "10.5"), "`d-min` must be a whole number"),
        (("exponents", *PROBLEM, "--rate", "3", "--d-max", "3e3"), "d = 100 with --rate 3."),
        (("plan", "missing.json", "--flops", "1"), "there is no file 'missing.json'"),
        (("plan", "other.json", "--steps", "1"), "cannot load 'other.json'"),
        (("forecast", "other.json", "run.csv"), "cannot load 'other.json'"),
        (("fit", "run.csv", "--seed", "-1"), "`seed`"),
        (("fit", "run.csv", "--drop-highest", "3"), "--drop-highest goes with a law of sizes"),
        *(
            (("fit", "run.csv", "--law", law, *flags), f"no use for {flags[0]}")
            for law in ("chinchilla", "sizes", "isoflop", "best:lr")
            for flags in (("--params", "4e8"), ("--schedule", "constant"), ("--warmup-steps", "9"))
        ),
        (("fit", "run.csv", "--law", "sizes", "--step-scale", "2"), "no use for --step-scale"),
        (("fit", "run.csv", "--law", "sizes", "--drop-nan"), "no use for --drop-nan"),
        (
            ("recommend", "--parameters", "1e8", "--adamw-lr", "1e-3", "--tokens", "1e9"),
            "`steps` is not known",
        ),
        (
            (
                *("recommend", "--parameters", "1e8", "--adamw-lr", "1e-3", "--tokens", "1e9"),
                *("--batch-tokens", "1e5", "--steps", "10002"),
            ),
            "--steps 10002 is not --tokens / --batch-tokens = 10000: leave one",
        ),
        (("fit", "run.csv", "--out", "l.txt"), "must end in .json"),
        (("fit", "comma.csv"), "write decimals with a point"),
        (("predict", "--spectrum", "bare.csv"), "such as eigenvalues,error_sq"),
        (("predict", "--spectrum", "bars.csv"), "parted by commas, tabs or semicolons"),
    ],
)
def test_one_line_says_what_to_do(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "run.csv").write_text("step,lr,loss\n0,.1,2.5\n10,.1,2.1\n")
    (tmp_path / "comma.csv").write_text("step;lr;loss\n0;0.1;2,5\n10;0.1;2,1\n")
    (tmp_path / "bare.csv").write_text("1,2\n1,3\n")
    (tmp_path / "bars.csv").write_text("eigenvalues|error_sq\n1|3\n")
    assert main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "None" not in error


def test_a_comma_at_the_end_of_every_line_is_read_over(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("eigenvalues,error_sq,\n1,3,\n0.5,2,\n")
    assert hidim.Spectrum.load(path) == hidim.Spectrum([1.0, 0.5], [3.0, 2.0], 0.0)


def test_the_kappas_of_a_bare_general_momentum_may_be_flags(capsys):
    flags = ("--kappa-2", ".5", "--kappa-3", ".25", "--json")
    assert main(["phase", *PROBLEM, "--algorithm", "general-momentum", *flags]) == 0
    as_flags = capsys.readouterr().out
    keys = "general-momentum:kappa_2=.5,kappa_3=.25"
    assert main(["phase", *PROBLEM, "--algorithm", keys, "--json"]) == 0
    assert capsys.readouterr().out == as_flags


def test_help_of_a_command_both_ways(capsys):
    assert main(["help", "predict"]) == main(["predict", "--help"]) == 0
    text = capsys.readouterr().out
    assert text[: len(text) // 2] == text[len(text) // 2 :]


def test_no_schedule_is_a_constant_one(capsys):
    for name in ("none", "constant"):
        assert main([*PREDICT, "--at", "0,10", "--schedule", name, "--json"]) == 0
    text = capsys.readouterr().out
    assert text[: len(text) // 2] == text[len(text) // 2 :]


def test_the_argument_is_called_as_it_is_in_python():
    with pytest.raises(ValueError, match="`algorithm` is 'stochastic-nesterov'"):
        hidim.predict(hidim.PLRF(1.0, 0.7, 100), "stochastic-nesterov", 10)
