"""predict() refuses what it cannot answer, in one line, before any work."""

import math

import numpy as np
import pytest

import hidim

SPECTRUM = hidim.Spectrum([1.0, 0.25], [1.0, 1.0], 0.01)
SGD = hidim.sgd(0.1)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"steps": -1}, "steps"),
        ({"steps": 1.5}, "steps"),
        ({"steps": math.nan}, "steps"),
        ({"steps": 1e21}, "steps"),
        ({}, "steps"),
        ({"at": []}, "at"),
        ({"at": [5], "steps": 3}, "at"),
        ({"at": [-5]}, "at"),
        ({"at": 5}, "at"),
        ({"at": [math.nan]}, "at"),
        ({"steps": 5, "seed": math.inf}, "seed"),
        ({"steps": 5, "seed": "a"}, "seed"),
        ({"steps": 5, "batch_size": 0}, "batch_size"),
        ({"steps": 5, "batch_size": 1.5}, "batch_size"),
        ({"steps": 5, "engine": "exactt"}, "Did you mean 'exact'"),
        ({"steps": 5, "readout": "averge"}, "readout"),
        ({"steps": 5, "seed": -1}, "seed"),
        ({"steps": 5, "seed": 0.5}, "seed"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named) as caught:
        hidim.predict(SPECTRUM, SGD, **arguments)
    assert "\n" not in str(caught.value)


def test_things_that_are_no_problem_or_algorithm_are_refused():
    with pytest.raises(ValueError, match="problem"):
        hidim.predict([1.0, 2.0], SGD, 5)
    with pytest.raises(ValueError, match="algorithm"):
        hidim.predict(SPECTRUM, 0.1, 5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: hidim.sgd(-0.1),
        lambda: hidim.sgd(math.nan),
        lambda: hidim.sgd("fast"),
        lambda: hidim.sgd_momentum(0.1, -0.1, 0.5),
        lambda: hidim.dana_constant(0.1, 0.1, 0.0),
        lambda: hidim.dana_decaying(0.1, 0.1, -1.0, 8.0),
        lambda: hidim.schedule_free_sgd(0.1, 1.5),
        lambda: hidim.accelerated_sgd(0.2, 0.1, 0.5, 0.5),
        lambda: hidim.general_momentum(0, 0.1, 0.1, 8.0),
        lambda: hidim.Table([1, 1], [0.1, 0.2]),
        lambda: hidim.Table([], []),
        lambda: hidim.Table([0, 1], [0.1, math.nan]),
        lambda: hidim.Cosine(0),
        lambda: hidim.WSD(10, warmup=9, decay_fraction=0.5),
        lambda: hidim.Forgetting(-1.0),
        lambda: hidim.PowerLaw(-1.0),
    ],
)
def test_impossible_algorithms_are_refused(make):
    with pytest.raises(ValueError) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_full_batches_are_the_limit_of_large_ones():
    algorithm = hidim.dana_decaying(0.3, 0.1, 0.5, 8.0)
    full = hidim.predict(SPECTRUM, algorithm, 10**5, math.inf)
    large = hidim.predict(SPECTRUM, algorithm, 10**5, 10**13)
    np.testing.assert_allclose(full.risk, large.risk, rtol=1e-9)


def test_a_curve_tells_how_to_make_it_again():
    made = hidim.predict(SPECTRUM, SGD, 100, seed=7).provenance
    assert made["hidim"] == hidim.__version__
    assert (made["engine"], made["seed"], made["batch_size"]) == ("exact", 7, 1)
    assert made["algorithm"]["gamma_2"] == 0.1


@pytest.mark.parametrize("engine", ["exact", "ode"])
@pytest.mark.parametrize("rate", [1e3, 1e30, 1e160])
def test_absurd_rates_diverge_and_nothing_else(engine, rate):
    for algorithm in (hidim.sgd(rate), hidim.dana_decaying(rate, rate, 0.5, 8.0)):
        curve = hidim.predict(SPECTRUM, algorithm, 10**6, engine=engine)
        assert curve.status == "diverged"
        assert curve.diverged_at <= 1
        assert curve.risk[-1] == math.inf


def test_zero_rates_leave_the_risk_where_it_started():
    curve = hidim.predict(SPECTRUM, hidim.dana_decaying(0.0, 0.0, 0.5, 8.0), 10**20)
    np.testing.assert_allclose(curve.risk, SPECTRUM.initial_risk, rtol=1e-12)


def test_continuous_time_meets_the_steps_as_rates_shrink():
    gaps = []
    for scale in (0.1, 0.01, 0.001):
        at = [round(reach / scale) for reach in (3, 30, 300)]
        algorithm = hidim.sgd(0.3 * scale)
        exact = hidim.predict(SPECTRUM, algorithm, at=at)
        ode = hidim.predict(SPECTRUM, algorithm, at=at, engine="ode")
        gaps.append(np.max(np.abs(ode.risk / exact.risk - 1)))
    # First order in the rate: ten times smaller, ten times closer.
    assert gaps[1] < gaps[0] / 7
    assert gaps[2] < gaps[1] / 7


def test_continuous_time_of_one_mode_is_its_exponential():
    # rho' = (-2 g lambda + g^2 lambda^2) rho without noise: a closed form.
    spectrum = hidim.Spectrum([0.5], [2.0], 0.0)
    curve = hidim.predict(spectrum, hidim.sgd(0.4), 200, math.inf, engine="ode")
    truth = 0.5 * np.exp((-2 * 0.2 + 0.04) * curve.steps)
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-7)
