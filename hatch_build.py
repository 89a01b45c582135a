"""Builds the one-pass kernel of the optimizers into the package, where there is a C++ compiler.

A wheel then fits one platform (any Python, any torch); without a compiler it is the pure wheel it
would otherwise be, and the kernel is compiled on first use or lists take its place. HIDIM_KERNEL=0
asks for the pure wheel. An editable install gets the libraries in its own tree.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MACHINE = "hidim/torch/_machine"


class KernelHook(BuildHookInterface):
    """Adds a library for each level of the processor; never fails a build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files of the wheel are gathered."""
        if self.target_name != "wheel" or os.environ.get("HIDIM_KERNEL") == "0":
            return
        build = self._builder()
        words = build.compiler()
        if words is None:
            self.app.display_warning("no C++ compiler: the kernel is left out")
            return
        self.folder = Path(tempfile.mkdtemp(prefix="hidim-kernel-"))
        try:
            made = [build.build(words, level, self.folder) for level in build.levels()]
            if version == "editable":
                own = Path(self.root, MACHINE, "built")
                shutil.rmtree(own, ignore_errors=True)
                own.mkdir()
                for path in made:
                    shutil.copy2(path, own)
                return
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            self.app.display_warning(f"{' '.join(words)} failed, the kernel is left out: {said}")
            return
        except OSError as error:
            self.app.display_warning(f"the kernel is left out: {error}")
            return
        for path in made:
            build_data["force_include"][str(path)] = f"{MACHINE}/built/{path.name}"
        build_data["pure_python"] = False
        platform = os.environ.get("HIDIM_WHEEL_PLATFORM") or sysconfig.get_platform()
        build_data["tag"] = f"py3-none-{platform.replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _builder(self) -> Any:
        """The package's own file: importing the package would need torch."""
        path = Path(self.root, MACHINE, "build.py")
        spec = importlib.util.spec_from_file_location("hidim_kernel_build", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
