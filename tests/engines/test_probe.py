"""Claims about schedules with features narrower than a block of steps."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from schedule_examples import schedules as any_schedule

import hidim
from hidim.algorithms import schedules
from hidim.algorithms.schedules import Schedule
from hidim.engines.probe import STEPS_LOOKED_AT, seen_length
from hidim.engines.scheme import scheme
from hidim.engines.targets import predict_targets
from hidim.systems.momentum import MomentumSystem
from tests.engines.truth import recursion

J = np.arange(1, 31.0)
SPECTRUM = hidim.Spectrum(J**-2, np.ones(30), 0.01)


@dataclass(frozen=True)
class Bump(Schedule):
    """A user's own schedule: a rate with a peak, and no word about it."""

    base: float
    centre: float
    width: float
    height: float

    def __call__(self, t):
        z = (np.asarray(t, dtype=np.float64) - self.centre) / self.width
        return self.base * (1 + self.height * np.exp(-0.5 * z**2))


@dataclass(frozen=True)
class Wave(Schedule):
    base: float
    period: float

    def __call__(self, t):
        return self.base * (1 + 0.9 * np.sin(2 * np.pi * np.asarray(t, dtype=float) / self.period))


@dataclass(frozen=True)
class Burst(Schedule):
    """One step in a million, and the word that says how finely to look."""

    at: float
    resolution: float = 1.0

    def __call__(self, t):
        return np.where(np.abs(np.asarray(t, dtype=np.float64) - self.at) < 0.5, 5.0, 0.1)


class Smooth(Schedule):
    def __call__(self, t):
        return 0.2 * (1 + np.asarray(t, dtype=np.float64)) ** -0.5


FEATURES = {
    "a burst that heals": hidim.sgd(Bump(0.0061, 5000, 30, 150)),
    "of three steps": hidim.sgd(Bump(0.0061, 5000, 3, 150)),
    "of one step": hidim.sgd(Burst(5000)),
    "low": hidim.sgd(Bump(0.05, 5000, 10, 1)),
    "a dip": hidim.sgd(Bump(0.05, 5000, 40, -1)),
    "in the momentum": hidim.Momentum(1.0, 0.1, Bump(0.001, 5000, 10, 100), 0.1),
    "in the forgetting": hidim.Momentum(1.0, 0.1, 0.001, Bump(0.01, 5000, 10, 50)),
    "times a known one": hidim.dana_decaying(0.1, 0.05, 0.5, 4.0).scheduled(Bump(1, 5000, 10, 5)),
    "a wave": hidim.sgd(Wave(0.1, 300)),
}
AT = np.array([300, 2000, 4990, 5000, 5010, 5100, 8000])


@pytest.mark.parametrize("name", FEATURES)
def test_narrow_features_are_not_stepped_over(name):
    curve = hidim.predict(SPECTRUM, FEATURES[name], at=AT)
    truth = recursion(SPECTRUM, FEATURES[name], 1, 8000)[AT]
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-6)


def test_many_targets_see_them_too():
    other = hidim.Spectrum(J**-2, J**-1.0, 0.02)
    algorithm = hidim.sgd(Bump(0.0061, 5000, 10, 100))
    for spectrum, curve in zip(
        (SPECTRUM, other), predict_targets([SPECTRUM, other], algorithm, AT), strict=True
    ):
        np.testing.assert_allclose(
            curve.risk, recursion(spectrum, algorithm, 1, 8000)[AT], rtol=1e-5
        )


def test_the_continuous_limit_sees_them_too():
    at = np.array([4000, 5000, 8000])
    for width in (3, 30):
        ode = hidim.predict(SPECTRUM, hidim.sgd(Bump(0.01, 5000, width, 20)), at=at, engine="ode")
        exact = hidim.predict(SPECTRUM, hidim.sgd(Bump(0.01, 5000, width, 20)), at=at)
        np.testing.assert_allclose(ode.risk, exact.risk, rtol=0.05)


def test_a_smooth_schedule_of_a_user_keeps_its_long_blocks():
    own = hidim.predict(SPECTRUM, hidim.sgd(Smooth()), 10**6)
    known = hidim.predict(SPECTRUM, hidim.sgd(hidim.PowerLaw(0.2, 0.5)), 10**6)
    assert own.provenance["effort"] == known.provenance["effort"]
    np.testing.assert_allclose(own.risk, known.risk, rtol=1e-12)


def watched(algorithm):
    return MomentumSystem(SPECTRUM, algorithm, 1).watched


@given(any_schedule)
def test_a_schedule_of_hidim_is_known_and_never_looked_at(schedule):
    assert schedule.resolution == math.inf
    assert watched(hidim.sgd(schedule)) == []


def test_a_composed_schedule_is_known_if_its_parts_are():
    composed = hidim.schedule_free_sgd(0.2).scheduled(hidim.Warmup(5) * hidim.Cosine(100))
    assert watched(composed) == []
    mixed = hidim.Warmup(5) * Smooth()
    assert mixed.resolution == 0.0
    assert schedules.Complement(mixed).resolution == 0.0
    assert watched(hidim.sgd(mixed)) == [mixed]


def test_a_class_below_a_built_in_one_speaks_for_itself():
    class Jagged(hidim.Cosine):
        def __call__(self, t):
            return super().__call__(t) * (1 + (np.asarray(t) == 700))

    assert Jagged(1000).resolution == 0.0
    assert (0.1 * Jagged(1000)).resolution == 0.0


def test_a_resolution_is_honoured_at_any_length_and_guessed_otherwise():
    def seen(schedule):
        return seen_length([schedule], 2e5, 2e5, 128.0, math.inf, scheme(7).points[1:])

    assert seen(Burst(2.6e5 + 1)) < 6e4
    # Without a word, features of one step on so long a block are the stated limit.
    assert seen(Burst(2.6e5 + 1, resolution=0.0)) == 2e5
    wide = 2e5 / STEPS_LOOKED_AT
    assert seen(Bump(0.1, 2.6e5, wide, 1.0)) < 2e5
    assert seen(Smooth()) == 2e5
