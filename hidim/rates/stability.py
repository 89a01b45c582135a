"""Which learning rates hold on this problem, and when do the others diverge?

Two answers side by side. The exact kernel norm N(t) of the frozen coefficients
(kernel_norm.py) is the criterion for constant schedules: mean-square stable if and only if
N < 1. For schedules that move it is a warning, pessimistic where slow modes have not
responded yet and silent on transients; there the discrete recursion decides, run to the last
step. A largest rate is defined accordingly: the edge N = 1 for constant schedules, and
otherwise the largest rate with which the run over this horizon does not diverge.
Source: arXiv 2505.16098 for N; docs/theory/stability.md derives the exact form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum, is_stochastic_nesterov, sgd
from hidim.algorithms.schedules import Constant
from hidim.curve import DIVERGENCE_FACTOR, Curve, log_spaced_steps
from hidim.engines.march import march
from hidim.engines.solve import solve
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.rates.recommend import resolve
from hidim.support import checks
from hidim.support.json import plain
from hidim.support.results import Saved
from hidim.support.roots import bracketed_root
from hidim.systems.kernel_norm import growth_rate, kernel_norm, small_step_norm

# Relative width to which an edge is bisected by runs; the norm's own edges are exact.
EDGE_TOLERANCE = 2e-3
# Local error of those runs: they are asked only whether they diverge.
RUN_TOLERANCE = 1e-6
# Times at which the norm is looked at while searching for the rate where it reaches 1.
_SEARCH_TIMES = 96


@dataclass(frozen=True, eq=False)
class Stability(Saved, format="hidim-stability/1"):
    """Whether a run holds, how close it is to the edge, and where the edges are.

    The edges are computed when first read; those of moving schedules take about ten runs.

    Attributes:
        steps: shape (n,), the steps at which the norms are given, 0 to the last.
        norm: shape (n,), the exact kernel norm with the coefficients frozen at each step;
            infinite where a mode is unstable by itself.
        small_step_norm: shape (n,), its small-step expansion, for comparison only.
        stable: whether the run holds; for constant schedules also ever after.
        verdict: the outcome in one line.
        warning: what to be careful about although the run holds; empty if nothing.
        diverged_at: first step with a risk above 1000 times the start, on a run that does
            not come back; None if there is none within the steps.
        growth: largest growth of the second moments per step, frozen at the last step.
        highest_risk: largest risk of the run over its start.
        curve: the exact run itself.
    """

    steps: np.ndarray
    norm: np.ndarray
    small_step_norm: np.ndarray
    stable: bool
    verdict: str
    warning: str
    diverged_at: float | None
    growth: float
    highest_risk: float
    curve: Curve = field(repr=False)
    algorithm: Momentum = field(repr=False)
    spectrum: Spectrum = field(repr=False)
    batch_size: float = field(repr=False)

    @cached_property
    def largest_gamma_2(self) -> float | None:
        """Largest stable gamma_2 with gamma_3 / gamma_2 held fixed; its peak if it moves.

        0.0 for stochastic Nesterov, which no rate makes stable; None for an algorithm without
        gamma_2.
        """
        return self._edge("gamma_2", self._scaled_rates)

    @cached_property
    def largest_gamma_3(self) -> float | None:
        """Largest stable gamma_3 with gamma_2 held fixed; its peak if it moves.

        0.0 where gamma_2 is unstable alone, None for an algorithm without gamma_3.
        """
        return self._edge("gamma_3", self._scaled_momentum)

    @cached_property
    def norm_gamma_2(self) -> float | None:
        """Like `largest_gamma_2`, for N < 1 at every step: what a cautious user would keep to."""
        return self._norm_edge("gamma_2", self._scaled_rates)

    @cached_property
    def norm_gamma_3(self) -> float | None:
        """Like `largest_gamma_3`, for N < 1 at every step."""
        return self._norm_edge("gamma_3", self._scaled_momentum)

    @cached_property
    def sgd_threshold(self) -> float:
        """The exact largest rate of plain SGD on this problem at this batch size."""
        return sgd_threshold(self.spectrum, self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers for strict JSON; infinities become None."""
        numbers = ["growth", "highest_risk", "largest_gamma_2", "largest_gamma_3"]
        numbers += ["norm_gamma_2", "norm_gamma_3", "sgd_threshold", "diverged_at"]
        names = ["stable", "verdict", "warning", *numbers, "batch_size", "algorithm"]
        names += ["steps", "norm", "small_step_norm"]
        table: dict[str, Any] = plain({name: getattr(self, name) for name in names})
        return table

    def _scaled_rates(self, factor: float) -> Momentum:
        return self.algorithm.scheduled(Constant(factor))

    def _scaled_momentum(self, factor: float) -> Momentum:
        a = self.algorithm
        return Momentum(a.gamma_1, a.gamma_2, factor * a.gamma_3, a.forgetting)

    def _peak(self, name: str) -> float:
        return float(np.max(getattr(self.algorithm, name)(np.asarray(self.steps, dtype=float))))

    def _norm_edge(self, name: str, scaled: Callable[[float], Momentum]) -> float | None:
        peak = self._peak(name)
        if peak == 0.0 or (name == "gamma_3" and not self.algorithm.has_momentum):
            return None
        picks = np.unique(np.linspace(0, len(self.steps) - 1, _SEARCH_TIMES).astype(int))
        # One time is enough where nothing moves.
        times = self.steps[:1] if _is_constant(self.algorithm) else self.steps[picks]
        # A forgetting of 2 or more, as delta / (1 + t) starts with, is a transient that no rate
        # would make stable if it lasted.
        lasting = self.algorithm.forgetting(times) < 2.0
        times = times[lasting] if lasting.any() else times

        def highest(factor: float) -> float:
            norm = kernel_norm(self.spectrum, scaled(factor), self.batch_size, times)
            return float(np.max(norm))

        scale, top = 1.0, float(self.spectrum.eigenvalues[0])
        if top > 0 and not 1e-20 < peak * top < 1e20:  # a search from such a rate would end early
            scale = 1.0 / peak / top
        return peak * scale * _where_norm_is_one(lambda factor: highest(scale * factor))

    def _edge(self, name: str, scaled: Callable[[float], Momentum]) -> float | None:
        by_norm = self._norm_edge(name, scaled)
        if by_norm is None or _is_constant(self.algorithm):
            return by_norm
        if is_stochastic_nesterov(self.algorithm) and math.isfinite(self.batch_size):
            return 0.0  # Even et al. 2021, theorem 7: every rate diverges, however late.
        ends = np.array([0.0, float(self.steps[-1])])
        rough = self.spectrum.compress(nodes_per_octave=8)

        def roughly_holds(factor: float) -> bool:
            record = march(rough, scaled(factor), self.batch_size, ends, tolerance=RUN_TOLERANCE)
            return not record.diverged

        def holds(factor: float) -> bool:
            run = solve(
                self.spectrum, scaled(factor), at=ends, batch_size=self.batch_size, engine="exact"
            )
            return run.status == "ok"

        peak = self._peak(name)
        start = by_norm / peak if 0.0 < by_norm < math.inf else 1.0
        factor = _where_runs_fail(roughly_holds, start, 2.0)
        if not 0.0 < factor < math.inf:
            return peak * factor
        # Rough runs find the place; the exact ones have the last word.
        just_above = factor * (1.0 + EDGE_TOLERANCE) ** 2
        if holds(factor) and not holds(just_above):
            return peak * factor
        return peak * _where_runs_fail(holds, factor, 1.02)


