"""Claims about the scripts of papers/: complete, named, and cached by what they measure."""

from __future__ import annotations

import importlib

import pytest

pytest.importorskip("matplotlib")

from papers.__main__ import SCRIPTS
from papers.report import ROOT, found_by, section_of


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_has_what_the_page_needs(name):
    script = importlib.import_module(f"papers.{name}")
    assert script.TITLE
    assert script.SOURCE
    assert callable(script.measure)
    assert callable(script.report)


def test_no_script_is_left_out_of_the_page():
    files = {file.stem for file in (ROOT / "papers").glob("*.py")}
    assert files - {"__init__", "__main__", "report"} == set(SCRIPTS)


def test_a_second_run_only_draws(monkeypatch, tmp_path):
    from papers import nesterov, report

    monkeypatch.setattr(report, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(report, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(nesterov, "RATES", (0.5,))
    first = found_by(nesterov)
    monkeypatch.setattr(nesterov, "measure", None)
    again = found_by(nesterov)
    assert again == first
    assert "38" in section_of(nesterov, again)
    assert (tmp_path / "images" / "nesterov.png").is_file()
