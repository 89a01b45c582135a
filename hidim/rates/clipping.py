"""Which threshold for this noise, constant or following the risk, and what does it buy?

Two criteria say what clipping residuals at c does at an excess R, with e the residual there:

    2P mu / nu > 1     a larger rate contracts, by that factor
    2P mu^2 / nu > 1   descent at its best rate is faster, by that factor

mu = P(|e| <= c), nu = E min(e^2, c^2). The second is largest at c*(R). Over a known horizon three
ways are set side by side, each at its best rate: no clipping, the best constant threshold, and the
schedule of one parameter, c*(R_t) with the rate gamma mu / nu. The last is written out as tables,
so that it can be run.
Source: arXiv 2406.11733 for the criteria; derived for this project, docs/theory/clipping.md.
Limits: SGD, Gaussian rows. Of measured rows the covariance and the law of the residuals are kept,
and the rows taken for Gaussian.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import Curve
from hidim.engines.solve import MAX_STEPS
from hidim.measure.crossings import settling_time
from hidim.problems import as_spectrum
from hidim.rates.clip_search import Search, as_gaussian, huber_excess
from hidim.support import checks
from hidim.support.json import plain
from hidim.support.results import Saved

KINDS = ("residual", "norm")
# Descent that is faster by less than this is no help.
_WORTH = 1e-3
# An excess that is lower by less than this at the horizon is hardly worth a threshold.
_PAYS = 1e-2


@dataclass(frozen=True, eq=False)
class Clipping(Saved, format="hidim-clipping/1"):
    """What clipping does for SGD on a problem, over a horizon.

    Attributes:
        helps: whether it does, at some risk on the way and by a thousandth at least.
        verdict: the answer in one line.
        kind: what the thresholds are of, "residual" or "norm".
        excess: (n,) excess risks from the start to the lowest that is reached.
        thresholds: (n,) best threshold there; infinite where clipping never helps.
        mu: (n,) share of the mean gradient that it leaves.
        larger_rate: (n,) 2P mu / nu, how much larger the rate may be.
        gain: (n,) 2P mu^2 / nu, how many times faster descent is; both are infinite where the
            noise has no variance.
        share: (n,) mu^2 / nu over the Fisher information of the residual, which no weighting of
            residuals can beat; NaN for laws that are not centred mixtures.
        unclipped, constant, scheduled: the three curves; None for no clipping where that has no
            expected risk, and for the other two where clipping never helps.
        unclipped_algorithm, algorithm, schedule: what they are of.
        threshold: of `algorithm`, None where there is none.
        huber: on measured rows the excess risk of where that goes, Huber's optimum, over least
            squares, which the prediction for Gaussian rows does not know; else None.
    """

    helps: bool
    verdict: str
    kind: str
    steps: float
    batch_size: float
    excess: np.ndarray
    thresholds: np.ndarray
    mu: np.ndarray
    larger_rate: np.ndarray
    gain: np.ndarray
    share: np.ndarray
    threshold: float | None
    unclipped: Curve | None = field(repr=False)
    constant: Curve | None = field(repr=False)
    scheduled: Curve | None = field(repr=False)
    unclipped_algorithm: Any = field(repr=False)
    algorithm: Any = field(repr=False)
    schedule: Any = field(repr=False)
    huber: float | None = None

    @property
    def caution(self) -> str:
        """Where the constant threshold is not as predicted; empty if nowhere is known."""
        said = "" if self.constant is None else str(self.constant.provenance.get("caution", ""))
        if not self.huber:
            return said
        table = (
            f"on a table of rows clipped descent goes to Huber's optimum, here {self.huber:.3g} "
            "above least squares, which the prediction does not know"
        )
        return "; ".join(filter(None, [said, table]))

    @property
    def curves(self) -> dict[str, Curve]:
        """Those of the three that there are, by name."""
        three = {name: getattr(self, name) for name in ("unclipped", "constant", "scheduled")}
        return {name: curve for name, curve in three.items() if curve is not None}

    def times_lower(self, name: str) -> float | None:
        """The unclipped excess at the end over that of a curve; None where one is missing."""
        curve = self.curves.get(name)
        if curve is None or self.unclipped is None:
            return None
        return float(self.unclipped.excess[-1] / curve.excess[-1])

    def times_sooner(self, name: str) -> float | None:
        """Steps over those after which a curve is where unclipped SGD ends; None if never."""
        curve = self.curves.get(name)
        if curve is None or self.unclipped is None:
            return None
        first = settling_time(curve, float(self.unclipped.risk[-1]))
        return None if not first > 0 else self.steps / first

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers for strict JSON; infinities become None."""
        names = ["helps", "verdict", "caution", "huber", "kind", "steps", "batch_size", "threshold"]
        names += ["excess", "thresholds", "mu", "larger_rate", "gain", "share"]
        ways = {
            name: {
                "gamma_2": _rate(algorithm),
                "excess": curve.excess[-1],
                "times_lower": self.times_lower(name),
                "times_sooner": self.times_sooner(name),
                "curve": curve.to_dict(),
            }
            for name, curve in self.curves.items()
            for algorithm in [self._algorithms[name]]
        }
        found: dict[str, Any] = plain({name: getattr(self, name) for name in names} | ways)
        return found

    @property
    def _algorithms(self) -> dict[str, Any]:
        return {
            "unclipped": self.unclipped_algorithm,
            "constant": self.algorithm,
            "scheduled": self.schedule,
        }


