"""The Python shown in the how-to on measuring exponents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def test_the_python_of_the_how_to_finds_the_exponents_that_made_its_runs() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "measure.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict = {}
    exec(compile(block, str(page), "exec"), names)
    found = names["found"]
    assert found.floor == pytest.approx(1.8, abs=0.01)
    assert found.eta.value == pytest.approx(0.34 * 0.28 / 0.62, abs=0.003)
    assert found.xi.value == pytest.approx(0.28 / 0.62, abs=0.003)
