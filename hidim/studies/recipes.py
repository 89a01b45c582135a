"""How do an optimizer's rates follow the size of the problem?

By default they are `hidim.recommend`'s at every size; with a scale of its own, in units of the
largest stable ones, one recipe serves d = 100 and d = 1e9 alike:

    gamma_2 = step / trace,   gamma_3(t) = ratio gamma_2 d^-(kappa_2 - kappa_1) (1+t)^-kappa_3,
    Delta(t) = delta / (delta + t),

with the trace of K, which grows like d^kappa_1 below the line 2 alpha = 1, and the kappas of
algorithms/kappas.py. step = ratio = 1/2 holds the exact kernel norm near one half.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.named import lookup
from hidim.problems.power_law import PLRF
from hidim.rates.recommend import recommend
from hidim.scaling.law import ScalingLaw, scaling_law
from hidim.support.checks import finite, non_negative, positive, shown


@dataclass(frozen=True)
class Recipe:
    """How an optimizer's rates follow the size of the problem.

    Attributes:
        name: an algorithm with a scaling law, in any spelling.
        step: gamma_2 x trace, below 2 for SGD to be stable at batch 1; 0.5 beside a ratio or
            delta. Without any of the three the rates are the recommended ones.
        ratio: gamma_3 / gamma_2 up to the powers of d and t; 0.5 beside a step or delta.
        delta: friction; beside a step or ratio 4 + (alpha + beta) / alpha, enough for every term.
            For "sgd-momentum" the constant forgetting, 0.1 by default.
        kappa_2: for "general-momentum".
        kappa_3: for "general-momentum".
    """

    name: str = "sgd"
    step: float | None = None
    ratio: float | None = None
    delta: float | None = None
    kappa_2: float | None = None
    kappa_3: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", lookup(self.name).name)
        for key in ("step", "ratio", "delta"):
            if getattr(self, key) is not None:
                check = positive if key == "step" else non_negative
                object.__setattr__(self, key, check(key, getattr(self, key)))
        for key in ("kappa_2", "kappa_3"):
            if getattr(self, key) is not None:
                object.__setattr__(self, key, finite(key, getattr(self, key)))
        if self.step is None and (self.ratio, self.delta) != (None, None):
            object.__setattr__(self, "step", 0.5)

    @classmethod
    def of(cls, recipe: Recipe | str) -> Recipe:
        """The recipe itself, or that of a name.

        Raises:
            ValueError: neither of them, or an unknown name.
        """
        if isinstance(recipe, cls):
            return recipe
        if not isinstance(recipe, str):
            raise ValueError(
                f"`recipe` must be a name such as 'sgd' or a hidim.studies.Recipe, got "
                f"{shown(recipe)}."
            )
        return cls(recipe)

    def law(self, alpha: float, beta: float) -> ScalingLaw:
        """The scaling law this recipe should show."""
        return scaling_law(alpha, beta, self.name, kappa_2=self.kappa_2, kappa_3=self.kappa_3)

    def algorithm(
        self,
        alpha: float,
        beta: float,
        d: float,
        trace: float,
        *,
        v_over_d: float | None = None,
        batch_size: float = 1,
    ) -> Momentum:
        """The optimizer at this size: the recommended one, or at the recipe's own scale.

        Args:
            trace: of the problem's Hessian, which the scale is in units of.
            v_over_d: v / d, for recommended rates; as in `run_ladder`.
            batch_size: samples per step, for recommended rates.

        >>> from hidim.algorithms import sgd
        >>> Recipe("sgd", step=0.5).algorithm(1.0, 0.7, 1000, 1.6) == sgd(0.5 / 1.6)
        True
        """
        kappas = self.law(alpha, beta).kappas
        record = lookup(self.name)
        if self.step is None:
            if v_over_d is None:
                v_over_d = math.inf if 2 * alpha > 1 else 4.0
            return recommend(
                PLRF.of_ratio(alpha, beta, d, v_over_d),
                self.name,
                batch_size,
                kappa_2=self.kappa_2,
                kappa_3=self.kappa_3,
                kappa_b=0.0,  # a ladder's batch stays as it is
            )
        delta = self.delta
        if delta is None and record.forgetting is None:
            delta = 4 + (alpha + beta) / alpha
        ratio = 0.5 if self.ratio is None else self.ratio
        return record.at(self.step / trace, ratio, delta, kappas, d)


def steps_to_watch(law: ScalingLaw, recipe: Recipe, d: float, trace: float) -> float:
    """Estimated steps to the floor: the power of d, with the rate's amplitude."""
    rate = law.rates.c_2
    if recipe.step is not None:
        rate = recipe.step / trace * d**law.kappas.kappa_1
    return max(10.0, 10 / min(rate, 1.0) * d**law.floor_time)
