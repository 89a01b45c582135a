"""Optional packages, imported on use; a missing one is named in one line."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingExtra(ImportError):
    """An optional package is not installed; the message says what to install."""


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of hidim brings it.

    Raises:
        MissingExtra: for example "matplotlib is needed for this: pip install 'hidim[plots]'".
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"{module.split('.')[0]} is needed for this: pip install 'hidim[{extra}]'"
        ) from None
