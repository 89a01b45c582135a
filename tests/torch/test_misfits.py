"""What does not fit is refused before anything moves, in whichever group it is.

A misfit in the second of two groups: every class, path and kind of misfit, with and without a
compiler, sharded, under a GradScaler. Parameters, states and what groups remember stay as they
were to the bit, no state is made, and the remedy that the message names works.
"""

import copy

import pytest
import torch
from catalogue import CLASSES
from torch.nn import Parameter

import hidim.torch as ours
from hidim.torch._machine.fit import shaped_in

PATHS = {
    "default": {},
    "loop": {"foreach": False},
    "lists": {"foreach": True},
    "one pass": {"fused": True},
    "captured": {"capturable": True},
}
SHAPE = (3, 4)


def decayed(groups, **options):
    return ours.LogTimeWeightDecay(ours.DANADecaying(groups, **options))


def decayed_adamw(groups, **options):
    return ours.LogTimeWeightDecay(groups, base=torch.optim.AdamW, **options)


def projected(groups, **options):
    return ours.NormalizeAndProject(groups, base=ours.ADANA, **options)


def measured(groups, **options):
    return ours.DANADecaying(groups, gain="measured", **options)


MAKERS = [*(case.cls for case in CLASSES), decayed, decayed_adamw, projected, measured]


def replace_data(p, state, shape):
    p.grad = None
    p.data = torch.ones(shape)
    p.grad = torch.ones(shape)


def of(state):
    """The first buffer in a state, and the last: what is measured, if anything is."""
    names = [name for name, x in state.items() if x.dim()]
    return [*names[:1], *names[-1:]]


def turned(p, state):
    p.data = p.data.reshape(4, 3).clone()  # the gradient and the momentum stay


def on_meta(p, state):
    for name in of(state):
        state[name] = state[name].to("meta")


# What is done to a parameter and its state, and what the message says.
GRADIENTS = {
    "sparse": (lambda p, s: setattr(p, "grad", p.grad.to_sparse()), "sparse"),
    "turned": (turned, "its data was replaced"),
    "smaller": (lambda p, s: setattr(p, "data", torch.ones(1)), "its data was replaced"),
}
STATES = {
    "reshaped": (lambda p, s: replace_data(p, s, (4, 3)), "its data was replaced"),
    "of more dimensions": (lambda p, s: replace_data(p, s, (1, 3, 4)), "its data was replaced"),
    "larger": (lambda p, s: replace_data(p, s, (200,)), "its data was replaced"),
    "state of one entry": (lambda p, s: s.update({of(s)[0]: torch.ones(1)}), "data was replaced"),
    "last state": (lambda p, s: s.update({of(s)[-1]: torch.ones(4, 3)}), "data was replaced"),
    "state in place": (lambda p, s: setattr(s[of(s)[0]], "data", torch.ones(7)), "was replaced"),
    "state on meta": (on_meta, "on meta"),
}
OWN_STATES = {
    "whole numbers": (lambda p, s: s.update({of(s)[0]: torch.ones(3, 4).long()}), "torch.int64"),
    "complex": (lambda p, s: s.update({of(s)[0]: torch.ones(3, 4).cfloat()}), "torch.complex64"),
    "no buffer": (lambda p, s: s.pop(of(s)[0]), "nothing as `"),
    "no tensor": (lambda p, s: s.update({of(s)[0]: [1.0]}), "list as `"),
    "no count": (lambda p, s: s.pop("step"), "nothing as `step`"),
    "several counts": (lambda p, s: s.update(step=torch.ones(3)), "as `step`"),
    "count on meta": (
        lambda p, s: s.update(step=s["step"].to("meta")),
        "its count, `step`, on meta",
    ),
}


def two_groups(make, **options):
    ps = [Parameter(torch.arange(1.0, 13.0).reshape(SHAPE)) for _ in range(2)]
    optimizer = make([{"params": [p]} for p in ps], **options)
    for p in ps:
        p.grad = torch.ones_like(p)
    return optimizer, ps


def seen(optimizer):
    """All that a step changes, as it is now."""
    groups = [
        {k: copy.deepcopy(v) for k, v in group.items() if k != "params"}
        for group in optimizer.param_groups
    ]
    ps = [p for group in optimizer.param_groups for p in group["params"]]
    states = [{k: copy.deepcopy(x) for k, x in optimizer.state[p].items()} for p in ps]
    return [p.detach().clone() for p in ps], states, groups


def same(xs, ys):
    if isinstance(xs, dict):
        return xs.keys() == ys.keys() and all(same(xs[k], ys[k]) for k in xs)
    if isinstance(xs, torch.Tensor) and xs.is_meta:
        return ys.is_meta
    if isinstance(xs, torch.Tensor):
        return torch.equal(xs, ys)
    if isinstance(xs, list | tuple):
        return len(xs) == len(ys) and all(map(same, xs, ys))
    return xs == ys


