"""Which path is taken, what it costs in memory, and that all paths are the plain rule.

Every class, dtype, size around the width of a vector, layout, path and dtype of the state against
the rule in NumPy; the fast suite draws some of the combinations, the slow one takes all.
"""

import itertools

import numpy as np
import pytest
import torch
from catalogue import CASES, CLASSES
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

import hidim.torch as ours
from hidim.torch._machine import library, one_pass

# torch's own, of complex parameters whose state is float16.
pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf:UserWarning")

PATHS = {
    "default": {},
    "loop": {"foreach": False},
    "lists": {"foreach": True},
    "one pass": {"fused": True},
}
REAL = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
DTYPES = [*REAL, torch.complex64, torch.complex128]
SIZES = [0, 1, 15, 16, 17, 33, 1000, 2**16 + 1]
LAYOUTS = ["plain", "columns", "gaps", "unaligned"]
STEPS = 3
ADAPTIVE = [ours.ADANA, ours.DanaMK4, ours.DanaStar, ours.DanaStarMK4, ours.LogTimeAdEMAMix]


def laid_out(values, layout):
    """A tensor with these values in memory as the layout says."""
    if layout == "columns":
        return values.reshape(-1, 1).expand(-1, 2).t().contiguous().t()
    if layout == "gaps":
        return torch.stack([values, values], dim=1).flatten()[::2]
    if layout == "unaligned":
        return torch.cat([values[:1], values])[values[:1].numel() :]
    return values.clone()


def drawn(rng, size, dtype):
    """Numbers of order 1 that are not small, so that squares exist in 16 bits."""
    shape = (size, 2) if dtype.is_complex else (size,)
    values = torch.tensor(rng.uniform(0.2, 2.0, shape) * rng.choice([-1.0, 1.0], shape))
    return torch.complex(*values.unbind(1)).to(dtype) if dtype.is_complex else values.to(dtype)


def plain(x):
    """A tensor as NumPy float64, complex numbers as pairs."""
    x = torch.view_as_real(x) if x.is_complex() else x
    return x.detach().double().numpy()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_backward_pass_through_weights_that_have_moved_is_refused(case, path):
    p = Parameter(torch.ones(40))
    loss = p.pow(2).sum()
    p.grad = torch.ones_like(p)
    case.cls([p], **{**case.options, **PATHS[path]}).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", [c for c in CLASSES if c.cls.buffers], ids=str)
def test_a_parameter_or_state_of_another_size_is_refused(case, path):
    for size in (1, 8, 200):  # a kernel would write beyond the end of the shorter
        p = Parameter(torch.ones(40))
        optimizer = case.cls([p], **PATHS[path])
        p.grad = torch.ones_like(p)
        optimizer.step()
        p.data = torch.ones(size)
        p.grad = torch.ones(size)
        with pytest.raises(RuntimeError):
            optimizer.step()
        assert torch.equal(p, torch.ones(size))
    for name in optimizer.buffers:
        p = Parameter(torch.ones(40))
        optimizer = case.cls([p], **PATHS[path])
        p.grad = torch.ones_like(p)
        optimizer.step()
        optimizer.state[p][name] = torch.ones(3)
        with pytest.raises(RuntimeError):
            optimizer.step()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [1e17, 1.2e19, 1e25])
def test_gradients_whose_squares_leave_the_range_move_no_path_to_nan(path, size):
    for cls in ADAPTIVE:
        p = Parameter(torch.ones(20))
        optimizer = cls([p], lr=0.1, **PATHS[path])
        for _ in range(3):
            p.grad = torch.full_like(p, size)
            optimizer.step()
        assert torch.isfinite(p).all(), cls
        p.grad = torch.full_like(p, torch.nan)
        optimizer.step()
        assert torch.isnan(p).all(), cls


