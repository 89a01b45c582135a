"""Claims about measured rows: predictions are those of the rows, and so is the edge."""

import math

import numpy as np
import pytest

import hidim
from hidim.engines.march import Resolution, march
from hidim.systems.builders import system_of
from hidim.systems.kernel_norm import loop_gain
from hidim.systems.row_gain import RowLoop, looks, loop_of
from hidim.systems.row_pairs import pair_response

RNG = np.random.default_rng(11)


def skewed(n=12, d=4, outputs=1, seed=0):
    """Rows that are neither symmetric nor Gaussian, with residuals that grow with them."""
    rng = np.random.default_rng(seed)
    X = rng.exponential(1.0, (n, d)) @ np.diag(np.arange(1.0, d + 1) ** -0.7) - 0.4
    optimum = rng.standard_normal((d, outputs))
    y = X @ optimum + 0.3 * (X[:, :1] ** 2) * rng.exponential(1.0, (n, outputs))
    return X, y[:, 0] if outputs == 1 else y


def at_gain(spectrum, build, gain, batch_size=1):
    """The algorithm of this shape whose largest gain up to step 1000 is `gain`."""
    highest = loop_of(spectrum).largest(looks(1000), batch_size)
    low, high = 1e-12, 1e6
    for _ in range(64):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if highest(build(middle)) < gain else (low, middle)
    return build(low)


SHAPES = {
    "sgd": lambda g: hidim.sgd(g),
    "sgd-momentum": lambda g: hidim.sgd_momentum(g, 0.1 * g, 0.1),
    "dana-decaying": lambda g: hidim.dana_decaying(g, 0.3 * g, 0.5, 4.0),
    "average": lambda g: hidim.schedule_free_sgd(g),
}


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_matrix_is_the_mean_of_the_runs(shape, batch_size):
    X, y = skewed(outputs=2 if shape == "sgd" else 1)
    spectrum = hidim.Spectrum.from_data(X, y, rows=True)
    algorithm = at_gain(spectrum, SHAPES[shape], 0.3, batch_size)
    at = [0, 1, 3, 10, 30, 100]
    options = {"at": at, "batch_size": batch_size}
    truth = hidim.predict(spectrum, algorithm, engine="matrix", **options)
    runs = hidim.simulate_rows(X, y, algorithm, 100, runs=4000, seed=3, **options)
    z = (runs.risk - truth.risk)[1:] / runs.stderr[1:]
    assert truth.risk[0] == pytest.approx(runs.risk[0], rel=1e-12)
    assert np.abs(z).max() < 4
    closed = hidim.predict(spectrum, algorithm, **options)
    assert closed.status == "ok"
    np.testing.assert_allclose(
        closed.risk, truth.risk, rtol=0.05
    )  # twelve rows, as skewed as can be


@pytest.mark.parametrize("readout", ["gradient", "average"])
def test_the_average_is_read_on_rows_too(readout):
    X, y = skewed()
    spectrum = hidim.Spectrum.from_data(X, y, rows=True)
    algorithm = at_gain(spectrum, SHAPES["average"], 0.3)
    options = {"at": [10, 100, 1000], "readout": readout}
    truth = hidim.predict(spectrum, algorithm, engine="matrix", **options)
    closed = hidim.predict(spectrum, algorithm, **options)
    np.testing.assert_allclose(
        closed.risk, truth.risk, rtol=0.05
    )  # twelve rows, as skewed as can be


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_are_the_single_steps(shape):
    spectrum = hidim.Spectrum.from_data(*skewed(n=40, d=12, seed=1), rows=True)
    algorithm = at_gain(spectrum, SHAPES[shape], 0.4)
    at = np.array([0.0, 300, 1000, 3000, 10_000])
    system = system_of(spectrum, algorithm, 1)
    singly = march(system, at, Resolution(1e-9, single_steps=10_000))
    assert singly.effort["blocks"] == 0
    curve = hidim.predict(spectrum, algorithm, at=at)
    assert curve.provenance["effort"]["blocks"] > 3
    np.testing.assert_allclose(curve.risk, singly.columns["risk"], rtol=1e-8)
    assert curve.provenance["error"] < 1e-8


