"""How large are the activations of one model, and what do a few steps change in them?

Measured on fixed held-out windows by hooks on the sites that the networks of the lab have.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from hidim.lab.text.batches import Batches, validation_windows
from hidim.lab.text.tokens import Tokens
from hidim.lab.training.models import build, next_token_loss
from hidim.lab.training.optimizers import make_optimizer
from hidim.lab.training.rates import rate_groups
from hidim.lab.training.settings import Settings

_PROBE = 16  # windows on which activations are looked at


def marks_of(steps: int) -> list[int]:
    """0, 1, 2, 4, 8, ... and the last."""
    return sorted({0, steps, *(2**k for k in range(steps.bit_length()) if 2**k <= steps)})


def probe(settings: Settings, text: Tokens) -> dict[str, np.ndarray]:
    """Sizes and changes at every site of one model, (marks, 2) each."""
    s = settings
    shape = s.shape(text.vocabulary.size)
    model = build(shape, seed=s.seed)
    groups = rate_groups(model, shape, s.optimizer)
    parameters = [{"params": own, "lr": s.lr * factor} for factor, own in groups]
    optimizer = make_optimizer(s.optimizer, parameters, lr=s.lr, options=s.options)
    batches = Batches(text.train, context=s.context, seed=s.seed)
    held_out = validation_windows(text.validation, context=s.context, limit=_PROBE * s.context)
    seen_by, marks = torch.from_numpy(held_out)[:, :-1], set(marks_of(s.steps))
    first = _activations(model, seen_by)
    rows: dict[str, list[tuple[float, float]]] = {site: [] for site in first}
    for step in range(s.steps + 1):
        if step in marks:
            now = first if step == 0 else _activations(model, seen_by)
            for site, x in now.items():
                rows[site].append((_rms(x), _rms(x - first[site])))
        if step < s.steps:
            windows = batches.windows(step * s.batch_size, s.batch_size)
            optimizer.zero_grad(set_to_none=True)
            next_token_loss(model, torch.from_numpy(windows)).backward()
            if s.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), s.clip)
            optimizer.step()
    return {site: np.array(row) for site, row in rows.items()}


def _rms(x: torch.Tensor) -> float:
    return float(x.double().square().mean().sqrt())


@torch.no_grad()
def _activations(model: nn.Module, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """What leaves each site for these tokens."""
    seen: dict[str, torch.Tensor] = {}

    def keep(site: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            seen[site] = (output[0] if isinstance(output, tuple) else output).clone()

        return hook

    hooks = [module.register_forward_hook(keep(site)) for site, module in _sites(model).items()]
    try:
        model(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _sites(model: Any) -> dict[str, nn.Module]:
    """Where the networks of the lab are looked at; the blocks that every depth has."""
    found: dict[str, nn.Module] = {"embedding": model.embedding}
    if hasattr(model, "lstm"):
        found["lstm"] = model.lstm
    else:
        last = model.blocks[-1]
        attention = last.attention if hasattr(last, "attention") else last.merge
        found |= {"first block": model.blocks[0], "last attention": attention}
        found |= {"last mlp": last.mlp, "last block": last}
    return {**found, "logits": model.output}
