"""Claims about docs/results.md: what it prints is what the stored runs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from hidim.cli.main import main

STORED = Path(__file__).resolve().parents[1] / "docs" / "results"


def number(word: str) -> float:
    return float(word.strip("±,()*°"))


@pytest.mark.parametrize("name", ["lstm-ladder", "transformer-ladder"])
def test_the_report_of_the_stored_runs_is_the_one_shown(name, capsys):
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    assert main(["report", str(STORED / f"{name}.parquet")]) == 0
    shown = (STORED / f"{name}.txt").read_text(encoding="utf-8").split()
    for now, then in zip(capsys.readouterr().out.split(), shown, strict=True):
        # Fits end in the last digit shown where another BLAS rounds otherwise.
        assert now == then or number(now) == pytest.approx(number(then), rel=2e-3, abs=2e-5)
