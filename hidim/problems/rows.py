"""The measured rows of a problem, in its eigenbasis: what makes predictions on them exact.

Rows x_i = V z_i with mean z z^T = diag(eigenvalues), targets y_i = x_i . theta* + e_i. Of a
row an algorithm sees z_i . r - e_i, with r the error theta - theta* in the eigenbasis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.support.results import same

# Whether `Spectrum.from_data` keeps the rows where it is not told.
KEEP_ROWS = True


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows drawn with replacement, all equally often.

    Args:
        features: Z, (n, k), columns in the order of the spectrum's eigenvalues that are not zero.
        residual: e, (n, outputs), what the optimum leaves of the targets.
        start: the error at step 0, -theta*, (k, outputs), signed.
        index: (n,), which row of the data each is.
        of: how many rows the data has; more than n where a random subset is kept.

    Raises:
        ValueError: shapes that do not fit, or numbers that are not finite.

    >>> rows = Rows(np.eye(2), np.zeros((2, 1)), np.ones((2, 1)), np.arange(2), 2)
    >>> len(rows), rows.outputs
    (2, 1)
    """

    features: np.ndarray
    residual: np.ndarray
    start: np.ndarray
    index: np.ndarray
    of: int

    def __post_init__(self) -> None:
        for name in ("features", "residual", "start"):
            array = getattr(self, name)
            if array.ndim != 2 or not np.isfinite(array).all():
                raise ValueError(
                    f"`{name}` must hold finite numbers in rows and columns, got shape "
                    f"{array.shape}."
                )
        n, k = self.features.shape
        if not (len(self.residual) == n == len(self.index) <= self.of) or n == 0:
            raise ValueError(
                f"`features`, `residual` and `index` must have one row per row kept, of at most "
                f"`of`={self.of}; got {n}, {len(self.residual)} and {len(self.index)}."
            )
        if self.start.shape != (k, self.outputs):
            raise ValueError(
                f"`start` must be (features, outputs), {(k, self.outputs)}, got {self.start.shape}."
            )
        for name in ("features", "residual", "start", "index"):
            getattr(self, name).setflags(write=False)

    def __len__(self) -> int:
        return len(self.features)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        names = ("features", "residual", "start", "index", "of")
        return all(same(getattr(self, name), getattr(other, name)) for name in names)

    def __hash__(self) -> int:
        return hash((self.features.shape, self.of))

    def __repr__(self) -> str:
        part = f" of {self.of}" if self.of != len(self) else ""
        return f"Rows({len(self)}{part} rows, {self.features.shape[1]} features)"

    @property
    def outputs(self) -> int:
        """How many targets a row has."""
        return self.residual.shape[1]

    @property
    def kurtosis(self) -> float:
        """E|z|^4 / ((tr K)^2 + 2 tr K^2): 1 for Gaussian rows. A description, no guide to rates.

        >>> round(Rows(np.eye(2), np.zeros((2, 1)), np.ones((2, 1)), np.arange(2), 2).kurtosis, 3)
        0.5
        """
        energy = self._energy()
        second = np.mean(self.features**2, axis=0)
        return float(np.mean(energy**2) / (energy.mean() ** 2 + 2.0 * np.sum(second**2)))

    @property
    def noise_kurtosis(self) -> float:
        """E e^2|z|^2 / (E e^2 E|z|^2): 1 where long rows are fitted as well as short ones.

        1 too where nothing is left to fit.
        """
        energy, left = self._energy(), np.sum(self.residual**2, axis=1)
        both = energy.mean() * left.mean()
        return float(np.mean(energy * left) / both) if both > 0 else 1.0

    def _energy(self) -> np.ndarray:
        return np.einsum("ij,ij->i", self.features, self.features)
