"""Sizes around the width of a vector, layouts, dtypes of parameters and state: the plain rule.

A kernel that works in vectors has a loop for whole ones and another for the rest: a dozen entries
see only one of them.
"""

import numpy as np
import pytest
import torch
from catalogue import CLASSES
from torch.nn import Parameter

from hidim.torch._machine import fused_sgd

PATHS = [{"foreach": False}, {"foreach": True}, {"fused": True}]
DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
LOW = DTYPES[:2]
SIZES = [0, 1, 15, 16, 17, 33, 128, 1000]
STEPS = 3


def layouts(dtype):
    """Vectors of every size, and matrices that are transposed or have gaps."""
    rng = np.random.default_rng(1)
    plain = [rng.standard_normal(size) for size in SIZES]
    square, sparse = rng.standard_normal((20, 20)), rng.standard_normal((9, 70))
    tensors = [torch.tensor(x).to(dtype) for x in (*plain, square, sparse)]
    return [*tensors[:-2], tensors[-2].t(), tensors[-1][:, ::2]]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_every_size_layout_and_dtype_follows_the_reference_in_every_path(case, dtype):
    options = {**case.options, "lr": 0.1}
    starts = layouts(dtype)
    rng = np.random.default_rng(2)
    gradients = [
        [torch.tensor(rng.standard_normal(p.shape)).to(dtype) for p in starts] for _ in range(STEPS)
    ]
    expected = []
    for i, start in enumerate(starts):
        rule, q = case.reference(**options), start.double().numpy()
        for gs in gradients:
            q = rule.step(q, gs[i].double().numpy())
        expected.append(q)
    for path in PATHS:
        for state_dtype in {None, dtype if dtype in LOW else None}:
            params = [Parameter(p.clone(memory_format=torch.preserve_format)) for p in starts]
            optimizer = case.cls(params, **options, **path, state_dtype=state_dtype)
            for gs in gradients:
                for p, g in zip(params, gs, strict=True):
                    p.grad = g.clone()
                optimizer.step()
            for p, q in zip(params, expected, strict=True):
                # Each step rounds the parameter and, relative to a step, the state, by eps / 2.
                size = np.abs(q).max(initial=1.0)
                found = p.detach().double().numpy()
                error = np.abs(found - q).max(initial=0.0)
                assert error <= STEPS * torch.finfo(dtype).eps * size, (path, state_dtype, p.shape)


def test_a_kernel_that_is_wrong_for_a_dtype_is_found_out_and_left_alone(monkeypatch):
    right = fused_sgd._right.__wrapped__
    cpu = torch.device("cpu")
    assert right(torch.float32, cpu)
    assert right(torch.float64, cpu)

    def rounded(ps, gs, bs, *, lr, momentum, dampening, **_):
        given = (lr, momentum, 1 - dampening)
        lr, momentum, gain = (float(torch.tensor(x).bfloat16()) for x in given)
        for p, g, b in zip(ps, gs, bs, strict=True):
            b.copy_(b.float() * momentum + g.float() * gain)
            p.copy_(p.float() - lr * (g.float() + momentum * b.float()))

    def absent(*_, **__):
        raise RuntimeError("not implemented for 'BFloat16'")

    for wrong in (rounded, absent):
        monkeypatch.setattr(fused_sgd, "_KERNEL", wrong)
        assert not right(torch.bfloat16, cpu)
