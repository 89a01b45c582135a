"""Claims about the documentation: the tutorial runs, the README's commands work, names exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import hidim
from hidim.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/tutorial.md", "docs/tutorial-gradients.md")
# Half a minute on a busy machine: searches of rates and thresholds.
LONG = ("docs/tutorial-gradients.md",)
THEORY = (
    *("moments.md", "equivalent.md", "integral-equation.md", "rows.md"),
    *("clipping.md", "sign.md", "private.md"),
)


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language in a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands() -> list[str]:
    """Every `hidim ...` line shown in a console block; a backslash joins lines."""
    lines = []
    for page in PAGES:
        for block in blocks(page, "console"):
            joined = block.replace("\\\n", " ")
            lines += [line[2:] for line in joined.splitlines() if line.startswith("$ hidim ")]
    return [line for line in lines if not line.startswith("hidim demo")]


@pytest.mark.parametrize("command", commands())
def test_a_command_shown_to_the_reader_works(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "--plot" in command:
        pytest.importorskip("matplotlib")
    assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=pytest.mark.slow) if p in LONG else p for p in PAGES]
)
def test_the_python_shown_to_the_reader_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    pytest.importorskip("matplotlib")
    source = blocks(page, "python")
    assert source, f"{page} shows no Python"
    names: dict[str, object] = {}
    for block in source:
        exec(compile(block, page, "exec"), names)


NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "docs/notebooks").glob("*.ipynb")])
def test_a_notebook_prints_what_it_shows(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT / "docs/notebooks")
    monkeypatch.setenv("MPLBACKEND", "agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    cells = json.loads(Path(name).read_text(encoding="utf-8"))["cells"]
    names: dict[str, object] = {}
    for index, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        exec(compile("".join(cell["source"]), f"{name}, code cell {index}", "exec"), names)
        pyplot.close("all")
        streams = [output for output in cell["outputs"] if output["output_type"] == "stream"]
        shown = "".join(line for output in streams for line in output["text"])
        said = capsys.readouterr().out
        assert re.sub(NUMBER, "#", said) == re.sub(NUMBER, "#", shown)
        for one, other in zip(re.findall(NUMBER, said), re.findall(NUMBER, shown), strict=True):
            decimals = len(other.partition(".")[2])
            found, expected = (float(text.replace(",", "")) for text in (one, other))
            # Another processor may round the last printed digit the other way.
            assert abs(found - expected) <= 1.01 * 10.0**-decimals, f"{said}\nbeside\n{shown}"


def test_the_page_on_rows_makes_a_file_and_predicts_on_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks("docs/how-to/rows.md", "python"):
        exec(compile(block, "rows.md", "exec"), names)
    shown = "".join(blocks("docs/how-to/rows.md", "console")).replace("\\\n", " ")
    for line in shown.splitlines():
        assert main(shlex.split(line.removeprefix("$ hidim "))) == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", THEORY)
def test_the_identities_of_a_page_of_theory_hold(page):
    names: dict[str, object] = {}
    for block in blocks(f"docs/theory/{page}", "python"):
        exec(compile(block, page, "exec"), names)


def test_the_theory_names_tests_that_exist():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for page in (ROOT / "docs" / "theory").glob("*.md"):
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")):
            assert f"def {name}(" in source, f"{page.name} names {name}"


def test_every_page_that_a_docstring_cites_exists():
    for path in (ROOT / "hidim").rglob("*.py"):
        for page in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{path.name} cites {page}"


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs_jupyter")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    given = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    page = (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    # Arguments that share a line of a docstring are rows of their own.
    assert all(f"<code>{name}</code>" in page for name in ("foreach", "capturable"))


def test_every_link_to_a_file_leads_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_room_stands_in_the_architecture_page():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = Path(hidim.__file__).parent
    for folder in package.iterdir():
        if (folder / "__init__.py").exists():
            assert f"| `{folder.name}/` |" in text, f"{folder.name}/ is missing from the table"


def test_every_public_name_is_there():
    missing = [name for name in hidim.__all__ if not hasattr(hidim, name)]
    assert missing == []


def test_type_checkers_see_every_public_name():
    done = subprocess.run([sys.executable, ROOT / "tools" / "stub.py", "--check"], cwd=ROOT)
    assert done.returncode == 0, "run python tools/stub.py"


def test_the_api_page_lists_every_public_name_of_every_package():
    for package in ("torch", "optax", "matplotlib", "xarray"):
        pytest.importorskip(package)
    done = subprocess.run([sys.executable, ROOT / "tools" / "api.py", "--check"], cwd=ROOT)
    assert done.returncode == 0, "run python tools/api.py"
