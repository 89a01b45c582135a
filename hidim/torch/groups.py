"""Which parameters should decay? Matrices, not biases, norms or other vectors."""

from __future__ import annotations

from typing import Any

import torch

from hidim.support import checks


def param_groups(
    model: torch.nn.Module, weight_decay: float = 0.1, *, decay_embeddings: bool = True
) -> list[dict[str, Any]]:
    """Two groups of `model`'s trainable parameters: with weight decay and without.

    Biases, the weights of normalisation layers and every parameter of fewer than two dimensions
    go without. Shared parameters appear once. An empty group is left out.

    Args:
        model: the module.
        weight_decay: of the first group.
        decay_embeddings: whether embedding tables decay.

    Returns:
        Groups for any torch optimizer.

    Raises:
        ValueError: a negative weight_decay, or a model without trainable parameters.

    Example:
        >>> groups = param_groups(torch.nn.Linear(3, 2), weight_decay=0.1)
        >>> [(group["weight_decay"], len(group["params"])) for group in groups]
        [(0.1, 1), (0.0, 1)]
    """
    weight_decay = checks.non_negative("weight_decay", weight_decay)
    exempt: set[int] = set()
    for module in model.modules():
        norm = "norm" in type(module).__name__.lower()
        embedding = isinstance(module, torch.nn.Embedding | torch.nn.EmbeddingBag)
        if norm or (embedding and not decay_embeddings):
            exempt.update(id(p) for p in module.parameters(recurse=False))
    decayed: list[torch.Tensor] = []
    kept: list[torch.Tensor] = []
    for name, p in model.named_parameters():
        if p.requires_grad:
            is_bias = name.rsplit(".", 1)[-1].startswith("bias")
            plain = p.dim() < 2 or is_bias or id(p) in exempt
            (kept if plain else decayed).append(p)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    if not decayed and not kept:
        raise ValueError("`model` has no trainable parameters.")
    return [group for group in groups if group["params"]]
