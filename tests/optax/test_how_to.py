"""The how-to page for JAX runs as printed."""

import re
from pathlib import Path

import pytest

pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "optax.md"


def test_every_block_of_the_page_runs_in_order() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 7
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    losses = names["losses"]
    assert losses.shape == (5,)  # type: ignore[attr-defined]
