"""Schedules multiply, print and describe themselves as they evaluate, whichever they are."""

import itertools
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_examples import BUILT_IN, amount, schedules

import hidim
import hidim.algorithms
from hidim.algorithms import schedule_classes
from hidim.algorithms.schedules import Constant, PowerLaw, Product, Schedule, Warmup
from hidim.algorithms.words import read_schedule
from hidim.support.json import dumps, loads

STEPS = np.concatenate([np.arange(0.0, 12.0), np.geomspace(12.5, 1e6, 20)])


def test_the_examples_hold_every_schedule_of_hidim():
    # In a new process, importing what every process imports that has a schedule at all.
    script = "import hidim.algorithms.schedule_classes as c; print(*sorted(c._KNOWN))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == sorted(kind.__name__ for kind in BUILT_IN)


@given(schedules)
def test_a_schedule_prints_as_it_is_made_and_hashes_as_it_compares(schedule):
    kinds = {kind.__name__: kind for kind in BUILT_IN}
    again = eval(repr(schedule), {"inf": np.inf, **vars(hidim.algorithms.schedules), **kinds})
    assert again == schedule
    assert hash(again) == hash(schedule)


@given(schedules)
def test_files_call_a_schedule_what_version_0_1_called_it(schedule):
    text = dumps(schedule)
    name = type(schedule).__name__
    place = "schedules" if hasattr(hidim.algorithms.schedules, name) else "decays"
    assert text.startswith(f'{{"$data": "hidim.algorithms.{place}:{name}"')
    assert loads(text) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@given(schedules)
def test_a_schedule_that_says_it_is_constant_is(schedule):
    if schedule.constant is not None:
        np.testing.assert_array_equal(schedule(STEPS), schedule.constant)


@given(schedules)
def test_breakpoints_ascend_and_steps_of_any_shape_are_read_one_by_one(schedule):
    assert list(schedule.breakpoints) == sorted(set(schedule.breakpoints))
    one_by_one = [float(schedule(t)) for t in STEPS]
    # NumPy's powers and cosines of arrays may differ from those of numbers in the last bit.
    np.testing.assert_allclose(schedule(STEPS.reshape(4, 8)).ravel(), one_by_one, rtol=1e-15)


@given(schedules, schedules, amount)
def test_a_product_is_the_product_of_the_values_however_it_is_folded(first, second, factor):
    expected = factor * first(STEPS) * second(STEPS)
    for folded in (factor * (first * second), (first * factor) * second, first * (second * factor)):
        # A few roundings of 1.1e-16 each; products near 1e-308 lose digits.
        np.testing.assert_allclose(folded(STEPS), expected, rtol=1e-14, atol=1e-300)


@given(schedules, st.sampled_from([0, 0.0]))
def test_nothing_times_a_schedule_is_nothing(schedule, zero):
    assert zero * schedule == Constant(0.0)


@dataclass(frozen=True)
class Sampled(Schedule):
    """Any schedule with nothing known of it but its values."""

    schedule: Schedule

    def __call__(self, t):
        return self.schedule(t)


@dataclass(frozen=True)
class Wobble(Constant):
    """A child with a formula of its own."""

    def __call__(self, t):
        return self.value * (1 + np.sin(np.asarray(t, dtype=np.float64)) ** 2)


@dataclass(frozen=True)
class Slower(PowerLaw):
    """Another, of a class that factors are folded into."""

    def __call__(self, t):
        return super().__call__(np.sqrt(t))


@dataclass(frozen=True)
class Squared(Product):
    """And of a product."""

    def __call__(self, t):
        return super().__call__(t) ** 2


@pytest.mark.parametrize(
    "own", [Wobble(0.5), Slower(2.0, 0.0), Squared((Warmup(4), Constant(0.5)))], ids=str
)
def test_a_child_with_a_formula_of_its_own_is_never_taken_for_its_parent(own):
    for product in (0.3 * own, own * 0.3, own * (0.3 * Warmup(7)), 0.3 * own * Warmup(7)):
        warm = Warmup(7)(STEPS) if "steps=7" in repr(product) else 1.0
        np.testing.assert_allclose(product(STEPS), 0.3 * own(STEPS) * warm, rtol=1e-14)
    assert own.constant is None
    problem = hidim.PLRF(1.0, 0.7, 20)
    risk = [hidim.predict(problem, hidim.sgd(rate), steps=50).risk for rate in (own, Sampled(own))]
    np.testing.assert_allclose(*risk, rtol=1e-12)


