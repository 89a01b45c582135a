"""Claims about full batches at constant rates: every digit, however far the risk has fallen."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hidim
from hidim.systems.double_double import add, pair, product
from tests.engines.truth import descent

ROUNDING = 1e-11  # the promise is 1e-12 where nothing rings; phases near a zero cost a digit


def largest_error(spectrum, algorithm, steps):
    """Against decimals, relative to the risk, at steps where that is a float."""
    curve = hidim.predict(spectrum, algorithm, at=steps, batch_size=math.inf)
    assert curve.status == "ok"
    truth = descent(spectrum, algorithm, steps)
    assert curve.provenance["effort"]["blocks"] == 0
    return max(
        abs(float(Decimal(float(risk)) / true) - 1) if true > 1e-290 else risk
        for risk, true in zip(curve.risk, truth, strict=True)
    )


SLOW_AND_FAST = hidim.Spectrum([1.0, 3e-4, 2e-9], [1.0, 5.0, 0.3], 0.0)
RINGING = hidim.Spectrum([1.06e-3, 1.1e-4, 8.7e-9], [1.0, 1.0, 1.0], 0.0)
BORDER = 0.01  # forgetting at which the map of the mode below has one eigenvalue and no basis
ONE = hidim.Spectrum([1.0], [1.0], 0.0)


@pytest.mark.parametrize(
    ("spectrum", "algorithm", "steps"),
    [
        (ONE, hidim.sgd(0.1), [150, 175, 400, 3000]),
        (ONE, hidim.sgd(1.9), [3000]),
        (ONE, hidim.sgd(0.999999), [20]),
        (SLOW_AND_FAST, hidim.sgd(0.7), [10, 10**5, 10**9, 10**11]),
        (RINGING, hidim.Momentum(1.0, 10.6, 0.0021, 1e-4), [10**4, 10**6, 10**8]),
        (RINGING, hidim.sgd_momentum(0.0, 50.0, 1e-7), [10**8, 10**9]),
        (SLOW_AND_FAST, hidim.sgd_momentum(0.2, 1e-3, 0.3), [100, 10**6, 10**10]),
        (ONE, hidim.Momentum(1.0, 0.0, BORDER**2 / 4, BORDER), [100, 10**4, 10**5]),
        (SLOW_AND_FAST, hidim.sgd_momentum(0.0, 1.0, 0.0), [10**6, 10**12]),
        (ONE, hidim.accelerated_sgd(0.3, 0.6, 0.5, 0.2), [50, 1000]),
        (ONE, hidim.Momentum(1.0, 0.2, 0.0, 3.0), [50, 1500]),  # momentum that nobody feels
    ],
    ids=str,
)
def test_the_risk_keeps_its_digits_to_the_end_of_float_range(spectrum, algorithm, steps):
    assert largest_error(spectrum, algorithm, steps) < ROUNDING


@given(
    logs=st.lists(st.floats(-9, 0), min_size=1, max_size=4),
    step=st.floats(0.001, 1.9),
    push=st.floats(-6, -0.3),
    forgetting=st.floats(-8, 0),
    steps=st.lists(st.floats(0, 12), min_size=1, max_size=3),
)
def test_any_stable_momentum_keeps_its_digits(logs, step, push, forgetting, steps):
    top = 10.0 ** max(logs)
    spectrum = hidim.Spectrum(10.0 ** np.array(logs), np.ones(len(logs)), 0.0)
    algorithm = hidim.Momentum(1.0, step / top, 10.0**push / top, 10.0**forgetting)
    report = hidim.stability(spectrum, algorithm, 10, batch_size=math.inf)
    if report.norm[0] < 1:
        assert largest_error(spectrum, algorithm, [int(10**s) for s in steps]) < 1e-8
        # A ringing risk may pass close to zero, where its own size is no scale.


def test_moments_and_readouts_come_from_the_same_powers():
    algorithm = hidim.accelerated_sgd(0.3, 0.9, 0.5, 0.2)
    curve = hidim.predict(SLOW_AND_FAST, algorithm, at=[7, 1000], batch_size=math.inf, moments=True)
    rr, yy, ry = np.moveaxis(curve.moments, 1, 0)
    np.testing.assert_allclose(ry**2, rr * yy, rtol=1e-12)  # nothing is random
    lam = SLOW_AND_FAST.eigenvalues
    np.testing.assert_allclose(curve.risk, 0.5 * rr @ lam, rtol=1e-13)
    point = hidim.predict(
        SLOW_AND_FAST, algorithm, at=[7, 1000], batch_size=math.inf, readout="short-step"
    )
    w = algorithm.readout("short-step").constant
    np.testing.assert_allclose(point.risk, 0.5 * (rr + 2 * w * ry + w**2 * yy) @ lam, rtol=1e-12)


def test_every_step_of_a_long_list_is_right():
    curve = hidim.predict(SLOW_AND_FAST, hidim.sgd(0.7), at=range(20_000), batch_size=math.inf)
    lam, t = SLOW_AND_FAST.eigenvalues, np.arange(20_000)[:, None]
    risk = 0.5 * np.exp(2 * t * np.log1p(-0.7 * lam)) @ (lam * SLOW_AND_FAST.error_sq)
    np.testing.assert_allclose(curve.risk, risk, rtol=1e-11)  # t log a rounds to t 1e-16


@given(st.floats(-1e100, 1e100), st.floats(-1e100, 1e100), st.floats(-1.0, 1.0))
def test_pairs_carry_32_digits(a, b, small):
    if min(abs(a), abs(b)) < 1e-100:  # products then leave float range
        a, b = a + 1.0, b + 1.0
    x = add(pair(a), pair(small * a * 1e-17))
    exact = Fraction(float(x[0])) + Fraction(float(x[1]))
    squared, total = product(x, pair(b)), add(x, pair(b))
    for found, true, scale in (
        (squared, exact * Fraction(b), abs(exact * Fraction(b))),
        (total, exact + Fraction(b), abs(exact) + abs(Fraction(b))),
    ):
        error = abs(Fraction(float(found[0])) + Fraction(float(found[1])) - true)
        assert error <= scale * Fraction(1, 10**31)
