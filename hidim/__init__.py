"""hidim: high-dimensional stochastic optimization and compute-optimal scaling laws.

Public names are loaded on first use, so `import hidim` stays quick and torch, optax and
matplotlib are touched only by those who ask for them.
"""

import sys as _sys

from hidim._moved import MOVED as _MOVED
from hidim._version import __version__
from hidim.support import lazy as _lazy

_SCHEDULES = (
    "Constant",
    "PowerLaw",
    "Forgetting",
    "Table",
    "Warmup",
    "Cosine",
    "WSD",
    "CoolDown",
    "RiskMatched",
)
_ALGORITHMS = (
    "Momentum",
    "sgd",
    "sgd_momentum",
    "stochastic_nesterov",
    "accelerated_sgd",
    "dana_constant",
    "dana_decaying",
    "schedule_free_sgd",
    "general_momentum",
)

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    {
        "Curve": "curve",
        "Spectrum": "problems.spectrum",
        "PLRF": "problems.power_law",
        **dict.fromkeys(_SCHEDULES, "algorithms.schedules"),
        "read_schedule": "algorithms.words",
        **dict.fromkeys(_ALGORITHMS, "algorithms.momentum"),
        **dict.fromkeys(("clipped", "noisy", "sign_sgd", "signed"), "algorithms.changed"),
        "sign_svd": "algorithms.polar",
        **dict.fromkeys(("adam", "signum"), "algorithms.adaptive"),
        "MatrixLeastSquares": "problems.matrix",
        **dict.fromkeys(("muon_drift", "muon_transition"), "systems.polar_drift"),
        "noise": "problems",
        "schedules": "algorithms",
        "best_threshold": "systems.thresholds",
        "clipping": "rates.clipping",
        "Clipping": "rates.clipping",
        "privacy": "rates",
        "sign_effects": "rates.signs",
        "SignEffects": "rates.signs",
        "predict": "prediction",
        "simulate": "simulation.simulate",
        "simulate_rows": "simulation.rows",
        "tail_ratio": "simulation.rows",
        "recommend": "rates.recommend",
        "Named": "algorithms.named",
        "register": "registration",
        "System": "systems.base",
        "stability": "rates.stability",
        "Stability": "rates.stability",
        "frontier": "measure.frontiers",
        "best_rate_law": "scaling.best_rates",
        "BestRateLaw": "scaling.best_rates",
        "ScalingLaw": "scaling.law",
        "scaling_law": "scaling.law",
    },
    subpackages=(
        "algorithms",
        "engines",
        "fitting",
        "lab",
        "measure",
        "optax",
        "plots",
        "problems",
        "rates",
        "scaling",
        "simulation",
        "studies",
        "systems",
        "torch",
    ),
)
__all__ = ["__version__", *__all__]

_sys.meta_path.append(_lazy.MovedModules(__name__, _MOVED))
