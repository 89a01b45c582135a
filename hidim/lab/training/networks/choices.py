"""What may be chosen about the modern transformer, and what is meant where nothing is said?

Torch-free, so that settings can be made and compared without torch. The first of each is the usual
one; `benchmarks/lab_networks.py --parts 3` measures what each is worth.

    norm             rms: x / rms(x), no learned gain; layer: torch's LayerNorm
    positions        rotary (arXiv 2104.09864), or learned and added to the tokens
    qk_norm          queries and keys at unit rms per head, so that logits of attention are bounded
    head             the output matrix: tied to the embedding, or its own
    mlp              swiglu (arXiv 2002.05202); relu2: relu(x)^2 (arXiv 2109.08668); gelu
    parametrization  standard; mup: rates that hold over widths; completep: over depths as well
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hidim.support.checks import choice, hyphenated, truth

CHOICES: dict[str, tuple[Any, ...]] = {
    "norm": ("rms", "layer"),
    "positions": ("rotary", "learned"),
    "qk_norm": (True, False),
    "head": ("tied", "untied"),
    "mlp": ("swiglu", "relu2", "gelu"),
    "parametrization": ("standard", "mup", "completep"),
}


def chosen(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every choice about a model: the usual ones of "modern" where None is given, else None.

    Raises:
        ValueError: an unknown value, or a choice about another model.

    >>> chosen("modern", {"mlp": "ReLU2"})["mlp"], chosen("lstm", {})["mlp"]
    ('relu2', None)
    """
    found: dict[str, Any] = {}
    for name, known in CHOICES.items():
        value = given.get(name)
        if value is None:
            found[name] = known[0] if model == "modern" else None
        elif model != "modern":
            raise ValueError(
                f"`{name}` is a choice about the model 'modern', and `model` is {model!r}. Leave "
                f"it out, or give model='modern'."
            )
        elif isinstance(known[0], bool):
            found[name] = truth(name, value)
        else:
            found[name] = choice(name, hyphenated(value), known)
    return found
