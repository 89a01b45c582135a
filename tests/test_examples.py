"""Every program of examples/ runs as printed and learns something.

Those that need packages beyond hidim's own extras run where these are installed:
`pip install -c constraints.txt '.[clients]'`.
"""

import ast
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def needs(path):
    """The top-level packages that a program imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_its_losses_fall(path):
    absent = [name for name in needs(path) if find_spec(name) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    root = str(path.parents[1])
    done = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pairs = re.findall(r"loss (\d+\.\d+) -> (\d+\.\d+)", done.stdout)
    if not pairs:  # a line for each of a few steps
        losses = re.findall(r"loss (\d+\.\d+)", done.stdout)
        pairs = [(losses[0], losses[-1])] if losses else []
    assert pairs or path.stem == "optax_plain_loop", done.stdout  # which prints risks
    assert all(float(last) < 0.9 * float(first) for first, last in pairs), done.stdout


def test_every_example_says_how_to_run_it_and_stands_in_the_documentation():
    pages = "".join(
        page.read_text(encoding="utf-8") for page in (EXAMPLES[0].parents[1] / "docs").rglob("*.md")
    )
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        assert f"`python examples/{path.name}`" in text, path.name
        assert f"examples/{path.name}" in pages, path.name
        assert len(text.splitlines()) <= 100, path.name
