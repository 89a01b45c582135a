"""Sparse embeddings: the next word among 4,096 whose frequencies fall as Zipf's law.

Words of the standard library's source (identifiers, numbers, marks) by rank in the training part;
rarer ones are one word. The embeddings of the three words before, through one layer, predict the
next: most rows of both embeddings have no gradient of their own for many steps. The value is
the cross-entropy in nats over 16,384 held-out words.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hidim.contest.entries import Task
from hidim.lab.text.sources import read_text

VOCABULARY, WIDTH, BEFORE = 4096, 32, 3
BATCH, HELD_OUT = 128, 16_384
_WORD = re.compile(r"\w+|[^\w\s]")


class Model(nn.Module):
    """Embedding, one layer, output embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden = nn.Linear(BEFORE * WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, VOCABULARY, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, words: Tensor) -> Tensor:
        """(n, BEFORE) to logits (n, VOCABULARY)."""
        hidden = torch.tanh(self.hidden(self.embedding(words).flatten(1)))
        logits: Tensor = self.output(hidden)
        return logits


class Words:
    """A text as ranks of words."""

    tokens = BATCH

    def __init__(self) -> None:
        text = read_text("stdlib", max_mb=4.0)
        train = _WORD.findall("\n".join(text.train))
        held_out = _WORD.findall("\n".join(text.validation))
        common = sorted(Counter(train).items(), key=lambda pair: (-pair[1], pair[0]))
        rank = {word: k for k, (word, _) in enumerate(common[: VOCABULARY - 1])}
        self._train = self._numbers(train, rank)
        self._held_out = self._numbers(held_out[: HELD_OUT + BEFORE], rank)
        digest = hashlib.sha256(self._train.numpy().tobytes() + self._held_out.numpy().tobytes())
        self.fingerprint = digest.hexdigest()[:12]
        self._offsets = torch.arange(BEFORE)

    @staticmethod
    def _numbers(words: list[str], rank: dict[str, int]) -> Tensor:
        return torch.tensor(np.array([rank.get(w, VOCABULARY - 1) for w in words], dtype=np.int64))

    def _loss(self, model: Any, part: Tensor, starts: Tensor) -> Tensor:
        words, following = part[starts[:, None] + self._offsets], part[starts + BEFORE]
        return nn.functional.cross_entropy(model(words), following)

    def model(self) -> nn.Module:
        """Fresh embeddings."""
        return Model()

    def loss(self, model: Any, generator: Any) -> Tensor:
        """Cross-entropy of words from anywhere in the text."""
        last = len(self._train) - BEFORE
        return self._loss(model, self._train, torch.randint(last, (BATCH,), generator=generator))

    def value(self, model: Any) -> float:
        """Cross-entropy of the held-out words."""
        starts = torch.arange(len(self._held_out) - BEFORE)
        parts = starts.split(1024)
        losses = [self._loss(model, self._held_out, part).item() * len(part) for part in parts]
        return sum(losses) / len(starts)


TASK = Task(
    "words-zipf",
    "next word of 4,096 with Zipf's frequencies, sparse embeddings",
    steps=700,
    seconds=2.6,
    load=Words,
    output=("output.weight",),
)
