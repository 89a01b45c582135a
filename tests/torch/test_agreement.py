"""Every path and dtype follows the plain NumPy reference."""

import numpy as np
import pytest
import torch
from catalogue import CASES, data, reference_path, train
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

PATHS = {
    "single": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
    "capturable": {"capturable": True},
    "capturable foreach": {"capturable": True, "foreach": True},
}
STEPS = 1000


@pytest.fixture(scope="module")
def references():
    return {case.name: {n: reference_path(case, n) for n in (200, STEPS)} for case in CASES}


def parameter(dtype):
    return torch.nn.Parameter(torch.tensor(data(1)[0], dtype=dtype))


SLOWER = [pytest.param(path, marks=pytest.mark.slow) for path in PATHS if "capturable" in path]


@pytest.mark.parametrize("path", ["single", "foreach", "fused", *SLOWER])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_float64_follows_the_reference_for_1000_steps(case, path, references):
    p = parameter(torch.float64)
    train(case.cls([p], **case.options, **PATHS[path]), p, STEPS)
    # 1000 steps of a contracting recursion, a few roundings of 1.1e-16 each.
    np.testing.assert_allclose(p.detach().numpy(), references[case.name][STEPS], rtol=0, atol=1e-13)


@pytest.mark.parametrize("steps", [200, pytest.param(STEPS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", ["single", "foreach", "fused"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_float32_follows_the_reference(case, path, steps, references):
    p = parameter(torch.float32)
    train(case.cls([p], **case.options, **PATHS[path]), p, steps)
    # Rounding 6e-8 per step, remembered for at most ~100 steps; entries are of order 1.
    np.testing.assert_allclose(
        p.detach().double().numpy(), references[case.name][steps], rtol=0, atol=2e-5
    )


@settings(max_examples=60)
@given(
    case=st.sampled_from(CASES),
    path=st.sampled_from(list(PATHS)),
    shapes=st.lists(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5), max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shapes_together_follow_the_reference_of_each_alone(case, path, shapes, seed):
    rng = np.random.default_rng(seed)
    # A number of parameters is an option of DANA-constant; here it is the table's for all.
    rules = [case.reference(**{"lr": 1e-3, **case.options}) for _ in shapes]
    expected = [rng.standard_normal(shape) for shape in shapes]
    params = [torch.nn.Parameter(torch.tensor(p)) for p in expected]
    optimizer = case.cls(
        params or [torch.nn.Parameter(torch.ones(1))], **case.options, **PATHS[path]
    )
    for _ in range(3):
        for i, (p, rule) in enumerate(zip(params, rules, strict=True)):
            g = rng.standard_normal(p.shape)
            p.grad = torch.tensor(g)
            expected[i] = rule.step(expected[i], g)
        optimizer.step()
    for p, q in zip(params, expected, strict=True):
        # float64: a few roundings of numbers of order 1.
        np.testing.assert_allclose(p.detach().numpy(), q, rtol=1e-12, atol=1e-13)
