"""What version-0.1-groups.pt.gz holds, and the program by which version 0.1 wrote it.

Two groups with options of their own, tensors of five dtypes, one of no entries, one that has no
gradient in every third step, a scheduler; the parameters after STEPS, and again after MORE. From
this folder's repository:

    git worktree add /tmp/old a1291aa
    PYTHONPATH=/tmp/old python tests/torch/stored.py tests/torch/version-0.1-groups.pt.gz

Gradients are multiples of 1/8, the same in every dtype, and depend on no parameter.
"""

import gzip
import io
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.lr_scheduler import CosineAnnealingLR

import hidim.torch as ours
from hidim.algorithms.schedules import WSD, Forgetting, Table

STEPS, MORE = 12, 5
SHAPES = [
    [((5, 7), torch.float32), ((0, 3), torch.float32), ((17,), torch.bfloat16),
     ((3, 4), torch.float64)],
    [((2, 8), torch.bfloat16), ((2, 5), torch.float32), ((4,), torch.complex64),
     ((9,), torch.float16)],
]  # fmt: skip
_DANA = {"weight_decay": 0.1}, {
    "lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True, "delta": 6.0,
    "initial_step": 40, "state_dtype": torch.float32,
}  # fmt: skip
_CLASSIC = {"weight_decay": 0.1}, {
    "lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True, "maximize": True,
}  # fmt: skip
_ADANA = {"omega": 4.0, "t_0": 20.0}, {
    "lr": 0.003, "weight_decay": 0.1, "omega": 2.0, "t_0": 5.0, "peak_lr": 0.01, "kappa": 0.6,
    "delta": 5.0, "decay_after": True, "initial_step": 7, "state_dtype": torch.float32,
}  # fmt: skip
_ADAMW = {"weight_decay": 0.1}, {"lr": 0.003, "betas": (0.8, 0.95)}


def _with(both: Any, first: dict[str, Any], second: dict[str, Any]) -> tuple[Any, Any]:
    return {**both[0], **first}, {**both[1], **second}


# Per name how it is built of groups, and the options of both.
BUILT: dict[str, tuple[Any, tuple[Any, Any]]] = {
    "DANADecaying": (ours.DANADecaying, _with(_DANA, {"c_3": 0.5}, {"kappa_3": 0.6})),
    "DANAConstant": (ours.DANAConstant, _with(_DANA, {"c_3": 3.0}, {"dimension": 50})),
    "GeneralMomentum": (
        ours.GeneralMomentum,
        (
            {"gamma_3": Table([0, 10, 30], [0.3, 0.1, 0.6]), "forgetting": Forgetting(6.0)},
            {
                "lr": 0.05,
                "gamma_2": WSD(20, decay_fraction=0.5),
                "rates": ("gamma_3",),
                "forgetting": 0.1,
            },
        ),
    ),
    "AcceleratedSGD": (ours.AcceleratedSGD, _with(_CLASSIC, {"kappa": 50.0}, {"xi": 5.0})),
    "StochasticNesterov": (ours.StochasticNesterov, _CLASSIC),
    "ADANA": (
        ours.ADANA,
        _with(_ADANA, {"alpha_form": "readme"}, {"gradient_scale": 0.5, "alpha_scale": 2.0}),
    ),
    "DanaMK4": (ours.DanaMK4, _with(_ADANA, {"clip": 0.5}, {"alpha_scale": 2.0})),
    "DanaStar": (ours.DanaStar, _with(_ADANA, {"eps": 1e-6}, {"alpha_scale": 2.0})),
    "DanaStarMK4": (ours.DanaStarMK4, _with(_ADANA, {"clip": 0.3}, {"maximize": True})),
    "LogTimeAdEMAMix": (ours.LogTimeAdEMAMix, _with(_ADANA, {"betas": (0.8, 0.95)}, {})),
    "SignSGD": (ours.SignSGD, ({"weight_decay": 0.1}, {"lr": 0.003, "maximize": True})),
    "LogTimeWeightDecay": (
        lambda groups, lr: ours.LogTimeWeightDecay(groups, lr=lr),
        _with(_ADAMW, {"omega": 2.0}, {"t_0": 30.0}),
    ),
    "LogTimeWeightDecay of DANADecaying": (
        lambda groups, lr: ours.LogTimeWeightDecay(
            ours.DANADecaying(groups, lr=lr), omega=3.0, t_0=50.0
        ),
        ({"c_3": 0.5}, {"lr": 0.05, "kappa_3": 0.6}),
    ),
    "NormalizeAndProject": (
        lambda groups, lr: ours.NormalizeAndProject(groups, lr=lr),
        _with(_ADAMW, {}, {"min_dim": 1}),
    ),
    "NormalizeAndProject of ADANA": (
        lambda groups, lr: ours.NormalizeAndProject(ours.ADANA(groups, lr=lr)),
        _ADANA,
    ),
}


