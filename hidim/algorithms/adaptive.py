"""Methods that divide every coordinate by a size of its gradients: Adam, and the sign of momentum.

    Adam:      m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  theta <- theta - eta m / sqrt(v)
    Signum:    m <- b m + g,            theta <- theta - eta sign(m)

Not of the momentum family, whose step is linear in the momentum. A coordinate whose v is 0 stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hidim.algorithms.schedules import Schedule, as_schedule
from hidim.algorithms.written import written
from hidim.support import checks

BASES = ("diagonal", "generic")


@dataclass(frozen=True)
class Adam:
    """Adam without an epsilon.

    Args:
        eta: the rate.
        beta_1, beta_2: what a step keeps of the mean gradient and of the mean square.
        basis: of a bare spectrum, as of `hidim.sign_sgd`.
        bias_correction: divide both means by 1 - beta^t, as torch does.
    """

    eta: Schedule
    beta_1: float
    beta_2: float
    basis: str | None = None
    bias_correction: bool = False
    name: str = "adam"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Where the rate changes its formula."""
        return self.eta.breakpoints

    def scheduled(self, schedule: Schedule) -> Adam:
        """With the rate multiplied."""
        return replace(self, eta=self.eta * schedule)

    def update(self) -> AdamUpdate:
        """The rule itself."""
        return AdamUpdate(self)

    def to_dict(self) -> dict[str, Any]:
        """For provenance."""
        table: dict[str, Any] = {"name": self.name, "eta": written(self.eta)}
        table |= {"beta_1": self.beta_1, "beta_2": self.beta_2}
        table |= {} if self.basis is None else {"basis": self.basis}
        return table | ({"bias_correction": True} if self.bias_correction else {})


class AdamUpdate:
    """The `Update` of Adam; its state is m and v."""

    def __init__(self, algorithm: Adam) -> None:
        self._one = algorithm

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """Nothing seen yet."""
        return np.zeros_like(theta), np.zeros_like(theta)

    def step(
        self, t: int, theta: np.ndarray, g: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Parameters and state after step `t`; all arrays are written into."""
        one, (m, v) = self._one, state
        m *= one.beta_1
        m += (1.0 - one.beta_1) * g
        v *= one.beta_2
        g *= g
        v += (1.0 - one.beta_2) * g
        eta = float(one.eta(float(t)))
        if one.bias_correction:
            eta *= (1.0 - one.beta_2 ** (t + 1)) ** 0.5 / (1.0 - one.beta_1 ** (t + 1))
        theta -= eta * np.divide(m, np.sqrt(v), out=np.zeros_like(m), where=v > 0)
        return theta, state


@dataclass(frozen=True)
class Signum:
    """The sign of a momentum.

    Args:
        eta: the rate.
        beta: what a step keeps of the momentum.
        basis: of a bare spectrum, as of `hidim.sign_sgd`.
    """

    eta: Schedule
    beta: float
    basis: str | None = None
    name: str = "signum"

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Where the rate changes its formula."""
        return self.eta.breakpoints

    def scheduled(self, schedule: Schedule) -> Signum:
        """With the rate multiplied."""
        return replace(self, eta=self.eta * schedule)

    def update(self) -> SignumUpdate:
        """The rule itself."""
        return SignumUpdate(self)

    def to_dict(self) -> dict[str, Any]:
        """For provenance."""
        table = {"name": self.name, "eta": written(self.eta), "beta": self.beta}
        return table if self.basis is None else table | {"basis": self.basis}


class SignumUpdate:
    """The `Update` of Signum; its state is the momentum."""

    def __init__(self, algorithm: Signum) -> None:
        self._one = algorithm

    def start(self, theta: np.ndarray) -> tuple[np.ndarray, ...]:
        """No momentum yet."""
        return (np.zeros_like(theta),)

    def step(
        self, t: int, theta: np.ndarray, g: np.ndarray, state: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Parameters and state after step `t`; all arrays are written into."""
        (m,) = state
        m *= self._one.beta
        m += g
        theta -= float(self._one.eta(float(t))) * np.sign(m)
        return theta, state


def adam(
    eta: Any,
    beta_1: float,
    beta_2: float,
    *,
    basis: str | None = None,
    bias_correction: bool = False,
) -> Adam:
    """Adam without an epsilon, and without bias correction unless asked.

    Args:
        eta: a number or a schedule.
        beta_1: what a step keeps of the mean gradient, in [0, 1).
        beta_2: what it keeps of the mean square, in [0, 1).
        basis: on a spectrum that knows no coordinates, "diagonal" or "generic".
        bias_correction: divide both means by 1 - beta^t, as torch.optim.Adam does.

    Raises:
        ValueError: a beta out of range, another basis, or a rate that is none.

    >>> adam(0.001, 0.9, 0.999).to_dict()
    {'name': 'adam', 'eta': 0.001, 'beta_1': 0.9, 'beta_2': 0.999}
    """
    _check_basis(basis)
    first, second = _share("beta_1", beta_1), _share("beta_2", beta_2)
    return Adam(as_schedule("eta", eta), first, second, basis, bool(bias_correction))


def signum(eta: Any, beta: float, *, basis: str | None = None) -> Signum:
    """The sign of the momentum m = beta m + g.

    Args:
        eta: a number or a schedule.
        beta: what a step keeps of the momentum, in [0, 1); 0 is signSGD.
        basis: on a spectrum that knows no coordinates, "diagonal" or "generic".

    Raises:
        ValueError: a beta out of range, another basis, or a rate that is none.

    >>> signum(0.001, 0.9).name
    'signum'
    """
    _check_basis(basis)
    return Signum(as_schedule("eta", eta), _share("beta", beta), basis)


def _check_basis(basis: str | None) -> None:
    if basis is not None:
        checks.choice("basis", basis, BASES)


def _share(name: str, value: Any) -> float:
    value = checks.non_negative(name, value)
    if value >= 1.0:
        raise ValueError(f"`{name}` is the share that a step keeps, in [0, 1), got {value:g}.")
    return value