def follows_the_rule(case, dtype, sizes, layout, path, state_dtype, stochastic, compiled=False):
    options = {**case.options, "lr": 0.05}
    rng = np.random.default_rng(0)
    starts = [laid_out(drawn(rng, size, dtype), layout) for size in sizes]
    params = [Parameter(p.clone(memory_format=torch.preserve_format)) for p in starts]
    for p, start in zip(params, starts, strict=True):
        if layout in ("gaps", "unaligned"):  # which a clone would close
            p.data = laid_out(start, layout)
    optimizer = case.cls(
        params, **options, **path, state_dtype=state_dtype, stochastic_rounding=stochastic
    )
    step = torch.compile(optimizer.step) if compiled else optimizer.step
    rules, expected = [case.reference(**options) for _ in params], [plain(p) for p in starts]
    for _ in range(STEPS):
        for i, p in enumerate(params):
            g = drawn(rng, sizes[i], dtype)
            p.grad = g.reshape(-1, 1).expand(p.shape).clone() if p.dim() == 2 else g
            expected[i] = rules[i].step(expected[i], plain(p.grad))
        step()
    for p, q in zip(params, expected, strict=True):
        within_rounding(p, q, state_dtype, stochastic)


def within_rounding(p, q, state_dtype, stochastic):
    """A step rounds the parameter and, relative to a step, the state by eps / 2, or at random."""
    kept = state_dtype or (torch.float32 if p.dtype == torch.float16 else p.dtype)
    eps = max(torch.finfo(p.dtype).eps, torch.finfo(kept).eps)
    size = np.abs(q).max(initial=1.0)
    error = np.abs(plain(p) - q).max(initial=0.0)
    assert error <= (2 if stochastic else 1) * STEPS * eps * size, (p.shape, error / eps)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES),
    dtype=st.sampled_from(DTYPES),
    sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=3),
    layout=st.sampled_from(LAYOUTS),
    path=st.sampled_from(list(PATHS)),
    state_dtype=st.sampled_from([None, None, *REAL]),
    stochastic=st.booleans(),
)
def test_any_combination_follows_the_plain_rule(
    case, dtype, sizes, layout, path, state_dtype, stochastic
):
    follows_the_rule(case, dtype, sizes, layout, PATHS[path], state_dtype, stochastic)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_combination_follows_the_plain_rule(case, dtype):
    rest = itertools.product(LAYOUTS, PATHS.values(), [None, *REAL], [False, True])
    for layout, path, state_dtype, stochastic in rest:
        follows_the_rule(case, dtype, SIZES, layout, path, state_dtype, stochastic)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_compiled_step_follows_the_plain_rule(case, dtype):
    torch._dynamo.reset()
    follows_the_rule(case, dtype, [1, 17, 1000], "plain", {}, None, False, compiled=True)


# --- which path ----------------------------------------------------------------------------------


@pytest.fixture
def passes(monkeypatch):
    """The sizes of the lists that the one-pass kernel was given."""
    if library.library() is None:
        pytest.skip("no kernel")
    seen = []
    run = one_pass.Kernel.run

    def counted(self, lists, numbers):
        seen.append(len(lists[0]))
        return run(self, lists, numbers)

    monkeypatch.setattr(one_pass.Kernel, "run", counted)
    return seen


