"""What users of other optimizers have reported, tried on every class: docs/how-to/peers.md.

Schedulers with resume, tied weights, parametrisations, functional gradients, a change of dtype in
mid-run, averages of weights, state in safetensors, and the wrappers of torch.distributed.
"""

import copy
import re
import warnings
from pathlib import Path

import pytest
import torch
from generic import INFOS, assert_same, each, run, tensors
from torch import nn
from torch.nn import Parameter
from torch.optim import lr_scheduler as schedules
from torch.optim.swa_utils import SWALR, AveragedModel

import hidim.torch as ours

SCHEDULERS = {
    "lambda": lambda o: schedules.LambdaLR(o, lambda t: 1 / (1 + t)),
    "multiplicative": lambda o: schedules.MultiplicativeLR(o, lambda t: 0.9),
    "step": lambda o: schedules.StepLR(o, 2),
    "multistep": lambda o: schedules.MultiStepLR(o, [2, 5]),
    "constant": lambda o: schedules.ConstantLR(o, total_iters=3),
    "linear": lambda o: schedules.LinearLR(o, total_iters=5),
    "exponential": lambda o: schedules.ExponentialLR(o, 0.9),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, 8),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 3),
    "polynomial": lambda o: schedules.PolynomialLR(o, 8),
    "cyclic": lambda o: schedules.CyclicLR(o, 1e-3, 1e-2, 2, cycle_momentum=False),
    "one cycle": lambda o: schedules.OneCycleLR(o, 1e-2, total_steps=20, cycle_momentum=False),
    "plateau": lambda o: schedules.ReduceLROnPlateau(o, patience=1),
    "chained": lambda o: schedules.ChainedScheduler([SCHEDULERS["linear"](o)], optimizer=o),
    "sequential": lambda o: schedules.SequentialLR(
        o, [SCHEDULERS["linear"](o), SCHEDULERS["cosine"](o)], [3]
    ),
    "swa": lambda o: SWALR(o, 1e-3, anneal_epochs=4),
}
SCHEDULED = [
    (ours.DANADecaying, {}),
    (ours.ADANA, {"omega": 4.0, "t_0": 5.0}),
    (ours.LogTimeWeightDecay, {"t_0": 5.0}),
]


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize(("cls", "options"), SCHEDULED)
def test_a_run_with_any_scheduler_resumes_bit_for_bit(cls, options, name):
    def updates(optimizer, scheduler, params, steps):
        for step in steps:
            run(optimizer, params, 1, start=step)
            scheduler.step(*([1.0] if name == "plateau" else []))

    params = tensors()
    optimizer = cls(params, lr=0.01, **options)
    scheduler = SCHEDULERS[name](optimizer)
    updates(optimizer, scheduler, params, range(4))
    saved = copy.deepcopy((params, optimizer.state_dict(), scheduler.state_dict()))
    updates(optimizer, scheduler, params, range(4, 9))
    theirs = saved[0]
    again = cls(theirs, lr=0.5, **options)
    follows = SCHEDULERS[name](again)
    again.load_state_dict(saved[1])
    follows.load_state_dict(saved[2])
    updates(again, follows, theirs, range(4, 9))
    assert_same(theirs, params, rtol=0, atol=0)
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))


def points():
    return torch.linspace(-1, 1, 12).view(3, 4)


def loss_of(net):
    return (net(points().to(net[0].weight.dtype)) - 0.3).pow(2).mean()


def falls(net, optimizer, steps=15):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return losses[-1] < losses[0]


@each
def test_tied_weights_are_one_parameter(info):
    net = model()
    net[2].weight = net[0].weight
    optimizer = info.optim_cls(net.parameters(), lr=0.01)
    assert falls(net, optimizer)
    assert net[2].weight is net[0].weight
    assert {float(state["step"]) for state in optimizer.state.values()} == {15.0}


@each
def test_parametrised_weights_train(info):
    net = model()
    nn.utils.parametrizations.weight_norm(net[0])
    nn.utils.parametrizations.orthogonal(net[2])
    assert falls(net, info.optim_cls(net.parameters(), lr=0.01))


