"""How is a model set by one number? By its depth, as in nanochat: the rest follows.

    width      32 a layer, in heads of 32
    steps      20 tokens per parameter (arXiv 2203.15556)
    rate       one for all depths, by the parametrization "completep" (AdamW, cosine)

nanochat's models are 64 wide a layer; half of that keeps depth 4 within an hour of one core. What
is given beside the depth counts instead, unless it says the same thing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hidim.lab.training.names import spelled
from hidim.support.checks import hyphenated, whole

PER_LAYER = 32
TOKENS_PER_PARAMETER = 20
RATE = 1.6e-2  # tuned at depth 2, docs/benchmarks/lab-networks.md


def at_depth(depth: int, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings that a depth stands for, and those given beside it.

    Args:
        depth: layers of the model.
        given: further settings.

    Raises:
        ValueError: one of them is decided by the depth, or its rate is not for that optimizer.

    >>> at_depth(4)["width"], at_depth(4, {"lr": 0.01})["lr"]
    (128, 0.01)
    """
    layers = int(whole("depth", depth, minimum=1))
    given = dict(given or {})
    for name in ("width", "layers", "heads"):
        if name in given:
            raise ValueError(
                f"`depth` decides `{name}` ({layers} layers, width {PER_LAYER * layers}, {layers} "
                f"heads): leave out `{name}` or `depth`."
            )
    if hyphenated(given.get("model", "modern")) != "modern":
        raise ValueError(
            f"`depth` is a dial of the model 'modern', and `model` is {given['model']!r}. Leave "
            "one of them out."
        )
    if spelled(str(given.get("optimizer", "adamw"))) != "adamw" and "lr" not in given:
        raise ValueError(
            f"`depth` knows a rate for adamw, and `optimizer` is {given['optimizer']!r}: give `lr`."
        )
    usual = {
        "model": "modern",
        "layers": layers,
        "width": PER_LAYER * layers,
        "heads": layers,
        "parametrization": "completep",
        "optimizer": "adamw",
        "lr": RATE,
        "schedule": "cosine",
        "steps": "auto",
    }
    return {**usual, **given}