@pytest.mark.parametrize("cls", ADAPTIVE)
def test_without_an_option_a_step_on_the_cpu_is_one_pass_and_the_same_bits(cls, passes):
    ends = []
    for path in ({}, {"fused": True}, {"fused": False}, {"foreach": False}, {"foreach": True}):
        passes.clear()
        params = [Parameter(torch.linspace(-1, 1, n)) for n in (5, 200)]
        optimizer = cls(params, lr=0.1, **path)
        for _ in range(3):
            for p in params:
                p.grad = p.detach().sin() + 0.3
            optimizer.step()
        assert passes == ([2, 2, 2] if path in ({}, {"fused": True}) else [])
        ends.append(torch.cat([p.detach() for p in params]))
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(ends[2], ends[3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bit_dana_is_one_pass_on_the_cpu(dtype, passes):
    p = Parameter(torch.ones(64, dtype=dtype))
    optimizer = ours.DANADecaying([p], lr=0.1)
    p.grad = torch.ones_like(p)
    optimizer.step()
    assert passes == [1]
    assert (p == torch.tensor(0.8, dtype=dtype)).all()


def test_the_kernel_tells_autograd_that_parameters_changed():
    p = Parameter(torch.ones(3))
    loss = (p * p).sum()
    p.grad = torch.ones(3)
    ours.ADANA([p]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_how_tensors_are_cut_and_how_many_threads_there_are_changes_no_bit():
    start, gradient = torch.randn(2, 2**17 + 5, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()

    def moved(cls, cuts, count):
        torch.set_num_threads(count)
        params = [Parameter(x.clone()) for x in start.tensor_split(cuts)]
        optimizer = cls(params, lr=0.1)
        for _ in range(2):
            for p, g in zip(params, gradient.tensor_split(cuts), strict=True):
                p.grad = g.clone()
            optimizer.step()
        return torch.cat([p.detach() for p in params])

    try:
        for cls in ADAPTIVE:
            whole = moved(cls, [], 1)
            assert torch.equal(whole, moved(cls, [3, 1000, 70_000], 1))
            assert torch.equal(whole, moved(cls, [], 3))
    finally:
        torch.set_num_threads(threads)


# --- temporaries ---------------------------------------------------------------------------------


class Peak(TorchDispatchMode):
    """The most bytes held at a time by tensors that did not exist before."""

    def __init__(self, old):
        super().__init__()
        self.known = {x.untyped_storage()._cdata for x in old}
        self.live, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in tree_iter(out):
            if isinstance(x, torch.Tensor) and x.untyped_storage()._cdata not in self.known:
                storage = x.untyped_storage()
                self.live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.live = {k: v for k, v in self.live.items() if not v[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.live.values()))
        return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_temporaries_of_a_step_on_lists_stay_below_the_parameters(case, dtype):
    params = [Parameter(torch.ones(n, dtype=dtype)) for n in (300_000, 5, 70_000, 200)]
    optimizer = case.cls(params, **{**case.options, "foreach": True, "weight_decay": 0.1})
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    state = [x for entry in optimizer.state.values() for x in entry.values()]
    with Peak([*params, *(p.grad for p in params), *state]) as seen:
        optimizer.step()
    assert 0 < seen.peak <= sum(p.numel() * p.element_size() for p in params)


@pytest.mark.slow
def test_the_last_entries_of_a_tensor_of_more_than_2_to_the_31_move():
    size = 2**31 + 8  # parameter, gradient and buffer: 13 GB
    p = Parameter(torch.ones(size, dtype=torch.bfloat16))
    optimizer = ours.DANADecaying([p], lr=0.1, fused=True)
    p.grad = torch.ones_like(p)
    optimizer.step()
    moved = torch.tensor(0.8, dtype=torch.bfloat16)
    for part in (p.detach()[:9], p.detach()[2**31 - 9 :]):
        assert (part == moved).all()


@pytest.mark.parametrize("path", [{}, {"fused": True}, {"foreach": True}, {"foreach": False}])
@pytest.mark.parametrize("cls", [ours.ADANA, ours.DANADecaying])
def test_data_of_another_shape_and_the_same_size_is_refused(cls, path):
    p = Parameter(torch.ones(3, 4))
    p.grad = torch.ones(3, 4)
    optimizer = cls([p], lr=0.1, **path)
    optimizer.step()
    p.data, p.grad = p.data.t().contiguous(), None
    p.grad = torch.ones(4, 3)
    with pytest.raises(RuntimeError, match=r"\(4, 3\) has a state of shape \(3, 4\)"):
        optimizer.step()
