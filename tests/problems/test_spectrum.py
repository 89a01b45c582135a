"""A Spectrum is what any quadratic becomes, whatever it was made from."""

import math

import numpy as np
import pytest

import hidim


def test_from_covariance_predicts_the_descent_of_that_quadratic():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    K, target = root @ root.T / 6, rng.standard_normal(6)
    spectrum = hidim.Spectrum.from_covariance(K, target, noise_variance=0.2)
    theta = np.zeros(6)
    curve = hidim.predict(spectrum, hidim.sgd(0.2), 50, math.inf, at=range(51))
    for t in range(51):
        r = theta - target
        assert curve.risk[t] == pytest.approx(0.1 + 0.5 * r @ K @ r, rel=1e-10)
        theta = theta - 0.2 * K @ r


def test_from_data_is_the_least_squares_of_the_rows():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 7)) * np.arange(1, 8) ** -0.5
    y = X @ rng.standard_normal((7, 3)) + 0.3 * rng.standard_normal((200, 3))
    spectrum = hidim.Spectrum.from_data(X, y)
    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    residual = y - X @ best
    assert spectrum.risk_floor == pytest.approx(0.5 * np.sum(residual**2) / 200, rel=1e-12)
    assert spectrum.initial_risk == pytest.approx(0.5 * np.sum(y**2) / 200, rel=1e-12)
    assert spectrum.trace == pytest.approx(np.sum(X**2) / 200, rel=1e-12)
    one_by_one = [hidim.Spectrum.from_data(X, y[:, k]) for k in range(3)]
    assert spectrum.risk_floor == pytest.approx(sum(s.risk_floor for s in one_by_one))
    np.testing.assert_allclose(spectrum.error_sq, sum(s.error_sq for s in one_by_one), rtol=1e-8)


def test_more_features_than_rows_leave_modes_that_never_move():
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((5, 9)), rng.standard_normal(5)
    spectrum = hidim.Spectrum.from_data(X, y)
    assert spectrum.dimension == 9
    assert np.count_nonzero(spectrum.eigenvalues) == 5
    assert spectrum.risk_floor < 1e-25


@pytest.mark.parametrize(
    "make",
    [
        lambda: hidim.Spectrum.from_data([[1.0, math.nan]], [1.0]),
        lambda: hidim.Spectrum.from_data(np.ones((5, 2)), np.arange(5.0)),
        lambda: hidim.Spectrum.from_data(np.eye(3), np.ones(4)),
        lambda: hidim.Spectrum.from_data(np.eye(3), [1.0, math.inf, 0.0]),
        lambda: hidim.Spectrum.from_data(np.ones(3), np.ones(3)),
        lambda: hidim.Spectrum.from_data([["a"]], [1.0]),
        lambda: hidim.Spectrum.from_covariance(np.eye(2), np.ones(3)),
        lambda: hidim.Spectrum.from_covariance([[1.0, 2.0], [0.0, 1.0]], np.ones(2)),
        lambda: hidim.Spectrum.from_covariance(-np.eye(2), np.ones(2)),
        lambda: hidim.Spectrum.from_covariance(np.eye(2), np.ones(2), -1.0),
        lambda: hidim.Spectrum([1.0, -1.0], [1.0, 1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [1.0, 1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [-1.0], 0.0),
        lambda: hidim.Spectrum([1.0], [1.0], -0.5),
        lambda: hidim.Spectrum([], [], 0.0),
        lambda: hidim.Spectrum([1.0], [math.nan], 0.0),
    ],
)
def test_impossible_spectra_are_refused_in_one_line(make):
    with pytest.raises(ValueError) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_compression_keeps_trace_risk_and_dimension():
    rng = np.random.default_rng(3)
    spectrum = hidim.Spectrum(rng.uniform(1e-6, 1, 5000) ** 3, rng.uniform(0, 1, 5000), 0.1)
    few = spectrum.compress(nodes_per_octave=14)
    assert len(few) < len(spectrum) / 5
    assert few.trace == pytest.approx(spectrum.trace, rel=1e-12)
    assert few.initial_risk == pytest.approx(spectrum.initial_risk, rel=1e-12)
    assert few.dimension == pytest.approx(5000, rel=1e-10)


def test_no_multiplicity_is_a_multiplicity_of_one():
    plain, ones = (hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.1, m) for m in (None, [1, 1]))
    assert plain.multiplicity is plain.counts
    np.testing.assert_array_equal(plain.multiplicity, [1.0, 1.0])
    assert plain == ones
    assert hash(plain) == hash(ones)
    assert repr(plain) == repr(ones)
    for other in (
        hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.1, [1, 2]),
        hidim.Spectrum([0.5, 1.0], [1.0, 2.5], 0.1),
        hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.2),
        hidim.Spectrum([0.5, 1.0, 1.0], [1.0, 2.0, 0.0], 0.1),
        hidim.Spectrum([0.5, 1.0], [1.0, 2.0], 0.1, label="another"),
    ):
        assert plain != other
    assert hidim.PLRF(1.0, 0.7, 50).spectrum() == hidim.PLRF(1.0, 0.7, 50).spectrum()
    assert hidim.PLRF(1.0, 0.7, 50).spectrum(1) != hidim.PLRF(1.0, 0.7, 50).spectrum(2)


def test_modes_without_curvature_survive_compression():
    lam = np.concatenate([np.zeros(40), np.linspace(0.5, 1, 400)])
    spectrum = hidim.Spectrum(lam, np.ones(440), 0.0)
    assert spectrum.compress().dimension == pytest.approx(440, rel=1e-12)
