"""The standard library's source, byte by byte: a two-layer LSTM and a transformer.

The text is divided by document (hidim/lab/text), so nothing of the held-out part was trained on.
The value is the cross-entropy of the next byte, in nats, over 24,576 held-out bytes.
Limits: the text is that of the Python that runs, as the fingerprint of the data says.
"""

from __future__ import annotations

import hashlib
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hidim.contest.entries import Task
from hidim.lab.text.sources import read_text
from hidim.lab.text.tokens import tokenize
from hidim.lab.training.models import Shape, build, next_token_loss

MEGABYTES = 2.0
HELD_OUT, CHUNK = 24_576, 64


@cache
def _bytes() -> tuple[np.ndarray, np.ndarray]:
    tokens = tokenize(read_text("stdlib", max_mb=MEGABYTES), "byte")
    return tokens.train.astype(np.int64), tokens.validation.astype(np.int64)


class NextByte:
    """Windows of bytes, and a language model of a shape.

    Args:
        shape: of the model.
        batch: windows in a gradient.
    """

    def __init__(self, shape: Shape, batch: int) -> None:
        train, held_out = _bytes()
        self._shape, self._batch = shape, batch
        self.tokens = batch * shape.context
        self._train = torch.from_numpy(train)
        count = HELD_OUT // shape.context
        self._held_out = torch.from_numpy(held_out[: count * shape.context + 1])
        digest = hashlib.sha256(train.tobytes() + self._held_out.numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:12]
        self._offsets = torch.arange(shape.context + 1)

    def model(self) -> Any:
        """A fresh language model."""
        return build(self._shape, seed=int(torch.randint(2**31, ())))

    def loss(self, model: Any, generator: Any) -> Tensor:
        """Cross-entropy of windows from anywhere in the text."""
        last = len(self._train) - self._shape.context
        starts = torch.randint(last, (self._batch, 1), generator=generator)
        return next_token_loss(model, self._train[starts + self._offsets])

    def value(self, model: Any) -> float:
        """Cross-entropy of the held-out bytes, window after window."""
        context = self._shape.context
        starts = torch.arange(0, len(self._held_out) - 1, context)[:, None]
        windows = self._held_out[starts + self._offsets]
        losses = [next_token_loss(model, part).item() * len(part) for part in windows.split(CHUNK)]
        return sum(losses) / len(windows)


LSTM = Task(
    "text-lstm",
    "next byte of Python source, two-layer LSTM of width 64",
    steps=600,
    seconds=3.4,
    load=partial(NextByte, Shape("lstm", 256, 64, context=32), 16),
    output=("output.weight",),
)
TRANSFORMER = Task(
    "text-transformer",
    "next byte of Python source, two-layer transformer of width 64",
    steps=350,
    seconds=3.6,
    load=partial(NextByte, Shape("transformer", 256, 64, context=64, heads=4), 8),
    output=("output.weight",),
)