def stability(
    problem: Any,
    algorithm: Momentum | str,
    steps: float,
    batch_size: float = 1,
    seed: int | None = None,
) -> Stability:
    """Whether `algorithm` holds on `problem` over `steps`, and by what margin.

    Args:
        problem: a PLRF or another problem, or a Spectrum.
        algorithm: a member of the momentum family, or a name: the recommended one.
        steps: last optimizer step, up to 1e20.
        batch_size: samples per step; math.inf leaves only the modes' own stability.
        seed: None for the deterministic equivalent, a number to draw that W.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> from hidim import Spectrum, sgd
        >>> spectrum = Spectrum([1.0, 0.5, 0.25], [1.0, 1.0, 1.0], 0.0)
        >>> report = stability(spectrum, sgd(0.6), steps=10_000)
        >>> report.stable, round(float(report.norm[0]), 3), round(report.largest_gamma_2, 3)
        (False, 1.053, 0.586)
    """
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    spectrum = as_spectrum(problem, seed)
    algorithm = resolve(problem, algorithm, batch_size, seed=seed, steps=steps)
    run = solve(spectrum, algorithm, steps, batch_size=batch_size, engine="exact", seed=seed)
    grid = _grid(float(run.steps[-1]), algorithm)
    norm = kernel_norm(spectrum, algorithm, batch_size, grid)
    try:
        growth = growth_rate(spectrum, algorithm, batch_size, float(grid[-1]))
    except OverflowError:  # absurd rates grow beyond float64 in a step
        growth = math.inf
    start = float(run.risk[0])
    highest = float(np.max(run.risk)) / start if start > 0 else 1.0
    holds = run.status == "ok"
    stable = holds and not (_is_constant(algorithm) and not norm[0] < 1.0)
    return Stability(
        steps=grid,
        norm=norm,
        small_step_norm=small_step_norm(spectrum, algorithm, batch_size, grid),
        stable=stable,
        verdict=_verdict(stable, run, grid, norm, growth),
        warning=_warning(grid, norm, growth, highest) if stable else "",
        diverged_at=run.diverged_at,
        growth=growth,
        highest_risk=highest,
        curve=run,
        algorithm=algorithm,
        spectrum=spectrum,
        batch_size=batch_size,
    )


