"""Claims about the linear systems of a block: right however kinds are eliminated."""

import numpy as np
import pytest

from hidim.engines.factored import FactoredMatrix
from hidim.engines.linear import BlockMatrix
from hidim.engines.scheme import scheme
from hidim.systems.factors import Factors

RNG = np.random.default_rng(5)
STAGES, MODES, KINDS, ORDERS = 5, 7, 4, 2


def written_out(change, gains, length, shift):
    """The whole matrix and the units of orders of every mode, stage-major."""
    matrix = np.zeros((MODES, STAGES, KINDS, STAGES, KINDS))
    matrix[...] = np.kron(shift[:, 1:], np.eye(KINDS)).reshape(STAGES, KINDS, STAGES, KINDS)
    for i in range(STAGES):
        matrix[:, i, :, i, :] -= length * change[i]
    units = np.zeros((MODES, STAGES, KINDS, ORDERS, STAGES))
    for i in range(STAGES):
        units[:, i, :, :, i] = length * gains[i]
    return matrix, units


@pytest.mark.parametrize("same", [[], [1], [1, 3]])
def test_solutions_are_those_of_the_whole_matrix(same):
    change = -RNG.random((STAGES, MODES, KINDS, KINDS))
    for a in same:
        for b in same:
            change[:, :, a, b] = change[:, :1, a, b]
    gains = RNG.random((STAGES, MODES, KINDS, ORDERS))
    shift = scheme(STAGES).shift(0.01)[1:]
    seen = np.array([True, False, False, False])
    block = BlockMatrix(change, gains, None, 3.0, shift, seen)
    assert block.gone == same
    matrix, units = written_out(change, gains, 3.0, shift)
    size = STAGES * KINDS
    states, source = RNG.random((2, KINDS, MODES)), RNG.random((STAGES, MODES, KINDS))
    right = block.free_columns(states, source)
    plain = right.transpose(0, 2, 1, 3).reshape(MODES, size, 2)
    both = np.concatenate([plain, units.reshape(MODES, size, -1)], axis=-1)
    truth = np.linalg.solve(matrix.reshape(MODES, size, size), both)
    truth = truth.reshape(MODES, STAGES, KINDS, -1).transpose(0, 2, 1, 3)
    for inverted in (False, True):
        if inverted:
            block.invert()
        answer = block.solve(right, units=True)
        np.testing.assert_allclose(answer, truth[:, block.kept], rtol=1e-11, atol=1e-13)
        q = RNG.random((ORDERS * STAGES, 2))
        full = block.complete(answer[..., :2] + answer[..., 2:] @ q, right, q)
        np.testing.assert_allclose(
            full, truth[..., :2] + truth[..., 2:] @ q, rtol=1e-11, atol=1e-12
        )
    turned = block.solve_transposed(right)
    product = np.einsum("jsatb,jasn->jbtn", matrix, turned)
    np.testing.assert_allclose(product, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reaches", ["all alike", "every mode its own way"])
@pytest.mark.parametrize("same", [[], [1], [1, 3]])
@pytest.mark.parametrize("sourced", [None, np.array([0.0, 1.0, 0.5])])
def test_matrices_from_factors_are_those_of_every_mode(same, reaches, sourced):
    parts = 3
    features = np.column_stack([np.ones(MODES), RNG.random((MODES, parts - 1))])
    change = -RNG.random((parts, STAGES, KINDS, KINDS))
    for a in same:
        change[1:, :, a, same] = 0.0
        if reaches == "all alike":
            change[1:, :, :, a] = 0.0
    gains, source = (RNG.random((parts, STAGES, KINDS, n)) for n in (ORDERS, 1))
    factors = Factors(features, change, gains, source[..., 0])
    shift = scheme(STAGES).shift(0.01)[1:]
    seen = np.array([True, False, False, False])
    one = FactoredMatrix(factors, 3.0, shift, seen)
    change, added, gains = factors.dense()
    other = BlockMatrix(change, gains, added, 3.0, shift, seen)
    assert one.gone == other.gone == same
    assert one.is_tame
    assert one.fed_back
    close = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(one.matrix, other.matrix, **close)
    np.testing.assert_allclose(one.units, other.units, **close)
    for width in (MODES, 1):  # a state of every mode, and one for all
        states, q = RNG.random((3, KINDS, width)), RNG.random((ORDERS * STAGES, 3))
        for units in (True, False):
            answers = one.answers(states, units=units, sourced=sourced)
            expected = other.answers(states, units=units, sourced=sourced)
            np.testing.assert_allclose(answers, expected, **close)
        full = one.completed(answers, states, q, sourced=sourced)
        np.testing.assert_allclose(
            full, other.completed(expected, states, q, sourced=sourced), **close
        )


def test_a_kind_that_brings_in_too_much_is_kept():
    features = np.column_stack([np.ones(MODES), np.linspace(1e8, 1e9, MODES)])
    change = np.zeros((2, STAGES, 2, 2))
    change[0, :, 1, 1], change[0, :, 0, 1], change[1, :, 1, 0] = -1e-3, -1.0, 1.0
    factors = Factors(features, change, np.ones((2, STAGES, 2, 1)), None)
    matrix = FactoredMatrix(factors, 1.0, scheme(STAGES).shift(1.0)[1:], np.array([True, False]))
    assert matrix.gone == [1]
    assert not matrix.is_tame
