"""Which rates hold, which to start from, and where the edge lies."""

from hidim.support import lazy as _lazy

__getattr__, __dir__, __all__ = _lazy.attach(__name__, {}, ["privacy"])
