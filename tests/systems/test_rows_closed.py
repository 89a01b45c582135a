"""Claims about what the closed covariance leaves out on real rows: next to nothing at gain 1/2."""

import numpy as np
import pytest

import hidim
from hidim.systems.builders import system_of
from hidim.systems.row_patterns import MOST_PATTERNS, followed
from papers.real_data.sets import CASES
from tests.systems.test_rows import SHAPES, at_gain, skewed

BUILDS = {
    **SHAPES,
    "dana-constant": lambda g: hidim.dana_constant(g, 0.05 * g, 4.0),
}
MARKS = [1, 3, 10, 30, 100, 300, 1000]
# What is promised everywhere.
WORST, MEDIAN = 0.015, 0.003


def real(name):
    """Standardised rows that ship inside scikit-learn, or random features of them."""
    from sklearn import datasets

    kind, _, features = name.partition("-")
    data = getattr(datasets, f"load_{kind}")()
    X = hidim.problems.features.standardize(data.data)
    if features:
        X = hidim.problems.features.relu(X, int(features), seed=0)
    return X / np.sqrt(X.shape[1]), data.target - data.target.mean()


def gaps(spectrum, algorithm, batch_size, at):
    """Closed against whole covariance, relative, at some steps."""
    options = {"at": at, "batch_size": batch_size}
    truth = hidim.predict(spectrum, algorithm, engine="matrix", **options)
    return np.abs(hidim.predict(spectrum, algorithm, **options).risk / truth.risk - 1)


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_at_recommended_rates_little_is_left_out_on_real_rows(name):
    spectrum = hidim.Spectrum.from_data(*real(name), rows=True)
    found = [
        gaps(spectrum, hidim.recommend(spectrum, algorithm, batch), batch, [1, 10, 100, 300])
        for algorithm, batch in (("sgd", 1), ("dana-decaying", 1), ("dana-decaying", 16))
    ]
    assert np.max(found) <= WORST
    assert np.median(found) <= MEDIAN


@pytest.mark.parametrize(
    "name", ["wine", "breast_cancer", "diabetes", "wine-60", "breast_cancer-60"]
)
def test_at_a_gain_of_a_half_little_is_left_out_on_real_rows(name):
    spectrum = hidim.Spectrum.from_data(*real(name), rows=True)
    found = []
    for shape, batch in (("sgd", 1), ("sgd", 16), ("sgd-momentum", 1), ("dana-decaying", 1)):
        algorithm = at_gain(spectrum, SHAPES[shape], 0.5, batch)
        found.append(gaps(spectrum, algorithm, batch, [1, 10, 100, 300]))
    assert np.max(found) <= WORST
    assert np.median(found) <= MEDIAN


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_at_a_gain_of_a_half_little_is_left_out_on_every_set_of_the_page(case):
    spectrum = hidim.Spectrum.from_data(*case.table(), rows=True)
    rows = spectrum.law.rows
    if rows.features.shape[1] > 128:
        pytest.skip("more modes than engine 'matrix' follows")
    at = MARKS if rows.features.size < 40_000 else MARKS[:-1]
    found = [
        gaps(spectrum, at_gain(spectrum, build, 0.5, batch), batch, at)
        for build in BUILDS.values()
        for batch in (1, 16)
    ]
    assert np.max(np.concatenate(found)) <= WORST
    assert np.median(np.concatenate(found)) <= MEDIAN


def test_momentum_that_rings_long_takes_a_little_too_much_from_the_patterns():
    spectrum = hidim.Spectrum.from_data(*real("breast_cancer-60"), rows=True)
    algorithm = at_gain(spectrum, lambda g: hidim.sgd_momentum(g, 0.3 * g, 0.01), 0.5)
    assert np.max(gaps(spectrum, algorithm, 1, [100, 300, 1000])) <= WORST  # .9 %; 2 % without


def test_without_a_pattern_a_percent_is_missing(monkeypatch):
    spectrum = hidim.Spectrum.from_data(*real("breast_cancer"), rows=True)
    algorithm = at_gain(spectrum, SHAPES["sgd"], 0.5)
    assert np.max(gaps(spectrum, algorithm, 1, [30, 100])) < 0.006
    monkeypatch.setattr("hidim.systems.row_patterns.MOST_PATTERNS", 0)
    assert np.max(gaps(spectrum, algorithm, 1, [30, 100])) > 0.015


def test_patterns_are_unit_matrices_off_the_diagonal():
    spectrum = hidim.Spectrum.from_data(*skewed(n=60, d=9, seed=6), rows=True)
    Z, along = spectrum.law.rows.features, spectrum.eigenvalues
    kept = followed(Z, along, np.einsum("ij,ij->i", Z, Z))
    assert 0 < len(kept.patterns) <= MOST_PATTERNS
    basis = np.eye(9)
    for column, pattern in enumerate(kept.patterns, start=9):
        both = pattern.form(basis[:, None] + basis[None])
        P = 0.5 * (both - pattern.form(basis)[:, None] - pattern.form(basis)[None])
        np.testing.assert_allclose(np.diag(P), 0.0, atol=1e-14)
        assert np.linalg.norm(P) == pytest.approx(1.0)
        assert pattern.along == pytest.approx(np.sum(P**2 @ along))
        assert pattern.product == pytest.approx(along @ P**2 @ along)
        np.testing.assert_allclose(kept.squares[:, column], np.einsum("ij,jk,ik->i", Z, P, Z))


def test_signs_that_flip_leave_no_pattern():
    one = np.abs(np.random.default_rng(0).standard_normal((5, 3))) * [1.5, 0.8, 0.4]
    flips = np.array([[a, b, c] for a in (1, -1) for b in (1, -1) for c in (1, -1)])
    X = np.concatenate([row * flips for row in one])
    spectrum = hidim.Spectrum.from_data(X, X @ [1.0, -2.0, 0.5], rows=True)
    system = system_of(spectrum, hidim.sgd(0.1), 1)
    assert system.start().shape == (1, 3)
    assert np.max(gaps(spectrum, hidim.sgd(0.1), 1, [1, 10, 100])) < 1e-8
