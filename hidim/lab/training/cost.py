"""What will a training run cost? Tokens, flops, memory and time, before it begins.

Flops are counted by the model (models.py). Memory is what lies in it at the peak of a step, by
counting: weights, gradients, what the optimizer keeps (one step on a small matrix tells how many
bytes for each weight), what the forward pass keeps of one micro-batch for the backward pass (a
transformer is run on tensors without contents; an LSTM's gates are counted), and the gradients of
the logits. Time is what a short trial takes here.
Limits: evaluations, the reading of the text and what libraries hold for themselves are not in it;
of a vocabulary of characters, which only the text tells, 256 are assumed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from hidim.lab.text.tokens import parse_kind
from hidim.lab.training.models import build, next_token_loss
from hidim.lab.training.networks.shapes import Shape
from hidim.lab.training.optimizers import make_optimizer
from hidim.lab.training.settings import Settings

# Numbers that an LSTM layer keeps of a token, for each of its width: 13 to 17 measured.
_KEPT_BY_LSTM = 16
# Of every logit beside what is counted: its gradient, in float32 and as the output layer takes it.
_BYTES_BEHIND_LOGITS = 8
# Steps larger than this are not tried out: they may take minutes where a GPU is meant.
_MOST_FLOPS_TRIED = 2e10
_TRIED = 6


@dataclass(frozen=True)
class Cost:
    """What one run takes.

    Attributes:
        parameters: trained numbers of the model.
        tokens: trained on.
        flops: forward and backward, of all of them.
        memory: bytes at the peak of a step, on one device that holds a whole micro-batch.
    """

    parameters: int
    tokens: int
    flops: float
    memory: int


def expected_shape(settings: Settings) -> Shape:
    """The model of a run whose text is not read, of the vocabulary that its settings name."""
    return settings.shape(parse_kind(settings.tokens)[1] or 256)


def cost_of(settings: Settings) -> Cost:
    """What a run of these settings takes.

    >>> cost = cost_of(Settings(steps=100))
    >>> cost.parameters, cost.tokens
    (99584, 204800)
    """
    shape = expected_shape(settings)
    tokens = settings.steps * settings.tokens_per_step
    if settings.batch_ramp is not None:
        tokens = settings.context * sum(map(settings.batch_at, range(settings.steps)))
    return Cost(
        shape.parameters, tokens, float(tokens) * shape.flops_per_token, _memory(settings, shape)
    )


def seconds_per_step(settings: Settings) -> float | None:
    """Of an optimizer step on this machine, by a short trial; None where one would take long."""
    shape = expected_shape(settings)
    if settings.tokens_per_step * shape.flops_per_token > _MOST_FLOPS_TRIED:
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build(shape).to(device)
    optimizer = make_optimizer(
        settings.optimizer, model.parameters(), lr=1e-6, options=settings.options
    )
    rows = settings.batch_size // settings.accumulation
    windows = torch.randint(shape.vocabulary, (rows, shape.context + 1), device=device)
    taken = []
    for _ in range(_TRIED):
        start = time.perf_counter()
        for _ in range(settings.accumulation):
            loss = next_token_loss(model, windows)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()  # waits for the device
        taken.append(time.perf_counter() - start)
    return min(taken)


def _memory(settings: Settings, shape: Shape) -> int:
    rows = settings.batch_size // settings.accumulation
    half = settings.precision == "bfloat16"
    kept = _kept_by_lstm(shape, rows) if shape.kind == "lstm" else _kept(shape, rows, half=half)
    logits = rows * shape.context * shape.vocabulary
    weights = shape.parameters * (4 + 4 + _state_bytes(settings))
    return round(weights + kept + logits * _BYTES_BEHIND_LOGITS)


def _state_bytes(settings: Settings) -> float:
    """What the optimizer keeps for one weight of a matrix."""
    weights = nn.Parameter(torch.zeros(64, 64))
    optimizer = make_optimizer(
        settings.optimizer, [weights], lr=settings.lr, options=settings.options
    )
    weights.grad = torch.ones_like(weights)
    optimizer.step()
    state = optimizer.state[weights].values()
    held = sum(x.numel() * x.element_size() for x in state if isinstance(x, Tensor) and x.ndim)
    return held / weights.numel()


def _kept_by_lstm(shape: Shape, rows: int) -> int:
    per_token = _KEPT_BY_LSTM * shape.layers * shape.width + 2 * shape.vocabulary
    return 4 * rows * shape.context * per_token


@lru_cache(maxsize=64)
def _kept(shape: Shape, rows: int, *, half: bool) -> int:
    """Bytes that a forward pass keeps, each storage once; no number is computed."""
    kept: dict[int, tuple[int, object]] = {}
    with FakeTensorMode():
        model = build(shape)
        own = {p.untyped_storage()._cdata for p in model.parameters()}

        def keep(x: Tensor) -> Tensor:
            storage = x.untyped_storage()
            if storage._cdata not in own:
                kept[storage._cdata] = (storage.nbytes(), storage)  # held, so that no other has it
            return x

        windows = torch.zeros(rows, shape.context + 1, dtype=torch.long)
        saved = torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x)
        with saved, torch.autocast("cpu", torch.bfloat16, enabled=half):
            next_token_loss(model, windows)
    return sum(size for size, _ in kept.values())
