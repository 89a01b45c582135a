"""Which features does a linear model get to see? Made from measured columns.

Random ReLU features of standardised columns x, (rows, p), of which there are `count`,

    max(x w_i / sqrt(p), 0) / sqrt(count),  w_i ~ N(0, I_p),

or all products of up to `degree` of them. Both are centred, and say what they do to their input:
predictions for them are `Spectrum.from_data(relu(X, 600), y)`, runs `simulate_rows(relu(X, 600), y,
...)`. Limits: the whole table is in memory, and its own means and deviations are the ones used.
"""

from __future__ import annotations

import math
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from hidim.problems.columns import columns_of
from hidim.support import checks
from hidim.support.memory import check_numbers_fit

__all__ = ["center", "polynomial", "relu", "standardize"]


def center(X: Any) -> np.ndarray:
    """Every column of X, (rows, columns), minus its mean.

    >>> center([[1.0, 5.0], [3.0, 5.0]]).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    return centred(columns_of("X", X, copy=True).values)


def standardize(X: Any) -> np.ndarray:
    """Every column of X, (rows, columns), with mean 0 and variance 1; what never changes is 0.

    >>> standardize([[1.0, 5.0], [3.0, 5.0]]).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    return standardized(columns_of("X", X, copy=True).values)


def relu(
    X: Any, count: float, *, seed: int = 0, standardize: bool = True, center: bool = True
) -> np.ndarray:
    """Random ReLU features of X, (rows, count): max(X w / sqrt(p), 0) / sqrt(count).

    Args:
        X: (rows, p).
        count: how many features.
        seed: of the directions w, Gaussian of p entries.
        standardize: give every column of X mean 0 and variance 1 before.
        center: subtract every feature's mean after.

    Raises:
        ValueError: a cell of X that is no number, or more features than memory holds.

    >>> features = relu([[1.0, 5.0], [3.0, 4.0], [2.0, 9.0]], 600, seed=1)
    >>> features.shape, bool(abs(features.mean(axis=0)).max() < 1e-15)
    ((3, 600), True)
    """
    inputs = columns_of("X", X, copy=standardize).values
    count = int(checks.whole("count", count, minimum=1))
    check_numbers_fit(f"{count:,} features of {len(inputs):,} rows", len(inputs) * count)
    if standardize:
        inputs = standardized(inputs)
    wide = inputs.shape[1]
    directions = np.random.default_rng(checks.given_seed("seed", seed))
    features = inputs @ directions.standard_normal((wide, count))
    features /= math.sqrt(max(wide, 1))
    np.maximum(features, 0.0, out=features)
    if center:
        features = centred(features)
    features /= math.sqrt(count)
    return features


def polynomial(
    X: Any, degree: float, *, standardize: bool = True, center: bool = True
) -> np.ndarray:
    """All products of 1 to `degree` columns of X, by degree and then in the columns' order.

    p columns make (p + degree)! / (p! degree!) - 1 features: no constant is among them.

    Args:
        X: (rows, p).
        degree: of the highest products.
        standardize: give every column of X mean 0 and variance 1 before.
        center: subtract every feature's mean after.

    Raises:
        ValueError: a cell of X that is no number, more features than memory holds, or products
            beyond float64.

    >>> polynomial([[1.0, 2.0], [3.0, 5.0]], 2, standardize=False, center=False).tolist()
    [[1.0, 2.0, 1.0, 2.0, 4.0], [3.0, 5.0, 9.0, 15.0, 25.0]]
    """
    inputs = columns_of("X", X, copy=standardize).values
    highest = int(checks.whole("degree", degree, minimum=1))
    rows, wide = inputs.shape
    count = math.comb(wide + highest, highest) - 1
    check_numbers_fit(f"{count:,} features of {rows:,} rows", float(rows) * count)
    if standardize:
        inputs = standardized(inputs)
    features = np.empty((rows, count))
    place: dict[tuple[int, ...], int] = {}
    with np.errstate(over="ignore", invalid="ignore"):
        for length in range(1, highest + 1):
            for factors in combinations_with_replacement(range(wide), length):
                column = inputs[:, factors[-1]]
                if length > 1:
                    column = features[:, place[factors[:-1]]] * column
                features[:, len(place)] = column
                place[factors] = len(place)
    if not np.isfinite(features).all():
        raise ValueError(f"products of {highest} columns leave float64. Measure in other units.")
    return centred(features) if center else features


def centred(X: np.ndarray) -> np.ndarray:
    """`center` of an array that is checked, in place."""
    with np.errstate(over="ignore"):
        X -= _finite_mean(X)
    return X


def standardized(X: np.ndarray) -> np.ndarray:
    """`standardize` of an array that is checked, in place."""
    never = constant(X)
    X = centred(X)
    X[:, never] = 0.0  # the mean of equal numbers may be off by rounding
    largest = np.maximum(X.max(axis=0, initial=0.0), -X.min(axis=0, initial=0.0))
    largest[largest == 0] = 1.0
    X /= largest  # so that no square leaves float64
    deviation = np.sqrt(np.einsum("ij,ij->j", X, X) / max(len(X), 1))
    deviation[deviation == 0] = 1.0
    X /= deviation
    return X


def constant(X: np.ndarray) -> np.ndarray:
    """Which columns never change, (columns,)."""
    return np.asarray((X[:1] == X).all(axis=0))


def _finite_mean(X: np.ndarray) -> np.ndarray:
    mean = X.mean(axis=0) if len(X) else np.zeros(X.shape[1])
    if not np.isfinite(mean).all():
        raise ValueError("the means of the columns leave float64. Measure in other units.")
    return mean