def clipping(
    problem: Any,
    steps: float,
    batch_size: float = 1,
    *,
    kind: str = "residual",
    seed: int | None = None,
) -> Clipping:
    """Whether clipping helps SGD on this problem, at which threshold, and by how much.

    Args:
        problem: one with a law of noise, `PLRF(..., noise=)` or a Spectrum; one with measured rows
            stands for Gaussian rows with its covariance and its residuals as the noise.
        steps: the horizon, at least 1.
        batch_size: samples per step, finite.
        kind: "residual" or "norm": what is clipped of every sample.
        seed: None for the deterministic equivalent, a number to draw that W.

    Raises:
        ValueError: an argument out of range, or rows that are not Gaussian.

    >>> import hidim
    >>> noise = hidim.noise.Sample((-3.0, 0.0, 0.0, 3.0))
    >>> found = clipping(hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.0, noise=noise), 30)
    >>> found.helps, bool(found.times_lower("constant") > 1.9), found.threshold < 1.0
    (True, True, True)
    >>> clipping(hidim.Spectrum([1.0], [1.0], 0.5), 100).verdict
    'never: for this noise no threshold makes descent faster'
    """
    steps = checks.whole("steps", steps, minimum=1)
    if steps > MAX_STEPS:
        raise ValueError(f"`steps` must be at most {MAX_STEPS:g}, got {steps:g}.")
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    if math.isinf(batch_size):
        raise ValueError("`batch_size`=inf has no noise to clip: give a finite batch.")
    checks.choice("kind", kind, KINDS)
    given = as_spectrum(problem, checks.seed("seed", seed))
    found = _found(Search(as_gaussian(given), float(steps), float(batch_size), kind))
    if given.law.rows is None or found.threshold is None:
        return found
    return replace(found, huber=huber_excess(given.law.rows, found.threshold, kind))


def _found(search: Search) -> Clipping:
    """The three ways, and what they come to."""
    plainly = None if math.isinf(search.variance) else search.unclipped()
    first = None if plainly is None else search.curve(plainly)
    helps = math.isinf(search.variance) or search.gain(search.start, first) > 1.0 + _WORTH
    best, moving, second, third = None, None, None, None
    if helps:
        moving, gamma = search.schedule()
        third = search.curve(moving)
        best = search.constant(third, gamma)
        second = search.curve(best)
    lowest = min(c.excess[-1] for c in (first, second, third) if c is not None)
    table: dict[str, Any] = dict(search.table(float(lowest)))
    found = Clipping(
        helps=helps,
        verdict="",
        kind=search.kind,
        steps=search.steps,
        batch_size=search.batch_size,
        **table,
        threshold=None if best is None else _threshold(best),
        unclipped=first,
        constant=second,
        scheduled=third,
        unclipped_algorithm=plainly,
        algorithm=best,
        schedule=moving,
    )
    return replace(found, verdict=_verdict(found))


def _rate(algorithm: Momentum) -> float:
    """gamma_2 at the start."""
    return float(algorithm.gamma_2(0.0))


def _threshold(algorithm: Any) -> float:
    return float(algorithm.gradient.threshold(0.0))


def _verdict(found: Clipping) -> str:
    if not found.helps:
        return "never: for this noise no threshold makes descent faster"
    if found.unclipped is None:
        return "yes: without clipping the noise has no variance and SGD no expected risk"
    lower = found.times_lower("constant")
    sooner = found.times_sooner("constant")
    said = f"after {found.steps:.4g} steps the best constant threshold has {lower:.3g} times less"
    when = "" if sooner is None else f", and is {sooner:.3g} times sooner where SGD ends"
    answer = "yes" if lower is not None and lower > 1.0 + _PAYS else "hardly"
    return f"{answer}: {said} excess than SGD, both at their best rates{when}"
