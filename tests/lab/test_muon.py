"""Claims about Muon for whole networks: matrices by Muon, the rest by AdamW, resumed exactly."""

from __future__ import annotations

import io

import torch

from hidim.lab.training.models import Shape, build, next_token_loss
from hidim.lab.training.muon import Muon
from hidim.lab.training.optimizers import make_optimizer

SHAPE = Shape("transformer", 32, 16, 2, 8, 2)


def trained(stop=None, steps=12):
    """The parameters after some steps, through a checkpoint before step `stop`."""
    model = build(SHAPE, seed=1)
    optimizer = make_optimizer("muon", model.named_parameters(), lr=0.02)
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        if step == stop:
            kept = io.BytesIO()
            torch.save([model.state_dict(), optimizer.state_dict()], kept)
            kept.seek(0)
            weights, state = torch.load(kept, weights_only=True)
            model = build(SHAPE, seed=2)
            model.load_state_dict(weights)
            optimizer = make_optimizer("muon", model.named_parameters(), lr=0.5)
            optimizer.load_state_dict(state)
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / steps)
        optimizer.zero_grad()
        next_token_loss(model, torch.randint(0, 32, (4, 9), generator=draw)).backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def test_it_resumes_bit_for_bit():
    assert all(map(torch.equal, trained(), trained(stop=5)))


def test_hidden_matrices_are_torch_muons_and_the_rest_adamws():
    model, twin = build(SHAPE, seed=1), build(SHAPE, seed=1)
    ours = Muon(model.named_parameters(), lr=0.02, momentum=0.9, weight_decay=0.1)
    hidden = [p for n, p in twin.named_parameters() if p.ndim == 2 and n.startswith("blocks")]
    rest = [p for n, p in twin.named_parameters() if not (p.ndim == 2 and n.startswith("blocks"))]
    theirs = [
        torch.optim.Muon(
            hidden, lr=0.02, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=0.02, betas=(0.9, 0.95), weight_decay=0.1, fused=True),
    ]
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        windows = torch.randint(0, 32, (4, 9), generator=draw)
        for network, optimizers in ((model, [ours]), (twin, theirs)):
            network.zero_grad()
            next_token_loss(network, windows).backward()
            for optimizer in optimizers:
                optimizer.step()
    assert len(hidden) == 8
    assert all(map(torch.equal, model.parameters(), twin.parameters()))


def test_without_names_every_matrix_is_hidden_and_a_closure_is_called():
    model = torch.nn.Linear(3, 2)
    optimizer = Muon(model.parameters(), lr=0.1)

    def closure():
        loss = model(torch.ones(1, 3)).pow(2).sum()
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    optimizer.zero_grad()
    assert optimizer.step(closure).item() < first
