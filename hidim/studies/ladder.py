"""The same optimizer on the same problem at a ladder of sizes: exact curves to measure on.

A `Recipe` says how the rates follow the size. By default they are `hidim.recommend`'s at every
size; with a scale of its own, in units of the largest stable ones, one recipe serves d = 100 and
d = 1e9 alike:

    gamma_2 = step / trace,   gamma_3(t) = ratio gamma_2 d^-(kappa_2 - kappa_1) (1+t)^-kappa_3,
    Delta(t) = delta / (delta + t),

with the trace of K, which grows like d^kappa_1 below the line 2 alpha = 1, and the kappas of
algorithms/kappas.py. step = ratio = 1/2 holds the exact kernel norm near one half.
Limits: deterministic equivalent, so v / d fixed (infinite above the line), batch fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.algorithms.named import lookup
from hidim.curve import Curve, log_steps
from hidim.engines.targets import predict_targets
from hidim.problems.power_law import PLRF, spectra_at
from hidim.rates.recommend import recommend
from hidim.scaling.law import ScalingLaw, scaling_law
from hidim.support.checks import finite, finite_array, non_negative, positive, shown, whole
from hidim.support.results import Saved


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


@dataclass(frozen=True, eq=False)
class Ladder(Saved, format="hidim-ladder/1"):
    """Curves of one problem and recipe at growing sizes.

    Attributes:
        alpha: exponent of the data.
        beta: exponent of the target.
        recipe: the optimizer.
        law: what theory says.
        sizes: (n,) parameters.
        curves: one per size.
        floors: (n,) risk floors.
    """

    alpha: float
    beta: float
    recipe: Recipe
    law: ScalingLaw
    sizes: np.ndarray
    curves: tuple[Curve, ...]
    floors: np.ndarray


def check_sizes(sizes: Iterable[float], *, needed: bool = True) -> list[float]:
    """Sizes as whole numbers, at least 2.

    Raises:
        ValueError: none, or something that is no size.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise ValueError(f"`sizes` must be a row of numbers, got {shown(sizes)}.")
    found = [whole("sizes", d, minimum=2) for d in sizes]
    if needed and not found:
        raise ValueError("`sizes` is empty: give at least one.")
    return found


def sizes_between(low: float, high: float, per_decade: float = 6) -> np.ndarray:
    """Whole sizes evenly spread in log d, both ends included.

    >>> sizes_between(100, 1000, 2)
    array([ 100.,  316., 1000.])
    """
    count = 1 + max(1, round(per_decade * math.log10(high / low)))
    return np.unique(np.round(np.geomspace(low, high, count)))


def run_ladder(
    alpha: float,
    beta: float | Sequence[float],
    recipe: Recipe | str = "sgd",
    *,
    sizes: Iterable[float] | None = None,
    v_over_d: float | None = None,
    batch_size: float = 1,
    reach: float = 100.0,
    done: Callable[[], object] | None = None,
) -> Ladder | list[Ladder]:
    """Predict the exact curves of a recipe over a ladder of sizes.

    Args:
        alpha: exponent of the data; positive.
        beta: exponent of the target, or a row of them, which shares all the work: one algorithm,
            with the friction that the largest of them asks for.
        recipe: the optimizer, or its name with default amplitudes.
        sizes: parameters; 100 to 1e7 with six per decade by default.
        v_over_d: v / d; infinite above the line 2 alpha = 1, 4 below it.
        batch_size: samples per step.
        reach: each run lasts this many times its estimated time to the floor.
        done: called after each size, for a progress bar.

    Returns:
        A Ladder, or one for each beta.

    Raises:
        ValueError: an argument out of range, or a problem in the trivial phase.
    """
    recipe = Recipe.of(recipe)
    reach = positive("reach", reach)
    batch_size = whole("batch_size", batch_size, minimum=1, allow_inf=True)
    betas = np.atleast_1d(finite_array("beta", beta, ndim=(0, 1)))
    if not betas.size:
        raise ValueError("`beta` is empty: give at least one.")
    laws = [recipe.law(alpha, float(b)) for b in betas]
    for law in laws:
        if law.phase == "trivial":
            raise ValueError(
                f"`beta` is {law.beta:g}, but alpha + beta must exceed 1/2 for an exponent."
            )
    ratio = positive("v_over_d", v_over_d) if v_over_d not in (None, math.inf) else v_over_d
    if ratio is None:
        ratio = math.inf if 2 * alpha > 1 else 4.0
    steps_of = np.array(
        sizes_between(100, 1e7) if sizes is None else check_sizes(sizes), dtype=float
    )
    rows: list[list[Curve]] = []
    floors = []
    for d in steps_of:
        spectra = spectra_at(alpha, betas, d, ratio)
        algorithm = recipe.algorithm(
            alpha,
            float(betas.max()),
            d,
            spectra[0].trace,
            v_over_d=ratio,
            batch_size=batch_size,
        )
        last = reach * max(steps_to_watch(law, recipe, d, spectra[0].trace) for law in laws)
        at = log_steps(last)
        rows.append(predict_targets(spectra, algorithm, at, batch_size=batch_size))
        floors.append([spectrum.risk_floor for spectrum in spectra])
        if done is not None:
            done()
    found = [
        Ladder(
            alpha=float(alpha),
            beta=float(b),
            recipe=recipe,
            law=laws[k],
            sizes=steps_of,
            curves=tuple(row[k] for row in rows),
            floors=np.array([floor[k] for floor in floors]),
        )
        for k, b in enumerate(betas)
    ]
    return found if np.ndim(beta) else found[0]


def steps_to_watch(law: ScalingLaw, recipe: Recipe, d: float, trace: float) -> float:
    """Estimated steps to the floor: the power of d, with the rate's amplitude."""
    rate = law.rates.c_2
    if recipe.step is not None:
        rate = recipe.step / trace * d**law.kappas.kappa_1
    return max(10.0, 10 / min(rate, 1.0) * d**law.floor_time)
