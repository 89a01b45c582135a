"""Claims about the how-to page and the example: what they show works."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from hidim.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "train.md").read_text(encoding="utf-8")
TINY = "--max-mb 0.1 --steps 2 --context 8 --batch-size 2 --validation-tokens 64 --warmup 1"


def test_the_commands_shown_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^\$ hidim (train .*)$", PAGE, flags=re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        small = "" if "--resume" in line else TINY
        assert main([*line.split(), *small.split()]) == 0, capsys.readouterr().err


def test_the_fit_shown_reads_the_run_shown(tmp_path, monkeypatch, capsys):
    """A run as `hidim train --out run` makes it: its ten evaluations are too few for a law."""
    monkeypatch.chdir(tmp_path)
    (line,) = re.findall(r"^\$ hidim (fit run .*)$", PAGE, flags=re.MULTILINE)
    assert main(["train", "--out", "run", *TINY.split(), "--steps", "60"]) == 0
    assert main(line.split()) == 0, capsys.readouterr().err
    assert "loss is that of training" in capsys.readouterr().out


def test_the_python_shown_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(block.replace("steps=20", "steps=2, max_mb=0.1"), "page", "exec"), {})


@pytest.mark.slow
def test_the_plain_loop_learns(capsys):
    runpy.run_path(str(ROOT / "examples" / "plain_loop.py"))
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert losses[-1] < losses[0] - 2
