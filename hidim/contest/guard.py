"""What may a method's process not do? Touch files, data, processes or the network.

An audit hook of Python's cannot be taken back: whoever trips it is named and its process ends, at
once, whatever its code catches. All that the hook uses is bound when it is set, so that names put
in other names' places reach none of it. It is a tripwire for Python code, no wall: machine code
(torch.from_file, a compiled extension) passes it, and so does one who rebuilds Python's import
machinery. What a method cannot see at all (model, batches, held-out data) is in another process.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from json.encoder import encode_basestring_ascii
from typing import Any

# Packages through which data sets, and the contest's own, can be read.
_DATA = ("sklearn", "statsmodels", "datasets", "torchvision", "tensorflow_datasets", "urllib",
         "http", "requests", "scipy.datasets", "hidim.lab", "hidim.contest.tasks",
         "hidim.contest.host", "multiprocessing.shared_memory", "_posixshmem")  # fmt: skip
# Beginnings of events: whatever reaches beyond the process, by a file's name as well.
_FORBIDDEN = ("os.", "shutil.", "tempfile.", "glob.", "pathlib.", "mmap.", "fcntl.", "resource.",
              "socket.", "subprocess.", "signal.", "pty.", "ctypes.", "sqlite3.", "urllib.",
              "http.", "ftplib.", "smtplib.", "webbrowser.", "syslog.", "hidim.")  # fmt: skip
_HARMLESS = ("os.putenv", "os.unsetenv")  # of this process alone
_READABLE = ("/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo")
_IMPORTERS = ("<frozen importlib", "<frozen zipimport")
_MODULES = (".py", ".pyc", ".so", ".dylib", ".pyd", ".zip", ".egg")


def watch(descriptor: int, own: str) -> None:
    """From now on, who does something forbidden is named on `descriptor`, and the process ends.

    Args:
        descriptor: of the pipe to the harness.
        own: the method's module: a file, beside which no other is imported, or a name, of whose
            package all may be.
    """
    _no_process()
    installed = _installed(own)
    near = tuple({os.path.join(one, "") for one in (os.getcwd(), os.path.dirname(own)) if one})

    def hook(
        event: str,
        args: Any,
        # Bound here: what a method puts in the place of these names is not looked at.
        write: Any = os.write,
        leave: Any = os._exit,
        quoted: Any = encode_basestring_ascii,
        frame: Any = sys._getframe,
        text: Any = str,
        data: tuple[str, ...] = _DATA,
        forbidden: tuple[str, ...] = _FORBIDDEN,
        harmless: tuple[str, ...] = _HARMLESS,
        readable: tuple[str, ...] = _READABLE,
        importers: tuple[str, ...] = _IMPORTERS,
        modules: tuple[str, ...] = _MODULES,
        near: tuple[str, ...] = near,
        installed: tuple[str, ...] = installed,
        to: int = descriptor,
    ) -> None:
        said = ""
        if event in ("open", "os.listdir", "marshal.loads"):
            at, imports = frame(1), False
            while at is not None and at.f_code.co_filename.startswith(importers):
                # Who calls a loader by hand, for a file's content, is in no import.
                imports = imports or at.f_code.co_name == "_find_and_load"
                at = at.f_back
            path = args[0] if event == "open" else ""
            if event == "open":
                stranger = text(path).startswith(near) and not text(path).startswith(installed)
                imports = imports and text(path).endswith(modules) and not stranger
            if not imports and path not in readable:
                said = f"opened {path!r}" if event == "open" else f"called {event}"
        elif event == "import":
            for one in data:
                if args[0] == one or text(args[0]).startswith(one + "."):
                    said = f"imported {args[0]}"
        elif event in ("compile", "code.__new__"):
            if text(args[1]).startswith("<frozen"):  # it would pass for the import machinery
                said = f"compiled code as {args[1]}"
        elif event == "object.__setattr__":
            if args[1] in ("__code__", "__defaults__", "__kwdefaults__"):
                said = "changed the guard" if args[0].__code__ is frame(0).f_code else ""
        elif event.startswith(forbidden) and event not in harmless:
            said = f"called {event}"
        if said:
            line = '{"refused": "ForbiddenAccess", "reason": ' + quoted(said[:300]) + "}\n"
            write(to, line.encode())
            leave(3)

    sys.addaudithook(hook)


def _installed(own: str) -> tuple[str, ...]:
    """Folders of Python, of the packages beside it, of hidim and of the method's own package."""
    found = {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
    for name, path in sysconfig.get_paths().items():
        if name in ("stdlib", "platstdlib", "purelib", "platlib"):
            found |= {path, os.path.realpath(path)}
    if not own.endswith(".py"):
        from importlib.util import find_spec

        package = find_spec(own.partition(".")[0])
        found |= {os.path.dirname(package.origin)} if package and package.origin else set()
    return tuple(os.path.join(one, "") for one in found)


def _no_process() -> None:
    """The call behind every spawned process, which has no event of its own."""
    import subprocess
    from importlib import import_module
    from importlib.util import find_spec

    def refused(*args: Any) -> int:
        sys.audit("hidim.fork_exec")
        return 0

    if find_spec("_posixsubprocess") is not None:  # where there is fork
        for module in (import_module("_posixsubprocess"), subprocess):
            for name in ("fork_exec", "_fork_exec"):
                if hasattr(module, name):
                    setattr(module, name, refused)
