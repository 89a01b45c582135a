"""Which language models are trained here, how large are they, and what does a token cost?

The 2-layer LSTM of arXiv 2505.16098 and a decoder-only transformer (pre-norm, learned positions,
attention by torch's scaled_dot_product_attention), both with an untied output layer.
Parameters are counted with everything. Flops per trained token are 6 per weight of a matrix
product (2 forward, 4 backward) and, for attention, 12 layers x context x width (the full square,
causal or not); embedding look-ups, norms and gates are left out.
Limits: no dropout, and an LSTM starts every window from a zero state.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hidim.support.checks import choice, whole

KINDS = ("lstm", "transformer")


@dataclass(frozen=True)
class Shape:
    """The size of a model.

    Args:
        kind: "lstm" or "transformer".
        vocabulary: number of tokens.
        width: hidden and embedding size.
        layers: depth.
        context: longest input, tokens.
        heads: attention heads of a transformer; must divide `width`.

    >>> Shape("lstm", 256, 64).parameters
    99584
    """

    kind: str
    vocabulary: int
    width: int
    layers: int = 2
    context: int = 64
    heads: int = 1

    def __post_init__(self) -> None:
        choice("model", self.kind, KINDS)
        for name in ("vocabulary", "width", "layers", "context", "heads"):
            object.__setattr__(self, name, int(whole(name, getattr(self, name), minimum=1)))
        if self.kind == "transformer" and self.width % self.heads:
            raise ValueError(
                f"`heads` must divide `width`, got {self.heads} heads for width {self.width}."
            )

    @property
    def _matrices(self) -> int:
        """Weights that take part in a matrix product for every token."""
        per_layer = 8 if self.kind == "lstm" else 12
        return self.width * (self.layers * per_layer * self.width + self.vocabulary)

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        w, v = self.width, self.vocabulary
        if self.kind == "lstm":
            vectors = self.layers * 8 * w + v  # two biases per gate, one of the output layer
            return v * w + self._matrices + vectors
        vectors = self.layers * 13 * w + 2 * w  # biases 3w + w + 4w + w, two norms; the last norm
        return v * w + self.context * w + self._matrices + vectors

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations of training on one token, forward and backward."""
        attention = 0
        if self.kind == "transformer":
            attention = 12 * self.layers * self.context * self.width
        return 6 * self._matrices + attention

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return asdict(self)


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


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        batch, time, width = x.shape
        joint = self.queries_keys_values(self.norm_1(x))
        q, k, v = joint.view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.merge(mixed.transpose(1, 2).reshape(batch, time, width))
        out: Tensor = x + self.mlp(self.norm_2(x))
        return out


class Transformer(nn.Module):
    """Token and position embeddings, blocks, a last norm, output layer without bias."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.position = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.output = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.apply(self._start)
        for name, parameter in self.named_parameters():
            # The sum over layers that enters the residual stream keeps its size at any depth.
            if name.endswith(("merge.weight", "mlp.2.weight")):
                nn.init.normal_(parameter, std=0.02 / (2 * shape.layers) ** 0.5)

    @staticmethod
    def _start(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def features(self, tokens: Tensor) -> Tensor:
        """What the output layer reads, (batch, time, width)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embedding(tokens) + self.position(places)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, (batch, time, vocabulary)."""
        logits: Tensor = self.output(self.features(tokens))
        return logits


def build(shape: Shape, *, seed: int = 0) -> nn.Module:
    """A fresh model, the same for the same seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LSTM(shape) if shape.kind == "lstm" else Transformer(shape)


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
