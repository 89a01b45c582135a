"""Which theory answers for this problem and this algorithm?

Every theory has a builder, (problem, algorithm, batch_size) -> System, or None for what is another
theory's. Builders are asked with the problem as it is and, if none takes it, with its Spectrum;
where a seed draws the problem, with the drawn Spectrum alone. Those registered from outside the
package are asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hidim.algorithms.base import is_named
from hidim.algorithms.gradients import REMEDY, gradient_of
from hidim.algorithms.momentum import as_algorithm
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.systems import adam, clipped, matrix, momentum, noisy, rows, sign
from hidim.systems.base import System
from hidim.systems.check import checked

Builder = Callable[[Any, Any, float], System | None]

BUILDERS: list[Builder] = [
    momentum.build,
    rows.build,
    clipped.build,
    noisy.build,
    sign.build,
    matrix.build,
    adam.build,
]
_OUTSIDE: list[Builder] = []


def register(builder: Builder) -> None:
    """Ask this builder before those of the package; registering it twice is registering it once.

    Raises:
        ValueError: it cannot be called.
    """
    if not callable(builder):
        raise ValueError(
            "`system` must be a builder, (problem, algorithm, batch_size) -> System or None, got "
            f"{builder!r}."
        )
    if builder not in _OUTSIDE:
        _OUTSIDE.insert(0, builder)


def system_of(
    problem: Any, algorithm: Any, batch_size: float = 1, seed: int | None = None
) -> System:
    """The system of the first builder that takes these.

    Raises:
        ValueError: no theory covers them.

    >>> from hidim.algorithms import sgd
    >>> system_of(Spectrum([1.0], [1.0], 0.0), sgd(0.5)).orders
    ('twice_risk',)
    """
    reducible = callable(getattr(problem, "spectrum", None))
    forms = [] if reducible and seed is not None else [problem]
    if reducible and not isinstance(problem, Spectrum):
        forms.append(as_spectrum(problem, seed))
    elif isinstance(problem, Spectrum):
        forms = [problem]
    for form in forms:
        for builder in (*_OUTSIDE, *BUILDERS):
            system = builder(form, algorithm, batch_size)
            if system is not None and builder in _OUTSIDE:
                system = checked(system)
            if system is not None:
                return system.as_given() if isinstance(problem, Spectrum) else system
    # Nobody's: say which of the two is no such thing, or that they do not meet.
    if not is_named(algorithm):
        as_algorithm(algorithm)
    spectrum = as_spectrum(problem, seed)
    gradient = gradient_of(algorithm)
    if spectrum.law.rows is not None:
        changed = "" if gradient is None else f" with the gradient {gradient.name!r}"
        raise ValueError(
            f"no registered theory covers {algorithm.name}{changed} on measured rows: "
            "hidim.simulate_rows(X, y, ...) runs it, and Spectrum.from_data(X, y, rows=False) is "
            "the Gaussian of the same covariance."
        )
    if gradient is not None:
        raise ValueError(
            f"no registered theory covers {algorithm.name} with the gradient {gradient.name!r} on "
            f"{spectrum.label!r}. {REMEDY}"
        )
    if spectrum.law.noise is not None:
        raise ValueError(
            "`problem` carries `noise` of its data, which no registered theory reads for "
            f"{algorithm.name}. Predict it without, or register a theory: hidim.register(system=)."
        )
    raise ValueError(f"no registered theory covers {algorithm.name} on {spectrum.label!r}.")
