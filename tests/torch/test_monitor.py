"""What `monitor` says of an update, and when it warns."""

import copy
import warnings

import numpy as np
import pytest
import torch
from catalogue import CLASSES, data, train
from torch.nn import Parameter

import hidim.torch as ours
from hidim.torch import monitor


@pytest.mark.parametrize("path", [{}, {"foreach": True}, {"fused": True}, {"capturable": True}])
@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_the_update_is_the_one_that_was_made_and_nothing_changes(case, path):
    p = Parameter(torch.tensor(data(1)[0]))
    optimizer = case.cls([p], **{**case.options, **path, "weight_decay": 0.0})
    optimizer.param_groups[0].update({"omega": 0.0} if "omega" in optimizer.defaults else {})
    train(optimizer, p, 20)
    before = p.detach().clone()
    train(optimizer, p, 1, start=20)
    state = copy.deepcopy(optimizer.state_dict())
    found = monitor(optimizer)
    assert found["update_norm"] == pytest.approx((p - before).norm().item(), rel=1e-6)
    assert found["gradient_norm"] == pytest.approx(p.grad.norm().item())
    assert found["weight_norm"] == pytest.approx(p.detach().norm().item())
    assert found["update_to_weight"] == found["update_norm"] / found["weight_norm"]
    assert found["decay_share"] == 0
    after = optimizer.state_dict()
    torch.testing.assert_close(after["state"], state["state"], rtol=0, atol=0)
    assert after["param_groups"] == state["param_groups"]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("case", CLASSES, ids=str)
def test_a_gradient_that_overflowed_stays_out_of_the_state(case, value):
    p = Parameter(torch.tensor(data(1)[0]))
    optimizer = case.cls([p], **case.options)
    train(optimizer, p, 3)
    p.grad = torch.full_like(p, value)  # GradScaler leaves out the step, not the call
    state = copy.deepcopy(optimizer.state_dict()["state"])
    monitor(optimizer)
    torch.testing.assert_close(optimizer.state_dict()["state"], state, rtol=0, atol=0)


def test_shares_of_momentum_decay_and_clip_are_those_of_the_formula():
    p = Parameter(torch.tensor([3.0, -4.0], dtype=torch.float64))
    optimizer = ours.DANADecaying([p], lr=0.1, c_3=0.5, weight_decay=0.2)
    p.grad = torch.tensor([1.0, 2.0], dtype=torch.float64)
    old = p.detach().clone()
    optimizer.step()  # y = g + weight_decay p, and gamma_3 y is half of gamma_2 g
    found = monitor(optimizer)
    # |y|^2 = 1.6^2 + 1.2^2 = 4 and |g|^2 = 5, so R = 2 x 1/2 x 4/5.
    assert found["momentum_noise"] == pytest.approx(0.8)
    assert found["momentum_share"] == pytest.approx(0.2**0.5 / (1 + 0.2**0.5))
    assert found["decay_share"] == pytest.approx(
        (0.02 * p.norm() / (0.02 * p.norm() + found["update_norm"])).item()
    )
    assert not torch.equal(old, p.detach())
    q = Parameter(torch.zeros(100, dtype=torch.float64))
    clipped = ours.DanaMK4([q], clip=1.0, kappa=0.5)
    for _ in range(50):
        q.grad = torch.cat([torch.ones(30), torch.randn(70) * 1e-12]).double()
        q.grad[30:] *= torch.randint(0, 2, (70,)).double() * 2 - 1
        clipped.step()
    share = monitor(clipped)["clipped"]
    m, v = clipped.state[q]["exp_avg"], clipped.state[q]["exp_avg_sq"]
    extra = (51**0.5 * m / (v.sqrt() + 1e-8)).abs()
    assert share == pytest.approx((extra > 1.0).double().mean().item(), abs=1e-9)
    assert share >= 0.3


def test_groups_wrappers_and_other_optimizers_are_told_apart():
    a, b = Parameter(torch.ones(3)), Parameter(torch.ones(4))
    optimizer = ours.ADANA([{"params": [a], "weight_decay": 0.1}, {"params": [b]}])
    for p in (a, b):
        p.grad = torch.ones_like(p)
    optimizer.step()
    found = monitor(optimizer)
    assert found["group_0/gradient_norm"] == pytest.approx(3**0.5)
    assert found["gradient_norm"] == pytest.approx(7**0.5)
    assert found["group_0/decay_share"] > 0 == found["group_1/decay_share"]
    assert all(isinstance(value, float) for value in found.values())
    wrapped = ours.LogTimeWeightDecay(ours.DANADecaying([a], lr=0.1), omega=4.0, t_0=10.0)
    wrapped.step()
    assert monitor(wrapped)["decay_share"] > 0.3
    assert set(monitor(torch.optim.AdamW([a]))) == {"gradient_norm", "weight_norm"}
    around = type("Around", (), {"optimizer": wrapped, "param_groups": []})()
    assert monitor(around) == monitor(wrapped)
    optimizer.zero_grad()
    assert monitor(optimizer)["gradient_norm"] == 0.0


def least_squares(kappa_3, seed, steps, batch=1, c_3=0.3, d=256, alpha=1.0, share=0.25, cap=0.5):
    """Losses, calls of the monitor and the step of its warning on a power-law least squares."""
    rng = np.random.default_rng(seed)
    root = (np.arange(1, d + 1.0) ** -alpha).astype(np.float32)
    p = Parameter(torch.from_numpy(np.arange(1, d + 1.0) ** -0.7).float())
    lr = min(2 * share * batch / float((root**2).sum()), cap)
    optimizer = ours.DANADecaying([p], lr=lr, c_3=c_3, kappa_3=kappa_3)
    error, losses, warned = p.detach().numpy(), [], None
    for t in range(steps):
        x = rng.standard_normal((batch, d), dtype=np.float32) * root
        p.grad = torch.from_numpy(x.T @ (x @ error) / batch)
        optimizer.step()
        if t % 50 == 49:
            losses.append(0.5 * float(np.sum((root * error).astype(np.float64) ** 2)))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = monitor(optimizer)
            if caught and warned is None:
                assert "kappa_3 below the edge" in str(caught[0].message)
                assert found["unstable_near"] >= t
                warned = t
            if not losses[-1] < 1e3:
                break
    return np.array(losses), warned


def test_it_warns_before_a_late_blow_up_shows_and_not_in_health():
    losses, warned = least_squares(0.1, seed=1, steps=4000, batch=2, cap=0.7)
    smooth = np.exp(np.convolve(np.log(losses), np.ones(9) / 9, "valid"))
    shows = (np.nonzero(smooth > 4 * np.minimum.accumulate(smooth))[0] + 9) * 50
    assert warned is not None
    assert len(shows)
    assert warned < shows[0]
    _, warned = least_squares(0.6, seed=1, steps=3000, batch=2)
    assert warned is None


@pytest.mark.slow
def test_fifty_healthy_runs_are_not_warned_of():
    rng = np.random.default_rng(0)
    warned = []
    for seed in range(50):
        alpha, batch = rng.uniform(0.6, 1.2), int(rng.choice([1, 2, 8, 32]))
        kappa_3 = 1 / (2 * alpha) + rng.uniform(0.0, 0.3)
        options = {"alpha": alpha, "batch": batch, "share": rng.uniform(0.05, 0.25)}
        _, at = least_squares(kappa_3, seed, 4000, c_3=float(rng.choice([0.3, 1.0])), **options)
        if at is not None:
            warned.append((seed, at, kappa_3, options))
    assert not warned
