"""The bracketing root finder: smooth functions, jumps, and what it refuses."""

import math

import pytest

from hidim.support.roots import bracketed_root


def test_smooth_roots_take_few_evaluations():
    calls = []

    def f(x):
        calls.append(x)
        return math.exp(x) - 3.0

    assert bracketed_root(f, -5.0, 5.0) == pytest.approx(math.log(3.0), abs=3e-14)
    assert len(calls) < 20


def test_a_jump_is_found_by_bisection():
    assert bracketed_root(lambda x: -1.0 if x < 1 / 3 else 1e6, 0.0, 1.0) == pytest.approx(
        1 / 3, abs=3e-14
    )


def test_a_root_at_an_end_is_returned():
    assert bracketed_root(lambda x: x, 0.0, 1.0) == pytest.approx(0.0, abs=3e-14)
    assert bracketed_root(lambda x: x - 1.0, 0.0, 1.0) == pytest.approx(1.0, abs=3e-14)


def test_no_change_of_sign_is_refused():
    with pytest.raises(ValueError, match="no change of sign"):
        bracketed_root(lambda x: 1.0, 0.0, 1.0)
