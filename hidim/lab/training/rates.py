"""Which learning rate has which matrix, so that one rate holds over widths and depths?

With m = width / 64 and k = layers / 2, multiples of the rate of a run, for the model "modern":

    parametrization  optimizers            embedding, gains   hidden matrices   output
    standard         all                   1                  1                 1
    mup              like Adam or signs    1                  1 / m             1
    mup              like SGD              m                  1                 m
    completep        as mup; like SGD the gains inside blocks and the hidden matrices also times k

The output is divided by m in the model itself (`networks/modern.py`), so a matrix that is tied to
the embedding has the embedding's rate.
Source: arXiv 2203.03466, table 8; arXiv 2505.01618 (depths, Adam). The factor k for SGD follows
from the branches' 2 / layers, which its gradient and its effect both have.
Limits: weight decay, epsilon and momentum are left as they are; checked by `hidim coordinates`.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from hidim.lab.training.names import spelled
from hidim.lab.training.networks.modern import BASE_LAYERS, BASE_WIDTH
from hidim.lab.training.networks.shapes import Shape

# Whose step has the size of the rate, whatever that of the gradient.
_LIKE_ADAM = ("adam", "adamw", "nadam", "radam", "adamax", "adana", "log-time-ademamix",
              "dana-mk4", "dana-star", "dana-star-mk4", "sign-sgd")  # fmt: skip
_LIKE_SGD = ("sgd", "sgd-momentum", "accelerated-sgd", "dana-constant", "dana-decaying",
             "general-momentum", "stochastic-nesterov")  # fmt: skip


def check_rates(parametrization: str | None, optimizer: str) -> None:
    """Refuse an optimizer whose rates over widths are not known.

    Raises:
        ValueError: naming what is known.
    """
    if parametrization not in (None, "standard") and spelled(optimizer) not in (
        *_LIKE_ADAM,
        *_LIKE_SGD,
    ):
        raise ValueError(
            f"`parametrization` {parametrization!r} knows the rates of optimizers like Adam "
            f"({', '.join(_LIKE_ADAM)}) and like SGD ({', '.join(_LIKE_SGD)}), not of "
            f"{optimizer!r}. Use 'standard'."
        )


def rate_groups(model: nn.Module, shape: Shape, optimizer: str) -> list[tuple[float, list[Any]]]:
    """Multiples of the rate, and the parameters that have them.

    Returns:
        One group of all parameters, in their order, where there is nothing to tell apart.
    """
    if shape.parametrization in (None, "standard"):
        return [(1.0, list(model.parameters()))]
    m = shape.width / BASE_WIDTH
    k = shape.layers / BASE_LAYERS if shape.parametrization == "completep" else 1.0
    like_sgd = spelled(optimizer) in _LIKE_SGD
    found: dict[float, list[Any]] = {}
    for name, parameter in model.named_parameters():
        inside = name.startswith("blocks.")
        if like_sgd:
            factor = (1.0 if inside and parameter.dim() > 1 else m) * (k if inside else 1.0)
        else:
            factor = 1 / m if inside and parameter.dim() > 1 else 1.0
        found.setdefault(factor, []).append(parameter)
    return list(found.items())
