"""Train language models on real text, sweep, and keep what was measured.

    from hidim.lab import Settings, train
    result = train(Settings(optimizer="dana-decaying", steps=500), "run")

Names are loaded on first use; torch is needed for training only.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Settings": "settings",
    "Result": "result",
    "train": "training",
    "Shape": "models",
    "build": "models",
    "make_optimizer": "optimizers",
    "read_text": "sources",
    "tokenize": "tokens",
    "RunFolder": "store",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hidim.lab' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"hidim.lab.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
