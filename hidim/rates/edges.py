"""Where does stability end as rates grow? By the kernel norm, by runs, or by the gain of the rows.

Constant schedules hold up to where the exact kernel norm is 1; schedules that move, up to the
largest rate whose run over the horizon does not diverge; on measured rows either holds up to where
their exact gain is 1 (systems/row_gain.py). Each is a search along one factor on the rates.
Source and derivations: docs/theory/stability.md, docs/theory/rows.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum, is_stochastic_nesterov, sgd
from hidim.algorithms.schedules import Constant
from hidim.engines.march import Resolution, march
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.support import checks
from hidim.support.roots import bracketed_root
from hidim.systems.kernel_norm import kernel_norm
from hidim.systems.momentum import MomentumSystem
from hidim.systems.row_gain import RowLoop, loop_of

# Relative width to which an edge is bisected by runs; the norm's own edges are exact.
EDGE_TOLERANCE = 2e-3
# Those runs are asked only whether they diverge.
_ROUGH = Resolution(1e-6, stages=7)
# Times at which the norm is looked at while searching for the rate where it reaches 1.
_SEARCH_TIMES = 96
# A gain found to be 1 may be this much more at once; its eigenvalue is known to some 1e-6.
_BESIDE = 1e-5


@dataclass(frozen=True, eq=False)
class Edges:
    """The largest rates of one algorithm of the family on one problem.

    Args:
        spectrum: the problem.
        algorithm: its rates as they are; they may be any.
        batch_size: samples per step.
        steps: (n,) steps at which the run is judged, 0 to the last.

    >>> edges = Edges(Spectrum([1.0], [1.0], 0.0), sgd(0.1), 1, np.array([0.0, 10.0]))
    >>> round(edges.by_runs("gamma_2"), 9)
    0.666666667
    """

    spectrum: Spectrum
    algorithm: Momentum
    batch_size: float
    steps: np.ndarray

    @cached_property
    def loop(self) -> RowLoop | None:
        """The loop of measured rows, where the problem has them."""
        return loop_of(self.spectrum)

    def by_norm(self, name: str, *, loop: RowLoop | None = None) -> float | None:
        """The rate up to which norm or gain stay below 1 at every step.

        Args:
            name: "gamma_2", with gamma_3 / gamma_2 held fixed, or "gamma_3".
            loop: of other rows than the problem's.

        Returns:
            The peak of the rate over the run; None where the algorithm has no such rate.
        """
        loop = self.loop if loop is None else loop
        peak = self._peak(name)
        if peak == 0.0 or (name == "gamma_3" and not self.algorithm.has_momentum):
            return None
        times = self._times()
        scale, top = 1.0, float(self.spectrum.eigenvalues[0])
        if top > 0 and not 1e-20 < peak * top < 1e20:  # a search from such a rate would end early
            scale = 1.0 / peak / top

        def here(factor: float) -> Momentum:
            return self._scaled(name, scale * factor)

        if loop is not None:
            return peak * scale * where_gain_is_one(loop, here, times, self.batch_size)

        def highest(factor: float) -> float:
            return float(np.max(kernel_norm(self.spectrum, here(factor), self.batch_size, times)))

        return peak * scale * where_norm_is_one(highest)

    def by_runs(self, name: str) -> float | None:
        """The rate up to which runs hold: by the norm where nothing moves, and on rows."""
        by_norm = self.by_norm(name)
        if by_norm is None or is_constant(self.algorithm):
            return by_norm
        if self.loop is not None:  # nothing short of the rows knows better
            return by_norm
        if is_stochastic_nesterov(self.algorithm) and math.isfinite(self.batch_size):
            return 0.0  # Even et al. 2021, theorem 7: every rate diverges, however late.
        ends = np.array([0.0, float(self.steps[-1])])
        rough = self.spectrum.compress(nodes_per_octave=8)

        def roughly_holds(factor: float) -> bool:
            system = MomentumSystem(rough, self._scaled(name, factor), self.batch_size)
            return not march(system, ends, _ROUGH).diverged

        def holds(factor: float) -> bool:
            system = MomentumSystem(self.spectrum, self._scaled(name, factor), self.batch_size)
            return not march(system, ends).diverged

        peak = self._peak(name)
        start = by_norm / peak if 0.0 < by_norm < math.inf else 1.0
        factor = where_runs_fail(roughly_holds, start, 2.0)
        if not 0.0 < factor < math.inf:
            return peak * factor
        # Rough runs find the place; the exact ones have the last word.
        just_above = factor * (1.0 + EDGE_TOLERANCE) ** 2
        if holds(factor) and not holds(just_above):
            return peak * factor
        return peak * where_runs_fail(holds, factor, 1.02)

    def clipped(self, name: str, quantile: float) -> float | None:
        """As `by_norm` on the rows shortened to a quantile of their lengths; None without rows."""
        return None if self.loop is None else self.by_norm(name, loop=self.loop.clipped(quantile))

    def _scaled(self, name: str, factor: float) -> Momentum:
        if name == "gamma_2":
            return self.algorithm.scheduled(Constant(factor))
        return replace(self.algorithm, gamma_3=factor * self.algorithm.gamma_3)

    def _peak(self, name: str) -> float:
        return float(np.max(getattr(self.algorithm, name)(np.asarray(self.steps, dtype=float))))

    def _times(self) -> np.ndarray:
        picks = np.unique(np.linspace(0, len(self.steps) - 1, _SEARCH_TIMES).astype(int))
        # One time is enough where nothing moves.
        times = self.steps[:1] if is_constant(self.algorithm) else self.steps[picks]
        # A forgetting of 2 or more, as delta / (1 + t) starts with, is a transient that no rate
        # would make stable if it lasted.
        lasting = self.algorithm.forgetting(times) < 2.0
        return np.asarray(times[lasting] if lasting.any() else times)


def sgd_threshold(problem: Any, batch_size: float = 1, seed: int | None = None) -> float:
    """The largest rate at which plain SGD is stable in mean square, exact at any batch size.

    The root g of sum_j n_j g lambda_j / (B (2 - g lambda_j (B + 1)/B)) = 1 for Gaussian data;
    2 / lambda_max for full batches, infinite on a problem without curvature.

    Example:
        >>> from hidim import Spectrum
        >>> round(sgd_threshold(Spectrum([1.0], [1.0], 0.0)), 12)  # one mode, B = 1: 2/3
        0.666666666667
    """
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    spectrum = as_spectrum(problem, seed)
    top = float(spectrum.eigenvalues[0])
    if top == 0:
        return math.inf
    if batch_size == math.inf:
        return 2.0 / top
    scale = 1.0 / top  # the search works with rates of order one
    loop = loop_of(spectrum)
    if loop is not None:
        once = np.zeros(1)
        return scale * where_gain_is_one(loop, lambda f: sgd(scale * f), once, batch_size)
    return scale * where_norm_is_one(
        lambda factor: float(kernel_norm(spectrum, sgd(scale * factor), batch_size, 0.0))
    )


def is_constant(algorithm: Momentum) -> bool:
    """Whether no rate that acts moves."""
    moving = ["gamma_1", "gamma_3", "forgetting"] if algorithm.has_momentum else []
    names = ["gamma_2", *moving]
    return all(getattr(algorithm, name).constant is not None for name in names)


def where_norm_is_one(highest: Callable[[float], float], *, xtol: float = 1e-14) -> float:
    """The factor at which `highest` passes 1: inf if it never does, 0 if it is never below."""
    low = high = 1.0
    while highest(high) < 1.0:
        low, high = high, 4.0 * high
        if high > 1e30:
            return math.inf
    while not highest(low) < 1.0:
        low, high = 0.25 * low, low
        if low < 1e-30:
            return 0.0

    def excess(log_factor: float) -> float:
        # 1/N is nearly straight and finite where N has its pole.
        return 1.0 / max(highest(math.exp(log_factor)), 1e-3) - 1.0

    return math.exp(bracketed_root(excess, math.log(low), math.log(high), xtol=xtol))


def where_gain_is_one(
    loop: RowLoop, scaled: Callable[[float], Momentum], times: np.ndarray, batch_size: float
) -> float:
    """The factor at which the gain of rows passes 1 at some time; as `where_norm_is_one`.

    The first edge of single times: of the one with the largest gain, then of whichever is found
    to lie above 1 there, until none does. A gain is dear, and most times never matter.
    """

    holds = loop.below(1.0 + _BESIDE, batch_size)

    def edge(some: np.ndarray, start: float) -> float:
        highest = loop.largest(some, batch_size)
        return start * where_norm_is_one(lambda f: highest(scaled(start * f)), xtol=0.1 * _BESIDE)

    above = np.asarray(times, dtype=np.float64)
    factor = 1.0
    for _ in times:
        gains = [found.value for found in loop.along(scaled(factor), batch_size, above)]
        factor = edge(above[[int(np.argmax(gains))]], factor)
        if len(times) == 1 or factor == 0.0:
            return factor
        if factor == math.inf:
            break
        here = scaled(factor)
        above = np.array([t for t in times if not holds(here, float(t))])
        if not above.size:
            return factor
    return edge(times, 1.0)


def where_runs_fail(holds: Callable[[float], bool], start: float, stride: float) -> float:
    """The largest factor whose run holds: bracketed around `start` by `stride`, bisected."""
    low = high = start
    if holds(start):
        while holds(high := stride * low):
            low, stride = high, stride**2 if stride < 4 else stride
            if high > 1e12 * start:
                return math.inf
    else:
        while not holds(low := high / stride):
            high, stride = low, stride**2 if stride < 4 else stride
            if low < 1e-12 * start:
                return 0.0
    while high > low * (1.0 + EDGE_TOLERANCE):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
