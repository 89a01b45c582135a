"""What is least squares in a matrix? Rank-one rows u x^T, and one label for each of them.

    y = u^T W* x - eps,   u ~ N(0, I_m),  x ~ N(0, K),      2P = 2P_inf + sum_i lambda_i rho_i,

with rho_i = E |r_i|^2 summed over the outputs, r_i = (W - W*) q_i the error along an eigenvector of
K. The trained parameters are the m d entries of W, and the curvature of each mode occurs m times.
Source: after the exploratory code of arXiv 2605.09552; the paper's exact model was not consulted.
Limits: the columns of W* along the eigenvectors are taken to point in unrelated directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.problems.law import DataLaw
from hidim.problems.spectrum import Spectrum
from hidim.support import checks


@dataclass(frozen=True)
class MatrixLeastSquares:
    """Least squares in a matrix of `outputs` rows, which starts at 0.

    `hidim.sgd`, `hidim.sign_sgd` and `hidim.sign_svd` are predicted and run on it.

    Args:
        spectrum: of the covariance of x, with the squared errors summed over the outputs; the
            law of the labels too. A problem such as a PLRF stands for its average over W.
        outputs: m, rows of the matrix.

    Raises:
        ValueError: `outputs` missing, or no whole number from 1.

    >>> problem = MatrixLeastSquares(Spectrum([1.0, 0.5], [1.0, 1.0], 0.0), outputs=3)
    >>> problem.dimension, problem.initial_risk
    (6.0, 0.75)
    """

    spectrum: Spectrum
    outputs: int

    def __init__(self, spectrum: Any, outputs: Any = None) -> None:
        if not isinstance(spectrum, Spectrum) and callable(getattr(spectrum, "spectrum", None)):
            spectrum = spectrum.spectrum()
        if not isinstance(spectrum, Spectrum):
            raise ValueError(
                "`spectrum` must be a hidim.Spectrum or a problem such as hidim.PLRF(...), got "
                f"{type(spectrum).__name__}."
            )
        object.__setattr__(self, "spectrum", spectrum)
        object.__setattr__(self, "outputs", checked_outputs(outputs))

    def __repr__(self) -> str:
        return f"MatrixLeastSquares({self.spectrum!r}, outputs={self.outputs})"

    @property
    def dimension(self) -> float:
        """Trained parameters, m d."""
        return self.outputs * self.spectrum.dimension

    @property
    def initial_risk(self) -> float:
        """Risk at W = 0, with the one half, but for a law of noise."""
        return self.spectrum.initial_risk

    @property
    def risk_floor(self) -> float:
        """Risk at W*."""
        return self.spectrum.risk_floor

    @property
    def law(self) -> DataLaw:
        """That of the spectrum."""
        return self.spectrum.law

    @property
    def label(self) -> str:
        """For tables and legends."""
        return f"{self.spectrum.label or 'spectrum'}, {self.outputs} outputs"

    @property
    def provenance(self) -> dict[str, Any]:
        """What reproduces it."""
        return {**self.spectrum.provenance, "label": self.label, "outputs": self.outputs}

    def columns(self, seed: int) -> np.ndarray:
        """W* along every mode, one by one, (outputs, modes): lengths known, directions at random.

        Args:
            seed: of the directions.

        Raises:
            ValueError: multiplicities that are not whole numbers.
        """
        counts = np.where(self.spectrum.eigenvalues > 0, self.spectrum.multiplicity, 0.0)
        if np.any(counts < 0) or np.any(counts != np.floor(counts)):
            raise ValueError(
                "this Spectrum cannot be simulated: its `multiplicity` holds numbers that are not "
                "whole (a deterministic equivalent or a compressed spectrum). Give "
                "problem.spectrum(seed=0)."
            )
        repeats = counts.astype(np.int64)
        length = np.repeat(np.sqrt(self.spectrum.error_sq / np.maximum(counts, 1.0)), repeats)
        rng = np.random.default_rng(seed)
        towards = rng.standard_normal((self.outputs, len(length)))
        return np.asarray(length * towards / np.linalg.norm(towards, axis=0))


def checked_outputs(outputs: Any) -> int:
    """Rows of a matrix.

    Raises:
        ValueError: missing, or no whole number from 1.
    """
    if outputs is None:
        raise ValueError(
            "`outputs` is missing: say how many rows the matrix has, for example "
            "hidim.MatrixLeastSquares(spectrum, outputs=60)."
        )
    return int(checks.whole("outputs", outputs, minimum=1))
