"""One training run: its settings, model, optimizer, loop, and the folder it lives in."""

from hidim.support.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"train": "entry", "load_tokens": "entry"})
