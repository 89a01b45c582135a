"""A decay of a whole weight or more is refused in every path, before anything moves."""

import copy
import math

import pytest
import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import LambdaLR

import hidim.torch as ours

LOG_TIME = [ours.ADANA, ours.DanaMK4, ours.DanaStar, ours.DanaStarMK4, ours.LogTimeAdEMAMix]
DECOUPLED = [ours.DANADecaying, ours.DANAConstant, ours.GeneralMomentum, ours.AcceleratedSGD]
PATHS = [{"foreach": False}, {"foreach": True}, {"fused": True}, {"capturable": True}]


def decayed_sgd(params, lr=1e-3, **options):
    return ours.LogTimeWeightDecay(params, lr, base=torch.optim.SGD, **options)


def projected(params, lr=1e-3, **options):
    return ours.NormalizeAndProject(params, lr, base=ours.ADANA, min_dim=3, **options)


def parameters(count=2):
    ps = [Parameter(torch.ones(2, 2)) for _ in range(count)]
    for p in ps:
        p.grad = torch.zeros(2, 2)
    return ps


def refused(optimizer, words, step=None):
    before = copy.deepcopy(optimizer.state_dict())
    ps = [p for group in optimizer.param_groups for p in group["params"]]
    kept = [p.detach().clone() for p in ps]
    with pytest.raises(ValueError, match=rf"(?s)^[^\n]*{words}[^\n]*$"):
        (step or optimizer.step)()
    assert all(torch.equal(p, q) for p, q in zip(ps, kept, strict=True))
    after = optimizer.state_dict()
    assert str(after["param_groups"]) == str(before["param_groups"])
    torch.testing.assert_close(after["state"], before["state"], rtol=0, atol=0)


@pytest.mark.parametrize("make", [*LOG_TIME, decayed_sgd, projected])
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_log_time_decay_of_a_weight_or_more_is_refused(make, path):
    if make is decayed_sgd:
        path = {k: v for k, v in path.items() if k != "capturable"}
    for t_0, words in ((0.0, "4 times"), (1.0, r"2 times.*at least 3 omega = 12"), (3.0, "all of")):
        first, second = parameters()
        groups = [{"params": [first]}, {"params": [second], "omega": 4.0, "t_0": t_0}]
        optimizer = make(groups, omega=1.0, t_0=100.0, **path)
        refused(optimizer, words)
        optimizer.param_groups[1]["t_0"] = 3.1
        optimizer.step()
        assert (second > 0).all()


@pytest.mark.parametrize("cls", [*LOG_TIME, *DECOUPLED, ours.SignSGD])
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_a_rate_times_a_decoupled_decay_of_one_is_refused(cls, path):
    options = {"decoupled_weight_decay": True} if cls in DECOUPLED else {}
    optimizer = cls(parameters(), lr=1.0, weight_decay=0.5, **options, **path)
    optimizer.step()
    for lr in (2.0, torch.tensor(2.5)):
        optimizer.param_groups[0]["lr"] = lr
        refused(optimizer, "`weight_decay` = 0.5 at lr = 2")
    optimizer.param_groups[0]["lr"] = 1.9
    optimizer.step()


def test_coupled_decay_is_part_of_the_loss_and_left_alone():
    (p,) = parameters(1)
    ours.DANADecaying([p], lr=1.0, weight_decay=1.5, c_3=0.0).step()
    assert torch.allclose(p.detach(), torch.full((2, 2), -0.5))


@pytest.mark.parametrize("make", [ours.ADANA, decayed_sgd])
def test_a_warm_up_or_a_later_start_makes_the_same_numbers_harmless(make):
    (p,) = parameters(1)
    optimizer = make([p], omega=4.0, t_0=0.0)
    warm = LambdaLR(optimizer, lambda t: min((t + 1) / 8, 1.0))
    for _ in range(12):
        optimizer.step()
        warm.step()
    assert (p > 0).all()
    resumed = make(parameters(1), omega=4.0, t_0=0.0)
    resumed.load_state_dict(optimizer.state_dict())
    resumed.step()
    make(parameters(1), omega=4.0, t_0=0.0, initial_step=4).step()


def test_a_parameter_that_joins_late_is_seen_and_a_bad_rate_leaves_no_peak():
    first, second = parameters()
    second.grad = None
    optimizer = ours.ADANA([first, second], omega=4.0, t_0=0.0, initial_step=4, weight_decay=0.1)
    for _ in range(3):
        optimizer.step()
    optimizer.param_groups[0]["initial_step"] = 0
    second.grad = torch.zeros(2, 2)
    refused(optimizer, "`t_0` = 0 beside omega = 4")
    second.grad = None
    optimizer.param_groups[0]["lr"] = 20.0
    refused(optimizer, "weight_decay")
    assert optimizer.param_groups[0]["peak_lr"] == 1e-3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, in its compiler
@pytest.mark.parametrize("make", [ours.ADANA, decayed_sgd])
def test_a_compiled_step_refuses_too(make):
    optimizer = make(parameters(), omega=4.0, t_0=math.pi)
    step = torch.compile(optimizer.step, backend="eager")
    step()
    optimizer.param_groups[0]["omega"] = 40.0
    refused(optimizer, "times a weight in update 2", step)
