"""Claims about the streaming algorithm on measured rows."""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim.simulation.rows import simulate_rows, tail_ratio

AT = [0, 1, 2, 5, 20, 60]


def data(rows=7, d=3, outputs=None, seed=1):
    rng = np.random.default_rng(seed)
    shape = (rows,) if outputs is None else (rows, outputs)
    return rng.standard_normal((rows, d)), rng.standard_normal(shape)


def exact_mean_risk(X, y, algorithm, at):
    """The truth for B = 1, from the second moment of (theta, momentum, 1) averaged over rows."""
    rows, d = X.shape
    second = np.zeros((2 * d + 1, 2 * d + 1))
    second[-1, -1] = 1.0
    found = []
    for t in range(max(at) + 1):
        if t in at:
            read = np.hstack([X, np.zeros((rows, d)), -y[:, None]])
            found.append(0.5 * np.trace(read @ second @ read.T) / rows)
        g1, g2, g3 = (
            float(s(t)) for s in (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3)
        )
        keep = 1.0 - float(algorithm.forgetting(t))
        following = np.zeros_like(second)
        for row, target in zip(X, y, strict=True):
            gradient = np.hstack([np.outer(row, row), np.zeros((d, d)), -target * row[:, None]])
            momentum = g1 * gradient
            momentum[:, d : 2 * d] += keep * np.eye(d)
            step = np.eye(2 * d + 1)
            step[:d] -= g2 * gradient + g3 * momentum
            step[d : 2 * d] = momentum
            following += step @ second @ step.T / rows
        second = following
    return np.array(found)


@pytest.mark.parametrize(
    "algorithm",
    [
        hidim.sgd(0.1),
        hidim.sgd_momentum(0.05, 0.02, 0.3),
        hidim.dana_decaying(0.08, 0.02, 0.5, 6.0),
        hidim.schedule_free_sgd(0.1),
    ],
    ids=lambda a: a.name,
)
def test_the_mean_over_runs_is_the_exact_mean_over_row_orders(algorithm):
    X, y = data()
    curve = simulate_rows(X, y, algorithm, AT[-1], runs=4000, at=AT, seed=3)
    truth = exact_mean_risk(X, y, algorithm, AT)
    assert curve.risk[0] == pytest.approx(truth[0], rel=1e-12)
    z = (curve.risk[1:] - truth[1:]) / curve.stderr[1:]
    assert np.all(np.abs(z) < 4)  # 5 steps, 4 algorithms: 4 standard errors are never reached


def test_gaussian_rows_follow_the_prediction():
    # Fresh enough: 4000 rows of 20 features, whose own fourth moments are within 1% of Gaussian.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 20)) * np.arange(1, 21) ** -0.6
    y = X @ rng.standard_normal(20) + 0.1 * rng.standard_normal(4000)
    algorithm = hidim.dana_decaying(0.05, 0.02, 0.6, 8.0)
    at = [10, 100, 1000]
    run = simulate_rows(X, y, algorithm, 1000, runs=200, at=at)
    truth = hidim.predict(hidim.Spectrum.from_data(X, y), algorithm, at=at)
    # 4 standard errors of the runs, and 2% for the rows' distance to Gaussian ones.
    assert np.all(np.abs(run.risk - truth.risk) < 4 * run.stderr + 0.02 * truth.risk)


def test_several_outputs_add_up():
    X, y = data(outputs=3)
    algorithm = hidim.sgd_momentum(0.05, 0.02, 0.3)
    options = {"runs": 3, "at": AT, "batch_size": 2, "seed": 5}
    together = simulate_rows(X, y, algorithm, AT[-1], **options)
    apart = [simulate_rows(X, y[:, k], algorithm, AT[-1], **options).risk for k in range(3)]
    assert np.allclose(together.risk, np.sum(apart, axis=0), rtol=1e-12)


def test_the_same_seed_gives_the_same_curve():
    X, y = data()
    one, two = (simulate_rows(X, y, hidim.sgd(0.1), 30, runs=2, seed=8) for _ in range(2))
    assert np.array_equal(one.risk, two.risk)
    assert one.provenance["seed"] == 8


def test_a_run_that_diverges_says_so_and_stays_quiet():
    X, y = data()
    curve = simulate_rows(X, y, hidim.sgd(3.0), 5000, runs=4)
    assert curve.status == "diverged"
    assert curve.risk[-1] == np.inf
    assert curve.diverged_at is not None


def test_heavy_tails_are_measured():
    rng = np.random.default_rng(0)
    light = rng.standard_normal((20000, 50))
    # Scaling rows by s multiplies the ratio by E s^4 / (E s^2)^2; here (1 + 81) / 2 / 25 = 1.64.
    heavy = light * rng.choice([1.0, 3.0], size=(20000, 1))
    assert tail_ratio(light) == pytest.approx(1.0, abs=0.02)
    assert tail_ratio(heavy) / tail_ratio(light) == pytest.approx(1.64, abs=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.full((7, 3), np.nan)}, "`X` has no number in row 0, column 0"),
        # NumPy alone would read what the mask hides.
        ({"y": np.ma.masked_less(data()[1], 1e9)}, "`y` has no number in row 0"),
        ({"y": np.zeros(6)}, "one row per sample"),
        ({"batch_size": 0}, "batch_size"),
        ({"runs": 1}, "runs"),
        ({"steps": -1}, "steps"),
        ({"at": [99]}, "`at`"),
    ],
)
def test_bad_input_is_refused(change, message):
    X, y = data()
    arguments = {"X": X, "y": y, "algorithm": hidim.sgd(0.1), "steps": 10} | change
    with pytest.raises(ValueError, match=message):
        simulate_rows(**arguments)
