"""What does a spectrum still know of the coordinates that it was reduced from?

Signs of a gradient depend on the coordinates: they need the covariance K and the optimum there, and
not their reduction to eigenvalues. A `Coordinates` holds both; a `Drawn` holds what draws them, so
that a spectrum of a large W costs no more to keep or to save than it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from hidim.support import checks
from hidim.support.results import same

# Columns of rows up to which their covariance is kept: it is a square of this.
MOST_COORDINATES = 2048
# How an algorithm by the name is told its basis; what is not here says `basis` alone.
_CALLS = {
    "sign-sgd": "hidim.sign_sgd(eta, ",
    "adam": "hidim.adam(eta, beta_1, beta_2, ",
    "signum": "hidim.signum(eta, beta, ",
}


def unknown(name: str, provenance: Mapping[str, Any]) -> str:
    """What to do where the algorithm `name` asks for coordinates that a spectrum does not know.

    Args:
        name: the algorithm's.
        provenance: the spectrum's, which says whether it was measured on rows.

    >>> unknown("adam", {"problem": "data", "outputs": 2, "d": 9})[:64]
    'adam depends on the coordinates, which rows keep for one output '
    """
    call = _CALLS.get(name, "hidim.signed(algorithm, " if name.startswith("signed-") else "")
    say = (
        f'{call}basis="diagonal"{")" if call else ""} where its modes are the coordinates, or '
        'basis="generic" where they lie in no relation to them.'
    )
    outputs, columns = provenance.get("outputs", 1), provenance.get("d", 0)
    measured = provenance.get("problem") == "data"
    fewer = ["one output"] if outputs > 1 else []
    fewer += ["fewer columns"] if columns > MOST_COORDINATES else []
    if measured and fewer:
        return (
            f"{name} depends on the coordinates, which rows keep for one output and at most "
            f"{MOST_COORDINATES} columns, and these have {outputs} and {columns}: give "
            f"{' and '.join(fewer)}, or say {say}"
        )
    return (
        f"{name} depends on the coordinates, which this spectrum does not know: draw the problem "
        f"(seed=0), give Spectrum.from_covariance(K, target) for one output, or say {say}"
    )


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Covariance and optimum as they were given.

    Args:
        covariance: (d, d), or (d,) for a diagonal.
        optimum: (d,).

    >>> Coordinates([2.0, 1.0], [1.0, -1.0])
    Coordinates(2, diagonal)
    """

    covariance: np.ndarray
    optimum: np.ndarray

    def __post_init__(self) -> None:
        covariance = np.array(checks.finite_array("covariance", self.covariance, ndim=(1, 2)))
        optimum = np.array(checks.finite_array("optimum", self.optimum, ndim=1))
        if covariance.shape[0] != covariance.shape[-1] or len(optimum) != len(covariance):
            raise ValueError(
                "`covariance` must be (d, d) or (d,) and `optimum` (d,), got "
                f"{covariance.shape} and {optimum.shape}."
            )
        if covariance.ndim == 2 and not np.any(covariance - np.diag(np.diag(covariance))):
            covariance = np.diag(covariance).copy()
        for name, array in (("covariance", covariance), ("optimum", optimum)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash(self.covariance.shape)

    def __repr__(self) -> str:
        kind = ", diagonal" if self.covariance.ndim == 1 else ""
        return f"Coordinates({len(self.optimum)}{kind})"

    @property
    def known(self) -> Coordinates:
        """Itself."""
        return self


@dataclass(frozen=True)
class Drawn:
    """Covariance and optimum of one draw of W, made on first use.

    Args:
        problem: whose W is drawn, a PLRF.
        seed: of the draw.
    """

    problem: Any
    seed: int

    @cached_property
    def known(self) -> Coordinates:
        """What was drawn."""
        found: Coordinates = self.problem.coordinates(self.seed)
        return found


def coordinates_of(basis: Any) -> Coordinates | None:
    """The coordinates that a law's `basis` stands for, None where it knows none."""
    return basis.known if isinstance(basis, Coordinates | Drawn) else None