def test_a_long_run_takes_few_blocks():
    spectrum = hidim.Spectrum.from_data(*skewed(n=40, d=12, seed=1), rows=True)
    curve = hidim.predict(spectrum, at_gain(spectrum, SHAPES["dana-decaying"], 0.4), steps=1e8)
    assert curve.status == "ok"
    assert curve.provenance["effort"]["blocks"] <= 60


def test_full_batches_follow_the_mean_alone():
    X, y = skewed()
    known = [hidim.Spectrum.from_data(X, y, rows=rows) for rows in (True, False)]
    one, other = (
        hidim.predict(s, hidim.sgd(0.3), at=[0, 1, 10, 1000], batch_size=math.inf) for s in known
    )
    np.testing.assert_allclose(one.risk, other.risk, rtol=1e-10)


def radius(spectrum, algorithm, t, batch_size):
    """Spectral radius of the covariances' whole map, by its columns."""
    whole = system_of(spectrum, algorithm, batch_size).whole()
    k = len(spectrum.law.rows.start)
    still = np.zeros_like(whole.driver.start())
    x0 = np.zeros((3, k * k))
    drive = (still, np.zeros(0))
    fixed = whole.step(t, x0, np.zeros(0), drive)

    def vector(i, j, kind):
        x = x0.copy()
        m = x[kind].reshape(k, k)
        m[i, j] = 1.0
        if kind != 2:
            m[j, i] = 1.0
        return x

    basis = [vector(i, j, c) for c in (0, 1) for i in range(k) for j in range(i, k)]
    basis += [vector(i, j, 2) for i in range(k) for j in range(k)]
    pairs = [(c, i, j) for c in (0, 1) for i in range(k) for j in range(i, k)]
    pairs += [(2, i, j) for i in range(k) for j in range(k)]
    columns = [whole.step(t, x, np.zeros(0), drive) - fixed for x in basis]
    read = [[x.reshape(3, k, k)[p] for p in pairs] for x in columns]
    return float(np.max(np.abs(np.linalg.eigvals(np.array(read).T))))


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("shape", ["sgd", "sgd-momentum"])
def test_the_edge_of_the_gain_is_where_the_covariances_grow(shape, batch_size):
    spectrum = hidim.Spectrum.from_data(*skewed(), rows=True)
    algorithm = SHAPES[shape](1.0)
    edge = hidim.stability(spectrum, algorithm, 100, batch_size).largest_gamma_2
    scale = edge / float(algorithm.gamma_2(0))
    below, above = (
        radius(spectrum, SHAPES[shape](scale * f), 0.0, batch_size) for f in (0.99, 1.01)
    )
    assert below < 1 < above


def test_growth_per_step_is_the_radius():
    spectrum = hidim.Spectrum.from_data(*skewed(), rows=True)
    algorithm = at_gain(spectrum, SHAPES["sgd-momentum"], 1.4)
    found = hidim.stability(spectrum, algorithm, 100)
    assert not found.stable
    assert found.verdict.startswith("mean-square unstable: the gain is 1.4")
    assert found.growth == pytest.approx(radius(spectrum, algorithm, 0.0, 1) - 1.0, rel=1e-3)


@pytest.mark.parametrize(
    "algorithm",
    [hidim.sgd(0.5), hidim.sgd_momentum(0.1, 0.02, 0.1), hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)],
    ids=lambda a: a.name,
)
@pytest.mark.parametrize("w", [0.0, 0.01])
def test_pairs_answer_as_the_impulse_responses_say(algorithm, w):
    eigenvalues, t = np.array([1.0, 0.3, 0.02]), np.array([30.0])
    gamma_1, gamma_2, gamma_3, forgetting = (
        float(f(t)[0])
        for f in (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting)
    )
    keep, total = 1.0 - forgetting, gamma_2 + gamma_1 * gamma_3
    responses = []
    for along in eigenvalues:
        step = np.array([[1 - total * along, -gamma_3 * keep], [gamma_1 * along, keep]])
        kick, one = np.array([-total, gamma_1]), []
        for _ in range(8000):
            one.append(kick[0])
            kick = step @ kick
        responses.append(one)
    h = np.array(responses)
    truth = (h * (1 + w) ** -(np.arange(h.shape[1]) + 1.0)) @ h.T
    np.testing.assert_allclose(pair_response(eigenvalues, algorithm, 30.0, w), truth, rtol=1e-9)


