"""One pass over a GPU's memory does what the pass over a CPU's does.

Triton's interpreter runs the loops without a GPU where Triton is installed (`pip install triton`);
the tests marked gpu run them there.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

import hidim.torch as ours
from hidim.torch._machine import gpu_pass
from hidim.torch._machine.one_pass import _RULES, Kernel

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1, 7, 64, 1024, 1025, 2500)
# Sign, factors kept before and after, lr, and the rule's own numbers.
NUMBERS = {
    "dana": [-1.0, 0.99, 1.0, 0.0, 0.9, 0.1, 0.05, 0.3, 0.01],
    "adana": [1.0, 0.99, 0.98, 0.1, 0.2, 1.5, 1.2, 1e-8],
    "mk4": [1.0, 0.99, 1.0, 0.1, 0.2, 1.5, 0.7, 1e-8],
    "ademamix": [1.0, 0.99, 1.0, 0.1, 0.2, 0.1, 0.05, 1.1, 1.3, 2.0, 1e-8],
    "star": [1.0, 0.99, 1.0, 0.1, 0.2, 40.0, 0.15, 1.0, 2.0, 1e-8],
}
CLASSES = ("DANADecaying", "DANAConstant", "ADANA", "DanaMK4", "DanaStar", "DanaStarMK4",
           "LogTimeAdEMAMix")  # fmt: skip


def lists_of(rule: str, dtype: torch.dtype, state: torch.dtype) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    rows = [[torch.randn(n, generator=generator).to(dtype) for n in SIZES] for _ in range(2)]
    buffers = gpu_pass._WIDTHS[rule] - 2
    return rows + [
        [torch.rand(n, generator=generator).to(state) for n in SIZES] for _ in range(buffers)
    ]


def compare(rule: str, dtype: torch.dtype, state: torch.dtype) -> None:
    """Triton's loop beside the one in C++, which other tests hold to the rule."""
    here, there = lists_of(rule, dtype, state), lists_of(rule, dtype, state)
    assert Kernel(rule).run(here, NUMBERS[rule])
    assert gpu_pass.update(rule, there, NUMBERS[rule]), gpu_pass._failed
    for one, other in zip(here, there, strict=True):
        for x, y in zip(one, other, strict=True):
            # The interpreter cuts to 16 bits, where C++ and a GPU round.
            eps = torch.finfo(x.dtype).eps
            torch.testing.assert_close(y, x, rtol=max(2 * eps, 1e-6), atol=max(eps / 64, 1e-6))


def test_every_rule_of_the_cpu_is_there():
    assert set(gpu_pass._WIDTHS) == set(_RULES) == set(NUMBERS)


@pytest.mark.skipif(
    not Kernel("dana").available(torch.ones(1), torch.ones(1)), reason="needs the loop in C++"
)
def test_in_the_interpreter_it_is_the_loop_in_c():
    pytest.importorskip("triton")
    script = (
        "import itertools, torch\n"
        "from tests.torch.test_gpu_pass import NUMBERS, compare\n"
        "f, b, h = torch.float32, torch.bfloat16, torch.float16\n"
        "for rule in NUMBERS:\n"
        "    for types in ((f, f), (b, b), (b, f), (h, h), (h, f), (f, b), (f, h)):\n"
        "        compare(rule, *types)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_blocks_cover_every_entry_once():
    sizes = (0, 1, 1024, 1025, 5000)
    places, which, starts = gpu_pass._blocks(sizes, 1024, torch.device("cpu"), 0)
    assert places.tolist() == list(sizes)
    seen = [[] for _ in sizes]
    for k, start in zip(which.tolist(), starts.tolist(), strict=True):
        seen[k] += range(start, min(start + 1024, sizes[k]))
    assert all(entries == list(range(n)) for entries, n in zip(seen, sizes, strict=True))


def test_only_gpus_and_types_that_it_knows():
    x = torch.ones(3)
    assert not gpu_pass.available(x, x)
    assert not gpu_pass.available(x.double(), x.double())


def test_where_triton_cannot_compile_it_is_said_once_and_left(monkeypatch, caplog):
    class Refuses:
        def __getitem__(self, grid):
            raise RuntimeError("first line\nno C compiler here")

    broken = types.ModuleType("gpu_rules")
    broken.one_pass, broken.BLOCK = Refuses(), 1024
    monkeypatch.setitem(sys.modules, "hidim.torch._machine.gpu_rules", broken)
    monkeypatch.setattr("hidim.torch._machine.gpu_rules", broken, raising=False)
    monkeypatch.setattr(gpu_pass, "_named", lambda dtype: dtype)
    monkeypatch.setattr(gpu_pass, "_failed", [])
    lists = lists_of("adana", torch.float32, torch.float32)
    before = [[x.clone() for x in row] for row in lists]
    with caplog.at_level(logging.WARNING, "hidim"):
        assert not gpu_pass.update("adana", lists, NUMBERS["adana"])
    assert "no C compiler here" in caplog.text
    assert gpu_pass._failed
    for row, old in zip(lists, before, strict=True):
        assert all(map(torch.equal, row, old))


def tensors(device: str, dtype: torch.dtype) -> list[Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3,), (64, 33), (2048,), (2049,), (0,), (1, 1), (17, 5, 3)]
    made = [torch.randn(shape, generator=generator).to(dtype).to(device) for shape in shapes]
    made.append(torch.randn(40, 30, generator=generator).to(dtype).to(device).t())  # columns first
    made.append(torch.randn(101, generator=generator).to(dtype).to(device)[1:])  # off by one entry
    return [Parameter(x) for x in made]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "options",
    [{}, {"weight_decay": 0.1}, {"maximize": True}, {"state_dtype": torch.float32}],
    ids=lambda options: "-".join(options) or "plain",
)
def test_on_a_gpu_an_optimizer_moves_as_on_a_cpu(name, dtype, options):
    ends = []
    for device in ("cpu", "cuda"):
        params = tensors(device, dtype)
        optimizer = getattr(ours, name)(params, lr=1e-2, **options)
        generator = torch.Generator().manual_seed(1)
        for _ in range(6):
            for p in params:
                p.grad = torch.randn(p.shape, generator=generator).to(dtype).to(device)
            optimizer.step()
        ends.append([p.detach().cpu() for p in params])
    assert not gpu_pass._failed
    eps = torch.finfo(dtype).eps
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(other, one, rtol=max(4 * eps, 2e-5), atol=max(4 * eps, 1e-6))
