"""The rest of PyTorch's generic checks: hooks, schedulers on groups, complex losses, devices.

The step hooks of all optimizers, those that replace what they are given, checkpoints between named
and unnamed parameters, and two devices in one optimizer.
"""

import copy

import pytest
import torch
from generic import INFOS, assert_same, copies, each, run, tensors
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import Parameter
from torch.optim.lr_scheduler import StepLR
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

import hidim.torch as ours
from hidim.torch import normalize_and_project
from hidim.torch._machine.clock import Clock

PATHS = [{"foreach": False}, {"foreach": True}, {"fused": True}]


def own(info):
    """DANA-constant counts what it is given: here it is told."""
    return {"dimension": 30} if info.optim_cls is ours.DANAConstant else {}


@each
def test_a_scheduler_over_two_groups_goes_in_the_right_direction(info):
    generator = torch.Generator().manual_seed(1)
    weight = Parameter(torch.randn((10, 5), generator=generator))
    bias = Parameter(torch.randn(10, generator=generator))
    data = torch.randn(5, generator=generator)
    groups = [{"params": [weight]}, {"params": [bias], "lr": 0.01}]
    optimizer = info.optim_cls(groups, lr=1e-3, **own(info))
    scheduler = StepLR(optimizer, gamma=0.9, step_size=10)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (weight.mv(data) + bias).pow(2).sum()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()
    assert losses[-1] < losses[0]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([8.1e-4, 8.1e-3])


@each
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_complex_loss_moves_a_complex_parameter_as_its_two_parts(info, path):
    def rosenbrock(x, y):
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    whole = Parameter(torch.tensor([0.5 + 0.3j, -0.2 + 0.9j], dtype=torch.complex128))
    parts = Parameter(torch.view_as_real(whole.detach()).clone())
    one = info.optim_cls([whole], lr=1e-4, **path, **own(info))
    two = info.optim_cls([parts], lr=1e-4, **path, **own(info))
    for _ in range(5):
        one.zero_grad()
        two.zero_grad()
        rosenbrock(whole.real, whole.imag).sum().backward()
        rosenbrock(parts[:, 0], parts[:, 1]).sum().backward()
        one.step()
        two.step()
    # A vector of numbers may be a matrix of pairs: only a matrix is projected.
    if info.optim_cls.__name__ != "ProjectedADANA":
        assert_same([torch.view_as_real(whole.detach())], [parts.detach()], rtol=1e-12, atol=0)


@each
def test_hooks_of_all_optimizers_run_outside_its_own(info):
    seen, params = [], tensors()
    optimizer = info.optim_cls(params)
    handles = [
        register_optimizer_step_pre_hook(lambda *_: seen.append("all pre")),
        register_optimizer_step_post_hook(lambda *_: seen.append("all post")),
        optimizer.register_step_pre_hook(lambda *_: seen.append("pre")),
        optimizer.register_step_post_hook(lambda *_: seen.append("post")),
    ]
    try:
        run(optimizer, params, 1)
    finally:
        for handle in handles:
            handle.remove()
    assert seen == ["all pre", "pre", "post", "all post"]


@each
def test_hooks_of_a_checkpoint_come_in_order_and_may_replace_it(info):
    params = tensors()
    optimizer = info.optim_cls(params, lr=0.5)
    run(optimizer, params, 1)
    saved, seen = copy.deepcopy(optimizer.state_dict()), []

    def replace(_, given):
        seen.append("replaced")
        given = {**given, "param_groups": copy.deepcopy(given["param_groups"])}
        given["param_groups"][0]["lr"] = 0.25
        return given

    optimizer.register_load_state_dict_pre_hook(replace)
    optimizer.register_load_state_dict_pre_hook(lambda *_: seen.append("first"), prepend=True)
    optimizer.register_load_state_dict_post_hook(lambda _: seen.append("second"))
    optimizer.register_load_state_dict_post_hook(lambda _: seen.append("loaded"), prepend=True)
    optimizer.register_state_dict_pre_hook(lambda o: o.param_groups[0].update(mark=1))
    optimizer.register_state_dict_post_hook(lambda _, d: {**d, "extra": len(d)}, prepend=True)
    optimizer.load_state_dict(saved)
    assert seen == ["first", "replaced", "loaded", "second"]
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert saved["param_groups"][0]["lr"] == 0.5
    again = optimizer.state_dict()
    assert again["param_groups"][0]["mark"] == 1
    assert again["extra"] == 2