def refuses(optimizer, ps, misfit, *, step=None):
    """After two good steps; and then the remedy."""
    change, message = misfit
    step = step or optimizer.step
    step()
    step()
    change(ps[1], optimizer.state[ps[1]])
    before = seen(optimizer)
    with pytest.raises(RuntimeError, match=message):
        step()
    assert same(seen(optimizer), before)
    ps[1].grad = None
    optimizer.state.pop(ps[1], None)
    step()
    ps[1].grad = torch.ones_like(ps[1])
    held = ps[1].detach().clone()
    step()
    assert not torch.equal(ps[1], held)


def misfits(make):
    """The kinds that a class can meet: one without buffers has no wrong ones."""
    if make is ours.SignSGD:
        counts = {name: OWN_STATES[name] for name in ("several counts", "count on meta")}
        return {**GRADIENTS, **counts}
    return {**GRADIENTS, **STATES, **({} if make is decayed_adamw else OWN_STATES)}


@pytest.mark.parametrize(
    ("make", "path"),
    [
        (make, path)
        for make in MAKERS
        for path in PATHS  # captured, torch's own wants a GPU, and the rest are two kinds
        if path != "captured" or make in (ours.DANADecaying, ours.ADANA, decayed, measured)
    ],
)
def test_a_misfit_in_the_second_group_leaves_the_first_as_it_was(make, path):
    for misfit in misfits(make).values():
        optimizer, ps = two_groups(make, **PATHS[path])
        refuses(optimizer, ps, misfit)


# Every optimizer of torch.optim, save SparseAdam, whose gradients are refused as sparse, and LBFGS,
# which is refused itself.
OF_TORCH = {
    "Adafactor": {}, "Adadelta": {}, "Adagrad": {}, "Adam": {"amsgrad": True}, "AdamW": {},
    "Adamax": {}, "ASGD": {}, "Muon": {}, "NAdam": {}, "RAdam": {}, "Rprop": {},
    "RMSprop": {"momentum": 0.9, "centered": True}, "SGD": {"momentum": 0.9},
}  # fmt: skip


def test_every_optimizer_of_torch_is_one_whose_misfits_are_looked_for():
    kinds = {
        name for name, x in vars(torch.optim).items()
        if isinstance(x, type) and issubclass(x, torch.optim.Optimizer)
    }  # fmt: skip
    assert kinds - {"Optimizer", "SparseAdam", "LBFGS"} == OF_TORCH.keys()


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("name", OF_TORCH)
def test_misfits_of_every_optimizer_of_torch_are_refused_before_anything_moves(name, apart):
    def wrapped():
        shapes = [SHAPE, SHAPE, *([] if name == "Muon" else [(5,)])]
        ps = [Parameter(torch.ones(shape)) for shape in shapes]
        groups = [{"params": [p]} for p in ps] if apart else ps
        base = getattr(torch.optim, name)(groups, lr=0.01, **OF_TORCH[name])
        for p in ps:
            p.grad = torch.ones_like(p)
        optimizer = ours.LogTimeWeightDecay(base)
        optimizer.step()
        return optimizer, ps

    # All that is a tensor with dimensions has the shape of its parameter, or is a known factor.
    optimizer, ps = wrapped()
    tensors = {key for p in ps for key, x in optimizer.state[p].items() if getattr(x, "ndim", 0)}
    assert tensors <= {*shaped_in(optimizer.base), "row_var", "col_var"}
    for shape in ((5, 6), (4, 3), *([] if name == "Muon" else [(3,)])):
        optimizer, ps = wrapped()
        refuses(optimizer, ps, (lambda p, s, to=shape: replace_data(p, s, to), "data was replaced"))
    optimizer, ps = wrapped()
    if "step" in optimizer.state[ps[1]]:
        refuses(optimizer, ps, OWN_STATES["count on meta"])


@pytest.mark.parametrize("wrapper", [ours.LogTimeWeightDecay, ours.NormalizeAndProject])
def test_a_base_that_moves_between_evaluations_is_refused(wrapper):
    ps = [Parameter(torch.ones(SHAPE))]
    with pytest.raises(ValueError, match="`base` is LBFGS, whose step evaluates a closure"):
        wrapper(torch.optim.LBFGS(ps))
    assert torch.equal(ps[0], torch.ones(SHAPE))


def test_sparse_gradients_of_a_wrapped_sparse_adam_are_refused():
    ps = [Parameter(torch.ones(SHAPE)) for _ in range(2)]
    optimizer = ours.LogTimeWeightDecay(torch.optim.SparseAdam(ps))
    for p in ps:
        p.grad = torch.ones(SHAPE).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert all(torch.equal(p, torch.ones(SHAPE)) for p in ps)


