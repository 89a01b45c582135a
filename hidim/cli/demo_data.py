"""Real data for `hidim demo`: data sets that ship inside scikit-learn, as random features.

Random ReLU features of measured inputs are the setting that PLRF idealises: the rows are real,
the model is linear in its d parameters, and only the number of features is ours to choose.
"""

from __future__ import annotations

import numpy as np

from hidim.problems.features import relu
from hidim.support.extras import require

FEATURES = 600


def digits(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits: is the digit odd? X of shape (1797, 600), y of +1 and -1."""
    data = require("sklearn.datasets", "demo").load_digits()
    return random_features(data.data / 16.0, seed), np.where(data.target % 2 == 1, 1.0, -1.0)


def tumours(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """569 breast tumours, 30 measurements each: is it benign? A few rows are long."""
    data = require("sklearn.datasets", "demo").load_breast_cancer()
    measured = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    return random_features(measured, seed), np.where(data.target == 1, 1.0, -1.0)


def random_features(inputs: np.ndarray, seed: int) -> np.ndarray:
    """Centred random ReLU features, scaled by 1 / sqrt(d), shape (rows, 600)."""
    return relu(inputs, FEATURES, seed=seed, standardize=False)
