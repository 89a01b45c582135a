"""Every class declared as torch declares its own optimizers, and helpers of its generic checks.

torch's internal test module (`OptimizerInfo`) is used from this file alone.
"""

import pytest
import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import LinearLR, ReduceLROnPlateau, StepLR

import hidim.torch as ours

common = pytest.importorskip(
    "torch.testing._internal.common_optimizers", reason="torch's internal test module is gone"
)
Info, Input = common.OptimizerInfo, common.OptimizerInput


# The wrappers around ours: torch's own AdamW refuses some of what is checked (capturable on a CPU,
# a tensor lr on lists) and its fused step is wrong on parameters with gaps.
class DecayingDANA(ours.LogTimeWeightDecay):
    def __init__(self, params, lr=1e-3, *, omega=0.01, **options):
        super().__init__(params, lr, omega=omega, base=ours.DANADecaying, **options)


class ProjectedADANA(ours.NormalizeAndProject):
    def __init__(self, params, lr=1e-3, **options):
        super().__init__(params, lr, base=ours.ADANA, **options)


SPECIFIC = {
    ours.DANADecaying: {"c_3": 0.5, "kappa_3": 0.7, "weight_decay": 0.1},
    ours.DANAConstant: {"c_3": 2.0, "decoupled_weight_decay": True, "weight_decay": 0.1},
    ours.GeneralMomentum: {"gamma_2": 0.0, "gamma_3": 1.0, "forgetting": 0.1},
    ours.AcceleratedSGD: {"kappa": 100.0, "xi": 5.0},
    ours.StochasticNesterov: {"initial_step": 3},
    ours.ADANA: {"omega": 4.0, "t_0": 10.0, "alpha_form": "readme"},
    ours.DanaMK4: {"clip": 0.5},
    ours.DanaStar: {"kappa": 0.75},
    ours.DanaStarMK4: {"clip": 0.5, "omega": 1.0},
    ours.LogTimeAdEMAMix: {"betas": (0.8, 0.95)},
    ours.SignSGD: {"initial_step": 3},
    DecayingDANA: {"omega": 0.1, "t_0": 10.0},
    ProjectedADANA: {"min_dim": 1},
}


def inputs(cls):
    def declared(device, dtype=None):
        return [
            Input(params=None, kwargs={}, desc="default"),
            Input(params=None, kwargs={"lr": 0.01}, desc="non-default lr"),
            Input(params=None, kwargs={"lr": torch.tensor(0.001)}, desc="tensor lr"),
            Input(params=None, kwargs={"weight_decay": 0.1}, desc="weight_decay"),
            Input(params=None, kwargs={"weight_decay": 0.1, "maximize": True}, desc="maximize"),
            Input(params=None, kwargs=SPECIFIC[cls], desc="specific"),
        ]

    return declared


INFOS = [
    Info(
        cls,
        optim_inputs_func=inputs(cls),
        optim_error_inputs_func=common.get_error_inputs_for_all_optims,
        scheduler_inputs=(
            [lambda opt: StepLR(opt, gamma=0.9, step_size=10)],
            [
                lambda opt: LinearLR(opt, start_factor=0.4, end_factor=0.6, total_iters=4),
                lambda opt: StepLR(opt, gamma=0.9, step_size=10),
                lambda opt: ReduceLROnPlateau(opt),
            ],
        ),
        supported_impls=("foreach", "differentiable", "fused"),
        supports_fused_on=("cpu", "cuda"),
        has_capturable_arg=True,
    )
    for cls in SPECIFIC
]
each = pytest.mark.parametrize("info", INFOS, ids=[info.name for info in INFOS])


def every_input(info, skip=()):
    return common._get_optim_inputs_including_global_cliquey_kwargs(
        "cpu", torch.float32, info, skip=skip
    )


def tensors(dtype=torch.float64, shape=(5, 3), count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        Parameter(torch.randn(shape[: 2 - i % 2], dtype=dtype, generator=generator))
        for i in range(count)
    ]


def fill(params, step):
    generator = torch.Generator().manual_seed(100 + step)
    for p in params:
        p.grad = torch.randn(p.shape, dtype=p.dtype, generator=generator)


def copies(params):
    return [Parameter(p.detach().clone()) for p in params]


def run(optimizer, params, steps, start=0):
    for step in range(start, start + steps):
        fill(params, step)
        optimizer.step()


def assert_same(first, second, **tolerance):
    torch.testing.assert_close(list(first), list(second), **tolerance)
