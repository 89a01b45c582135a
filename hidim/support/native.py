"""How is a library of C compiled, and which one is whole? By one call of a compiler per level.

`hatch_build.py` calls this when the package is built, so that a wheel brings its libraries along.
A library's name says what it was made of and for, and ends in its own checksum: what is stale,
foreign or cut short is never loaded. No import of this package, nor of what it needs: the hook
loads this file by its path.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# No -ffast-math: NaN and infinity must behave. The next two only let square roots vectorise.
FLAGS = [
    "-O3", "-fno-math-errno", "-fno-trapping-math", "-fno-exceptions", "-fno-rtti",
    "-fvisibility=hidden", "-shared",
]  # fmt: skip
# torch's name of what the processor can, and what it means; other processors have one level.
LEVELS = {
    "AVX512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma", "-mf16c"],
    "AVX2": ["-mavx2", "-mfma", "-mf16c"],
    "DEFAULT": [],
}


@dataclass(frozen=True)
class Sources:
    """What one library is made of.

    Args:
        folder: with every file that it needs.
        main: name of the one that is compiled.
    """

    folder: Path
    main: str


def unwanted() -> bool:
    """Whether HIDIM_KERNEL says that nothing compiled is wanted: 0, no, off or false."""
    return os.environ.get("HIDIM_KERNEL", "").strip().lower() in ("0", "no", "off", "false")


def levels() -> list[str]:
    """The levels that processors of this machine's kind have."""
    kind = platform.machine().lower()
    return list(LEVELS) if kind in ("x86_64", "amd64") else ["DEFAULT"]


def compiler() -> list[str] | None:
    """The command of CXX, split as a shell does, if it exists; else of a compiler that does."""
    commands = []
    with suppress(ValueError):  # a quote left open
        commands.append(shlex.split(os.environ.get("CXX", ""), posix=os.name == "posix"))
    commands += [["g++"], ["clang++"], ["c++"]]
    return next((words for words in commands if words and shutil.which(words[0])), None)


@functools.cache
def key(sources: Sources, level: str) -> str:
    """What a library is made of and for; libraries with another key are stale or foreign."""
    digest = hashlib.sha256()
    for path in sorted(p for p in sources.folder.iterdir() if p.suffix in (".h", ".cpp")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    libc = "musl" if platform.libc_ver()[0] == "" else "glibc"
    where = (sys.platform, platform.machine(), libc, level, *FLAGS, *LEVELS[level])
    digest.update("\0".join(where).encode())
    return digest.hexdigest()[:24]


def checksum(path: Path) -> str:
    """Of a library's bytes; its name ends in it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def whole(folder: Path, key: str, refuse: Callable[[Path], None] | None = None) -> Path | None:
    """The library of `key` in a folder that is what was once built, or None.

    Args:
        refuse: raises OSError for a file that is not to be trusted.
    """
    for path in folder.glob(f"{key}-*.so"):
        with suppress(OSError):
            if refuse is not None:
                refuse(path)
            if path.stem == f"{key}-{checksum(path)}":
                return path
    return None


def build(words: list[str], sources: Sources, level: str, folder: Path) -> Path:
    """Compile beside and rename: whole or not at all, whoever else builds it.

    Raises:
        subprocess.CalledProcessError: the compiler refuses; what it says is in `stderr`.
        OSError: `folder` cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / "kernel.so"
        source = str(sources.folder / sources.main)
        command = [*words, *FLAGS, *LEVELS[level], source, "-o", str(made)]
        if os.name == "posix":
            command += ["-fPIC", "-pthread"]
        subprocess.run(command, check=True, capture_output=True)
        made.chmod(0o755)
        path = folder / f"{key(sources, level)}-{checksum(made)}.so"
        os.replace(made, path)
    return path
