"""How do fitted laws reach a file and come back? As the dictionary that they make of themselves.

What a law holds and what damage it refuses is the law's own affair: `to_dict` and `from_dict`.
"""

from __future__ import annotations

import os
from typing import Any, Self

import numpy as np

from hidim.support.inputs import read_json
from hidim.support.results import ByContent, write_json


class WrittenLaw(ByContent):
    """A law that `save` writes and `load` reads."""

    holdout: dict[str, float]
    warnings: tuple[str, ...]

    def _in_line(self, what: str) -> str:
        """One line for a shell: what it is, how well it predicted, and whether it was warned of."""
        errors = [error for name, error in self.holdout.items() if name != "largest"]
        left = f", left out {float(np.mean(errors)):.2%} off" if errors else ""
        warned = f", {len(self.warnings)} warning(s)" if self.warnings else ""
        return f"{type(self).__name__}({what}{left}{warned})"

    def to_dict(self) -> dict[str, Any]:
        """Everything there is to know, as values of JSON."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The law behind `to_dict`.

        Raises:
            ValueError: another kind of law, or a damaged one.
        """
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the law as JSON, whole or not at all; `load` gives back an equal one."""
        write_json(path, self.to_dict(), indent=1)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a law written by `save`.

        Raises:
            ValueError: no such file, not JSON, or another kind of law.
        """
        data = read_json(path)
        try:
            return cls.from_dict(data)
        except ValueError as error:
            raise ValueError(f"cannot load {str(path)!r}: {error}") from None
