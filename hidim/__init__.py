"""hidim: high-dimensional stochastic optimization and compute-optimal scaling laws.

Public names are loaded on first use, so `import hidim` stays quick and torch, optax and
matplotlib are touched only by those who ask for them.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module that defines it.
_PUBLIC = {
    "Curve": "hidim.curve",
    "Spectrum": "hidim.problems.spectrum",
    "PLRF": "hidim.problems.power_law",
    "Constant": "hidim.algorithms",
    "PowerLaw": "hidim.algorithms",
    "Forgetting": "hidim.algorithms",
    "Table": "hidim.algorithms",
    "Warmup": "hidim.algorithms",
    "Cosine": "hidim.algorithms",
    "WSD": "hidim.algorithms",
    "Momentum": "hidim.algorithms",
    "sgd": "hidim.algorithms",
    "sgd_momentum": "hidim.algorithms",
    "stochastic_nesterov": "hidim.algorithms",
    "accelerated_sgd": "hidim.algorithms",
    "dana_constant": "hidim.algorithms",
    "dana_decaying": "hidim.algorithms",
    "schedule_free_sgd": "hidim.algorithms",
    "general_momentum": "hidim.algorithms",
    "predict": "hidim.dynamics.predict",
    "simulate": "hidim.dynamics.simulate",
    "simulate_rows": "hidim.dynamics.rows",
    "tail_ratio": "hidim.dynamics.rows",
    "recommend": "hidim.dynamics.recommend",
    "stability": "hidim.dynamics.stability",
    "Stability": "hidim.dynamics.stability",
    "ScalingLaw": "hidim.scaling.law",
    "scaling_law": "hidim.scaling.law",
}
_SUBPACKAGES = (
    "algorithms",
    "dynamics",
    "fitting",
    "lab",
    "optax",
    "plots",
    "problems",
    "scaling",
    "studies",
    "torch",
)

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    elif name in _SUBPACKAGES:
        value = importlib.import_module(f"hidim.{name}")
    else:
        raise AttributeError(f"module 'hidim' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, *_SUBPACKAGES])