def sgd_threshold(problem: Any, batch_size: float = 1, seed: int | None = None) -> float:
    """The largest rate at which plain SGD is stable in mean square, exact at any batch size.

    The root g of sum_j n_j g lambda_j / (B (2 - g lambda_j (B + 1)/B)) = 1; 2 / lambda_max
    for full batches, infinite on a problem without curvature.

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
    return scale * _where_norm_is_one(
        lambda factor: float(kernel_norm(spectrum, sgd(scale * factor), batch_size, 0.0))
    )


def _is_constant(algorithm: Momentum) -> bool:
    moving = ["gamma_1", "gamma_3", "forgetting"] if algorithm.has_momentum else []
    names = ["gamma_2", *moving]
    return all(getattr(algorithm, name).constant is not None for name in names)


def _grid(last: float, algorithm: Momentum) -> np.ndarray:
    """The default steps, and the last and first step of every formula of the schedules."""
    edges = np.array([b for b in algorithm.breakpoints if 0 < b <= last], dtype=np.float64)
    both = np.concatenate([np.ceil(edges) - 1.0, np.ceil(edges)])
    steps = np.union1d(log_spaced_steps(last).astype(np.float64), both[both <= last])
    return steps.astype(np.int64) if last <= 2**53 else steps


def _where_norm_is_one(highest: Callable[[float], float]) -> float:
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

    return math.exp(bracketed_root(excess, math.log(low), math.log(high)))


def _where_runs_fail(holds: Callable[[float], bool], start: float, stride: float) -> float:
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


def _verdict(stable: bool, run: Curve, grid: np.ndarray, norm: np.ndarray, growth: float) -> str:
    last = float(grid[-1])
    if run.status == "diverged":
        at = "an early step" if run.diverged_at is None else f"step {run.diverged_at:.9g}"
        return f"diverges: the risk passes {DIVERGENCE_FACTOR:g} times its start at {at}"
    if not stable:
        return (
            f"unstable: the kernel norm is {norm[0]:.4g} and the moments grow by {growth:.3g} per "
            f"step, too little to pass {DIVERGENCE_FACTOR:g} times the start in {last:.4g} steps"
        )
    highest = float(np.max(norm))
    if run.batch_size == math.inf and highest < 1.0:
        return f"stable: full batches carry no noise and every mode contracts over {last:.4g} steps"
    if highest < 1.0:
        return f"stable: the kernel norm stays at or below {highest:.4g} over {last:.4g} steps"
    return f"holds over {last:.4g} steps, although the kernel norm reaches {highest:.4g}"


def _warning(grid: np.ndarray, norm: np.ndarray, growth: float, highest: float) -> str:
    parts = []
    over = grid[norm >= 1.0]
    if over.size:
        parts.append(f"the kernel norm is 1 or more between steps {over[0]:.6g} and {over[-1]:.6g}")
    if growth > 0:
        parts.append(
            f"with the rates of the last step the moments would grow by {growth:.3g} per step, so "
            "a longer run may diverge"
        )
    if highest > 1.1:
        parts.append(f"on its way the risk rises to {highest:.3g} times its start")
    return "; ".join(parts)