def test_gaussian_rows_have_the_gain_of_their_covariance():
    eigenvalues = np.arange(1, 21.0) ** -1.5
    X = np.random.default_rng(0).standard_normal((20_000, 20)) * np.sqrt(eigenvalues)
    rows = hidim.Spectrum.from_data(X, X @ np.ones(20), rows=True)
    bare = hidim.Spectrum(eigenvalues, np.ones(20), 0.0)
    for algorithm in (hidim.sgd(0.3), hidim.dana_decaying(0.2, 0.05, 0.5, 4.0)):
        found = hidim.stability(rows, algorithm, 1000).gain
        known = loop_gain(bare, algorithm, 1, looks(1000))
        np.testing.assert_allclose(found, known, rtol=0.04)
        assert hidim.stability(bare, algorithm, 1000).gain[0] == pytest.approx(known[0])


def test_the_gain_of_sgd_is_linear_in_its_rate():
    loop = loop_of(hidim.Spectrum.from_data(*skewed(), rows=True))
    ratios = [loop.gain(hidim.sgd(g), 1, 0.0).value / g for g in (1e-6, 1e-3, 0.1)]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_a_long_row_is_named():
    X, y = skewed(n=50, d=5, seed=2)
    X[17] *= 30.0
    y[17] *= 30.0
    spectrum = hidim.Spectrum.from_data(X, y, rows=True)
    found = hidim.stability(spectrum, hidim.sgd(1.0 / spectrum.trace), 100)
    assert found.rows[0] == 17
    assert found.shares[0] > 0.9
    assert "carried by row 17" in found.verdict
    assert found.shares.sum() == pytest.approx(1.0)
    assert np.all(np.diff(found.shares) <= 0)
    np.testing.assert_array_equal(found.norm, found.gain)
    curve = hidim.predict(spectrum, hidim.sgd(1.0 / spectrum.trace), at=[0, 10])
    assert curve.status != "ok"
    assert "carried by row 17" in curve.provenance["caution"]


@pytest.mark.parametrize("change", ["permuted", "rotated"])
def test_neither_the_order_of_rows_nor_the_basis_matters(change):
    X, y = skewed(n=30, d=6, seed=3)
    if change == "permuted":
        order = np.random.default_rng(0).permutation(30)
        other = X[order], y[order]
    else:
        other = X @ np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0], y
    one, two = (hidim.Spectrum.from_data(*data, rows=True) for data in ((X, y), other))
    algorithm = at_gain(one, SHAPES["dana-decaying"], 0.4)
    curves = [hidim.predict(s, algorithm, at=[0, 3, 30, 1000, 30_000]).risk for s in (one, two)]
    np.testing.assert_allclose(*curves, rtol=1e-9)
    gains = [loop_of(s).gain(algorithm, 1, 30.0).value for s in (one, two)]
    assert gains[0] == pytest.approx(gains[1], rel=1e-6)


