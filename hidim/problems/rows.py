"""The measured rows of a problem, in its eigenbasis: what makes predictions on them exact.

Rows x_i = V z_i with mean z z^T = diag(eigenvalues), targets y_i = x_i . theta* + e_i. Of a
row an algorithm sees z_i . r - e_i, with r the error theta - theta* in the eigenbasis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.support.results import same


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows drawn with replacement, all equally often.

    Args:
        features: Z, (n, k), columns in the order of the spectrum's eigenvalues that are not zero.
        residual: e, (n, outputs), what the optimum leaves of the targets.
        start: the error at step 0, -theta*, (k, outputs), signed.
        index: (n,), which row of the data each is.
        of: how many rows the data has; more than n where a random subset is kept.

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
