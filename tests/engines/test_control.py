"""Claims about the error of a curve: within rtol or said not to be, and measured either way."""

import math

import numpy as np
import pytest

import hidim
from hidim.engines import control
from tests.engines.truth import recursion, sampled_spectrum

SPECTRUM = sampled_spectrum(1.0, 0.7, 40, 160)
STEPS = 8000
AT = np.unique(np.geomspace(1, STEPS, 60).astype(int))
RUNS = {
    "sgd": hidim.sgd(0.2),
    "momentum": hidim.sgd_momentum(0.05, 0.01, 0.1),
    "dana": hidim.dana_decaying(0.2, 0.05, 0.5, 4.0),
    "kinks": hidim.dana_constant(0.2, 0.002, 4.0).scheduled(
        hidim.Table([0, 700.5, 3000, 5000], [0.2, 1.0, 0.3, 0.6])
    ),
    "jumps": hidim.sgd_momentum(0.05, 0.01, 0.1).scheduled(
        hidim.Table([0, 1000, 5000.5], [1.0, 0.1, 0.7], interpolation="previous")
    ),
}


def largest_error(curve, truth):
    near = np.array([truth[t // 2 : 2 * t + 1].max() for t in AT])
    return np.max(np.abs(curve.risk - truth[AT]) / near)


@pytest.mark.parametrize("rtol", [1e-4, 1e-8, 1e-10])
@pytest.mark.parametrize("run", RUNS)
def test_a_curve_keeps_the_error_asked_for(run, rtol):
    truth = recursion(SPECTRUM, RUNS[run], 2, 2 * STEPS)
    curve = hidim.predict(SPECTRUM, RUNS[run], at=AT, batch_size=2, rtol=rtol)
    error = largest_error(curve, truth)
    assert error <= rtol
    assert curve.status == "ok"
    assert error <= curve.provenance["error"] + 1e-12
    assert curve.provenance["error"] <= rtol


def test_a_looser_promise_is_cheaper():
    efforts = [
        hidim.predict(SPECTRUM, RUNS["dana"], 10**8, rtol=rtol).provenance["effort"]["blocks"]
        for rtol in (1e-4, 1e-8)
    ]
    assert efforts[0] < 0.7 * efforts[1]


def test_what_cannot_be_kept_is_said():
    # Momentum rings through these few hundred nodes at a frequency that thousands do not resolve.
    problem = hidim.PLRF(1.5, 0.5, 10**4)
    algorithm = hidim.recommend(problem, "dana-constant")
    curve = hidim.predict(problem, algorithm, at=[10**8])
    assert curve.status == "inaccurate"
    finer = hidim.predict(problem.spectrum().finer.finer, algorithm, at=[10**8], rtol=1e-6)
    off = abs(curve.risk[0] / finer.risk[0] - 1)
    assert 1e-8 < off < curve.provenance["error"] < 30 * off
    # As a Spectrum the nodes are the problem.
    given = hidim.predict(problem.spectrum(), algorithm, at=[10**8])
    assert given.status == "ok"
    np.testing.assert_allclose(given.risk, curve.risk, rtol=1e-8)


@pytest.mark.parametrize(
    ("problem", "algorithm", "last"),
    [
        (hidim.PLRF(1.0, 0.7, 10**4), hidim.dana_decaying(0.2, 0.1, 0.5, 3.4), 10**7),
        (hidim.PLRF(1.5, 0.5, 10**3), "dana-constant", 10**6),
    ],
)
def test_where_nodes_are_too_few_more_are_taken(problem, algorithm, last):
    spectrum = problem.spectrum()
    if isinstance(algorithm, str):
        algorithm = hidim.recommend(problem, algorithm)
    curve = hidim.predict(problem, algorithm, last)
    assert curve.status == "ok"
    truth = hidim.predict(spectrum.finer.finer, algorithm, at=curve.steps)
    off, few = (
        np.max(np.abs(found.risk / truth.risk - 1))
        for found in (curve, hidim.predict(spectrum, algorithm, at=curve.steps))
    )
    assert off < curve.provenance["error"] < 1e-8 < few
    # Asked for less, it is content with what there is.
    loose = hidim.predict(problem, algorithm, last, rtol=1e-4)
    np.testing.assert_allclose(
        loose.risk, hidim.predict(spectrum, algorithm, last, rtol=1e-4).risk, rtol=1e-12
    )


def test_full_batches_keep_what_moments_lose():
    # The fast part of the average dies and what is left lies twelve digits below it.
    algorithm = hidim.schedule_free_sgd(1.0).scheduled(hidim.Cosine(4000, 0.1))
    at = [10, 100, 1000, 3000]
    curve = hidim.predict(SPECTRUM, algorithm, at=at, batch_size=math.inf, readout="average")
    r, y = np.ones(len(SPECTRUM)), np.zeros(len(SPECTRUM))
    weight, lam = algorithm.readout("average"), SPECTRUM.eigenvalues
    truth = {}
    for t in range(3001):
        if t in at:
            truth[t] = SPECTRUM.risk_floor + 0.5 * (r + weight(t) * y) ** 2 @ (
                lam * SPECTRUM.error_sq
            )
        g = lam * r
        y = (1 - algorithm.forgetting(t)) * y + algorithm.gamma_1(t) * g
        r = r - algorithm.gamma_2(t) * g - algorithm.gamma_3(t) * y
    np.testing.assert_allclose(curve.risk, [truth[t] for t in at], rtol=1e-8)


@pytest.mark.parametrize("rtol", [0.0, 1e-13, 0.1, math.nan, "tight"])
def test_an_error_that_no_engine_can_keep_is_refused(rtol):
    with pytest.raises(ValueError, match="rtol"):
        hidim.predict(SPECTRUM, hidim.sgd(0.1), 10, rtol=rtol)


def test_what_rings_too_long_is_followed_less_closely(monkeypatch):
    ringing = hidim.sgd_momentum(0.0, 0.03, 0.002)
    spectrum = hidim.Spectrum(np.geomspace(1, 0.01, 6), np.ones(6), 0.01)
    exact = hidim.predict(spectrum, ringing, 10**5, batch_size=32)
    monkeypatch.setattr(control, "_MANY_STEPS", 2000)
    monkeypatch.setattr(control, "_FEW_STEPS", 500)
    curve = hidim.predict(spectrum, ringing, 10**5, batch_size=32)
    assert curve.status == "inaccurate"
    assert np.max(np.abs(curve.risk / exact.risk - 1)) <= curve.provenance["error"] < 1e-2
