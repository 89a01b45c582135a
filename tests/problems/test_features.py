"""Features made of measured columns: their formulas, their seeds, and what they refuse."""

import math

import numpy as np
import pytest

import hidim
from hidim.problems.features import center, polynomial, relu, standardize

X = np.random.default_rng(0).standard_normal((40, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, 1.0]


def test_relu_features_are_their_formula():
    inputs = (X - X.mean(axis=0)) / X.std(axis=0)
    directions = np.random.default_rng(7).standard_normal((3, 50))
    truth = np.maximum(inputs @ directions / math.sqrt(3), 0.0)
    truth = (truth - truth.mean(axis=0)) / math.sqrt(50)
    np.testing.assert_allclose(relu(X, 50, seed=7), truth, atol=1e-14)
    assert not np.allclose(relu(X, 50), relu(X, 50, seed=7))
    plain = relu(X, 50, seed=7, standardize=False, center=False)
    np.testing.assert_allclose(plain, np.maximum(X @ directions, 0.0) / math.sqrt(150), atol=1e-14)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_polynomials_are_all_products_and_no_constant(degree):
    found = polynomial(X, degree, standardize=False, center=False)
    powers = [p for p in np.ndindex((degree + 1,) * 3) if 1 <= sum(p) <= degree]
    assert found.shape == (40, len(powers)) == (40, math.comb(3 + degree, degree) - 1)
    truth = np.stack([np.prod(X**p, axis=1) for p in powers], axis=1)
    order = [np.argmin(np.abs(found - column[:, None]).max(axis=0)) for column in truth.T]
    assert sorted(order) == list(range(len(powers)))
    np.testing.assert_allclose(found[:, order], truth, rtol=1e-12)
    by_default = polynomial(X, degree)
    np.testing.assert_allclose(by_default.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(by_default[:, :3], standardize(X), atol=1e-14)


def test_the_unit_of_a_column_does_not_matter_and_the_input_stays_as_it_was():
    kept = X.copy()
    for make in (standardize, lambda X: relu(X, 20), lambda X: polynomial(X, 2)):
        np.testing.assert_allclose(make(X * [1.0, 1e6, 1e-6]), make(X), atol=1e-12)
    np.testing.assert_allclose(center(X), X - X.mean(axis=0), atol=1e-15)
    np.testing.assert_array_equal(X, kept)


def test_predictions_and_runs_are_for_the_same_features():
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((300, 4))
    features = hidim.problems.features.relu(rows, 30)
    y = np.sin(rows[:, 0]) + 0.3 * rng.standard_normal(300)
    spectrum = hidim.Spectrum.from_data(features, y)
    algorithm = hidim.sgd(0.2 / spectrum.trace)
    truth = hidim.predict(spectrum, algorithm, at=[0, 30, 100])
    run = hidim.simulate_rows(features, y, algorithm, 100, runs=64, at=[0, 30, 100])
    assert np.all(np.abs(run.risk - truth.risk) < 4 * run.stderr + 0.01 * truth.risk)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: relu(X, 0), "`count` must be at least 1"),
        (lambda: relu(X, 2.5), "`count` must be a whole number"),
        (lambda: relu(X, 10, seed=-1), "`seed`"),
        (lambda: relu(X, 10**14), "100,000,000,000,000 features of 40 rows would need"),
        (lambda: relu([[1.0, math.nan]], 5), "row 0, column 1"),
        (lambda: relu(X[:, 0], 5), "must have rows and columns"),
        (lambda: polynomial(X, 0), "`degree`"),
        (lambda: polynomial(np.ones((9, 4000)), 4), "features of 9 rows would need"),
        (lambda: polynomial(1e200 * X, 2, standardize=False), "leave float64"),
        (lambda: center([[1.7e308], [1.7e308]]), "leave float64"),
    ],
)
def test_features_that_cannot_be_made_are_refused_in_one_line(make, said):
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
