"""What is an algorithm known by: its name, constructor, exponents, rates and colour, in one record.

Everything that takes a name looks it up here, so a new algorithm is one `Named` and one call of
`hidim.register`; the built-in ones are in records.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from hidim.algorithms.kappas import Kappas
from hidim.support.checks import choice, non_negative, positive

_NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
# The class whose exponents the caller chooses.
GENERAL = "general-momentum"
# The authors' practical forgetting ("delta > 5"), where beta is unknown.
PRACTICAL_DELTA = 8.0


@dataclass(frozen=True, eq=False)
class Setting:
    """What a rule for rates may know of a problem.

    Attributes:
        alpha: exponent of the data, eigenvalues ~ j^(-2 alpha).
        beta: exponent of the target, None when unknown.
        d: trained parameters.
        batch_size: samples per step, may be infinite.
        trace: of the Hessian.
        curvature: L, the largest curvature: 1 on PLRF, where it is the population's.
        eigenvalues: shape (modes,), descending.
        counts: shape (modes,), modes that each entry stands for.
        given: exponents that the caller chose, by name; for the general class.
        batch_exponent: the power of d that the batch grows with, where that is known; otherwise
            the power that it is of this d.
        kurtosis: of the data, 1 for Gaussian rows.
    """

    alpha: float
    beta: float | None
    d: float
    batch_size: float
    trace: float
    curvature: float
    eigenvalues: np.ndarray
    counts: np.ndarray
    given: Mapping[str, float] = field(default_factory=dict)
    batch_exponent: float | None = None
    kurtosis: float = 1.0

    @property
    def noise_batch(self) -> float:
        """The batch of Gaussian rows with as much noise: kurtosis times smaller."""
        return self.batch_size / self.kurtosis

    @property
    def kappa_b(self) -> float:
        """The batch as a power of d, between 0 and 1 unless it was given."""
        if self.batch_exponent is not None:
            return self.batch_exponent
        if self.batch_size == 1:
            return 0.0
        return 1.0 if self.batch_size >= self.d else math.log(self.batch_size) / math.log(self.d)

    @property
    def rate(self) -> float:
        """min(1/L, B / (kurtosis tr K)): of the order of SGD's largest stable rate."""
        return min(1.0 / self.curvature, self.noise_batch / self.trace)

    @property
    def gamma_2(self) -> float:
        """The reference rate of the gradient step, 0.375 min(1/L, B / (kurtosis tr K))."""
        return 0.375 * self.rate

    @property
    def delta(self) -> float:
        """Friction for the exponent of F_pp: delta / 2 > (2 alpha + 2 beta - 1) / (2 alpha)."""
        if self.beta is None:
            return PRACTICAL_DELTA
        # Below 1 the momentum would forget less than a running mean does.
        needed = max(2.0 + (2.0 * self.beta - 1.0) / self.alpha, 2.0 - 1.0 / self.alpha)
        return max(1.0, 1.0 + needed)


class Amplitudes(NamedTuple):
    """The numbers beside the exponents: gamma_2, gamma_3 at step 0, and the friction delta."""

    gamma_2: float
    gamma_3: float = 0.0
    delta: float = 1.0


Exponents = Callable[..., Kappas]
Member = Callable[[Amplitudes, Kappas, float], Any]


