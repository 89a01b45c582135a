"""Claims about the package: one place for pins, quick imports, no extras behind the user's back."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import hidim
from hidim.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements() -> list[str]:
    """Every dependency of the core and of all extras, hidim's own extras left out."""
    extras = [line for group in PROJECT["optional-dependencies"].values() for line in group]
    return [line for line in [*PROJECT["dependencies"], *extras] if not line.startswith("hidim[")]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_extras_declare_lower_bounds_and_every_dependency_is_pinned_in_one_place():
    pinned = pins()
    for line in requirements():
        name = re.match(r"[\w-]+", line).group().lower()
        assert ">=" in line, f"{line} has no lower bound"
        assert "==" not in line, f"{line}: pins live in constraints.txt"
        assert name in pinned, f"{name} has no pin in constraints.txt"


def test_the_demonstration_needs_neither_torch_nor_jax():
    lines = " ".join(PROJECT["optional-dependencies"]["demo"])
    assert "torch" not in lines
    assert "jax" not in lines
    assert "all" not in lines


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert PROJECT["version"] == hidim.__version__
    assert f"version: {hidim.__version__}\n" in citation


def test_importing_hidim_imports_no_scipy_nor_any_extra():
    code = "import sys, hidim; hidim.PLRF, hidim.predict; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"scipy", "matplotlib", "torch", "jax", "optax", "pandas", "xarray", "sklearn"}
    assert heavy.isdisjoint(done.stdout.split())


def test_every_command_stands_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [
        name for name in COMMANDS if f"`hidim {name}`" not in text and f"`{name}`" not in text
    ]
    assert missing == []
