"""Claims about docs/results.md and results-horizons.md: what they print is what stored runs say."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path

import pytest

from hidim.cli.main import main

STORED = Path(__file__).resolve().parents[1] / "docs" / "results"


# What `hidim report` is told about a study beside its file.
TOLD = {
    "lstm-ladder": [],
    "transformer-ladder": [],
    "horizons-lstm": ["--tuned", "kappa_3,cooldown,warmup"],
    "horizons-transformer": ["--tuned", "betas,momentum,omega,cooldown,t_0,warmup"],
}


@pytest.mark.parametrize("name", TOLD)
def test_the_report_of_the_stored_runs_is_the_one_shown(name, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    assert main(["report", str(STORED / f"{name}.parquet"), *TOLD[name]]) == 0
    shown = (STORED / f"{name}.txt").read_text(encoding="utf-8").split()
    for now, then in zip(capsys.readouterr().out.split(), shown, strict=True):
        # Fits end in the last digit shown where another BLAS rounds otherwise.
        assert now == then or number(now) == pytest.approx(number(then), rel=2e-3, abs=2e-5)


def test_every_number_in_the_tables_over_horizons_stands_in_a_report():
    page = (STORED.parent / "results-horizons.md").read_text(encoding="utf-8")
    reports = "".join(
        (STORED / f"horizons-{kind}.txt").read_text(encoding="utf-8")
        for kind in ("lstm", "transformer")
    )
    known = {number(word) for word in re.findall(r"\d[\d.,e-]*", reports) if word[-1].isdigit()}
    rows = [row for row in page.splitlines() if row.startswith("| ") and "---" not in row]
    cells = [word for row in rows for word in re.findall(r"(?<![\w₃.])\.?\d[\d.,]*", row)]
    assert len(cells) > 50
    assert {word for word in cells if number(word.rstrip(",.")) not in known} == set()


def number(word: str) -> float:
    return float(word.strip("±,()*°;:").replace(",", ""))


def test_the_page_on_networks_is_what_its_stored_runs_say():
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    from hidim.lab.reports.measured import measured_runs

    page = (STORED.parent / "benchmarks" / "lab-networks.md").read_text(encoding="utf-8")
    rates = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if cells[0] in ("transformer", "modern") and len(cells) == 6:
            rates[cells[0], int(cells[3].replace(",", ""))] = float(cells[4])
    ends: dict[tuple[str, int], dict[int, float]] = {key: {} for key in rates}
    usual = {"mlp": "swiglu", "norm": "rms", "positions": "rotary", "qk_norm": True, "head": "tied"}
    for run in measured_runs(STORED / "lab-networks.parquet"):
        s = run.settings
        whole = s.model == "transformer" or all(getattr(s, k) == v for k, v in usual.items())
        if whole and s.seed < 3 and s.lr == rates.get((s.model, s.steps)):
            ends[s.model, s.steps][s.seed] = run.final / math.log(2)
    ordered = [[one[seed] for seed in range(3)] for one in ends.values()]
    for old, new in zip(ordered[::2], ordered[1::2], strict=True):
        gaps = [a - b for a, b in zip(old, new, strict=True)]
        for values in (old, new, gaps):
            assert f"{statistics.mean(values):.4f} ± " in page
        assert min(gaps) > 0.03
