"""The 2-layer LSTM of arXiv 2505.16098, with an untied output layer.

Limits: no dropout, and every window starts from a zero state.
"""

from __future__ import annotations

from torch import Tensor, nn

from hidim.lab.training.networks.shapes import Shape


class LSTM(nn.Module):
    """Embedding, `layers` LSTM layers, output layer; tokens (batch, time) to logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.lstm = nn.LSTM(shape.width, shape.width, shape.layers, batch_first=True)
        self.output = nn.Linear(shape.width, shape.vocabulary)

    def features(self, tokens: Tensor) -> Tensor:
        """What the output layer reads, (batch, time, width)."""
        hidden: Tensor = self.lstm(self.embedding(tokens))[0]
        return hidden

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, (batch, time, vocabulary)."""
        logits: Tensor = self.output(self.features(tokens))
        return logits
