"""Normalised layers with projected weights: scale invariance and what learning rate is left.

The identities of arXiv 2407.01800. The gradient of a scale-invariant weight stands at right angles
to it and falls as one over its norm, so that plain training makes norms grow and its effective
rate lr/|w|^2 decay, which is a schedule without a warm-up; projection keeps the rate, and plays
that schedule if it is given.
"""

import pytest
import torch
from torch import nn

import hidim.torch as ours


def network(seed=0):
    """Two scale-invariant layers: normalised, without offset or gain, and a fixed head."""
    torch.manual_seed(seed)
    layers = []
    for _ in range(2):
        layers += [nn.Linear(6, 6, bias=False), nn.LayerNorm(6, eps=0.0, elementwise_affine=False)]
        layers.append(nn.Tanh())
    net = nn.Sequential(*layers).double()
    return net, [net[0].weight, net[3].weight]


def loss_of(net, step=0):
    x = torch.randn(16, 6, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
    return (net(x).sum(1) - x[:, 0]).pow(2).mean()


def norms(weights):
    return [w.detach().norm().item() for w in weights]


def directions(weights):
    return [w.detach() / w.detach().norm() for w in weights]


def test_the_size_of_a_normalised_weight_changes_nothing_but_its_gradient():
    net, (first, last) = network()
    loss = loss_of(net)
    grads = torch.autograd.grad(loss, (first, last))
    for w, g in zip((first, last), grads, strict=True):
        # g is of order one: the inner product is the rounding of 36 terms.
        assert abs((w * g).sum().item()) < 1e-13
    with torch.no_grad():
        first.mul_(5.0)
    scaled = loss_of(net)
    again = torch.autograd.grad(scaled, (first, last))
    torch.testing.assert_close(scaled, loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(again[0], grads[0] / 5, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(again[1], grads[1], rtol=1e-10, atol=1e-14)


def test_plain_sgd_makes_norms_grow_by_its_own_steps_and_projection_keeps_the_effective_rate():
    for projected in (False, True):
        net, weights = network()
        optimizer = torch.optim.SGD(weights, lr=0.3)
        if projected:
            optimizer = ours.NormalizeAndProject(optimizer)
        start = norms(weights)
        expected = [size**2 for size in start]
        for step in range(30):
            optimizer.zero_grad()
            loss_of(net, step).backward()
            expected = [
                e + 0.09 * w.grad.pow(2).sum().item()
                for e, w in zip(expected, weights, strict=True)
            ]
            optimizer.step()
        grown = [b / a for a, b in zip(start, norms(weights), strict=True)]
        if projected:
            assert grown == pytest.approx([1.0, 1.0], rel=1e-12)
        else:  # Pythagoras, at every step
            assert [size**2 for size in norms(weights)] == pytest.approx(expected, rel=1e-10)
            assert min(grown) > 1.02


@pytest.mark.parametrize(
    ("cls", "power"), [(torch.optim.SGD, 2), (ours.SignSGD, 1)], ids=["sgd", "sign"]
)
def test_plain_training_is_projected_training_whose_rate_decays_from_the_first_step(cls, power):
    # The rate of each layer is lr over the power of how much its norm has grown. The sign forgets
    # the size of the gradient, so one power less.
    plain, theirs = network()
    net, weights = network()
    free = cls(theirs, lr=0.1)
    groups = [{"params": [w]} for w in weights]
    bound = ours.NormalizeAndProject(cls(groups, lr=0.1))
    start, rates = norms(theirs), []
    for step in range(25):
        for group, now, begun in zip(bound.param_groups, norms(theirs), start, strict=True):
            group["lr"] = 0.1 / (now / begun) ** power
        rates.append(bound.param_groups[0]["lr"])
        for model, optimizer in ((plain, free), (net, bound)):
            optimizer.zero_grad()
            loss_of(model, step).backward()
            optimizer.step()
        torch.testing.assert_close(directions(weights), directions(theirs), rtol=1e-8, atol=1e-9)
    if cls is torch.optim.SGD:  # signs are not at right angles to the weights
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < 0.95 * rates[0]


def test_one_rate_for_all_sizes_of_the_start():
    # lr |w|^2: what is tuned at one initial size holds at all others.
    ends = []
    for scale in (0.3, 1.0, 4.0):
        net, weights = network()
        with torch.no_grad():
            for w in weights:
                w.mul_(scale)
        groups = [{"params": [w], "lr": 0.1 * scale**2} for w in weights]
        optimizer = ours.NormalizeAndProject(torch.optim.SGD(groups, lr=1.0))
        for step in range(20):
            optimizer.zero_grad()
            loss_of(net, step).backward()
            optimizer.step()
        ends.append(directions(weights))
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=1e-8, atol=1e-9)
