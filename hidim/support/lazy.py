"""Public names that are loaded on first use, and module paths that have moved.

Every package of hidim whose import would cost more than its users need attaches its names here:

    __getattr__, __dir__, __all__ = attach(__name__, {"predict": "prediction"})
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def attach(
    package: str, names: Mapping[str, str], subpackages: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose names load on first use.

    Args:
        package: its `__name__`.
        names: public name -> module that defines it, relative to the package.
        subpackages: names that are packages themselves.

    >>> __getattr__, __dir__, __all__ = attach("hidim", {"Curve": "curve"}, ["plots"])
    >>> __getattr__("Curve").__name__, __dir__(), __all__
    ('Curve', ['Curve', 'plots'], ['Curve'])
    """
    inside = frozenset(subpackages)

    def load(name: str) -> Any:
        if name in names:
            value = getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        elif name in inside:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return load, lambda: sorted({*names, *inside}), list(names)


class _Moved(ModuleType):
    """Stands at a module's old path and reads from the places it moved to."""

    def __init__(self, name: str, targets: Sequence[str]) -> None:
        super().__init__(name, f"Moved to {' and '.join(targets)}.")
        self._targets = targets

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for target in self._targets:
                module = importlib.import_module(target)
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class MovedModules:
    """Finds and loads modules at their old paths for one release, with a DeprecationWarning.

    Asked last, so nothing that exists is hidden. A path that a public function has today is left
    out: importing the module would hide the function.

    A meta path finder and a loader, without the base classes: importing `importlib.abc` takes
    longer than importing the whole package.

    Args:
        package: the package whose modules moved.
        moved: old path -> new paths, all relative to the package; an old package, whose modules
            are listed beside it, has none.
    """

    def __init__(self, package: str, moved: Mapping[str, Sequence[str]]) -> None:
        self.moved = {
            f"{package}.{old}": tuple(f"{package}.{new}" for new in places)
            for old, places in moved.items()
        }

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname not in self.moved:
            return None
        loader: Any = self
        return ModuleSpec(fullname, loader, is_package=not self.moved[fullname])

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Moved(spec.name, self.moved[spec.name])

    def exec_module(self, module: ModuleType) -> None:
        places = self.moved[module.__name__]
        if places:
            warnings.warn(
                f"{module.__name__} is now {' and '.join(places)}; the old path goes in 0.3.",
                DeprecationWarning,
                stacklevel=2,
            )
