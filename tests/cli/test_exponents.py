"""Claims about `hidim exponents`."""

from __future__ import annotations

import csv
import json

import pytest

from hidim.cli.main import main

SHORT = ["--alpha", "1", "--beta", "0.3", "--d-max", "1e4", "--per-decade", "3"]


def test_exponents_sets_measurement_beside_theory(capsys, tmp_path):
    file = tmp_path / "frontier.csv"
    flags = [*SHORT, "--algorithm", "sgd", "--json", "--csv", str(file)]
    assert main(["exponents", *flags]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][0]
    assert row["eta"] == pytest.approx(row["eta_theory"], abs=0.02)  # d of a few thousand
    assert row["floor_time"] == pytest.approx(2.0, abs=0.03)
    with open(file, newline="") as stream:
        assert next(csv.reader(stream)) == ["sgd flops", "sgd d", "sgd risk"]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--d-max", "200"], "d-max"),
        (["--algorithm", "dana-constnt"], "dana-constant"),
        (["--beta", "-1"], "beta"),
        (["--step", "0"], "step"),
    ],
)
def test_bad_requests_are_one_line(capsys, flags, word):
    assert main(["exponents", *SHORT, *flags]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1