def parameters() -> list[list[Parameter]]:
    """Both groups' parameters, as they start."""
    rng = np.random.default_rng(0)
    return [[Parameter(_draw(rng, *kind)) for kind in group] for group in SHAPES]


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    pairs = (*shape, 2) if dtype.is_complex else shape
    x = torch.from_numpy(rng.integers(-8, 9, pairs) / 8)
    return (torch.view_as_complex(x) if dtype.is_complex else x).to(dtype)


def build(name: str, groups: list[list[Parameter]]) -> tuple[Any, CosineAnnealingLR]:
    """The optimizer of that name with its scheduler, as both are before the first step."""
    make, options = BUILT[name]
    own = [{"params": ps, **chosen} for ps, chosen in zip(groups, options, strict=True)]
    optimizer = make(own, lr=0.01)
    return optimizer, CosineAnnealingLR(optimizer, T_max=30)


def build_bare(name: str, groups: list[list[Parameter]]) -> tuple[Any, CosineAnnealingLR]:
    """The same with other numbers everywhere, for a checkpoint to put right."""
    make, _ = BUILT[name]
    optimizer = make([{"params": ps} for ps in groups], lr=7.0)
    return optimizer, CosineAnnealingLR(optimizer, T_max=3)


def train(step: Any, scheduler: Any, groups: list[list[Parameter]], times: range) -> None:
    """The steps at these times."""
    for t in times:
        rng = np.random.default_rng(100 + t)
        for number, p in enumerate(p for group in groups for p in group):
            g = _draw(rng, tuple(p.shape), p.dtype)
            p.grad = None if number == 2 and t % 3 == 1 else g
        step()
        scheduler.step()


def flat(groups: list[list[Parameter]]) -> Tensor:
    """All parameters as one row of float64, in which each dtype is exact."""
    rows = [p.detach() for group in groups for p in group]
    rows = [torch.view_as_real(row) if row.is_complex() else row for row in rows]
    return torch.cat([row.flatten().double() for row in rows])


def place(groups: list[list[Parameter]], values: Tensor) -> None:
    """The inverse of `flat`."""
    for p in (p for group in groups for p in group):
        row = torch.view_as_real(p.detach()) if p.is_complex() else p.detach()
        row.copy_(values[: row.numel()].view_as(row))
        values = values[row.numel() :]


def write(path: str) -> None:
    """Train each, and store it before and after the last steps."""
    stored = {}
    for name in BUILT:
        groups = parameters()
        optimizer, scheduler = build(name, groups)
        train(optimizer.step, scheduler, groups, range(STEPS))
        kept = io.BytesIO()  # the state goes on changing in place
        found = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
        torch.save({**found, "parameters": flat(groups)}, kept)
        kept.seek(0)
        stored[name] = torch.load(kept, weights_only=True)
        train(optimizer.step, scheduler, groups, range(STEPS, STEPS + MORE))
        stored[name]["end"] = flat(groups)
    content = io.BytesIO()
    torch.save(stored, content)
    with open(path, "wb") as file:
        file.write(gzip.compress(content.getvalue(), 9, mtime=0))


if __name__ == "__main__":
    write(sys.argv[1])
