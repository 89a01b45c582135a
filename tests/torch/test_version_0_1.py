"""Checkpoints of version 0.1 load and go on as they did there, for good.

tests/torch/version-0.1.pt was written by version 0.1: of every class a parameter and the
state_dict after 20 steps, and the parameter ten steps later. With groups, dtypes and a scheduler:
test_version_0_1_groups.py.
"""

import copy
from pathlib import Path

import pytest
import torch
from torch.nn import Parameter

import hidim.torch as ours
from hidim.torch._machine.options import LATER

STORED = torch.load(Path(__file__).parent / "version-0.1.pt", weights_only=True)
PATHS = [{}, {"foreach": True}, {"fused": True}]


def test_every_class_of_version_0_1_is_stored():
    assert len(STORED) == 13


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("name", STORED)
def test_a_checkpoint_of_version_0_1_goes_on_as_it_did(name, path):
    stored = copy.deepcopy(STORED[name])
    p = Parameter(stored["p"].clone())
    optimizer = getattr(ours, name)([p], lr=7.0)
    optimizer.load_state_dict(stored["optimizer"])
    optimizer.param_groups[0].update(path)
    for t in range(20, 30):
        generator = torch.Generator().manual_seed(t)
        noise = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        p.grad = noise + p.detach()
        optimizer.step()
    torch.testing.assert_close(p.detach(), stored["end"], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["DANADecaying", "DANAConstant", "ADANA", "DanaStarMK4"])
def test_an_optimizer_pickled_by_version_0_1_goes_on(name):
    p = Parameter(torch.ones(3))
    optimizer = getattr(ours, name)([p], lr=0.1)
    old = copy.deepcopy(optimizer).__getstate__()
    for options in (old["defaults"], *old["param_groups"]):
        for later in LATER:
            options.pop(later, None)
    read = object.__new__(type(optimizer))
    read.__setstate__(old)
    assert read.defaults == optimizer.defaults
    (q,) = read.param_groups[0]["params"]
    for a, of in ((p, optimizer), (q, read)):
        a.grad = torch.full_like(a, 2.0)
        of.step()
    assert torch.equal(q, p)
