"""What of the covariance on measured rows is followed: its diagonal, and patterns beside it.

A covariance is nearly

    C = diag(c) + sum_b c_b P_b,        P_b symmetric, none on the diagonal, |P_b| = 1,

and in a space of such matrices the noise of the rows is what meets them: with phi_ij = z_ij^2 and
phi_ib = z_i^T P_b z_i row i has the squared residual |z_i . m - e_i|^2 + sum_a phi_ia c_a, and of
the noise mean_i q_i z_i z_i^T the part mean_i q_i phi_ia reaches c_a. A pattern is what the rows
that lead, with weights u_i, write off the diagonal,

    A = mean_i u_i z_i z_i^T,      u the leading direction of z_ij^2 / sqrt(lambda_j),

in one block of modes (bands of a factor of 8 in the eigenvalue, one against the other or itself),
since entries of one block are answered alike: at the mean of the two rates, damped by the product
of the two steps. The blocks with the largest |A|^2 / lambda are kept.
Source: derived for this project, docs/theory/rows.md. Limits: what momentum loses where two modes
ring at different frequencies is not seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Measured on 18 sets: 16 patterns, or bands of a factor of 4, tell no more (docs/log.md).
MOST_PATTERNS = 8
_OCTAVES = 3.0
# Of what is on the diagonal: entries below are rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Pattern:
    """One block of a symmetric matrix, and its mirror image.

    Args:
        first, second: the modes of its rows and columns; the same for a block on the diagonal.
        block: what z^T P z is made of, (first, second): twice P where `first` is not `second`.
        along: mean of the two eigenvalues, weighted by P^2.
        product: mean of their product.
    """

    first: slice
    second: slice
    block: np.ndarray
    along: float
    product: float

    def form(self, vectors: np.ndarray) -> np.ndarray:
        """v^T P v of vectors (..., modes)."""
        turned = vectors[..., self.first] @ self.block
        turned *= vectors[..., self.second]
        return np.asarray(turned.sum(axis=-1))


@dataclass(frozen=True, eq=False)
class Followed:
    """The modes of the diagonal and the patterns, in this order.

    Args:
        features: Z, (n, k).
        eigenvalues: (k,), descending.
        patterns: beside the diagonal.
    """

    features: np.ndarray
    eigenvalues: np.ndarray
    patterns: tuple[Pattern, ...]

    @cached_property
    def along(self) -> np.ndarray:
        """Eigenvalues, and the mean ones of patterns."""
        return np.array([*self.eigenvalues, *(p.along for p in self.patterns)])

    @cached_property
    def product(self) -> np.ndarray:
        """Squared eigenvalues, and the mean products of patterns."""
        return np.array([*self.eigenvalues**2, *(p.product for p in self.patterns)])

    @cached_property
    def squares(self) -> np.ndarray:
        """phi, (n, modes and patterns)."""
        beside = [p.form(self.features) for p in self.patterns]
        return np.column_stack([self.features**2, *beside])

    def forms(self, vectors: np.ndarray) -> np.ndarray:
        """v_j^2 and v^T P_b v of vectors (..., k)."""
        found = np.empty((*vectors.shape[:-1], len(self.along)))
        k = vectors.shape[-1]
        np.multiply(vectors, vectors, out=found[..., :k])
        for place, pattern in enumerate(self.patterns, start=k):
            found[..., place] = pattern.form(vectors)
        return found


def followed(features: np.ndarray, eigenvalues: np.ndarray, leading: np.ndarray) -> Followed:
    """What to follow of the covariance of these rows.

    Args:
        features: Z, (n, k).
        eigenvalues: (k,), descending, positive.
        leading: u, (n,), how the rows weigh.
    """
    along = eigenvalues
    whole = features.T @ (features * leading[:, None])
    np.fill_diagonal(whole, 0.0)
    least = _ROUNDING * float(np.abs(leading) @ np.einsum("ij,ij->i", features, features))
    # A ratio that is a power of 8 but for rounding falls into the same band either way.
    band = np.floor(np.log2(along[0] / along) / _OCTAVES + 1e-9)
    starts = np.flatnonzero(np.diff(band, prepend=-1.0))
    bands = [slice(a, b) for a, b in zip(starts, [*starts[1:], len(along)], strict=True)]
    found: list[tuple[float, Pattern]] = []
    for i, first in enumerate(bands):
        for second in bands[i:]:
            block = whole[first, second]
            twice = 1.0 if first is second else 2.0
            size = math.sqrt(twice * float(np.sum(block**2)))
            if size <= least:
                continue
            share = twice * (block / size) ** 2
            mean = 0.5 * float(share.sum(axis=1) @ along[first] + share.sum(axis=0) @ along[second])
            product = float(along[first] @ share @ along[second])
            pattern = Pattern(first, second, twice * block / size, mean, product)
            found.append((size**2 / mean, pattern))
    found.sort(key=lambda pair: -pair[0])
    return Followed(features, eigenvalues, tuple(p for _, p in found[:MOST_PATTERNS]))
