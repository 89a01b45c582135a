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
    """The rule itself: state is whatever arrays it keeps between steps.

    Parameters of a matrix are flat too. A rule that needs their shape has `on_matrix(outputs)`,
    which returns it for so many rows and is called by who runs it on a matrix.
    """

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """The state before the first step, for parameters like `theta`."""
        ...

    def step(
        self, t: int, theta: np.ndarray, g: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Parameters and state after step `t` = 0, 1, ... with the gradient `g` of its batch.

        All three arrays are spent: an update may write into them, so keep what it returns.
        """
        ...


class Algorithm(Protocol):
    """A frozen, hashable description, as `Momentum` is.

    A theory of one's own needs the name alone. What else is missing is asked for where it is
    needed: `scheduled` for schedules and searches of rates, `update` to be simulated. One that
    has a `gradient` (gradients.py) is given that of a batch instead of the plain mean.
    """

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
    if is_named(value):
        require(value, "update", "it cannot be simulated")
        return value
    raise ValueError(
        f"`algorithm` must be a hidim algorithm such as hidim.sgd(0.1), got {shown(value)}."
    )


def is_named(value: Any) -> bool:
    """Whether this may be an algorithm of anybody: an object with a name."""
    return not isinstance(value, type) and isinstance(getattr(value, "name", None), str)


def require(algorithm: Any, method: str, otherwise: str) -> Any:
    """The method of an algorithm that not every one has.

    Raises:
        ValueError: this one has it not; `otherwise` says what cannot be done then.
    """
    found = _own(algorithm, method)
    if found is None:
        raise ValueError(f"{algorithm.name} has no `{method}`: {otherwise}.")
    return found


def described(algorithm: Any) -> Any:
    """Name and parameters as plain values; as text where the algorithm does not say."""
    told = _own(algorithm, "to_dict")
    if told is not None:
        return told()
    # The address that object's own repr ends with would make equal curves unequal.
    plain = type(algorithm).__repr__ is object.__repr__
    return algorithm.name if plain else repr(algorithm)


def _own(algorithm: Any, method: str) -> Any:
    """A method that is more than the outline in `Algorithm`, or None."""
    if getattr(type(algorithm), method, None) is getattr(Algorithm, method):
        return None
    found = getattr(algorithm, method, None)
    return found if callable(found) else None
