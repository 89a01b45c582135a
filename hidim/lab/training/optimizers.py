"""How is an optimizer named in a configuration? As hidim's or torch's class, by its name.

`dana-decaying`, `adana`, ... are hidim.torch's, `sgd`, `adam`, `adamw`, ... torch.optim's; class
names (`DANADecaying`, `NAdam`) work too. `sgd-momentum` is torch's SGD with momentum 0.9, which
acts like SGD at lr / (1 - momentum), and `muon` torch's Muon with AdamW for what is no hidden
matrix.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch

import hidim.torch
from hidim.lab.training.muon import Muon
from hidim.lab.training.names import OURS, PRESETS, spelled
from hidim.support.checks import choice, positive

# One pass over memory and no compiler needed: these use it unless told otherwise.
_FUSED = ("DANADecaying", "DANAConstant", "SGD", "Adam", "AdamW")
# These cannot take a plain step: one needs closures, the other sparse gradients.
_NOT_HERE = ("LBFGS", "SparseAdam", "Optimizer")
# torch's code of these works in place on what a DTensor cannot do in place.
_NOT_IN_PARTS = ("Adafactor", "Muon", "Rprop")


def names() -> list[str]:
    """Every name that `make_optimizer` knows."""
    return sorted({*PRESETS, *_classes()})


def make_optimizer(
    name: str, parameters: Iterable[Any], *, lr: float, options: Mapping[str, Any] | None = None
) -> torch.optim.Optimizer:
    """The optimizer of that name.

    Args:
        name: hyphenated or class name; case, hyphens, underscores and spaces do not matter.
        parameters: of the model, with or without their names, by which Muon tells its matrices, or
            groups of them without.
        lr: peak learning rate.
        options: further arguments of the optimizer, such as kappa_3.

    Raises:
        ValueError: no such optimizer, or an option it does not take, naming those it does; or the
            parameters are held in parts (FSDP2) and torch's code of it cannot update those.
    """
    kind, chosen = _resolve(name)
    chosen = {**chosen, **(options or {})}
    known = option_names(name)
    for key in chosen:
        if key not in known:
            choice(f"option of {name}", key, known)
    listed = list(parameters)
    bare = [one[1] if isinstance(one, tuple) else one for one in listed]
    every = [p for one in bare for p in (one["params"] if isinstance(one, dict) else [one])]
    in_parts = any(hasattr(p, "full_tensor") for p in every)
    if in_parts and kind.__name__ in _NOT_IN_PARTS:
        raise ValueError(f"`optimizer` {name} cannot update a model held in parts: use DDP.")
    if kind.__name__ in _FUSED and not {"foreach", "fused"} & set(chosen):
        # torch's fused kernel of SGD does not take parts; its lists do.
        chosen["foreach" if in_parts and kind is torch.optim.SGD else "fused"] = True
    try:
        return kind(listed if kind is Muon else bare, lr=positive("lr", lr), **chosen)
    except TypeError as error:
        raise ValueError(f"`options` of {name} are not accepted: {error}.") from None


def option_names(name: str) -> list[str]:
    """What else the optimizer of that name takes."""
    parameters = inspect.signature(_resolve(name)[0]).parameters
    return [key for key in parameters if key not in ("params", "lr")]


def check_optimizer(name: str, lr: float, options: Mapping[str, Any]) -> None:
    """Refuse a name or an option before any work."""
    make_optimizer(name, [torch.nn.Parameter(torch.zeros(2, 2))], lr=lr, options=options)


def _resolve(name: str) -> tuple[Any, dict[str, Any]]:
    if not isinstance(name, str):
        choice("optimizer", name, names())
    key, options = PRESETS.get(spelled(name), (name, {}))
    if (kind := _classes().get(spelled(key))) is not None:
        return kind, dict(options)
    choice("optimizer", name, names())
    raise AssertionError("unreachable: choice refuses the name")


def _classes() -> dict[str, Any]:
    found = {
        name.lower(): value
        for name, value in vars(torch.optim).items()
        if inspect.isclass(value)
        and issubclass(value, torch.optim.Optimizer)
        and name not in _NOT_HERE
    }
    ours = {name: getattr(hidim.torch, known) for name, known in OURS.items()}
    return {**found, "muon": Muon, **ours}
