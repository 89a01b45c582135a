"""Write docs/api.md: every public name of every package, from the packages themselves.

python tools/api.py          rewrite the page
python tools/api.py --check  exit with 1 if it is out of date
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
HEAD = "# API\n\nEvery public name, by the package it is imported from. Written by tools/api.py.\n"
PACKAGES = {
    "hidim": "Problems, algorithms, curves",
    "hidim.problems.tables": "Rows in files",
    "hidim.problems.features": "Features made of rows",
    "hidim.measure": "Instruments that read curves",
    "hidim.studies": "Studies of many curves",
    "hidim.fitting": "Laws fitted to measured runs",
    "hidim.plots": "Figures",
    "hidim.torch": "Optimizers for PyTorch",
    "hidim.optax": "Optimizers for JAX",
    "hidim.lab": "The training lab",
    "hidim.contest": "The contest",
}


def page() -> str:
    """The page's text."""
    return "\n".join([HEAD, *(line for package in PACKAGES for line in section(package))])


def section(package: str) -> Iterator[str]:
    """A heading, and each name under the module that defines it."""
    room = importlib.import_module(package)
    yield f"## {PACKAGES[package]}\n"
    yield f"From `{package}`.\n"
    for name in room.__all__:
        value = getattr(room, name)
        if isinstance(value, type) or callable(value):
            yield f"::: {value.__module__}.{name}\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
