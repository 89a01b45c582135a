"""register(): what is defined outside the package becomes known to it, everywhere."""

from __future__ import annotations

from hidim.algorithms import named
from hidim.systems import builders


def register(
    *, algorithm: named.Named | None = None, system: builders.Builder | None = None
) -> None:
    """Make an algorithm of one's own known by its name, or a theory of one's own to the engines.

    From then on the name works wherever one is asked for: `hidim.predict`, `recommend`,
    `stability`, `simulate`, `scaling_law`, ladders and planes, figures, and the command line of
    this process; and the theory answers wherever its builder does not return None.

    Args:
        algorithm: its record; see `hidim.Named`. What its constructor returns is a `Momentum`, or
            any frozen object with a `name`, for which a theory is then registered too.
        system: (problem, algorithm, batch_size) -> `hidim.System`, or None for what is another
            theory's. It is asked before those of the package, with the problem as it is and, if
            nobody takes that, with its Spectrum. docs/how-to/add-a-theory.md has an example.

    Raises:
        ValueError: neither is given; no record, a name that is no hyphenated word or is taken; a
            builder that cannot be called.

    Example:
        >>> from hidim import Named, predict, PLRF, sgd
        >>> from hidim.algorithms.named import Amplitudes
        >>> register(algorithm=Named(
        ...     "careful-sgd",
        ...     sgd,
        ...     colour="#446688",
        ...     amplitudes=lambda setting: Amplitudes(0.1 * setting.rate),
        ...     member=lambda amplitudes, kappas, d: sgd(amplitudes.gamma_2),
        ... ))
        >>> predict(PLRF(1, 0.7, 100), "Careful SGD", steps=10).label
        'careful-sgd'
    """
    if algorithm is None and system is None:
        raise ValueError(
            "give `algorithm`, a hidim.Named, or `system`, a builder (problem, algorithm, "
            "batch_size) -> hidim.System or None."
        )
    if system is not None and not callable(system):  # before anything is registered
        builders.register(system)
    if algorithm is not None:
        named.register(algorithm)
    if system is not None:
        builders.register(system)
