"""The page for newcomers: its example is short, and works in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hidim
from hidim.cli import outside

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "add-a-theory.md"
EXAMPLE, USE, GRADIENT = re.findall(
    r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL
)


def run(folder, *command, load=""):
    root = str(PAGE.parents[2])
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{folder}", "HIDIM_LOAD": load}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "normalised.py").write_text(EXAMPLE)
    return tmp_path


def test_the_example_is_at_most_thirty_lines():
    assert sum(1 for line in EXAMPLE.splitlines() if line.strip()) <= 30


def test_the_example_is_followed_in_the_shell_of_a_fresh_process(folder):
    spectrum = hidim.Spectrum([1.0, 0.3, 0.1], [1.0, 2.0, 3.0], 0.01, [1, 2, 1])
    spectrum.save(folder / "s.json")
    flags = "--spectrum s.json --algorithm normalised-sgd:rate=0.02 --batch-size 2 --at 0,10,5000"
    command = ("-m", "hidim", "predict", *flags.split(), "--json")
    done = run(folder, *command, load="normalised.py")
    assert done.returncode == 0, done.stderr
    lam, x, n, truth = spectrum.eigenvalues, spectrum.error_sq.copy(), spectrum.counts, {}
    for t in range(5001):
        truth[t] = spectrum.risk_floor + lam @ x / 2
        s = 0.02 * lam / np.sqrt(2 * truth[t])
        x = (1 - 2 * s + 1.5 * s**2) * x + 0.02**2 * n * lam / 2
    told = json.loads(done.stdout)
    np.testing.assert_allclose(told["risk"], [truth[t] for t in (0, 10, 5000)], rtol=1e-9)
    assert (
        run(folder, *command, load="normalised").stdout.splitlines()[:5]
        == (done.stdout.splitlines()[:5])
    )  # a module that Python finds, as well as a file


def test_the_page_works_in_python(folder):
    done = run(folder, "-c", USE)
    assert done.returncode == 0, done.stderr
    status, verdict = done.stdout.splitlines()
    assert status.startswith("ok")
    assert verdict.startswith("stable")


def test_the_pages_gradient_is_run(folder):
    done = run(folder, "-c", GRADIENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "raw Noisy(std=0.3, name='noisy')\n"


SLOPE = """
import numpy as np, hidim
from normalised import NormalisedSGD
spectrum = hidim.Spectrum(np.arange(1, 31.0) ** -1.2, np.ones(30), 0.1)
at, options = [10, 1000, 100_000], {"rtol": 1e-11}
found = hidim.predict(spectrum, NormalisedSGD(0.01), at=at, sensitivity=["rate"])
up, down = (hidim.predict(spectrum, NormalisedSGD(0.01 + e), at=at, **options).risk
            for e in (1e-6, -1e-6))
np.testing.assert_allclose(found.columns["d_rate"], np.log(up / down) / 2e-6, rtol=1e-6)
"""


def test_the_examples_curve_has_its_derivative(folder):
    done = run(folder, "-c", SLOPE)
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_loaded_is_said_in_one_line(folder, monkeypatch):
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "json.py").write_text("")
    for name, reason in (
        ("broken.py", "division by zero"),
        ("json.py", "rename the file"),
        ("missing.py", "No such file"),
        ("no_such_module", "No module named"),
    ):
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HIDIM_LOAD", f" {name},")
        with pytest.raises(ValueError, match=rf"'{name}', named by HIDIM_LOAD: .*{reason}"):
            outside.load()


def test_an_installed_package_brings_its_theory_by_an_entry_point(folder):
    place = folder / "theirs-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text("[hidim.plugins]\nnormalised = normalised\n")
    code = "from hidim.cli.main import main; raise SystemExit(main(['predict', '--help']))"
    assert "normalised-sgd" in run(folder, "-c", code).stdout
    assert "normalised" not in run(folder, "-c", "import hidim, sys; print(*sys.modules)").stdout
