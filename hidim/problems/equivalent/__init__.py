"""The deterministic equivalent of random features: a spectrum averaged over W."""

from hidim.support.lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"equivalent_nodes": "nodes"})