@dataclass(frozen=True)
class Named:
    """One algorithm under its name.

    Args:
        name: hyphenated; what tables, figures and the command line call it.
        constructor: builds it from its own parameters: a `Momentum`, or any frozen object with a
            `name` for which somebody has a theory, see `hidim.register`.
        colour: "#rrggbb" in every figure; a spare one if empty.
        exponents: (alpha, kappa_b) -> Kappas, how the largest stable rates follow size and
            time; None where there is no scaling law. Of a class with free exponents it also
            takes kappa_1, kappa_2 and kappa_3 by keyword.
        amplitudes: Setting -> Amplitudes that suit it, before `hidim.recommend` holds them to
            its kernel norm; the constants of the scaling law follow from them.
        member: (amplitudes, kappas, d) -> algorithm, the member of the family with these
            amplitudes; None where exponents and amplitudes do not fix it.
        rates: Setting -> algorithm, where that is more than `member` at `amplitudes`. Outside the
            momentum family, and with a gradient of its own, no norm holds them any further.
        read_back: algorithm -> the constructor's parameters that give it, so that some can be
            changed and the others kept; None where there is no going back.
        takes_kappas: whether the caller may choose the exponents.
        forgetting: the constant forgetting of a momentum that is only a longer step, None of
            others.
        direct: share of a step that acts at once; less than 1 where the rest enters with the
            weight 1/t of an average.
        refusal: why there are no recommended rates, where there are none.

    Example:
        >>> from hidim.algorithms import sgd
        >>> half = Named("half-sgd", lambda gamma: sgd(gamma / 2), "#123456")
        >>> half.constructor(0.2) == sgd(0.1)
        True
    """

    name: str
    constructor: Callable[..., Any]
    colour: str = ""
    exponents: Exponents | None = None
    member: Member | None = None
    amplitudes: Callable[[Setting], Amplitudes] | None = None
    rates: Callable[[Setting], Any] | None = None
    read_back: Callable[[Any], Mapping[str, float]] | None = None
    takes_kappas: bool = False
    forgetting: float | None = None
    direct: float = 1.0
    refusal: str = "it has no rule for rates"

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and _NAME.fullmatch(self.name)):
            raise ValueError(f"`name` must be lower-case words with hyphens, got {self.name!r}.")
        if not callable(self.constructor):
            raise ValueError(f"`constructor` must be callable, got {self.constructor!r}.")
        if self.colour and not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            raise ValueError(f'`colour` must be "#rrggbb" or empty, got {self.colour!r}.')
        if self.exponents is not None and (self.amplitudes is None or self.member is None):
            raise ValueError(
                f"{self.name!r} has `exponents`, so it needs `amplitudes` and `member` too: the "
                "constants of its law follow from them."
            )

    def kappas(self, alpha: float, kappa_b: float = 0.0, **given: float | None) -> Kappas:
        """How the rates follow size and time at (alpha, kappa_b).

        Raises:
            ValueError: the algorithm has no exponents, or not these.
        """
        if self.exponents is None:
            raise ValueError(
                f"`name` is {self.name!r}, which has no scaling law: {self.refusal}. "
                f"Use one of {', '.join(names(scaling=True))}."
            )
        chosen = {key: value for key, value in given.items() if value is not None}
        for key, value in chosen.items():
            if not self.takes_kappas:
                free = " or ".join(repr(n) for n in names(scaling=True) if RECORDS[n].takes_kappas)
                raise ValueError(
                    f"`{key}` is fixed by alpha for {self.name!r}, got {value!r}. "
                    f"Use name={free} to choose it."
                )
        return self.exponents(alpha, kappa_b, **chosen)

    @property
    def no_rates(self) -> str:
        """Why there are no recommended rates, without a full stop; empty where there are some."""
        if self.rates is not None or None not in (self.amplitudes, self.member):
            return ""
        return f"`name` is {self.name!r}, which has no recommended rates: {self.refusal}"

    def recommended(self, setting: Setting) -> Any:
        """The algorithm with the rule's rates, not yet held to any norm.

        Raises:
            ValueError: there are none, or exponents that the algorithm does not take.
        """
        given = dict(setting.given)
        if given and not self.takes_kappas:
            free = " or ".join(repr(n) for n in names() if RECORDS[n].takes_kappas)
            raise ValueError(f"`{next(iter(given))}` is fixed for {self.name!r}; {free} takes it.")
        if self.rates is not None:
            return self.rates(setting)
        if self.amplitudes is None or self.member is None:
            raise ValueError(f"{self.no_rates}; try 'dana-decaying'.")
        kappas = Kappas()
        if self.exponents is not None:
            kappas = self.kappas(setting.alpha, setting.kappa_b, **given)
        return self.member(self.amplitudes(setting), kappas, setting.d)

    def at(self, step: float, ratio: float, delta: float | None, kappas: Kappas, d: float) -> Any:
        """The algorithm at amplitudes of one's own.

        Args:
            step: gamma_2 at this size; for a momentum that is only a longer step, the whole step.
            ratio: gamma_3 / gamma_2 up to the powers of d and t.
            delta: friction; None for the algorithm's constant forgetting, where it has one.
            kappas: the exponents.
            d: trained parameters.
        """
        if self.member is None:
            raise ValueError(f"`name` is {self.name!r}, whose rates do not follow from exponents.")
        if self.forgetting is not None:
            delta = self.forgetting if delta is None else delta
            share = ratio / (1 + ratio)  # of the whole step, so that step stays the rate
            parts = Amplitudes((1 - share) * step, share * step * delta, delta)
            return self.member(parts, kappas, d)
        gamma_3 = 0.0
        if math.isfinite(kappas.kappa_2):
            gamma_3 = ratio * step * d ** (kappas.kappa_1 - kappas.kappa_2)
        return self.member(Amplitudes(step, gamma_3, 1.0 if delta is None else delta), kappas, d)