@pytest.mark.parametrize("name", ["sgd", "sgd-momentum", "dana-constant", "dana-decaying"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_recommended_rates_hold_on_the_rows(name, batch_size):
    X, y = skewed(n=60, d=8, seed=4)
    X[5] *= 6.0
    spectrum = hidim.Spectrum.from_data(X, y, rows=True)
    algorithm = hidim.recommend(spectrum, name, batch_size, steps=10_000)
    gain = max(g.value for g in loop_of(spectrum).along(algorithm, batch_size, looks(10_000)))
    assert gain <= (0.3 if name == "sgd" else 0.5) * (1 + 1e-3)
    named = hidim.predict(spectrum, name, steps=1000, batch_size=batch_size)
    assert named.status == "ok"


def test_a_spectrum_without_a_law_gets_an_exponent_from_its_eigenvalues():
    for alpha in (0.8, 1.0, 1.5):
        eigenvalues = np.arange(1, 3001.0) ** (-2 * alpha)
        spectrum = hidim.Spectrum(eigenvalues, np.ones(3000), 0.0)
        algorithm = hidim.recommend(spectrum, "dana-decaying", steps=1e6)
        assert algorithm.gamma_3.t_exponent == pytest.approx(1 / (2 * alpha), abs=0.1)
    flat = hidim.recommend(hidim.Spectrum(np.ones(5), np.ones(5), 0.0), "dana-decaying", steps=1000)
    assert flat.gamma_3.t_exponent < 0.2  # nothing is left to wait for


def test_what_rows_do_not_give_is_refused_with_a_remedy():
    spectrum = hidim.Spectrum.from_data(*skewed(), rows=True)
    bare = hidim.Spectrum.from_data(*skewed(), rows=False)
    refusals = {
        "rows=False": lambda: hidim.predict(spectrum, hidim.sgd(0.1), at=[1], moments=True),
        "engine 'matrix' follows the covariance of measured rows": lambda: hidim.predict(
            bare, hidim.sgd(0.1), at=[1], engine="matrix"
        ),
        "engine 'matrix' would take too long": lambda: hidim.predict(
            spectrum, hidim.sgd(0.1), at=[10**13], engine="matrix"
        ),
        "differences of two predictions": lambda: hidim.predict(
            spectrum, hidim.sgd(0.1), at=[1], sensitivity=["gamma_2"]
        ),
    }
    for message, call in refusals.items():
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_loop_without_rows_that_move_has_no_gain():
    spectrum = hidim.Spectrum.from_data(
        [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [1.0, 1.0, 3.0], rows=True
    )
    loop = loop_of(spectrum)
    assert loop.gain(hidim.sgd(0.0), 1, 0.0).value == 0.0
    assert loop.gain(hidim.sgd(50.0), 1, 0.0).value == math.inf
    assert loop.gain(hidim.sgd(0.1), math.inf, 0.0).value == 0.0
    assert isinstance(loop, RowLoop)


@pytest.mark.parametrize("batch_size", [1, 3, math.inf])
def test_simulate_draws_the_rows_of_a_spectrum(batch_size):
    X, y = skewed(n=20, d=3, outputs=2, seed=5)
    spectrum = hidim.Spectrum.from_data(X, y)
    algorithm = at_gain(spectrum, SHAPES["dana-decaying"], 0.3)
    options = {"at": [0, 3, 30], "batch_size": batch_size}
    run = hidim.simulate(spectrum, algorithm, runs=3000, seed=1, **options)
    assert run.provenance["method"] == "rows"
    truth = hidim.predict(spectrum, algorithm, engine="matrix", **options)
    spread = np.maximum(4 * run.stderr, 1e-9 * truth.risk)
    assert np.all(np.abs(run.risk - truth.risk) <= spread)
    with pytest.raises(ValueError, match="measured rows"):
        hidim.simulate(hidim.PLRF(1, 0.7, 4, v=8), algorithm, at=[1], method="rows")


def test_between_two_looks_the_gain_is_looked_for():
    spectrum = hidim.Spectrum.from_data(*skewed(n=60, d=8, seed=4))
    loop = loop_of(spectrum)
    algorithm = at_gain(spectrum, lambda g: hidim.dana_decaying(g, 0.1 * g, 0.3, 8.0), 0.49)
    times = looks(100_000)
    looked = dict(zip(times.tolist(), loop.along(algorithm, 1, times), strict=True))
    grid = np.unique(np.floor(np.geomspace(1, 1e5, 120)))
    gains = np.array([gain.value for gain in loop.along(algorithm, 1, grid)])
    seen = max(gain.value for gain in looked.values())
    assert gains.max() > 1.003 * seen  # or this shows nothing
    limit = 0.5 * (gains.max() + seen)
    found = loop.between(algorithm, 1, looked, limit)
    assert found not in looked
    assert loop.gain(algorithm, 1, found).value >= limit
    assert loop.between(algorithm, 1, looked, 1.01 * gains.max()) is None
    assert loop.between(hidim.sgd(0.1), 1, looked, limit) is None