@each
def test_checkpoints_pass_between_named_and_unnamed_parameters(info):
    params = tensors()
    plain = info.optim_cls(params)
    run(plain, params, 2)
    theirs = copies(params)
    named = info.optim_cls([(f"layer.{i}", p) for i, p in enumerate(theirs)])
    named.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert named.param_groups[0]["param_names"] == ["layer.0", "layer.1", "layer.2"]
    run(plain, params, 2, start=2)
    run(named, theirs, 2, start=2)
    assert_same(theirs, params, rtol=0, atol=0)
    named.add_param_group({"params": [("head", Parameter(torch.ones(2)))]})
    with pytest.raises(ValueError, match="names"):
        named.add_param_group({"params": [Parameter(torch.ones(2))]})


@each
def test_what_was_saved_stays_what_it_was_while_a_copy_trains_on(info):
    params = tensors()
    optimizer = info.optim_cls(params, lr=0.01)
    run(optimizer, params, 2)
    saved = copy.deepcopy(optimizer.state_dict())
    twin = copy.deepcopy(optimizer)
    run(twin, twin.param_groups[0]["params"], 2, start=2)
    assert optimizer.state_dict()["param_groups"] == saved["param_groups"]
    assert_same(optimizer.state_dict()["state"].values(), saved["state"].values(), rtol=0, atol=0)
    assert all(state for state in optimizer.state.values())


MEASURED = [(cls, {"gain": "measured"}) for cls in (ours.DANADecaying, ours.ADANA)]
EVERY = [*((info.optim_cls, own(info)) for info in INFOS), *MEASURED]


PLACED = [
    (devices, foreach, capturable)
    for devices in (("cuda:0", "cuda:1"), ("cpu", "cuda:0"))
    for foreach in (True, False)
    for capturable in (True, False)
]


@pytest.mark.parametrize(
    ("devices", "foreach", "capturable"),
    [PLACED[0], *(pytest.param(*rest, marks=pytest.mark.slow) for rest in PLACED[1:])],
)
@pytest.mark.parametrize(("cls", "options"), EVERY)
def test_parameters_may_lie_on_two_devices(cls, options, devices, foreach, capturable, monkeypatch):
    # Fake tensors refuse what mixes devices, and have no memory for counts to be read from.
    monkeypatch.setattr(Clock, "advance", lambda self, steps: [1.0] * len(steps))
    monkeypatch.setattr(normalize_and_project, "_start", lambda group, p: 1.0)
    # Not carried out without CUDA; an addition checks the devices alike.
    monkeypatch.setattr(torch.Tensor, "copy_", torch.Tensor.add_)
    with FakeTensorMode():
        params = [Parameter(torch.ones(3, 2, device=d)) for d in (*devices, devices[0])]
        optimizer = cls(params, capturable=capturable, foreach=foreach, **options)
        for p in params:
            p.grad = torch.ones_like(p)
        optimizer.step()
        for p in params:
            assert {x.device for k, x in optimizer.state[p].items() if k != "step"} <= {p.device}


@each
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_default_device_elsewhere_changes_nothing(info, path):
    ps = tensors(count=7)
    qs = copies(ps)
    first, second = (info.optim_cls(xs, lr=0.01, **own(info), **path) for xs in (ps, qs))
    grads = [torch.ones_like(p) for p in ps]
    for _ in range(2):
        for p, q, g in zip(ps, qs, grads, strict=True):
            p.grad, q.grad = g, g.clone()
        first.step()
        with torch.device("meta"):
            second.step()
            second.load_state_dict(second.state_dict())
            ours.monitor(second)
    assert_same(ps, qs, rtol=0, atol=0)


@each
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_tensors_that_only_stand_for_others_are_stepped(info, device):
    """As estimates of memory do before a run."""
    with FakeTensorMode():
        p = Parameter(torch.empty(20, device=device))
        p.grad = torch.empty(20, device=device)
        optimizer = info.optim_cls([p], lr=0.1, **own(info))
        for _ in range(2):
            optimizer.step()
        assert all(b.device == p.device for b in optimizer.state[p].values() if b.dim())
