"""How a hyperparameter moves in time, as data: printable, hashable, comparable.

Every schedule under one name: the base and its products stand in schedule.py, the shapes in
shapes.py and risk_matched.py. Files call these classes by this module, wherever they stand
(`KEPT_AS`).
"""

from __future__ import annotations

from hidim.algorithms.risk_matched import RiskMatched
from hidim.algorithms.schedule import Constant, PowerLaw, Product, Schedule, as_schedule, product
from hidim.algorithms.shapes import (
    WSD,
    AverageWeight,
    Complement,
    CoolDown,
    Cosine,
    Forgetting,
    NesterovWeight,
    Table,
    Warmup,
)

__all__ = [
    "WSD",
    "AverageWeight",
    "Complement",
    "Constant",
    "CoolDown",
    "Cosine",
    "Forgetting",
    "NesterovWeight",
    "PowerLaw",
    "Product",
    "RiskMatched",
    "Schedule",
    "Table",
    "Warmup",
    "as_schedule",
    "product",
]
