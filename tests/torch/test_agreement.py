"""Every path and dtype follows the plain NumPy reference."""

import numpy as np
import pytest
import torch
from catalogue import CASES, data, reference_path, train

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
    return {case.name: reference_path(case, STEPS) for case in CASES}


def parameter(dtype):
    return torch.nn.Parameter(torch.tensor(data(1)[0], dtype=dtype))


SLOWER = [pytest.param(path, marks=pytest.mark.slow) for path in PATHS if "capturable" in path]


@pytest.mark.parametrize("path", ["single", "foreach", "fused", *SLOWER])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_float64_follows_the_reference_for_1000_steps(case, path, references):
    p = parameter(torch.float64)
    train(case.cls([p], **case.options, **PATHS[path]), p, STEPS)
    # 1000 steps of a contracting recursion, a few roundings of 1.1e-16 each.
    np.testing.assert_allclose(p.detach().numpy(), references[case.name], rtol=0, atol=1e-13)


@pytest.mark.parametrize("path", ["single", "foreach", "fused"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_float32_follows_the_reference_for_1000_steps(case, path, references):
    p = parameter(torch.float32)
    train(case.cls([p], **case.options, **PATHS[path]), p, STEPS)
    # Rounding 6e-8 per step, remembered for at most ~100 steps; entries are of order 1.
    np.testing.assert_allclose(
        p.detach().double().numpy(), references[case.name], rtol=0, atol=2e-5
    )
