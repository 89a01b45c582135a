"""How noisy is the gradient of a mini-batch? The one owner of its second moments.

Rows are elliptical, x = s z with z ~ N(0, K), E s^2 = 1 and E s^4 = kurtosis; label noise e has
E e^2 s^2 = noise_kurtosis E e^2. Along eigenvector j, whose error has rho = E r_j^2,

    E g_j^2 = (1 + own) lambda^2 rho + n lambda (shared 2 P + constant 2 P_inf),

    own = (2 kurtosis - 1) / B,  shared = kurtosis / B,  constant = (noise_kurtosis - kurtosis) / B,

with P the risk, P_inf its floor, n the multiplicity and B the batch. At both kurtoses 1 rows are
Gaussian; a kurtosis acts like a batch that many times smaller, but for the own share.
Source: from E (x^T A x) x x^T = kurtosis (2 K A K + tr(K A) K), derived for this project.
Limits: rows drawn independently, with replacement. What else a problem knows of its data (`noise`,
`rows`, `basis`) is carried for the theories that read it and not interpreted here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from hidim.problems.coordinates import Coordinates, Drawn
from hidim.problems.noise import checked
from hidim.support import checks
from hidim.support.results import same


@dataclass(frozen=True, eq=False)
class DataLaw:
    """What is known of the data beside its covariance.

    Two laws are equal when everything they hold is.

    Args:
        kurtosis: E s^4 of rows s z, at least 1; 1 for Gaussian rows.
        noise_kurtosis: E e^2 s^2 / E e^2 of all that no parameter explains, not negative; 1 for
            noise independent of s, `kurtosis` for noise scaled by s.
        noise: law of label noise on top of the floor, or None.
        rows: the measured rows in the eigenbasis, or None.
        basis: the coordinates that the modes come from (problems/coordinates.py), or None.

    Raises:
        ValueError: a kurtosis out of range.

    >>> DataLaw(kurtosis=3.0).own(10), DataLaw(kurtosis=3.0).shared(10)
    (0.5, 0.3)
    """

    kurtosis: float = 1.0
    noise_kurtosis: float = 1.0
    noise: Any = None
    rows: Any = None
    basis: Any = None

    def __post_init__(self) -> None:
        kurtosis = checks.finite("kurtosis", self.kurtosis)
        if kurtosis < 1:
            raise ValueError(
                f"`kurtosis` must be at least 1, that of Gaussian rows, got {self.kurtosis!r}: "
                "E s^4 is never below (E s^2)^2."
            )
        noise_kurtosis = checks.non_negative("noise_kurtosis", self.noise_kurtosis)
        checked(self.noise)
        object.__setattr__(self, "kurtosis", kurtosis)
        object.__setattr__(self, "noise_kurtosis", noise_kurtosis)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.kurtosis, self.noise_kurtosis))

    def __repr__(self) -> str:
        return f"DataLaw({', '.join(self.described)})"

    @property
    def described(self) -> tuple[str, ...]:
        """What is not as it is for Gaussian rows, as text.

        >>> DataLaw(kurtosis=2.5).described
        ('kurtosis=2.5',)
        """
        known = [f"{name}={value:g}" for name, value in self.numbers.items()]
        known += [f"noise={self.noise!r}"] if self.noise is not None else []
        basis = None if isinstance(self.basis, Coordinates | Drawn) else self.basis
        carried = {"rows": self.rows, "basis": basis}
        return (*known, *(f"{name}=..." for name, value in carried.items() if value is not None))

    @property
    def numbers(self) -> dict[str, float]:
        """The kurtoses that are not 1, by name."""
        both = {"kurtosis": self.kurtosis, "noise_kurtosis": self.noise_kurtosis}
        return {name: value for name, value in both.items() if value != 1}

    @property
    def gaussian(self) -> bool:
        """Whether the gradient's second moments are those of Gaussian rows and noise."""
        return not self.numbers

    @property
    def noise_risk(self) -> float:
        """Half the variance of the noise law, which is on top of a floor; it may be infinite."""
        return 0.0 if self.noise is None else 0.5 * float(self.noise.variance)

    # Each takes what it multiplies: `of` / batch is rounded once, `of` times 1 / batch twice.

    def own(self, batch: float, of: Any = 1.0) -> Any:
        """Times lambda^2 rho: what a mode's own error adds to its noise; 0 at an infinite batch."""
        return (2.0 * self.kurtosis - 1.0) * of / batch

    def shared(self, batch: float, of: Any = 1.0) -> Any:
        """Times n lambda 2P: what the whole risk adds to a mode's noise; 0 at an infinite batch."""
        return self.kurtosis * of / batch

    def constant(self, batch: float, of: Any = 1.0) -> Any:
        """Times n lambda 2P_inf: by how much more the floor adds; 0 at an infinite batch."""
        return (self.noise_kurtosis - self.kurtosis) * of / batch

    def of_nodes(self) -> DataLaw:
        """The law once modes are merged into nodes: neither rows nor a basis fit these.

        >>> DataLaw(2.0, basis=[[1.0]]).of_nodes()
        DataLaw(kurtosis=2)
        """
        return DataLaw(self.kurtosis, self.noise_kurtosis, self.noise)
