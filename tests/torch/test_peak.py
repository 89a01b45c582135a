"""The peak of the learning rate that log-time decay follows, and whom that decay leaves alone."""

import copy
import math

import pytest
import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, LambdaLR, LinearLR, OneCycleLR

import hidim.torch as ours

OMEGA, T_0 = 4.0, 10.0
CLASSES = [ours.ADANA, ours.DanaMK4, ours.DanaStar, ours.DanaStarMK4, ours.LogTimeAdEMAMix]


def decaying(cls, p, lr=1e-3, **options):
    if cls is ours.LogTimeWeightDecay:
        return cls(torch.optim.SGD([p], lr=lr), omega=OMEGA, t_0=T_0, **options)
    return cls([p], lr=lr, omega=OMEGA, t_0=T_0, **options)


def shares(optimizer, p, steps, scheduler=None, rates=None, step=None):
    """The share of the old parameter that the decay takes, per step; no gradient moves it."""
    taken = []
    for t in range(steps):
        if rates is not None:
            optimizer.param_groups[0]["lr"] = rates[t]
        optimizer.zero_grad()
        p.grad = torch.zeros_like(p)
        with torch.no_grad():
            p.fill_(1.0)
        (step or optimizer.step)()
        taken.append(1 - p.detach().item())
        if scheduler is not None:
            scheduler.step()
    return taken


def expected(relative):
    return [r * OMEGA / (T_0 + t) for t, r in enumerate(relative, start=1)]


EACH = pytest.mark.parametrize("cls", [*CLASSES, ours.LogTimeWeightDecay])


def parameter():
    return Parameter(torch.ones((), dtype=torch.float64))


@EACH
@pytest.mark.parametrize("built_at", [1e-3, 0.0, 0.5])
def test_one_cycle_is_followed_from_its_own_peak(cls, built_at):
    p = parameter()
    optimizer = decaying(cls, p, lr=built_at)
    one = OneCycleLR(optimizer, max_lr=1e-2, total_steps=30, cycle_momentum=False)
    lrs = []

    def step():
        lrs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()

    taken = shares(optimizer, p, 30, one, step=step)
    assert taken == pytest.approx(expected(lr / 1e-2 for lr in lrs))


@EACH
def test_warm_up_and_cosine_are_followed_from_the_rate_the_optimizer_was_built_with(cls):
    for make in (
        lambda o: LambdaLR(o, lambda t: min(t / 5, 1.0)),
        lambda o: CosineAnnealingLR(o, 20),
        lambda o: LinearLR(o, 0.1, total_iters=5),
    ):
        p = parameter()
        optimizer = decaying(cls, p)
        scheduler, lrs = make(optimizer), []

        def step(optimizer=optimizer, lrs=lrs):
            lrs.append(optimizer.param_groups[0]["lr"])
            optimizer.step()

        taken = shares(optimizer, p, 12, scheduler, step=step)
        assert taken == pytest.approx(expected(lr / 1e-3 for lr in lrs))


@EACH
def test_a_rate_raised_by_hand_becomes_the_peak_and_the_decay_never_exceeds_omega_over_t(cls):
    p = parameter()
    optimizer = decaying(cls, p, lr=0.0)
    rates = [0.0, 0.01, 0.02, 0.01, 0.005]
    assert shares(optimizer, p, 5, rates=rates) == pytest.approx(expected([0, 1, 1, 0.5, 0.25]))
    p = parameter()
    optimizer = decaying(cls, p, lr=1e-3)
    cycle = CyclicLR(optimizer, 1e-4, 1e-2, step_size_up=3, cycle_momentum=False)
    taken = shares(optimizer, p, 12, cycle)
    assert all(share <= OMEGA / (T_0 + t) * (1 + 1e-9) for t, share in enumerate(taken, 1))


@EACH
def test_a_given_peak_stays(cls):
    p = parameter()
    optimizer = decaying(cls, p, peak_lr=0.1)
    scheduler = OneCycleLR(optimizer, max_lr=1e-2, total_steps=30, cycle_momentum=False)
    assert shares(optimizer, p, 1, scheduler)[0] == pytest.approx(4e-4 / 0.1 * OMEGA / 11)


