"""A decoder-only transformer as of today: no biases, and every choice a setting.

Token embedding, norm, then blocks x + attention(norm(x)), x + mlp(norm(x)), a last norm, output.
As a rule RMSNorm without gain, rotary positions (arXiv 2104.09864), queries and keys at unit rms
per head (arXiv 2010.04245), SwiGLU (arXiv 2002.05202), the output tied to the embedding. What a
branch adds to the stream starts at zero, as in nanochat.

With mup (arXiv 2203.03466, table 8) the output is divided by m = width / 64, logits of attention by
the size of a head instead of its root, and the groups of `rates.py` have rates of their own;
completep (arXiv 2505.01618) also multiplies what a branch adds by 2 / layers. At width 64 and two
layers of heads of 32 all three are one model.
Limits: no dropout.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hidim.lab.training.networks.shapes import Shape

BASE_WIDTH, BASE_LAYERS, BASE_HEAD = 64, 2, 32  # where every parametrization is the same
# Of unit queries and keys of any size: that of heads of 128 with the usual root. For heads of 32 it
# is twice the usual, which was .03 bits per byte better (600 steps); four times was worse.
_LARGEST_LOGIT = math.sqrt(128)


def rms(x: Tensor) -> Tensor:
    """x at unit root mean square over its last dimension."""
    return nn.functional.rms_norm(x, x.shape[-1:])


class RMS(nn.Module):
    """`rms` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same."""
        return rms(x)


class Rotary(nn.Module):
    """Turns the pairs (x_i, x_{i + size/2}) of a head at place t by the angle t / 10000^(2i/size).

    Args:
        size: of a head, even.
        context: longest input.
    """

    cosine: Tensor
    sine: Tensor

    def __init__(self, size: int, context: int) -> None:
        super().__init__()
        slow = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
        angles = torch.outer(torch.arange(context, dtype=torch.float64), slow)
        self.register_buffer("cosine", angles.cos().float(), persistent=False)
        self.register_buffer("sine", angles.sin().float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., time, size) to the same."""
        time = x.shape[-2]
        cosine, sine = self.cosine[:time].to(x.dtype), self.sine[:time].to(x.dtype)
        first, second = x.chunk(2, dim=-1)
        return torch.cat((first * cosine - second * sine, first * sine + second * cosine), dim=-1)


class Attention(nn.Module):
    """Causal attention of `heads` heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        size = shape.width // shape.heads
        self.heads, self.unit = shape.heads, bool(shape.qk_norm)
        self.rotary = Rotary(size, shape.context) if shape.positions == "rotary" else nn.Identity()
        self.queries_keys_values = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.merge = nn.Linear(shape.width, shape.width, bias=False)
        wide = shape.parametrization != "standard"
        self.scale = math.sqrt(BASE_HEAD) / size if wide else 1 / math.sqrt(size)
        if self.unit:
            self.scale = _LARGEST_LOGIT / size

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        batch, time, width = x.shape
        joint = self.queries_keys_values(x).view(batch, time, 3, self.heads, -1)
        joint = joint.permute(2, 0, 3, 1, 4)  # (3, batch, heads, time, size)
        q, k = self.rotary(rms(joint[:2]) if self.unit else joint[:2])
        v = joint[2]
        mixed = nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=True, scale=self.scale
        )
        out: Tensor = self.merge(mixed.transpose(1, 2).reshape(batch, time, width))
        return out


class MLP(nn.Module):
    """SiLU times a gate, relu(x)^2 or GELU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.kind = shape.mlp
        gates = 2 if shape.mlp == "swiglu" else 1
        self.up = nn.Linear(shape.width, gates * shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        x = self.up(x)
        if self.kind == "swiglu":
            gate, x = x.chunk(2, dim=-1)
            x = nn.functional.silu(gate) * x
        else:
            x = nn.functional.relu(x).square() if self.kind == "relu2" else nn.functional.gelu(x)
        out: Tensor = self.down(x)
        return out


class ModernBlock(nn.Module):
    """x + share attention(norm(x)), then x + share mlp(norm(x))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = _norm(shape), _norm(shape)
        self.attention, self.mlp = Attention(shape), MLP(shape)
        self.share = BASE_LAYERS / shape.layers if shape.parametrization == "completep" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) to the same."""
        x = x + self.share * self.attention(self.norm_1(x))
        out: Tensor = x + self.share * self.mlp(self.norm_2(x))
        return out


class Modern(nn.Module):
    """The whole; tokens (batch, time) to logits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        learned = shape.positions == "learned"
        self.position = nn.Embedding(shape.context, shape.width) if learned else None
        self.norm_0 = _norm(shape)
        self.blocks = nn.ModuleList(ModernBlock(shape) for _ in range(shape.layers))
        self.norm = _norm(shape)
        self.output = nn.Linear(shape.width, shape.vocabulary, bias=False)
        self.divisor = shape.width / BASE_WIDTH if shape.parametrization != "standard" else 1.0
        if shape.head == "tied":
            self.output.weight = self.embedding.weight
        self.apply(self._start)
        for name, parameter in self.named_parameters():
            if name.endswith(("merge.weight", "down.weight")):
                nn.init.zeros_(parameter)
        nn.init.normal_(self.output.weight, std=0.02)

    @staticmethod
    def _start(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def features(self, tokens: Tensor) -> Tensor:
        """What the output layer reads, (batch, time, width)."""
        x = self.embedding(tokens)
        if self.position is not None:
            x = x + self.position(torch.arange(tokens.shape[1], device=tokens.device))
        x = self.norm_0(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out if self.divisor == 1 else out / self.divisor

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, (batch, time, vocabulary)."""
        logits: Tensor = self.output(self.features(tokens))
        return logits


def _norm(shape: Shape) -> nn.Module:
    return RMS() if shape.norm == "rms" else nn.LayerNorm(shape.width)
