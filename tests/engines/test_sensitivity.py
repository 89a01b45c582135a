"""Claims about derivatives of curves: those of the curve itself, forwards and backwards alike."""

import math

import numpy as np
import pytest

import hidim
from hidim.engines.sensitivity import MANY, with_slopes
from hidim.systems.builders import system_of

SPECTRUM = hidim.PLRF(1.0, 0.7, 20).spectrum()
AT = [1, 10, 300, 9000]
DANA = hidim.dana_decaying(0.2, 0.1, 0.5, 6.0)
CASES = {
    "dana-decaying": (DANA, ["gamma_2", "gamma_3", "kappa_3", "delta"], "gradient"),
    "sgd, cosine": (
        hidim.sgd(0.2).scheduled(hidim.Cosine(7000, 0.1)),
        ["gamma_2", "gamma_2.final"],
        "gradient",
    ),
    "a table": (
        hidim.sgd(hidim.Table([0, 1000, 7000], [0.2, 0.1, 0.01])),
        ["gamma_2.values[0]", "gamma_2.values[1]", "gamma_2.values[2]"],
        "gradient",
    ),
    "an average": (hidim.schedule_free_sgd(0.3), ["gamma_2", "gamma_3"], "average"),
    "forgetting that is a power": (
        hidim.general_momentum(60, 0.1, 0.002, 0.5, kappa_4=0.1, kappa_5=0.5),
        ["kappa_5", "delta"],
        "gradient",
    ),
}


def differences(algorithm, name, batch_size, readout):
    """d log risk / d parameter, from predictions a thousand times as exact."""

    def log_risk(by):
        other, moved = hidim.algorithms.parameters.moved(algorithm, name, by)
        curve = hidim.predict(
            SPECTRUM, other, at=AT, batch_size=batch_size, readout=readout, rtol=1e-12
        )
        return np.log(curve.risk), moved

    (up, h), (down, back) = (log_risk(by) for by in (4e-4, -4e-4))
    return (up - down) / (h - back)


@pytest.mark.parametrize("batch_size", [2, math.inf])
@pytest.mark.parametrize("case", CASES)
def test_columns_are_the_derivatives_of_the_log_risk(case, batch_size):
    algorithm, names, readout = CASES[case]
    curve = hidim.predict(
        SPECTRUM, algorithm, at=AT, batch_size=batch_size, readout=readout, sensitivity=names
    )
    assert curve.status == "ok"
    for name in names:
        truth = differences(algorithm, name, batch_size, readout)
        np.testing.assert_allclose(
            curve.columns["d_" + name], truth, rtol=1e-6, atol=1e-6 * np.abs(truth).max()
        )


@pytest.mark.parametrize("batch_size", [2, math.inf])
@pytest.mark.parametrize("case", CASES)
def test_backwards_is_forwards(case, batch_size):
    algorithm, names, readout = CASES[case]
    shown = "risk" if readout == "gradient" else readout
    system = system_of(SPECTRUM, algorithm, batch_size).read_at(readout).sharper(9000)
    at = np.array([9000.0])
    forward, backward = (
        with_slopes(system, at, 1e-8, names, shown=shown, adjoint=adjoint).record.columns
        for adjoint in (False, True)
    )
    for name in names:
        assert backward["d_" + name][0] == pytest.approx(forward["d_" + name][0], rel=1e-8)


def test_forty_values_of_a_table_cost_one_sweep_and_add_up():
    knots = np.linspace(0, 9000, 40)
    algorithm = hidim.sgd(hidim.Table(knots, np.full(40, 0.2)))
    names = [f"gamma_2.values[{i}]" for i in range(40)]
    assert len(names) > MANY
    curve = hidim.predict(SPECTRUM, algorithm, at=[9000], sensitivity=names)
    total = sum(curve.columns["d_" + name][0] for name in names)
    whole = hidim.predict(SPECTRUM, hidim.sgd(0.2), at=[9000], sensitivity=["gamma_2"])
    assert total == pytest.approx(whole.columns["d_gamma_2"][0], rel=1e-6)


def test_momentum_that_does_not_act_yet_has_a_derivative():
    asleep = hidim.Momentum(1.0, 0.1, 0.0, 0.1)
    slope = hidim.predict(SPECTRUM, asleep, at=AT, sensitivity=["gamma_3"]).columns["d_gamma_3"]
    h = 1e-6
    logs = [
        np.log(hidim.predict(SPECTRUM, hidim.Momentum(1.0, 0.1, g, 0.1), at=AT, rtol=1e-12).risk)
        for g in (0.0, h, 2 * h)
    ]
    np.testing.assert_allclose(slope, (-3 * logs[0] + 4 * logs[1] - logs[2]) / (2 * h), rtol=1e-5)


def test_what_there_is_not_is_named():
    with pytest.raises(ValueError, match=r"no parameter 'kappa_4': this algorithm has .*kappa_3"):
        hidim.predict(SPECTRUM, DANA, 10, sensitivity=["kappa_4"])
    with pytest.raises(ValueError, match=r"engine='exact'"):
        hidim.predict(SPECTRUM, DANA, 10, engine="ode", sensitivity=["gamma_2"])
