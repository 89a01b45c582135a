"""Every optimizer with its reference and a few sets of options, for tests that run over all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import hidim.torch as ours
from hidim.algorithms import reference
from hidim.algorithms.schedules import WSD, Forgetting, PowerLaw, Schedule, Table


@dataclass(frozen=True)
class Case:
    """An optimizer class, options both it and its reference take, and the reference."""

    name: str
    cls: Any
    reference: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


class SignReference:
    def __init__(self, lr: float, weight_decay: float = 0.0) -> None:
        self.lr, self.weight_decay = lr, weight_decay

    def step(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        return reference.sign_sgd(p, g, self.lr, self.weight_decay)


@dataclass(frozen=True)
class Bump(Schedule):
    """A user's schedule, which hidim knows nothing of."""

    height: float
    period: float

    def __call__(self, t: Any) -> np.ndarray:
        return 1 + self.height * np.sin(np.asarray(t, dtype=np.float64) / self.period) ** 2


_SCHEDULES = {
    "gamma_1": PowerLaw(0.5, 0.1),
    "gamma_2": WSD(900, warmup=20, decay_fraction=0.1),
    "gamma_3": Table([0, 300, 400, 900], [1.0, 0.0, 0.0, 0.5]),
    "forgetting": Forgetting(8.0, offset=1.0),
}
_DECAY = {"weight_decay": 0.1, "omega": 4.0, "t_0": 20.0, "initial_step": 7}

# lr small enough for all to be stable on the test problem, large enough to move.
CASES = [
    Case("dana-decaying", ours.DANADecaying, reference.DANADecaying, {"lr": 0.01}),
    Case(
        "dana-decaying, coupled decay",
        ours.DANADecaying,
        reference.DANADecaying,
        {"lr": 0.01, "c_3": 0.5, "kappa_3": 0.6, "delta": 6.0, "weight_decay": 0.1},
    ),
    Case(
        "dana-decaying, decoupled decay",
        ours.DANADecaying,
        reference.DANADecaying,
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "initial_step": 100},
    ),
    Case("dana-decaying, no momentum", ours.DANADecaying, reference.DANADecaying, {"c_3": 0.0}),
    Case(
        "dana-constant",
        ours.DANAConstant,
        reference.DANAConstant,
        {"lr": 0.01, "dimension": 12},
    ),
    Case("general, schedules", ours.GeneralMomentum, reference.GeneralMomentum, _SCHEDULES),
    Case(
        "general, heavy ball",
        ours.GeneralMomentum,
        reference.GeneralMomentum,
        {"lr": 0.01, "gamma_2": 0.0, "gamma_3": 1.0, "forgetting": 0.1},
    ),
    Case("accelerated-sgd", ours.AcceleratedSGD, reference.AcceleratedSGD, {"lr": 0.01}),
    Case("stochastic-nesterov", ours.StochasticNesterov, reference.StochasticNesterov),
    Case(
        "adana, the authors' factor",
        ours.ADANA,
        reference.ADANA,
        {"lr": 0.01, "alpha_form": "whole", "alpha_scale": 2.0},
    ),
    Case("adana", ours.ADANA, reference.ADANA, {"lr": 0.01}),
    Case("adana, decays", ours.ADANA, reference.ADANA, {"lr": 0.01, **_DECAY}),
    Case(
        "adana, readme and decay after",
        ours.ADANA,
        reference.ADANA,
        {"alpha_form": "readme", "decay_after": True, "gradient_scale": 0.5, **_DECAY},
    ),
    Case("dana-mk4", ours.DanaMK4, reference.DanaMK4, {"lr": 0.01, "clip": 0.4, **_DECAY}),
    Case("dana-star", ours.DanaStar, reference.DanaStar, {"lr": 0.01, **_DECAY}),
    Case("dana-star-mk4", ours.DanaStarMK4, reference.DanaStarMK4, {"lr": 0.01, "clip": 0.5}),
    Case("log-time-ademamix", ours.LogTimeAdEMAMix, reference.LogTimeAdEMAMix, {**_DECAY}),
    Case("sign-sgd", ours.SignSGD, SignReference, {"lr": 0.01, "weight_decay": 0.1}),
]

# Not in the table: torch.compile and capturable=True refuse a schedule they cannot evaluate.
OWN = Case(
    "general, a user's schedule",
    ours.GeneralMomentum,
    reference.GeneralMomentum,
    {"lr": 0.01, "gamma_3": 0.5 * Bump(0.5, 20.0), "forgetting": 0.1},
)

# One case per class, for tests of the contract rather than of the numbers.
CLASSES = list({case.cls: case for case in CASES}.values())


def data(steps: int, shape: tuple[int, ...] = (3, 4), seed: int = 0) -> tuple[Any, Any, Any]:
    """A start, a curvature and gradient noise, float64."""
    rng = np.random.default_rng(seed)
    curvature = np.linspace(0.2, 1.0, int(np.prod(shape))).reshape(shape)
    return rng.standard_normal(shape), curvature, rng.standard_normal((steps, *shape))


def reference_path(case: Case, steps: int, seed: int = 0) -> np.ndarray:
    """The reference after `steps` noisy gradient steps, float64."""
    p, curvature, noise = data(steps, seed=seed)
    rule = case.reference(**{"lr": 1e-3, **case.options})
    for t in range(steps):
        p = rule.step(p, curvature * p + noise[t])
    return p


def train(optimizer: Any, p: torch.Tensor, steps: int, *, start: int = 0, seed: int = 0) -> None:
    """The same noisy gradients, on a tensor."""
    _, curvature, noise = data(start + steps, seed=seed)
    wide = torch.promote_types(p.dtype, torch.float32)
    slope = torch.tensor(curvature, dtype=wide)
    for sample in torch.tensor(noise[start:], dtype=wide).unbind():
        p.grad = torch.addcmul(sample, slope, p.detach().to(wide)).to(p.dtype)
        optimizer.step()
