"""Claims about the step at which a curve is where another ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hidim import Curve
from hidim.measure import first_crossing, settling_time, standings, time_to_level

risks = st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=12)


def curve(risk, label="", **options):
    return Curve(np.arange(len(risk)) ** 2, risk, label=label, **options)


def test_between_points_the_risk_is_a_power_of_the_steps():
    power = Curve([1, 100, 10_000], [1.0, 0.1, 0.01])
    # Between 100 and 10,000 risk is steps^-1/2 up to the 1 in log(1 + t).
    assert settling_time(power, 0.03) == pytest.approx(1 / 0.03**2, rel=0.01)
    assert math.isnan(settling_time(power, 0.001))
    assert settling_time(power, 2.0) == 1


def test_a_level_that_is_left_again_is_not_reached():
    dip = Curve([0, 10, 100, 1000], [1.0, 0.1, 0.5, 0.2])
    assert 100 < settling_time(dip, 0.3) < 1000
    assert math.isnan(settling_time(dip, 0.15))


def test_a_plateau_counts_from_its_start_whatever_ripples_on_it():
    ripple = 1 + 1e-5 * np.sin(np.arange(200.0))
    flat = Curve(np.arange(202), [4.0, 2.0, *ripple])
    assert settling_time(flat, float(flat.risk[-1])) < 10  # in the first of its ripples


def test_a_curve_that_still_falls_is_read_to_the_last_digit():
    slow = Curve(np.arange(1, 2001), 1 + 1e-3 / np.arange(1, 2001.0))
    assert settling_time(slow, float(slow.risk[-1])) == 2000
    assert settling_time(slow, 1 + 1e-3 / 500.5) == pytest.approx(500.5, abs=1e-3)


def test_who_was_lost_on_the_way_is_nowhere():
    lost = curve([1.0, 0.5, math.inf], status="diverged", diverged_at=4.0)
    fine = curve([1.0, 0.5, 0.25])
    assert standings([lost, fine])[1].speedup is None
    assert standings([fine, lost])[1].steps_to_first is None


@given(risks)
def test_against_itself_a_curve_is_one_times_as_fast(risk):
    same = curve(risk)
    for standing in standings([same, same]):
        assert standing.speedup == 1
        assert standing.lowest_risk == min(risk)
        assert standing.rose == (risk[-1] > min(risk) * (1 + 1e-4))


def test_on_one_plateau_both_are_asked_when_they_are_as_near():
    t = np.arange(1.0, 1001)
    first, late = Curve(t, 1 + 1e-2 / t), Curve(t, 1.0001 + 2e-2 / t)
    one, other = standings([first, late])
    assert (one.steps_to_first, one.near, other.near) == (1000, False, True)
    # Within a thousandth of 1.00001: after 10 steps, and twice as many for twice the amplitude.
    assert other.speedup == pytest.approx(0.45, abs=0.05)
    assert other.steps_to_first == pytest.approx(22, abs=1)


@given(risks, risks)
def test_the_same_question_is_asked_of_both(first, second):
    one, other = standings([curve(first), curve(second)])
    ends_as_low = second[-1] <= first[-1] * (1 + 1e-3)
    assert (other.steps_to_first is not None) == ends_as_low
    if second[-1] <= first[-1] and one.steps_to_first and other.steps_to_first:
        assert other.speedup == one.steps_to_first / other.steps_to_first


@given(st.permutations(range(8)))
def test_the_order_in_which_steps_were_asked_for_changes_nothing(order):
    steps, risk = np.arange(8) ** 2, 1 / (1 + np.arange(8.0))
    mixed = Curve(steps[order], risk[order])
    assert standings([mixed]) == standings([Curve(steps, risk)])


def test_a_first_crossing_knows_its_error_and_what_it_hangs_on():
    t = np.geomspace(1, 1e6, 60)
    curve = Curve(np.round(t), np.round(t) ** -0.5, stderr=0.02 * np.round(t) ** -0.5)
    found = time_to_level(curve, 0.01)
    assert found.value == pytest.approx(1e4, rel=1e-3)
    assert found.power == pytest.approx(-2, abs=1e-3)
    # 2 % of the level are 4 % of the time.
    assert (found.low, found.high) == pytest.approx((1e4 * 0.98**2, 1e4 * 1.02**2), rel=2e-3)
    assert float(found) == found.value
    last = time_to_level(curve, float(curve.risk[-1]))
    assert last.high == math.inf


def test_a_first_crossing_that_is_left_again_is_the_first_all_the_same():
    dip = Curve([1, 10, 100, 1000], [1.0, 0.1, 0.5, 0.2])
    assert time_to_level(dip, 0.3).value < 10
    assert settling_time(dip, 0.3) > 100
    assert math.isnan(time_to_level(dip, 0.01).value)
    assert time_to_level(dip, 2.0).value == 1
    with pytest.raises(ValueError, match="`level`"):
        first_crossing(np.array([1.0, 2.0]), np.array([1.0, 0.5]), 0.0)
