"""How it is learned: schedules as data, and the momentum family built from them."""

from hidim.algorithms.momentum import (
    Momentum,
    accelerated_sgd,
    dana_constant,
    dana_decaying,
    general_momentum,
    schedule_free_sgd,
    sgd,
    sgd_momentum,
    stochastic_nesterov,
)
from hidim.algorithms.schedules import (
    WSD,
    Constant,
    Cosine,
    Forgetting,
    PowerLaw,
    Schedule,
    Table,
    Warmup,
)

# Hyphenated names, in Python and for --algorithm on the command line.
NAMED = {
    "sgd": sgd,
    "sgd-momentum": sgd_momentum,
    "stochastic-nesterov": stochastic_nesterov,
    "accelerated-sgd": accelerated_sgd,
    "dana-constant": dana_constant,
    "dana-decaying": dana_decaying,
    "schedule-free-sgd": schedule_free_sgd,
    "general-momentum": general_momentum,
}

__all__ = [
    "NAMED",
    "WSD",
    "Constant",
    "Cosine",
    "Forgetting",
    "Momentum",
    "PowerLaw",
    "Schedule",
    "Table",
    "Warmup",
    "accelerated_sgd",
    "dana_constant",
    "dana_decaying",
    "general_momentum",
    "schedule_free_sgd",
    "sgd",
    "sgd_momentum",
    "stochastic_nesterov",
]