def test_two_classes_of_one_name_are_known_apart_by_their_modules():
    one = type("Ramp", (Schedule,), {"__module__": "first.place"})
    two = type("Ramp", (Schedule,), {"__module__": "second.place"})
    assert schedule_classes.find_known("first.place.Ramp") is one
    assert schedule_classes.find_known("second.place.Ramp") is two
    own = type("Warmup", (Schedule,), {"__module__": "first.place"})
    assert schedule_classes.find_known("first.place.Warmup") is own
    assert schedule_classes.find_known("Warmup") is Warmup


def test_a_schedule_nobody_defined_is_not_found_and_the_nearest_is_named():
    with pytest.raises(ValueError, match=r"'third.place.Ramp': import the module that defines it"):
        schedule_classes.find_known("third.place.Ramp")
    with pytest.raises(ValueError, match="Did you mean 'Warmup'"):
        schedule_classes.find_known("Warmpu")


@pytest.mark.parametrize("how", ["file", "module"])
def test_a_script_calls_its_schedules_as_those_do_who_import_it(tmp_path, how):
    (tmp_path / "trainer.py").write_text(
        "from hidim.algorithms.schedule_classes import known_as\n"
        "from hidim.algorithms.schedules import Schedule\n"
        "class Ramp(Schedule): ...\n"
        "print(known_as(Ramp))\n"
    )
    command = ["trainer.py"] if how == "file" else ["-m", "trainer"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(tmp_path)])}
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.stdout.strip() == "trainer.Ramp", done.stderr


@pytest.mark.parametrize("eigenvalue", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("power", [0.1, 1 / 3, 1.0, 2.0, 2.0000001, 3.9])
def test_a_risk_matched_rate_injects_the_same_noise_at_every_step(power, eigenvalue):
    rate = hidim.RiskMatched(0.7, 50, power, eigenvalue)
    t = np.linspace(0.0, 50.0, 20_001)
    g = rate(t)
    tau = np.concatenate([[0.0], np.cumsum((g[1:] + g[:-1]) / 2 * np.diff(t))])
    noise = g**2 * (1 + eigenvalue * tau) ** -power
    np.testing.assert_allclose(noise, noise[0], rtol=1e-5)
    assert g[-1] == pytest.approx(0.7)
    assert np.all(rate(t + 50) == pytest.approx(0.7))


EXTREME = [1e-300, 1e-200, 1e-12, 1.0, 1e12, 1e200, 1e300]


@pytest.mark.parametrize("s", [5e-324, *EXTREME, 1.9999999999999998, 2.0, 2.0000000000000004])
def test_a_risk_matched_rate_of_extreme_numbers_is_a_number_or_refused_in_one_line(s):
    for cap, length, eigenvalue in itertools.product(EXTREME, [1, 10**9, 1e300], EXTREME):
        log_span = sum(map(np.log10, (cap, length, eigenvalue)))
        if not 1e-12 <= s <= 1e12 or abs(log_span) > 280:
            with pytest.raises(ValueError, match=r"`(s|eigenvalue)` .*must lie in .*, got .*; "):
                hidim.RiskMatched(cap, length, s, eigenvalue)
            continue
        rate = hidim.RiskMatched(cap, length, s, eigenvalue)
        values = rate(np.array([0.0, 0.25, 0.5, 1.0, 2.0]) * float(length))
        assert np.all(np.diff(values) >= -1e-9 * cap)
        assert np.all((values >= 0) & (values <= 1.000001 * cap))
        assert values[-1] == pytest.approx(cap, rel=1e-6)


def test_a_written_risk_matched_rate_of_extreme_numbers_is_refused():
    with pytest.raises(ValueError, match=r"`eigenvalue` times cap times length .*1e\+200"):
        read_schedule("RiskMatched(1e200,100,1.0,1e200)")
