"""The Python shown in the how-to on fitting runs."""

from __future__ import annotations

import re
from pathlib import Path


def test_the_python_of_the_how_to_runs() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "fit.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
    assert blocks
