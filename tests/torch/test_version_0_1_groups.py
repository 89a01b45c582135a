"""Checkpoints of version 0.1 with groups, dtypes and a scheduler load in every path, for good.

What is stored, and how version 0.1 wrote it, is in stored.py.
"""

import copy
import gzip
import io
from itertools import chain
from pathlib import Path

import pytest
import stored
import torch
from stored import BUILT, MORE, SHAPES, STEPS
from torch import Tensor

FILE = Path(__file__).parent / "version-0.1-groups.pt.gz"
STORED = torch.load(io.BytesIO(gzip.decompress(FILE.read_bytes())), weights_only=True)
PATHS = [{}, {"foreach": True}, {"foreach": False}, {"fused": True}, {"capturable": True}]
# On the CPU torch's AdamW takes no complex tensors in one pass and is not capturable, and compiled
# it corrects for the bias in float32.
OF_ADAMW = ("LogTimeWeightDecay", "NormalizeAndProject")


def loaded(name, path):
    """What is stored, in an optimizer and scheduler of other numbers, and the parameters."""
    groups = stored.parameters()
    optimizer, scheduler = stored.build_bare(name, groups)
    kept = copy.deepcopy(STORED[name])
    stored.place(groups, kept["parameters"])
    optimizer.load_state_dict(kept["optimizer"])
    scheduler.load_state_dict(kept["scheduler"])
    for group in optimizer.param_groups:
        group.update(path)
    return optimizer, scheduler, groups


def assert_ends_as_stored(name, groups):
    """Each tensor to a few roundings of its own dtype, of which each step makes one."""
    expected = stored.parameters()
    stored.place(expected, STORED[name]["end"])
    for p, q in zip(chain(*groups), chain(*expected), strict=True):
        close = 4 * torch.finfo(p.dtype).eps
        torch.testing.assert_close(p.detach(), q.detach(), rtol=close, atol=close)


def test_every_class_and_every_kind_of_tensor_is_stored():
    assert {name.split()[0] for name in STORED} == set(
        torch.load(FILE.with_name("version-0.1.pt"), weights_only=True)
    )
    assert set(STORED) == set(BUILT)
    dtypes = {dtype for group in SHAPES for _, dtype in group}
    assert dtypes == {
        torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.complex64,
    }  # fmt: skip
    for kept in STORED.values():
        assert isinstance(kept["parameters"], Tensor)
        assert not torch.equal(kept["parameters"], kept["end"])
        counts = {float(entry["step"]) for entry in kept["optimizer"]["state"].values()}
        assert len(counts) >= 2  # the tensor that had fewer gradients, and what others began with
        assert kept["scheduler"]["last_epoch"] == STEPS
    assert FILE.stat().st_size < 100_000


@pytest.mark.parametrize("path", PATHS, ids=str)
@pytest.mark.parametrize("name", BUILT)
def test_it_goes_on_as_version_0_1_did(name, path):
    if name in OF_ADAMW and path.keys() - {"foreach"}:
        pytest.skip("AdamW has no such path for these tensors")
    optimizer, scheduler, groups = loaded(name, path)
    for number, entry in STORED[name]["optimizer"]["state"].items():
        found = optimizer.state[list(chain(*groups))[number]]
        assert {k: v.dtype for k, v in found.items() if k != "step"} == {
            k: v.dtype for k, v in entry.items() if k != "step"
        }
    stored.train(optimizer.step, scheduler, groups, range(STEPS, STEPS + MORE))
    assert_ends_as_stored(name, groups)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
@pytest.mark.parametrize("name", [name for name in BUILT if name not in OF_ADAMW])
def test_it_goes_on_in_a_compiled_step(name):
    optimizer, scheduler, groups = loaded(name, {})
    for group in optimizer.param_groups:  # a number would be compiled anew each time it changes
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)
    torch._dynamo.reset()
    step = torch.compile(optimizer.step, backend="eager")
    stored.train(step, scheduler, groups, range(STEPS, STEPS + MORE))
    assert_ends_as_stored(name, groups)
