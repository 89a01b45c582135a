"""What is an algorithm? Data with a name, and the rule by which it moves parameters.

The simulations that draw every sample (`hidim.simulate(..., method="raw")`, `simulate_rows`) run
whatever is described here; theories and the faster walks know their own algorithms. Arrays are
NumPy's, of any leading shape: an update acts on every number alike or knows its axes.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.support.checks import shown


class Update(Protocol):
    """The rule itself: state is whatever arrays it keeps between steps."""

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """The state before the first step, for parameters like `theta`."""
        ...

    def step(
        self, t: int, theta: np.ndarray, g: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Parameters and state after step `t` = 0, 1, ... with the mini-batch gradient `g`.

        All three arrays are spent: an update may write into them, so keep what it returns.
        """
        ...


class Algorithm(Protocol):
    """A frozen, hashable description, as `Momentum` is."""

    @property
    def name(self) -> str:
        """Hyphenated name, for labels."""
        ...

    def scheduled(self, schedule: Schedule) -> Self:
        """The same algorithm with its learning rates multiplied by `schedule`."""
        ...

    def update(self) -> Update:
        """The rule, ready to run from step 0."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters as plain values, for provenance."""
        ...


def runnable(value: Any) -> Algorithm:
    """`value` itself, if it is an algorithm with an update.

    Raises:
        ValueError: it is none.
    """
    if all(callable(getattr(value, part, None)) for part in ("update", "to_dict")):
        return value
    raise ValueError(
        f"`algorithm` must be a hidim algorithm such as hidim.sgd(0.1), got {shown(value)}."
    )
