"""How large is a model, and what does a token cost? Counted without building it.

Parameters are counted with everything. Flops per trained token are 6 per weight of a matrix
product (2 forward, 4 backward) and, for attention, 12 layers x context x width (the full square,
causal or not); embedding look-ups, norms, rotations and gates are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hidim.lab.training.networks.choices import CHOICES, chosen
from hidim.support.checks import choice, whole


@dataclass(frozen=True)
class Shape:
    """The size of a model.

    Args:
        kind: "lstm", "transformer" or "modern".
        vocabulary: number of tokens.
        width: hidden and embedding size.
        layers: depth.
        context: longest input, tokens.
        heads: attention heads of a transformer; must divide `width`.
        norm, positions, qk_norm, head, mlp, parametrization: choices about "modern", see
            `hidim.lab.training.networks.choices`; None is the usual one.

    >>> Shape("lstm", 256, 64).parameters
    99584
    >>> Shape("modern", 256, 64).parameters
    113664
    """

    kind: str
    vocabulary: int
    width: int
    layers: int = 2
    context: int = 64
    heads: int = 1
    norm: str | None = None
    positions: str | None = None
    qk_norm: bool | None = None
    head: str | None = None
    mlp: str | None = None
    parametrization: str | None = None

    def __post_init__(self) -> None:
        choice("model", self.kind, COUNTS)
        for name in ("vocabulary", "width", "layers", "context", "heads"):
            object.__setattr__(self, name, int(whole(name, getattr(self, name), minimum=1)))
        for name, value in chosen(self.kind, {key: getattr(self, key) for key in CHOICES}).items():
            object.__setattr__(self, name, value)
        if self.kind != "lstm" and self.width % self.heads:
            raise ValueError(
                f"`heads` must divide `width`, got {self.heads} heads for width {self.width}."
            )
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise ValueError(
                f"`positions` rotary turn pairs, and a head of {self.width // self.heads} has one "
                "left over. Choose `width` and `heads` so that width / heads is even."
            )

    @property
    def hidden(self) -> int:
        """Width inside the MLP of a transformer; of three matrices a third less, in eights."""
        return 8 * round(self.width / 3) if self.mlp == "swiglu" else 4 * self.width

    @property
    def parameters(self) -> int:
        """Number of trained numbers."""
        matrices, others = COUNTS[self.kind](self)
        return matrices + others

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations of training on one token, forward and backward."""
        attention = 0 if self.kind == "lstm" else 12 * self.layers * self.context * self.width
        return 6 * COUNTS[self.kind](self)[0] + attention

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return asdict(self)


def _lstm(s: Shape) -> tuple[int, int]:
    w, v = s.width, s.vocabulary
    # Two biases per gate, one of the output layer.
    return w * (s.layers * 8 * w + v), v * w + s.layers * 8 * w + v


def _transformer(s: Shape) -> tuple[int, int]:
    w, v = s.width, s.vocabulary
    vectors = s.layers * 13 * w + 2 * w  # biases 3w + w + 4w + w, two norms; the last norm
    return w * (s.layers * 12 * w + v), v * w + s.context * w + vectors


def _modern(s: Shape) -> tuple[int, int]:
    w, v = s.width, s.vocabulary
    mlp = (3 if s.mlp == "swiglu" else 2) * w * s.hidden
    others = 0 if s.head == "tied" else v * w  # tied, the matrix of the output is the embedding
    others += s.context * w if s.positions == "learned" else 0
    others += 2 * w * (2 * s.layers + 2) if s.norm == "layer" else 0
    return s.layers * (4 * w * w + mlp) + v * w, others


# Model -> weights that take part in a matrix product for every token, and all others.
COUNTS: dict[str, Callable[[Shape], tuple[int, int]]] = {
    "lstm": _lstm,
    "transformer": _transformer,
    "modern": _modern,
}
