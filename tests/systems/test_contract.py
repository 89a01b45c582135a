"""Every theory keeps the contract of System: its parts agree, its shortcuts with the defaults."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import hidim
from hidim.problems.law import DataLaw
from hidim.systems.base import System, chain
from hidim.systems.builders import system_of
from tests.agreement.table import rows

ROWS = {row.name: row for row in rows()}
BATCHES = (1, 3, 64, math.inf)


def unit(low=0.0, high=1.0):
    return st.floats(low, high, allow_subnormal=False)


@st.composite
def schedules(draw, largest):
    scale = draw(unit(0.01)) * largest
    kind = draw(st.sampled_from(["constant", "power", "cosine"]))
    if kind == "constant":
        return hidim.Constant(scale)
    return hidim.PowerLaw(scale, 0.5) if kind == "power" else scale * hidim.Cosine(1000, 0.1)


@st.composite
def systems(draw):
    """A system of the package or a toy, with whatever readout, law and batch."""
    if draw(st.integers(0, 3)) == 0:
        row = ROWS[draw(st.sampled_from(sorted(ROWS)))]
        return draw(st.sampled_from(chain(row.system)))
    modes = draw(st.integers(1, 4))
    lam = [draw(unit(1e-3)) for _ in range(modes)]
    error = [draw(unit(0.1)) for _ in range(modes)]
    counts = draw(st.lists(st.integers(1, 3), min_size=modes, max_size=modes))
    law = DataLaw(draw(st.sampled_from([1.0, 2.5])), draw(st.sampled_from([1.0, 4.0])))
    spectrum = hidim.Spectrum(lam, error, draw(st.sampled_from([0.0, 0.3])), counts, law=law)
    kind = draw(st.sampled_from(["sgd", "momentum", "average", "accelerated"]))
    rate, readout = draw(schedules(0.5)), "gradient"
    if kind == "sgd":
        algorithm = hidim.sgd(rate)
    elif kind == "momentum":
        algorithm = hidim.Momentum(1.0, rate, draw(schedules(0.1)), hidim.Forgetting(3.0))
    elif kind == "average":
        algorithm, readout = hidim.schedule_free_sgd(draw(unit(0.01, 0.5))), "average"
    else:
        algorithm, readout = hidim.accelerated_sgd(0.1, 0.2, 0.9, 0.05), "short-step"
    system = system_of(spectrum, algorithm, draw(st.sampled_from(BATCHES)))
    system = system.read_at(readout, moments=draw(st.booleans()))
    return system.sharper(1e6) if draw(st.booleans()) else system


@st.composite
def places(draw):
    """A system at a few times and states, with the orders and driver that belong to them."""
    system, rng = draw(systems()), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    t = np.sort(rng.integers(1, 5000, 3)).astype(float)
    x = rng.exponential(size=(3, *system.start().shape))
    drive = None
    if system.driver is not None:
        states = rng.standard_normal((3, *system.driver.start().shape))
        drive = (states, system.driver.order(states))
    return system, t, x, np.asarray(system.order(x)), drive


def at_time(drive, i):
    return None if drive is None else (drive[0][i], drive[1][i])


def default(system, name):
    """What System itself makes of an attribute."""
    return System.__dict__[name].func(system)


@given(places())
@settings(max_examples=60, deadline=None)
def test_a_step_is_the_change_and_the_source(place):
    system, t, x, q, drive = place
    assume(not system.stepped)
    for i in range(len(t)):
        found = system.step(t[i], x[i], q[i], at_time(drive, i))
        plain = System.step(system, t[i], x[i], q[i], at_time(drive, i))
        np.testing.assert_allclose(found, plain, rtol=1e-11, atol=1e-13 * np.max(np.abs(plain)))


@given(places())
@settings(max_examples=40, deadline=None)
def test_many_steps_are_single_ones(place):
    system, t, x, _, drive = place
    assume(drive is None)
    states, orders = system.steps(t[0], 5, x[0])
    plain, plain_orders = System.steps(system, t[0], 5, x[0])
    np.testing.assert_allclose(states, plain, rtol=1e-12, atol=1e-13 * np.max(np.abs(plain)))
    np.testing.assert_allclose(orders, plain_orders, rtol=1e-12)


@given(places())
@settings(max_examples=60, deadline=None)
def test_orders_are_weights_and_an_offset(place):
    system, _, x, q, _ = place
    np.testing.assert_allclose(
        q, system.offset + np.einsum("oaj,taj->to", system.weights, x), rtol=1e-13
    )
    np.testing.assert_allclose(default(system, "weights"), system.weights, rtol=1e-13)
    np.testing.assert_allclose(default(system, "offset"), system.offset, rtol=1e-13)
    assert q.shape == (3, len(system.orders))
    assert system.start().shape == (system.kinds, system.weights.shape[2])


@given(places())
@settings(max_examples=60, deadline=None)
def test_linearised_is_what_differences_of_the_orders_say(place):
    system, t, x, q, drive = place
    assume(not system.stepped)
    change, source, gains = system.linearised(t, x, q, drive)

    def moved(orders):
        pulled = np.einsum("tjab,tbj->tja", system.change(t, orders, drive), x)
        return pulled + system.source(t, orders, drive)

    zero = np.zeros_like(q) if system.affine else q
    np.testing.assert_allclose(change, system.change(t, q, drive), rtol=1e-13, atol=1e-300)
    held = system.source(t, zero, drive)
    np.testing.assert_allclose(0.0 if source is None else source, held, rtol=1e-12, atol=1e-16)
    for k in range(len(system.orders)):
        size = 1e-4 * q[:, k]
        step = np.zeros_like(q)
        step[:, k] = size
        slope = (moved(q + step) - moved(q - step)) / (2 * size[:, None, None])
        scale = np.max(np.abs(moved(q))) / np.min(np.abs(q[:, k]))
        np.testing.assert_allclose(gains[..., k], slope, rtol=1e-6, atol=1e-9 * scale)


@given(places())
@settings(max_examples=60, deadline=None)
def test_a_readout_moves_with_the_state_as_reading_says(place):
    system, t, x, q, drive = place
    seen = system.readouts(t, x, q, drive)
    assert all(values.shape == (3,) for values in seen.values())
    for name in seen:
        reading = system.reading(t, x, name)
        if reading is None:
            continue
        ends = [y for y in (0.5 * x, 1.5 * x)]  # exact where a readout is quadratic
        low, high = (system.readouts(t, y, system.order(y), drive)[name] for y in ends)
        np.testing.assert_allclose(high - low, np.einsum("taj,taj->t", reading, x), rtol=1e-10)
    with pytest.raises(ValueError, match="`readout`"):
        system.read_at("nowhere")


@given(places(), st.sampled_from([0.0, 1e-3, 0.5]))
@settings(max_examples=60, deadline=None)
def test_the_gain_of_the_loop_is_the_exact_kernel_norm(place, w):
    system, t, _, _, drive = place
    assume(drive is None and not system.stepped)
    assume(w == 0.0 or system.orders)  # without orders w speaks of the risk, not of the state
    found, plain = system.loop_gain(t, w), System.loop_gain(system, t, w)
    # At the edge of a mode's own stability a gain has its pole.
    near = np.abs(plain) > 1e6
    np.testing.assert_allclose(found[~near], plain[~near], rtol=1e-7, atol=1e-12)


def both_ways(system, name):
    """Whether a parameter can be moved down too, as a rate of 0 cannot."""
    try:
        return system.moved(name, -1e-3)[1] < 0
    except ValueError:
        return False


@given(places())
@settings(max_examples=25, deadline=None)
def test_slopes_are_what_differences_of_the_parameters_say(place):
    system, t, x, q, drive = place
    names = [name for name in system.parameters() if both_ways(system, name)]
    assume(names)
    found = system.slopes(names, t, x, q, drive)
    plain = System.slopes(system, names, t, x, q, drive)
    moving = np.max(np.abs(x)) + np.max(np.abs(q), initial=0.0)
    for name, one, other in zip(names, found, plain, strict=True):
        size = system.moved(name, 1e-3)[1] * 1e3
        rounding = 1e-16 * moving / abs(1e-5 * size)  # of the values that are subtracted
        allowed = 1e-5 * np.max(np.abs(other)) + 10 * rounding
        assert np.max(np.abs(one - other)) <= allowed
    with pytest.raises(ValueError, match="no parameter 'nothing'"):
        system.moved("nothing", 1e-3)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_a_coarser_and_a_sharper_system_show_the_same(name):
    system = ROWS[name].system
    for other in (system.coarse(1000.0), system.sharper(1e6)):
        seen, same = [], []
        for one, values in ((system, seen), (other, same)):
            x = one.start()
            beginning = None
            if one.driver is not None:
                first = one.driver.start()
                beginning = (first[None], np.asarray(one.driver.order(first))[None])
            shown = one.readouts(np.zeros(1), x[None], np.asarray(one.order(x))[None], beginning)
            values.append(shown)
        assert seen[0].keys() == same[0].keys()
        for key in seen[0]:
            np.testing.assert_allclose(seen[0][key], same[0][key], rtol=1e-9)
