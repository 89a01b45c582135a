"""Builds the kernels of optimizers and predictions into the package, where there is a C++ compiler.

A wheel then fits one platform (any Python, any torch); without a compiler it is the pure wheel it
would otherwise be: the optimizers' kernel is compiled on first use or lists take its place, and
NumPy takes the place of the other. HIDIM_KERNEL=0 asks for the pure wheel. An editable install
gets the libraries in its own tree.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Where a kernel's sources are, in the folder `kernel`, and its libraries, in `built`: the file that
# is compiled, and whether for each level of the processor or for one that finds out when it runs.
KERNELS = {
    "hidim/torch/_machine": ("one_pass.cpp", True),
    "hidim/compiled": ("compiled.cpp", False),
}


class KernelHook(BuildHookInterface):
    """Adds a library for each level of the processor; never fails a build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files of the wheel are gathered."""
        native = self._native()
        if self.target_name != "wheel" or native.unwanted():
            return
        words = native.compiler()
        if words is None:
            self.app.display_warning("no C++ compiler: the kernels are left out")
            return
        self.folder = Path(tempfile.mkdtemp(prefix="hidim-kernel-"))
        made: dict[str, list[Path]] = {}
        try:
            for place, (main, each) in KERNELS.items():
                sources = native.Sources(Path(self.root, place, "kernel"), main)
                wanted = native.levels() if each else ["DEFAULT"]
                made[place] = [native.build(words, sources, lv, self.folder) for lv in wanted]
            if version == "editable":
                for place, paths in made.items():
                    self._kept(paths, Path(self.root, place, "built"))
                return
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            self.app.display_warning(f"{' '.join(words)} failed, the kernels are left out: {said}")
            return
        except OSError as error:
            self.app.display_warning(f"the kernels are left out: {error}")
            return
        for place, paths in made.items():
            for path in paths:
                build_data["force_include"][str(path)] = f"{place}/built/{path.name}"
        build_data["pure_python"] = False
        # Python for both processors of macOS says universal2; the compiler made one.
        here = sysconfig.get_platform().replace("universal2", platform.machine())
        named = os.environ.get("HIDIM_WHEEL_PLATFORM") or here
        build_data["tag"] = f"py3-none-{named.replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _kept(self, paths: list[Path], own: Path) -> None:
        """Copies in the tree, in the place of older ones."""
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        for path in paths:
            shutil.copy2(path, own)

    def _native(self) -> Any:
        """The package's own file: importing the package would need what it needs."""
        name, path = "hidim_native", Path(self.root, "hidim/support/native.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