@each
def test_functional_gradients_are_gradients(info):
    net, twin = model(), model()
    values = dict(net.named_parameters())
    grads = torch.func.grad(lambda p: (torch.func.functional_call(net, p, torch.ones(1, 4))).sum())(
        {name: p.detach() for name, p in values.items()}
    )
    twin(torch.ones(1, 4)).sum().backward()
    for name, p in values.items():
        p.grad = grads[name]
    for each_net in (net, twin):
        info.optim_cls(each_net.parameters(), lr=0.01).step()
    assert_same(net.parameters(), twin.parameters())


@each
@pytest.mark.parametrize("path", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=str)
def test_a_model_made_double_in_mid_run_goes_on(info, path):
    net, plain = model(), model()
    optimizer, other = (info.optim_cls(n.parameters(), lr=0.01, **path) for n in (net, plain))
    falls(net, optimizer, 3)
    falls(plain, other, 3)
    net.double()
    falls(net, optimizer, 3)
    falls(plain, other, 3)
    assert net[0].weight.dtype == torch.float64
    assert_same([p.float() for p in net.parameters()], plain.parameters(), rtol=1e-4, atol=1e-5)


@each
def test_averages_of_weights_stand_beside_it(info):
    net = model()
    optimizer = info.optim_cls(net.parameters(), lr=0.01)
    average = AveragedModel(net)
    for _ in range(3):
        falls(net, optimizer, 2)
        average.update_parameters(net)
    assert len(optimizer.state) == 4
    assert all(torch.isfinite(p).all() for p in average.parameters())


@each
def test_state_passes_through_safetensors(info, tmp_path):
    files = pytest.importorskip("safetensors.torch")
    params = tensors(torch.float32)
    optimizer = info.optim_cls(params, lr=0.01)
    run(optimizer, params, 3)
    saved = optimizer.state_dict()
    flat = {f"{i}.{k}": x.clone() for i, e in saved["state"].items() for k, x in e.items()}
    files.save_file(flat, tmp_path / "state.safetensors")
    state = {}
    for key, x in files.load_file(tmp_path / "state.safetensors").items():
        number, name = key.split(".")
        state.setdefault(int(number), {})[name] = x
    twins = [Parameter(p.detach().clone()) for p in params]
    again = info.optim_cls(twins)
    again.load_state_dict({"state": state, "param_groups": copy.deepcopy(saved["param_groups"])})
    run(optimizer, params, 2, start=3)
    run(again, twins, 2, start=3)
    assert_same(twins, params, rtol=0, atol=0)


def distributed(rank, folder):
    import torch.distributed as dist
    from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
    from torch.distributed.optim import PostLocalSGDOptimizer, ZeroRedundancyOptimizer

    warnings.simplefilter("ignore")  # torch's own, of what it deprecates
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", rank=rank, world_size=2, store=store)
    for info in INFOS:
        own = {"dimension": 40} if info.optim_cls is ours.DANAConstant else {}
        alone = model()
        optimizer = info.optim_cls(alone.parameters(), lr=0.01, **own)
        falls(alone, optimizer, 6)

        averaged = model()
        inner = info.optim_cls(averaged.parameters(), lr=0.01, **own)
        falls(
            averaged,
            PostLocalSGDOptimizer(inner, PeriodicModelAverager(period=1, warmup_steps=0)),
            6,
        )
        assert_same(averaged.parameters(), alone.parameters())

        if "Projected" not in info.name:  # whose norms would be those of the pieces it is given
            cut = model()
            falls(cut, ZeroRedundancyOptimizer(cut.parameters(), info.optim_cls, lr=0.01, **own), 6)
            assert_same(cut.parameters(), alone.parameters())
    dist.destroy_process_group()


@pytest.mark.slow
def test_wrappers_of_torch_distributed_train_as_one(tmp_path):
    torch.multiprocessing.spawn(distributed, (str(tmp_path),), 2)


def test_every_line_of_the_page_has_its_test():
    folder = Path(__file__).parent
    page = (folder.parents[1] / "docs" / "how-to" / "peers.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./]+\.py)::(\w+)`", page)
    assert len(named) > 40
    for file, name in named:
        assert f"def {name}(" in (folder / file).read_text(encoding="utf-8"), name
