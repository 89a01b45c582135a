"""Claims about simulate(): exact in law, honest errors, divergence as a status."""

import math

import numpy as np
import pytest

import hidim

PHASES = {"I": (1.0, 0.3), "II": (1.0, 0.7), "III": (0.7, 1.2), "IV": (0.4, 0.8)}
AT = np.unique(np.geomspace(1, 400, 10).astype(int))


def algorithms(trace):
    """Rates that stay well inside the stable range for a problem of this trace."""
    rate = 0.5 / trace
    return {
        "sgd": hidim.sgd(rate),
        "sgd-momentum": hidim.sgd_momentum(0.5 * rate, 0.05 * rate, 0.1),
        "dana-constant": hidim.dana_constant(0.5 * rate, 0.004, 6.0),
        "dana-decaying": hidim.dana_decaying(0.5 * rate, 0.1 * rate, 0.5, 6.0),
    }


def worst(measured, expected):
    return np.max(np.abs(measured.risk - expected.risk) / measured.stderr)


@pytest.mark.parametrize("name", ["sgd", "sgd-momentum", "dana-constant", "dana-decaying"])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("phase", PHASES)
def test_mean_of_runs_is_the_exact_curve(phase, name, batch_size):
    problem = hidim.PLRF(*PHASES[phase], d=20, v=80)
    algorithm = algorithms(problem.spectrum(3).trace)[name]
    run = hidim.simulate(problem, algorithm, at=AT, batch_size=batch_size, runs=600, seed=3)
    assert worst(run, hidim.predict(problem, algorithm, at=AT, batch_size=batch_size, seed=3)) < 4


def test_refuses_what_has_no_realisation():
    with pytest.raises(ValueError, match="cannot be simulated"):
        hidim.simulate(hidim.PLRF(1.0, 0.7, 100, 400).spectrum(), hidim.sgd(0.1), 10)


def test_divergence_is_a_status():
    run = hidim.simulate(hidim.Spectrum([1.0], [1.0], 0.1), hidim.sgd(50.0), 5000, runs=3)
    assert run.status == "diverged"
    assert run.diverged_at is not None
    assert run.diverged_at < 20
    assert math.isinf(run.risk[-1])
