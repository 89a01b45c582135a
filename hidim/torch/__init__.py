"""Optimizers for PyTorch: drop-in replacements for SGD and AdamW, and what hidim predicts.

    from hidim.torch import DANADecaying
    optimizer = DANADecaying(model.parameters(), lr=0.1)

`from_algorithm` trains exactly what `hidim.predict` predicted; `param_groups` leaves biases and
norms without weight decay. Names are loaded on first use. The how-to page is
docs/how-to/optimizers.md; the rules in plain NumPy are in hidim/algorithms/reference.py.
"""

from hidim.support.extras import require
from hidim.support.lazy import attach

require("torch", "torch")

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "DANADecaying": "dana",
        "DANAConstant": "dana",
        "GeneralMomentum": "general_momentum",
        "AcceleratedSGD": "accelerated_sgd",
        "StochasticNesterov": "stochastic_nesterov",
        "ADANA": "adana",
        "DanaMK4": "dana_mk4",
        "DanaStar": "dana_star",
        "DanaStarMK4": "dana_star",
        "LogTimeAdEMAMix": "ademamix",
        "SignSGD": "sign_sgd",
        "LogTimeWeightDecay": "log_time_weight_decay",
        "NormalizeAndProject": "normalize_and_project",
        "from_algorithm": "conversions",
        "from_adamw": "carry_over",
        "from_sgd": "carry_over",
        "monitor": "monitoring",
        "param_groups": "groups",
    },
)
