"""Write hidim/__init__.pyi from the names that hidim/__init__.py attaches.

python tools/stub.py          rewrite the stub
python tools/stub.py --check  exit with 1 if it is out of date
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import hidim

STUB = Path(hidim.__file__).with_suffix(".pyi")
HEAD = '"""What type checkers and editors see; __init__.py loads the names on first use."""\n\n'


def stub() -> str:
    """The stub's text."""
    attached = inspect.getclosurevars(hidim.__getattr__).nonlocals
    rooms = sorted(attached["inside"])
    lines = [f"from hidim import {room} as {room}" for room in rooms]
    lines += ["from hidim._version import __version__ as __version__"]
    lines += [
        f"from hidim.{module} import {name} as {name}"
        for name, module in sorted(attached["names"].items(), key=lambda pair: pair[::-1])
    ]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(STUB.read_text(encoding="utf-8") != stub())
    STUB.write_text(stub(), encoding="utf-8")
