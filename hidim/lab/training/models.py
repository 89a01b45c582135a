"""Which language models are trained here, and what do they learn to say?

One class a file in `networks/`, with its size and cost in `networks/shapes.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hidim.lab.training.networks.lstm import LSTM
from hidim.lab.training.networks.modern import Modern
from hidim.lab.training.networks.shapes import Shape as Shape
from hidim.lab.training.networks.transformer import Transformer

NETWORKS: dict[str, Callable[[Shape], nn.Module]] = {
    "lstm": LSTM,
    "transformer": Transformer,
    "modern": Modern,
}


def build(shape: Shape, *, seed: int = 0) -> nn.Module:
    """A fresh model, the same for the same seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[shape.kind](shape)


def next_token_loss(model: nn.Module, windows: Tensor) -> Tensor:
    """Mean cross-entropy in nats of every next token of the windows (batch, context + 1)."""
    logits = model(windows[:, :-1])
    return nn.functional.cross_entropy(logits.flatten(0, 1).float(), windows[:, 1:].flatten())


def check_bfloat16_lstm() -> None:
    """Try the smallest LSTM on this CPU, of which not every one has the kernel.

    Raises:
        ValueError: it has not.
    """
    autocast = torch.autocast("cpu", torch.bfloat16)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), autocast:
        try:
            nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
        except RuntimeError:
            raise ValueError(
                "`precision` is 'bfloat16', and this CPU cannot compute an LSTM in it. Use float32."
            ) from None
