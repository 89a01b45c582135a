"""Algorithms and schedules are data: they compare, hash, multiply and print."""

import numpy as np
import pytest

import hidim


def test_equal_algorithms_are_equal_and_hash_alike():
    first = hidim.dana_decaying(0.1, 0.2, 0.5, 8.0)
    assert first == hidim.dana_decaying(0.1, 0.2, 0.5, 8.0)
    assert len({first, hidim.dana_decaying(0.1, 0.2, 0.5, 8.0)}) == 1
    assert first != hidim.dana_decaying(0.1, 0.2, 0.6, 8.0)
    table = hidim.sgd(0.1).scheduled(hidim.Table([0, 5], [1, 2]))
    assert table == hidim.sgd(0.1).scheduled(hidim.Table([0, 5], [1, 2]))


def test_a_learning_rate_schedule_scales_both_rates():
    half = hidim.dana_decaying(0.2, 0.1, 0.5, 8.0).scheduled(0.5 * hidim.Constant(1.0))
    assert half == hidim.dana_decaying(0.1, 0.05, 0.5, 8.0)


def test_rates_may_be_schedules_from_the_start():
    warm = 0.1 * hidim.Warmup(100)
    assert hidim.sgd(warm) == hidim.sgd(0.1).scheduled(hidim.Warmup(100))


def test_the_class_with_both_exponents_holds_the_named_members():
    general = hidim.general_momentum
    assert general(50, 0.1, 1.0, 8.0, kappa_2=1) == hidim.dana_constant(0.1, 0.02, 8.0)
    assert general(50, 0.1, 0.2, 8.0, kappa_3=0.5) == hidim.dana_decaying(0.1, 0.2, 0.5, 8.0)


@pytest.mark.parametrize(
    "schedule",
    [
        hidim.Constant(0.0),
        hidim.PowerLaw(2.0, 0.5),
        hidim.Forgetting(8.0),
        hidim.Forgetting(8.0, 1.0),
        hidim.Warmup(7),
        hidim.Cosine(9, 0.1),
        hidim.WSD(20, 3),
        hidim.Table([1, 4], [0.5, 0.1]),
        hidim.Warmup(7) * hidim.Cosine(9),
    ],
    ids=str,
)
def test_schedules_read_any_shape_and_print_as_they_are_made(schedule):
    t = np.arange(6.0).reshape(2, 3)
    values = schedule(t)
    assert values.shape == (2, 3)
    assert schedule(5.0) == values[1, 2]
    assert eval(repr(schedule), vars(hidim.algorithms.schedules)) == schedule


def test_default_forgetting_never_flips_the_sign_of_the_momentum():
    t = np.arange(1000.0)
    assert np.all(hidim.Forgetting(8.0)(t) <= 1)
    assert hidim.Forgetting(8.0, offset=1.0)(0) == 8


def test_schedule_free_forgets_nothing_that_matters_at_the_first_step():
    for offset in (1.0, 2.0):
        assert hidim.schedule_free_sgd(0.1, weight_offset=offset).forgetting(0) == 1.0
