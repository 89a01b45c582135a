"""Where are the results of finished tasks kept? One file each, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from hidim._version import __version__
from hidim.support.files import write_text
from hidim.support.inputs import read_json
from hidim.support.json import decode, dumps
from hidim.support.results import refusing

R = TypeVar("R")


def write_result(path: Path, result: Any) -> None:
    """Keep what JSON and the marks of support/json.py can hold."""
    write_text(path, dumps(result) + "\n")


def read_result(path: Path) -> Any:
    """What `write_result` kept.

    Raises:
        ValueError: the file is damaged.
    """
    with refusing(f"cannot read {str(path)!r}: the result in it"):
        return decode(read_json(path))


@dataclass(frozen=True)
class Store(Generic[R]):
    """A folder with one file for each finished task.

    Attributes:
        folder: made by `open`.
        suffix: of its files.
        write: (path, result), whole or not at all.
        read: (path), the result; what is damaged is a ValueError that names the file.

    >>> Store(Path("plane"), ".npz").file("alpha1").as_posix()
    'plane/alpha1.npz'
    """

    folder: Path
    suffix: str = ".json"
    write: Callable[[Path, R], None] = write_result
    read: Callable[[Path], R] = read_result

    def open(self) -> None:
        """Make the folder.

        Raises:
            ValueError: that is not possible.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            said = error.strerror or error
            raise ValueError(f"cannot make the folder {str(self.folder)!r}: {said}.") from None

    def file(self, name: str) -> Path:
        """Where the result of the task of that name is kept."""
        return self.folder / f"{name}{self.suffix}"

    def finished(self) -> set[str]:
        """Names of all tasks whose results are here."""
        with os.scandir(self.folder) as entries:
            files = [e.name for e in entries if not e.name.startswith(".")]  # one half written
        return {f.removesuffix(self.suffix) for f in files if f.endswith(self.suffix)}

    def save(self, name: str, result: R) -> None:
        """Keep one result."""
        self.write(self.file(name), result)

    def load(self, name: str) -> R:
        """A result that was kept.

        Raises:
            ValueError: its file is damaged, which is named, to be deleted.
        """
        file = self.file(name)
        try:
            return self.read(file)
        except ValueError as error:
            said = str(error).rstrip(".")
            raise ValueError(
                f"{said}: delete {str(file)!r}, and the same again does its task anew."
            ) from None


def task_name(beginning: str, task: Any) -> str:
    """A file's name: a readable beginning, and a hash of all that a task, a dataclass, holds."""
    text = json.dumps([asdict(task), __version__], sort_keys=True, default=str)
    return f"{beginning}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