@EACH
def test_groups_have_their_own_peaks_and_a_resumed_run_keeps_them(cls):
    first, second = parameter(), parameter()
    optimizer = decaying(cls, first)
    optimizer.add_param_group({"params": [second], "lr": 0.5})
    one = OneCycleLR(optimizer, max_lr=[1e-2, 0.1], total_steps=30, cycle_momentum=False)
    for _ in range(5):
        shares(optimizer, first, 1)
        shares(optimizer, second, 1)
        one.step()
    third = parameter()
    optimizer.add_param_group({"params": [third], "lr": 0.25})
    shares(optimizer, third, 1)
    assert [g["peak_lr"] for g in optimizer.param_groups] == pytest.approx([1e-2, 0.1, 0.25])
    clone = [Parameter(p.detach().clone()) for p in (first, second, third)]
    fresh = decaying(cls, clone[0], lr=7.0)
    for p in clone[1:]:
        fresh.add_param_group({"params": [p]})
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for p, q in zip((first, second, third), clone, strict=True):
        assert shares(fresh, q, 2) == shares(optimizer, p, 2)


def followed_with_tensors(optimizer, p, wrap=lambda step: step):
    one = OneCycleLR(optimizer, max_lr=1e-2, total_steps=30, cycle_momentum=False)
    lrs, step = [], wrap(optimizer.step)

    def noted():
        lrs.append(float(optimizer.param_groups[0]["lr"]))
        step()

    taken = shares(optimizer, p, 4, one, step=noted)
    assert taken == pytest.approx(expected(lr / 1e-2 for lr in lrs))


def test_capturable_steps_follow_what_the_scheduler_left():
    p = parameter()
    lr = torch.tensor(1e-3, dtype=torch.float64)
    optimizer = decaying(ours.ADANA, p, capturable=True, lr=lr)
    followed_with_tensors(optimizer, p)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's own
@pytest.mark.parametrize("tensor", [True, False])
@pytest.mark.parametrize("cls", [ours.ADANA, ours.LogTimeWeightDecay])
def test_compiled_steps_follow_what_the_scheduler_left(cls, tensor):
    p = parameter()
    lr = torch.tensor(1e-3, dtype=torch.float64) if tensor else 1e-3
    optimizer = decaying(cls, p, lr=lr)
    followed_with_tensors(optimizer, p, lambda step: torch.compile(step, backend="eager"))


@pytest.mark.parametrize("cls", [*CLASSES, ours.LogTimeWeightDecay])
def test_omega_leaves_alone_what_has_no_gradient_and_groups_without_weight_decay(cls):
    moved, still, free, own = (Parameter(torch.ones(2)) for _ in range(4))
    groups = [
        {"params": [moved, still], "weight_decay": 0.1},
        {"params": [free], "weight_decay": 0.0},
        {"params": [own], "weight_decay": 0.0, "omega": OMEGA},
    ]
    optimizer = cls(groups, lr=0.0, omega=OMEGA, t_0=T_0, peak_lr=1.0)
    for group in optimizer.param_groups:
        group["lr"] = 1e-3
        group["peak_lr"] = 1e-3
    for p in (moved, free, own):
        p.grad = torch.zeros(2)
    optimizer.step()
    decay = OMEGA / (T_0 + 1)
    assert moved.detach() == pytest.approx(torch.full((2,), 1 - decay), abs=2e-4)
    assert own.detach() == pytest.approx(torch.full((2,), 1 - decay), abs=1e-6)
    assert torch.equal(still.detach(), torch.ones(2))
    assert torch.equal(free.detach(), torch.ones(2))


def test_a_wrapped_optimizer_whose_groups_differ_keeps_biases_free():
    w, b = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    base = torch.optim.SGD(
        [{"params": [w], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}], lr=1e-3
    )
    optimizer = ours.LogTimeWeightDecay(base)
    assert [group["omega"] for group in optimizer.param_groups] == [4.0, 0.0]
    plain = ours.LogTimeWeightDecay(torch.optim.SGD([w], lr=1e-3))
    assert plain.param_groups[0]["omega"] == 4.0
    plain.add_param_group({"params": [b], "weight_decay": 0.0})
    assert plain.param_groups[1]["omega"] == 0.0


def test_values_are_checked_before_the_parameters():
    for cls in (*CLASSES, ours.DANADecaying, ours.LogTimeWeightDecay, ours.NormalizeAndProject):
        with pytest.raises(ValueError, match="lr"):
            cls(None, lr=-1)
        with pytest.raises(ValueError, match="lr"):
            cls([], lr=math.nan)
