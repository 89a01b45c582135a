"""What may a method's process not do? Touch files, data, processes or the network.

An audit hook of Python's cannot be taken back: whoever trips it is named and its process ends, at
once, whatever its code catches. It is a tripwire for Python code, no wall for machine code; what a
method cannot see at all (model, batches, held-out data) is in another process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

# Packages through which data sets, and the contest's own, can be read.
_DATA = ("sklearn", "statsmodels", "datasets", "torchvision", "tensorflow_datasets", "urllib",
         "http", "requests", "scipy.datasets", "hidim.lab", "hidim.contest.tasks",
         "hidim.contest.host", "hidim.contest.seats", "multiprocessing.shared_memory")  # fmt: skip
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
              "os.spawn", "os.kill", "os.remove", "os.rename", "shutil.", "sqlite3.",
              "ctypes.dlopen", "ctypes.string_at", "urllib.", "ftplib.", "pty.spawn")  # fmt: skip
_READABLE = ("/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo")
_IMPORTERS = ("<frozen importlib", "<frozen zipimport")


def watch(tell: Callable[[str], Any]) -> None:
    """Call `tell`, which ends the process, when something forbidden is done from now on."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if not _fine(args[0], sys._getframe(1)):
                tell(f"opened {args[0]!r}")
        elif event == "import":
            name = str(args[0])
            if any(name == one or name.startswith(one + ".") for one in _DATA):
                tell(f"imported {name}")
        elif event.startswith(_FORBIDDEN):
            tell(f"called {event}")

    sys.addaudithook(hook)


def _fine(path: Any, frame: Any) -> bool:
    """Python reads a module: the import machinery itself opens it."""
    if path in _READABLE:
        return True
    return bool(frame.f_code.co_filename.startswith(_IMPORTERS))
