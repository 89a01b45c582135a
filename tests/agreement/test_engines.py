"""Every engine against the others, over a table of phases, algorithms and batch sizes."""

import math
from functools import lru_cache

import numpy as np
import pytest

import hidim
from hidim.engines.solve import ENGINES
from hidim.systems.kernel_norm import kernel_norm
from tests.agreement.table import AT, DISTANCE, LAST, rows
from tests.engines.truth import recursion

PHASES = {"I": (1.0, 0.3), "II": (1.0, 0.7), "III": (0.7, 1.2), "IV": (0.4, 0.8)}


def algorithms(trace):
    # At larger rates the steps multiply the error by so heavy-tailed a factor that a mean of
    # some hundred runs is no longer normal, and its z means nothing.
    rate = 0.25 / trace
    return {
        "sgd": hidim.sgd(rate),
        "sgd-momentum": hidim.sgd_momentum(0.5 * rate, 0.05 * rate, 0.1),
        "dana-constant": hidim.dana_constant(0.5 * rate, 0.004, 6.0),
        "dana-decaying": hidim.dana_decaying(0.5 * rate, 0.1 * rate, 0.5, 6.0),
        "schedule-free-sgd": hidim.schedule_free_sgd(0.5 * rate),
        "sgd, cosine": hidim.sgd(rate).scheduled(hidim.Cosine(300, 0.1)),
    }


CASES = [
    pytest.param(phase, name, batch_size, id=f"{phase}-{name}-B{batch_size}")
    for phase in PHASES
    for name in algorithms(1.0)
    for batch_size in (1, 4)
]


@lru_cache(maxsize=1)
def known(phase, name, batch_size):
    spectrum = hidim.PLRF(*PHASES[phase], d=30, v=120).spectrum(1)
    algorithm = algorithms(spectrum.trace)[name]
    return spectrum, algorithm, recursion(spectrum, algorithm, batch_size, LAST)[AT]


@pytest.mark.parametrize("engine", [e for e in ENGINES if e != "matrix"])  # for rows alone
@pytest.mark.parametrize(("phase", "name", "batch_size"), CASES)
def test_every_engine_of_the_table_is_the_plain_recursion(phase, name, batch_size, engine):
    spectrum, algorithm, truth = known(phase, name, batch_size)
    options = {"at": AT, "batch_size": batch_size, "engine": engine}
    if engine == "asymptotic" and kernel_norm(spectrum, algorithm, batch_size, LAST) >= 1:
        with pytest.raises(ValueError, match="stable rates only"):
            hidim.predict(spectrum, algorithm, **options)
        return
    curve = hidim.predict(spectrum, algorithm, **options)
    assert curve.status == "ok"
    assert np.all(np.abs(curve.risk / truth - 1) < DISTANCE[engine])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_every_engine_follows_every_theory_or_says_what_does(row, engine):
    options = {"at": AT, "batch_size": row.batch_size, "engine": engine, "readout": row.readout}
    said = dict(row.refusing).get(engine)
    if said is not None:
        with pytest.raises(ValueError, match=rf"{said}[^\n]*engine='exact'"):
            hidim.predict(row.spectrum, row.algorithm, **options)
        return
    curve = hidim.predict(row.spectrum, row.algorithm, **options)
    assert curve.status == "ok"
    assert np.all(np.abs(curve.risk / row.risk - 1) < DISTANCE[engine])
    if engine == "exact":
        assert curve.provenance["error"] <= 1e-8


def test_every_engine_has_a_distance():
    assert set(DISTANCE) == set(ENGINES)


def worst(measured, expected):
    same = np.isclose(measured.risk, expected.risk, rtol=1e-12)  # before any randomness
    return np.max(np.where(same, 0, np.abs(measured.risk - expected.risk) / measured.stderr))


def raw_against_exact(phase, name, batch_size, *, d, last, runs):
    problem = hidim.PLRF(*PHASES[phase], d=d, v=4 * d, noise_variance=0.01)
    algorithm = algorithms(problem.spectrum(7).trace)[name]
    at = np.unique(np.geomspace(1, last, 10).astype(int))
    options = {"at": at, "batch_size": batch_size, "seed": 7}
    raw = hidim.simulate(problem, algorithm, runs=runs, method="raw", **options)
    walk = hidim.simulate(problem, algorithm, runs=runs, method="eigenbasis", **options)
    exact = hidim.predict(problem, algorithm, **options)
    assert worst(raw, exact) < 4
    assert worst(walk, exact) < 4


@pytest.mark.parametrize(("phase", "name", "batch_size"), CASES)
def test_raw_algorithm_and_its_walk_in_the_eigenbasis_meet_the_exact_curve(phase, name, batch_size):
    raw_against_exact(phase, name, batch_size, d=8, last=100, runs=600)


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "name", "batch_size"), CASES)
def test_raw_algorithm_meets_the_exact_curve_closely(phase, name, batch_size):
    raw_against_exact(phase, name, batch_size, d=40, last=1000, runs=400)


def test_raw_and_eigenbasis_agree_in_spread_too():
    """The same law, not only the same mean: standard deviations over runs within their error."""
    problem = hidim.PLRF(1.0, 0.7, d=8, v=32, noise_variance=0.05)
    at, runs = [3, 30, 100], 3000
    for batch_size in (1, 4):
        one, two = (
            hidim.simulate(
                problem, hidim.sgd(0.3), at=at, batch_size=batch_size, runs=runs, method=method
            )
            for method in ("raw", "eigenbasis")
        )
        # A log deviation over n runs has error about sqrt((kurtosis - 1) / 4n): kurtosis to 60.
        error = math.sqrt(2) * math.sqrt(60 / (4 * runs))
        assert np.all(np.abs(np.log(one.stderr / two.stderr)) < 4 * error)


def test_homogenized_sgd_meets_the_exact_curve_at_small_rates():
    spectrum = hidim.PLRF(1.0, 0.7, d=40, v=160).spectrum(1)
    gamma = 0.02 / spectrum.trace
    at = [0, 30, 300, 3000, 30_000]
    for batch_size in (1, 4):
        options = {"at": at, "batch_size": batch_size}
        sde = hidim.simulate(spectrum, hidim.sgd(gamma), runs=200, method="sde", **options)
        exact = hidim.predict(spectrum, hidim.sgd(gamma), **options)
        # Dropped terms are of relative order gamma * trace = 0.02.
        slack = 0.02 * exact.risk
        assert np.all(np.abs(sde.risk - exact.risk) < 4 * sde.stderr + slack)
