"""Claims about `hidim plane` and the page that explains it."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("xarray")

from hidim.cli.main import main
from hidim.cli.parser import Parser
from hidim.studies import load_plane

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
SMALL = ["plane", "--alpha", "1", "--beta", "-2,0.3", "--points", "32", "--workers", "1"]
LADDER = [*SMALL, "--d", "100:1600:5"]


def test_a_row_per_optimizer_and_point_with_the_keys_that_are_documented(tmp_path, capsys):
    file, out = tmp_path / "rows.csv", tmp_path / "plane"
    flags = ["--algorithm", "sgd", "general-momentum:kappa_2=0.5,kappa_3=0.5,rate=0.4"]
    assert main([*LADDER, *flags, "--json", "--csv", str(file), "--out", str(out)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["curves"], answer["d"], len(answer["rows"])) == (
        10,
        [100, 200, 400, 800, 1600],
        4,
    )
    for key in [*answer, *answer["rows"][0]]:
        assert f"`{key}`" in PAGE
    sgd = {row["beta"]: row for row in answer["rows"] if row["algorithm"] == "sgd"}
    assert sgd[0.3]["eta"] == pytest.approx(sgd[0.3]["eta_theory"], abs=0.05)  # a short ladder
    assert (sgd[-2]["phase"], sgd[-2]["eta"]) == ("trivial", None)
    with open(file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["eta_theory"]) for row in rows] == [r["eta_theory"] for r in answer["rows"]]
    kept = {path: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()}
    assert len(kept) == 5
    assert main([*LADDER, *flags, "--out", str(out)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "tasks").iterdir()} == kept
    assert "10 curves, kept in" in capsys.readouterr().out
    assert np.isfinite(load_plane(out / "plane.nc").risk.sel(beta=0.3)).all()


def test_a_figure_has_a_panel_for_each_optimizer(tmp_path):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "eta.svg"
    flags = ["--beta", "0.3", "--algorithm", "sgd", "sgd:rate=0.2", "--plot", str(figure)]
    assert main([*LADDER, *flags]) == 0
    text = figure.read_text()
    assert text.count('<g id="QuadMesh') == 2


def test_few_sizes_have_curves_and_no_exponents(capsys):
    assert main([*SMALL, "--d", "100,200"]) == 0
    shown = capsys.readouterr().out
    assert "2 curves" in shown
    assert "exponents show from 5 sizes on" in shown


def test_rates_that_diverge_are_named(capsys):
    flags = ["--beta", "0.3", "--d", "50:800:5", "--points", "16", "--algorithm", "sgd:rate=3"]
    assert main([*SMALL, *flags]) == 0
    assert "sgd:rate=3: diverges at 1 of 1 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--alpha", "0"], "`alpha` must be positive"),
        (["--alpha", "a"], "'a' is not a number"),
        (["--alpha", "1:2"], "LOW:HIGH:COUNT"),
        (["--alpha", "1:2:0.5"], "must count 2 to 10000"),
        (["--beta", "inf"], "`beta` must be a finite"),
        (["--d", "10.5"], "`d` must be a whole number"),
        (["--d", "0:100:4"], "cannot read"),
        (["--d", "1"], "`d` must be at least 2"),
        (["--points", "3"], "`points` must be at least 16"),
        (["--reach", "-1"], "`reach` must be positive"),
        (["--last-decades", "0"], "`last_decades`"),
        (["--algorithm", "sgd:gamma_2=1"], "sgd has no gamma_2 here"),
        (["--algorithm", "sgd:rate=-1"], "`rate` must be positive"),
        (["--algorithm", "general-momentum:kappa_2=0.1,kappa_3=0.1"], "`kappa_2`"),
        (["--d", "100", "--plot", "a.png"], "from 5 sizes on"),
        (["--out", "file/in"], "cannot make the folder"),
    ],
)
def test_bad_requests_are_one_line(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    assert main([*SMALL, "--d", "100", *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def commands():
    """Every `hidim ...` of the page's console blocks."""
    shown = "".join(re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL))
    lines = shown.replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ hidim ") for line in lines if line.startswith("$ hidim ")]


@pytest.mark.parametrize("line", commands())
def test_the_flags_of_the_page_exist(line):
    name, *flags = shlex.split(line)
    if name == "sweep":
        pytest.importorskip("torch")
    command = importlib.import_module(f"hidim.cli.{name}")
    parser = Parser(name, summary=command.SUMMARY, example=command.EXAMPLE)
    command.configure(parser)
    parser.parse_args(flags)


BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize(
    "block",
    [
        BLOCKS[0],
        *(
            pytest.param(block, marks=pytest.mark.slow)
            for block in BLOCKS[1:]
            if "mpi" not in block
        ),
    ],
)
def test_the_python_of_the_page_runs(block, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    exec(block, names)
    assert "risk" in names["plane"]
