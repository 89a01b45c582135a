"""Every name stays reachable, whatever was imported before, and old paths work for one release."""

import ast
import graphlib
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import hidim
from hidim._moved import MOVED

PACKAGES = ["hidim", "hidim.measure", "hidim.fitting", "hidim.studies"]
PACKAGES += ["hidim.plots", "hidim.lab", "hidim.torch", "hidim.optax", "hidim.contest"]

NEEDS = {"hidim.torch": "torch", "hidim.lab": "torch", "hidim.optax": "optax"}


def modules():
    """Every module of the package but the command that runs on import."""
    found = ["hidim"]
    for module in pkgutil.walk_packages(hidim.__path__, "hidim."):
        if module.name != "hidim.__main__":
            found.append(module.name)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_carries_the_name_of_a_public_function(package):
    if package in NEEDS:
        pytest.importorskip(NEEDS[package])
    room = importlib.import_module(package)
    inside = {module.name for module in pkgutil.iter_modules(room.__path__)}
    old = {path.removeprefix(f"{package}.") for path in (f"hidim.{name}" for name in MOVED)}
    assert inside & set(room.__all__) == set()
    assert old & set(room.__all__) == set()


IMPORT_EVERYTHING = """
import importlib, importlib.util, pkgutil, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import hidim
from hidim._moved import MOVED
no_triton = importlib.util.find_spec("triton") is None  # it comes with torch for GPUs alone
for module in pkgutil.walk_packages(hidim.__path__, "hidim."):
    needs_triton = module.name == "hidim.torch._machine.gpu_rules"
    if module.name != "hidim.__main__" and not (needs_triton and no_triton):
        importlib.import_module(module.name)
for old in MOVED:
    importlib.import_module(f"hidim.{old}")
for package in %r:
    room = importlib.import_module(package)
    for name in room.__all__:
        value = getattr(room, name)
        # hidim.noise, .privacy and .schedules are modules under their own names.
        is_data = isinstance(value, (str, tuple, list, dict)) or name in (
            "noise",
            "privacy",
            "schedules",
            "features",
        )
        assert is_data or callable(value), f"{package}.{name} is {value!r}"
assert hidim.predict(hidim.PLRF(1, 0.7, 10), hidim.sgd(0.1), steps=3).status == "ok"
assert hidim.stability(hidim.PLRF(1, 0.7, 10), hidim.sgd(0.1), steps=3).stable
"""


def test_importing_every_module_and_alias_hides_no_public_name():
    for package in ("torch", "optax", "xarray", "matplotlib", "pandas"):
        pytest.importorskip(package)
    code = IMPORT_EVERYTHING % PACKAGES
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("old", sorted(MOVED))
def test_old_paths_lead_to_the_new_ones_with_a_warning(old):
    for room, package in NEEDS.items():
        if f"hidim.{old}".startswith(room + "."):
            pytest.importorskip(package)
    for place in MOVED[old]:
        importlib.import_module(f"hidim.{place}")
    sys.modules.pop(f"hidim.{old}", None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(f"hidim.{old}")
    assert [w.category for w in caught] == [DeprecationWarning] * bool(MOVED[old])
    for place in MOVED[old]:
        here = importlib.import_module(f"hidim.{place}")
        own = [n for n, v in vars(here).items() if getattr(v, "__module__", "") == here.__name__]
        own = [n for n in own if not n.startswith("__")]  # torch.compile puts such names there
        for name in own[:3]:
            if inspect.isfunction(getattr(here, name)):
                assert getattr(module, name) is getattr(here, name)


def test_nothing_in_the_repository_uses_an_old_path():
    root = Path(__file__).parent.parent
    used = []
    for folder in ("hidim", "tests", "benchmarks", "papers", "examples", "tools"):
        for path in (root / folder).rglob("*.py"):
            if path != Path(__file__):
                for name in sorted(names_in(path) & {f"hidim.{old}" for old in MOVED}):
                    used.append(f"{path.relative_to(root)}: {name}")
    assert used == []


def names_in(path):
    """Every hidim.a.b that a source file imports or spells out in a string."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"hidim(?:\.\w+)+", node.value))
    return found


def test_an_unknown_module_is_still_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("hidim.dynamics.nothing")
    with pytest.raises(AttributeError):
        importlib.import_module("hidim.dynamics").nothing  # noqa: B018


def test_no_files_import_each_other_in_a_circle():
    grimp = pytest.importorskip("grimp")
    graph = grimp.build_graph("hidim", exclude_type_checking_imports=True)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the files
