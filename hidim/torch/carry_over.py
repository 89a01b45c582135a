"""An optimizer for whoever has a working run of AdamW or SGD, with the reasons for its numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from hidim.algorithms.transfer import Transfer, adana_from_adamw, dana_from_sgd
from hidim.support import checks
from hidim.torch._machine.optimizer import Params
from hidim.torch._machine.options import check_option
from hidim.torch.adana import ADANA
from hidim.torch.dana import DANADecaying


def from_adamw(
    params: Params,
    *,
    lr: float,
    steps: int,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.01,
    model_parameters: float | None = None,
    batch_tokens: float | None = None,
    **options: Any,
) -> ADANA:
    """An `ADANA` in the place of an AdamW that works.

    Use the schedule of the AdamW run on it (warm-up and decay are factors), with its clip.

    Args:
        params: parameters, named parameters or groups, as for AdamW. A group's own lr is moved by
            the same factor; one that says `"weight_decay": 0` has no log-time decay.
        lr: AdamW's peak learning rate.
        steps: updates of the run; below 2,000 AdamW is the safer choice.
        betas, weight_decay: AdamW's. Of groups they are left out, as the reasons say.
        model_parameters: of the whole model; by default those given here.
        batch_tokens: tokens per update, for the verdict among the reasons.
        options: further options of `ADANA`, which win, or AdamW's own, as in `**adamw.defaults`:
            what ADANA does not have is left out, as the reasons say.

    Returns:
        The optimizer; `.reasons` are lines of text, `.transfer` has intervals, the verdict and
        what to sweep. Copies and pickles keep both, and so does loading a `state_dict`, which
        holds neither: build the optimizer to load it into with `from_adamw` again.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(100, 10)
        >>> optimizer = from_adamw(model.parameters(), lr=1e-3, weight_decay=0.1, steps=20_000)
        >>> optimizer.param_groups[0]["omega"], optimizer.param_groups[0]["t_0"]
        (4.0, 2000.0)
        >>> optimizer.reasons[1]
        "kappa = 0.85: the authors' value; .75 to .9 differ little once lr is tuned"
    """
    given, total = _listed(params)
    if model_parameters is None:
        model_parameters = total
    elif isinstance(model_parameters, str):
        raise ValueError(f"`model_parameters` must be a number, got {model_parameters!r}.")
    else:
        model_parameters = checks.positive("model_parameters", model_parameters)
    found = adana_from_adamw(
        lr, steps=steps, parameters=model_parameters, betas=betas,
        weight_decay=weight_decay, batch_tokens=batch_tokens,
    )  # fmt: skip
    moved, left_out = _moved(given, found.options["lr"] / float(lr), adaptive=True)
    left_out += _replaced(options, adaptive=True)
    optimizer: Any = ADANA(moved, **{**found.options, **options})
    return _explained(optimizer, found, left_out)


def from_sgd(
    params: Params,
    *,
    lr: float,
    steps: int,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    **options: Any,
) -> DANADecaying:
    """A `DANADecaying` in the place of an SGD that works.

    Args:
        params: parameters, named parameters or groups, as for SGD.
        lr: SGD's peak learning rate.
        steps: updates of the run.
        momentum, weight_decay: SGD's.
        options: further options of `DANADecaying`, which win; SGD's nesterov is left out, as the
            reasons say where it was on.

    Returns:
        The optimizer, with `.reasons` and `.transfer` as of `from_adamw`.

    Raises:
        ValueError: a value outside its range, naming the argument.

    Example:
        >>> import torch
        >>> optimizer = from_sgd(torch.nn.Linear(3, 1).parameters(), lr=0.1, steps=10_000)
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """
    given, _ = _listed(params)
    if options.get("dampening"):
        raise ValueError(
            f"`dampening` is not carried over, got {options['dampening']!r}: give lr x "
            "(1 - dampening) as lr, and no dampening."
        )
    found = dana_from_sgd(lr, steps=steps, momentum=momentum, weight_decay=weight_decay)
    moved, left_out = _moved(given, found.options["lr"] / float(lr), adaptive=False)
    left_out += _replaced(options, adaptive=False)
    optimizer: Any = DANADecaying(moved, **{**found.options, **options})
    return _explained(optimizer, found, left_out)


def _listed(params: Params) -> tuple[list[Any], float]:
    if isinstance(params, Optimizer):
        name = type(params).__name__
        raise ValueError(
            f"`params` must be parameters or groups, got an optimizer ({name}): give "
            "model.parameters(), and its lr and weight_decay by name."
        )
    if isinstance(params, Module):
        raise ValueError(
            f"`params` must be parameters or groups, got a model ({type(params).__name__}): give "
            "model.parameters()."
        )
    given: list[Any] = []
    total = 0
    for item in params:
        inside = item["params"] if isinstance(item, dict) else [item]
        inside = [inside] if hasattr(inside, "numel") else list(inside)  # a generator is read once
        given.append({**item, "params": inside} if isinstance(item, dict) else item)
        total += sum((x[1] if isinstance(x, tuple) else x).numel() for x in inside)
    return given, max(float(total), 1.0)


_MEMORY = "the memory is t/delta in every group"
# What the new optimizer has no place for, and why.
_REPLACED = {
    "betas": _MEMORY,
    "momentum": _MEMORY,
    "dampening": "how much of a gradient enters the momentum is the method's own",
    "amsgrad": "the average of the squares is not held at its largest; its memory, t/delta, grows",
    "nesterov": "the gradient always moves the parameters beside the momentum, as it would",
    "decoupled_weight_decay": "omega takes the decay's place, and is always decoupled",
}
_PLAIN = {"dampening": 0, "amsgrad": False, "nesterov": False}  # would change nothing


def _moved(given: list[Any], factor: float, *, adaptive: bool) -> tuple[list[Any], list[str]]:
    """Groups with their own learning rates and weight decays carried over, and what was not."""
    moved: list[Any] = []
    left_out = []
    for number, item in enumerate(given):
        if isinstance(item, dict):
            item = dict(item)
            for name in ("lr", "weight_decay"):
                if name in item and not isinstance(item[name], Tensor):
                    check_option(name, item[name])
            if "lr" in item:
                item["lr"] = item["lr"] * factor
            if item.get("weight_decay"):
                if adaptive:
                    left_out.append(
                        f"group {number}: weight_decay = {item.pop('weight_decay')} is left out: "
                        "omega takes its place"
                    )
                else:
                    item["weight_decay"] = item["weight_decay"] / factor
            left_out += _replaced(item, f"group {number}: ", adaptive=adaptive)
        moved.append(item)
    return moved, left_out


def _replaced(options: dict[str, Any], where: str = "", *, adaptive: bool) -> list[str]:
    """Take out what the new optimizer has no place for, and say so where that changes anything."""
    names = [name for name in _REPLACED if adaptive or name != "decoupled_weight_decay"]
    given = {name: options.pop(name) for name in names if name in options}
    return [
        f"{where}{name} = {value} is left out: {_REPLACED[name]}"
        for name, value in given.items()
        if name not in _PLAIN or value != _PLAIN[name]
    ]


def _explained(optimizer: Any, found: Transfer, left_out: list[str]) -> Any:
    optimizer.reasons, optimizer.transfer = [*found.reasons, *left_out], found
    return optimizer
