"""register(): what is defined outside the package becomes known by its name, everywhere."""

from __future__ import annotations

from hidim.algorithms import named


def register(*, algorithm: named.Named) -> None:
    """Make an algorithm of one's own known by its name.

    From then on the name works wherever one is asked for: `hidim.predict`, `recommend`,
    `stability`, `simulate`, `scaling_law`, ladders and planes, figures, and the command line of
    this process.

    Args:
        algorithm: its record; see `hidim.Named`.

    Raises:
        ValueError: no record, or a name that is no hyphenated word or is taken.

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
    named.register(algorithm)
