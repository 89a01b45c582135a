"""Claims about the linear systems of a block: right however kinds are eliminated."""

import numpy as np
import pytest

from hidim.engines.linear import BlockMatrix
from hidim.engines.scheme import scheme

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
    block = BlockMatrix(change, gains, 3.0, shift, seen)
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