# Name -> record. `register` adds to it; nothing else does. The built-in ones are there as soon as
# the package is imported.
RECORDS: dict[str, Named] = {}


def register(record: Named) -> None:
    """Make `record` known by its name.

    Raises:
        ValueError: no `Named`, or a name that is taken.
    """
    if not isinstance(record, Named):
        raise ValueError(f"`algorithm` must be a hidim.Named, got {record!r}.")
    taken = {_squeezed(name): name for name in RECORDS}
    if _squeezed(record.name) in taken:
        raise ValueError(f"`name` {record.name!r} is taken by {taken[_squeezed(record.name)]!r}.")
    RECORDS[record.name] = record


def lookup(name: object, *, what: str = "name") -> Named:
    """The record of `name`; case, hyphens, underscores and spaces do not matter.

    Args:
        what: the argument or flag that messages speak of.

    Raises:
        ValueError: no such algorithm; the message names the nearest.

    >>> lookup("SGD").name, lookup("dana_decaying").name, lookup("DANADecaying").name
    ('sgd', 'dana-decaying', 'dana-decaying')
    """
    if isinstance(name, str):
        if name in RECORDS:
            return RECORDS[name]
        squeezed = _squeezed(name)
        for known, record in RECORDS.items():
            if _squeezed(known) == squeezed:
                return record
        name = name.strip().lower().replace("_", "-")
    return RECORDS[choice(what, name, RECORDS)]


def names(*, scaling: bool = False, fixed: bool = False) -> list[str]:
    """Every known name.

    Args:
        scaling: only those that have a scaling law.
        fixed: only those among them whose exponents follow from alpha and the batch alone.

    >>> names(fixed=True)
    ['sgd', 'sgd-momentum', 'dana-constant', 'dana-decaying', 'schedule-free-sgd']
    """
    return [
        name
        for name, record in RECORDS.items()
        if (record.exponents is not None or not (scaling or fixed))
        and not (fixed and record.takes_kappas)
    ]


def kappas_of(
    alpha: float,
    name: str,
    *,
    kappa_1: float | None = None,
    kappa_2: float | None = None,
    kappa_3: float | None = None,
    kappa_b: float = 0.0,
) -> Kappas:
    """The exponents of a named optimizer, or of a member of the general class.

    Args:
        alpha: exponent of the data; positive.
        name: an algorithm with a scaling law; "general-momentum" takes the three kappas.
        kappa_1: gamma_2 ~ d^-kappa_1; by default the smallest stable one.
        kappa_2: gamma_3 ~ d^-kappa_2; "general-momentum" needs it.
        kappa_3: gamma_3 ~ t^-kappa_3; "general-momentum" needs it.
        kappa_b: batch ~ d^kappa_b, at least 0.

    Raises:
        ValueError: an unknown name, a missing or superfluous kappa, or rates that are
            unstable at large d.

    >>> kappas_of(1.0, "dana-decaying")
    Kappas(kappa_1=0.0, kappa_2=0.0, kappa_3=0.5, kappa_b=0.0)
    """
    alpha, kappa_b = positive("alpha", alpha), non_negative("kappa_b", kappa_b)
    given = {"kappa_1": kappa_1, "kappa_2": kappa_2, "kappa_3": kappa_3}
    return lookup(name).kappas(alpha, kappa_b, **given)


class Constructors(Mapping[str, Callable[..., Any]]):
    """Name -> constructor, of every algorithm that is known when one looks."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return RECORDS[name].constructor

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())


def _squeezed(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "-_ ")