@pytest.mark.parametrize("make", MAKERS)
def test_no_state_is_made_by_a_step_that_is_refused(make):
    for change, message in GRADIENTS.values():
        optimizer, ps = two_groups(make)
        change(ps[1], {})
        with pytest.raises(RuntimeError, match=message):
            optimizer.step()
        assert not optimizer.state
        assert torch.equal(ps[0], torch.arange(1.0, 13.0).reshape(SHAPE))
    if make is not decayed_adamw:
        p, q = Parameter(torch.ones(3)), Parameter(torch.ones(3, device="meta"))
        optimizer = make([{"params": [p]}, {"params": [q]}], fused=True)
        p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
        with pytest.raises(RuntimeError, match="on the meta device"):
            optimizer.step()
        assert not optimizer.state


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_a_compiled_step_refuses_a_misfit_before_anything_moves():
    from torch._dynamo.utils import counters

    def replaced(p, state):  # after two good steps
        # One graph, and two breaks: torch's own, and that of the numbers.
        assert counters["stats"]["unique_graphs"] == 1
        assert sum(counters["graph_break"].values()) == 2
        STATES["last state"][0](p, state)

    torch._dynamo.reset()
    counters.clear()
    optimizer, ps = two_groups(ours.DANADecaying)
    step = torch.compile(optimizer.step, backend="eager")
    refuses(optimizer, ps, (replaced, "its data was replaced"), step=step)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
@pytest.mark.parametrize("kind", ["sparse", "reshaped", "last state"])
@pytest.mark.parametrize("make", [ours.ADANA, ours.DANADecaying, decayed, decayed_adamw, measured])
def test_compiled_steps_refuse_misfits_before_anything_moves(make, kind):
    torch._dynamo.reset()
    optimizer, ps = two_groups(make)
    step = torch.compile(optimizer.step, backend="eager")
    refuses(optimizer, ps, {**GRADIENTS, **STATES}[kind], step=step)


@pytest.mark.parametrize("make", [ours.DANADecaying, ours.ADANA, decayed])
def test_a_scaler_that_leaves_out_a_step_looks_at_nothing(make):
    optimizer, ps = two_groups(make)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for p in ps:
        p.grad *= 4
    scaler.scale(torch.zeros(()))
    scaler.step(optimizer)
    scaler.update()
    before = seen(optimizer)
    ps[0].grad[0, 0] = torch.inf
    turned(ps[1], {})
    scaler.step(optimizer)  # left out: nothing is refused, nothing moves
    scaler.update()
    before[0][1] = before[0][1].reshape(4, 3)
    assert same(seen(optimizer), before)
    ps[0].grad = torch.ones_like(ps[0])
    with pytest.raises(RuntimeError, match="its data was replaced"):
        scaler.step(optimizer)
    assert same(seen(optimizer), before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, in its compiler
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("make", [ours.DANADecaying, ours.ADANA, decayed])
def test_a_differentiable_step_of_a_leaf_is_refused_in_one_line_before_anything_moves(
    make, compiled
):
    p = Parameter(torch.ones(3))
    p.grad = torch.ones(3)
    optimizer = make([p], differentiable=True)
    step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
    with pytest.raises(RuntimeError, match=r"^[^\n]*p\.clone\(\)[^\n]*$"):
        step()
    assert torch.equal(p, torch.ones(3))
    assert not optimizer.state


@pytest.fixture(scope="module")
def mesh():
    """Rank 0 of two that are not there: nothing of a step on shards needs the other."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield init_device_mesh("cpu", (2,))
    dist.destroy_process_group()


def sharded(values, mesh):
    from torch.distributed.tensor import DTensor, Shard

    return DTensor.from_local(values, mesh, [Shard(0)], run_check=False)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("make", [ours.DANADecaying, ours.ADANA, decayed])
def test_misfits_of_shards_are_refused_before_anything_moves(make, path, mesh):
    def start(local=SHAPE):
        ps = [Parameter(sharded(torch.ones(local), mesh)) for _ in range(2)]
        optimizer = make([{"params": [p]} for p in ps], **PATHS[path])
        for p in ps:
            p.grad = sharded(torch.ones(local), mesh)
        optimizer.step()
        return optimizer, ps

    def first_buffer(optimizer, p):
        return of(optimizer.state[p])[0]

    def larger(optimizer, p):
        p.data = sharded(torch.ones(5, 4), mesh)

    def whole(optimizer, p):  # a state that was gathered and not sharded again
        optimizer.state[p][first_buffer(optimizer, p)] = torch.ones(6, 4)

    def other_shard(optimizer, p):
        optimizer.state[p][first_buffer(optimizer, p)] = sharded(torch.ones(4, 3), mesh)

    for change in (larger, whole, other_shard):
        optimizer, ps = start()
        change(optimizer, ps[1])
        before = [p.to_local().clone() for p in ps]
        count = optimizer.state[ps[0]]["step"].clone()
        with pytest.raises(RuntimeError, match="its data was replaced"):
            optimizer.step()
        assert all(torch.equal(p.to_local(), x) for p, x in zip(ps, before, strict=True))
        assert torch.equal(optimizer.state[ps[0]]["step"], count)
    optimizer, ps = start()  # what only lies elsewhere fits: a local buffer
    name = first_buffer(optimizer, ps[1])
    optimizer.state[ps[1]][name] = optimizer.state[ps[1]][name].to_local()
    optimizer.step()
    assert torch.equal(ps[0].to_local(), ps[1].to_local())
