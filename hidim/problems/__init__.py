"""What is learned: every problem reduces to a Spectrum."""

from __future__ import annotations

from typing import Any, Protocol

from hidim.problems import features, noise
from hidim.problems.spectrum import Spectrum
from hidim.support import checks

__all__ = ["Problem", "Spectrum", "as_spectrum", "features", "noise"]


class Problem(Protocol):
    """Anything that reduces to a Spectrum: implement this one method and every engine works."""

    def spectrum(self, seed: int | None = None) -> Spectrum:
        """The Spectrum of a draw with `seed`, or the deterministic equivalent for None."""
        ...


def as_spectrum(problem: Any, seed: int | None = None) -> Spectrum:
    """Reduce a problem or a Spectrum to a Spectrum.

    Raises:
        ValueError: `problem` is neither, or `seed` is no whole number >= 0.
    """
    seed = checks.seed("seed", seed)
    if not callable(getattr(problem, "spectrum", None)):
        raise ValueError(
            f"`problem` must be a problem such as hidim.PLRF(...) or a hidim.Spectrum, got "
            f"{type(problem).__name__}."
        )
    return problem.spectrum(seed)
