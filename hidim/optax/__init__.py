"""The optimizers for JAX: optax gradient transformations, each replacing sgd or adamw in a line.

>>> from hidim.optax import dana_decaying
>>> optimizer = dana_decaying(learning_rate=0.1)
"""

from hidim.support.extras import require

require("jax", "optax")
require("optax", "optax")

from hidim.optax.adana_family import adana, dana_mk4, dana_star, dana_star_mk4  # noqa: E402
from hidim.optax.ademamix import log_time_ademamix  # noqa: E402
from hidim.optax.algorithm import from_algorithm  # noqa: E402
from hidim.optax.classical import accelerated_sgd, stochastic_nesterov  # noqa: E402
from hidim.optax.dana import dana_constant, dana_decaying  # noqa: E402
from hidim.optax.momentum import general_momentum  # noqa: E402
from hidim.optax.project import normalize_and_project  # noqa: E402
from hidim.optax.schedules import as_optax_schedule  # noqa: E402
from hidim.optax.sign import sign_sgd  # noqa: E402
from hidim.optax.weight_decay import log_time_weight_decay  # noqa: E402

__all__ = [
    "accelerated_sgd",
    "adana",
    "as_optax_schedule",
    "dana_constant",
    "dana_decaying",
    "dana_mk4",
    "dana_star",
    "dana_star_mk4",
    "from_algorithm",
    "general_momentum",
    "log_time_ademamix",
    "log_time_weight_decay",
    "normalize_and_project",
    "sign_sgd",
    "stochastic_nesterov",
]
