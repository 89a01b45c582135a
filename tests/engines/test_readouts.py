"""Claims about points off the iterate, and about momentum that nothing but a readout feels."""

import numpy as np
import pytest

import hidim
from tests.engines.truth import recursion

J = np.arange(1, 31.0)
SPECTRUM = hidim.Spectrum(J**-2, np.ones(30), 0.01)
FLOORLESS = hidim.Spectrum([1.0, 0.5, 0.3], [1.0, 1.0, 1.0], 1e-6)

POINTS = (("near", hidim.Constant(0.05)), ("far", hidim.PowerLaw(0.3, 0.3)))
FADING = hidim.PowerLaw(0.5, 0.5)
RUNS = {
    "average of SGD": (hidim.schedule_free_sgd(0.2, 0.0), "average"),
    "average of SGD, its code's weights": (hidim.schedule_free_sgd(0.2, 0.0, 1.0), "average"),
    "average of Schedule-Free": (hidim.schedule_free_sgd(0.2), "average"),
    "short step of ASGD": (hidim.accelerated_sgd(0.1, 0.3, 0.5, 0.2), "short-step"),
    "idle, fast": (hidim.Momentum(1.0, 0.2, 0.0, 0.1, readouts=POINTS), "near"),
    "idle, slow": (hidim.Momentum(1.0, 0.2, 0.0, 1e-3, readouts=POINTS), "far"),
    "idle, fading": (hidim.Momentum(1.0, 0.2, 0.0, FADING, readouts=POINTS), "far"),
    "barely felt": (hidim.Momentum(1.0, 0.2, 1e-12, 1e-3, readouts=POINTS), "near"),
    "empty": (hidim.Momentum(0.0, 0.2, 0.1, 0.1, readouts=POINTS), "near"),
    "scheduled": (hidim.schedule_free_sgd(0.2, 0.0).scheduled(hidim.WSD(2500, 100)), "average"),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("engine", ["exact", "volterra", "ode"])
def test_every_engine_reads_the_point_it_is_asked_for(engine, name):
    algorithm, readout = RUNS[name]
    at = np.array([0, 1, 100, 300, 1000, 3000])
    if engine == "volterra":
        at = at[:-1]
    truth = recursion(SPECTRUM, algorithm, 2, int(at[-1]), readout)[at]
    curve = hidim.predict(SPECTRUM, algorithm, at=at, batch_size=2, engine=engine, readout=readout)
    if engine == "ode":  # a percent of continuous time, once the first steps are forgotten
        np.testing.assert_allclose(curve.risk[3:], truth[3:], rtol=0.02)
    else:
        np.testing.assert_allclose(curve.risk, truth, rtol=1e-7 if engine == "exact" else 1e-10)


@pytest.mark.parametrize("gamma_3", [0.0, 1e-12, 1e-7])
@pytest.mark.parametrize("forgetting", [1e-3, hidim.PowerLaw(0.3, 1.2)], ids=str)
def test_a_point_far_above_a_settled_iterate_is_followed(gamma_3, forgetting):
    """The iterate sits at its floor and asks for no short blocks; the momentum still decays."""
    algorithm = hidim.Momentum(
        1.0, 0.2, gamma_3, forgetting, readouts=(("p", hidim.Constant(0.5)),)
    )
    at = [300, 3000, 9000]
    truth = recursion(FLOORLESS, algorithm, 4, 9000, "p")[at]
    options = {"at": at, "batch_size": 4}
    curve = hidim.predict(FLOORLESS, algorithm, readout="p", **options)
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-7)
    every = hidim.predict(FLOORLESS, algorithm, moments=True, **options).moments
    point = every[:, 0] + every[:, 2] + 0.25 * every[:, 1]
    # A kept momentum is held to 1e-5 per block.
    np.testing.assert_allclose(1e-6 + 0.5 * point @ FLOORLESS.eigenvalues, truth, rtol=1e-5)


@pytest.mark.parametrize("engine", ["exact", "ode", "volterra"])
def test_momentum_that_nobody_feels_or_reads_changes_nothing(engine):
    exploding = hidim.Momentum(1.0, 0.2, 0.0, 3.0, readouts=POINTS)
    at = [0, 10, 300, 1000]
    for batch_size in (1, np.inf):
        options = {"at": at, "batch_size": batch_size, "engine": engine}
        one = hidim.predict(SPECTRUM, exploding, **options)
        other = hidim.predict(SPECTRUM, hidim.sgd(0.2), **options)
        np.testing.assert_array_equal(one.risk, other.risk)
