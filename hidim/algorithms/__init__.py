"""How it is learned: schedules as data, and the momentum family built from them."""

from hidim.algorithms.base import Algorithm
from hidim.algorithms.decays import ExponentialDecay, PolynomialDecay
from hidim.algorithms.gradients import Batch, Gradient
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
from hidim.algorithms.named import Constructors, Named, lookup, names, register
from hidim.algorithms.records import BUILT_IN
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

for _record in BUILT_IN:
    register(_record)

# Hyphenated name -> constructor, of every known algorithm.
NAMED = Constructors()

__all__ = [
    "NAMED",
    "WSD",
    "Algorithm",
    "Batch",
    "Constant",
    "Cosine",
    "ExponentialDecay",
    "Forgetting",
    "Gradient",
    "Momentum",
    "Named",
    "PolynomialDecay",
    "PowerLaw",
    "Schedule",
    "Table",
    "Warmup",
    "accelerated_sgd",
    "dana_constant",
    "dana_decaying",
    "general_momentum",
    "lookup",
    "names",
    "schedule_free_sgd",
    "sgd",
    "sgd_momentum",
    "stochastic_nesterov",
]
