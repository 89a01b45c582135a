"""Which theories and algorithms from outside the package does the command line know?

A process of `hidim` imports, before it reads its arguments,

    the modules and .py files in the environment variable HIDIM_LOAD, separated by commas;
    the entry points of installed packages in the group "hidim.plugins",

which call `hidim.register` as they are imported. Nothing of this happens on ``import hidim``: who
writes Python imports what is needed.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

VARIABLE, GROUP = "HIDIM_LOAD", "hidim.plugins"


def load() -> None:
    """Import what the environment and installed packages bring.

    Raises:
        ValueError: one of them cannot be imported, in one line.
    """
    for name in filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))):
        _import(name, f"{name!r}, named by {VARIABLE}")
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        _import(point.module, f"{point.value!r}, the plugin {point.name!r}")


def _import(name: str, what: str) -> None:
    try:
        if name.endswith(".py"):
            _import_file(Path(name).resolve())
        else:
            importlib.import_module(name)
    except Exception as error:  # whatever their module does wrong
        if os.environ.get("HIDIM_TRACEBACK"):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"cannot load {what}: {said}") from None


def _import_file(path: Path) -> None:
    known = sys.modules.get(path.stem)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() == path:
            return
        raise ValueError(f"a module is called {path.stem!r} already; rename the file")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module  # as its dataclasses expect
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
