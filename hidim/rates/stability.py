"""Which learning rates hold on this problem, and when do the others diverge?

Two answers side by side. The exact kernel norm N(t) of the frozen coefficients
(kernel_norm.py) is the criterion for constant schedules: mean-square stable if and only if
N < 1. For schedules that move it is a warning, pessimistic where slow modes have not
responded yet and silent on transients; there the discrete recursion decides, run to the last
step. A largest rate is defined accordingly: the edge N = 1 for constant schedules, and
otherwise the largest rate with which the run over this horizon does not diverge.
For any other theory the norm is the gain of its own loop, linearised along the run (frozen.py),
and no edge is known.
Source: arXiv 2505.16098 for N; docs/theory/stability.md derives the exact form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.base import is_named
from hidim.algorithms.momentum import Momentum, is_plain, is_stochastic_nesterov, sgd
from hidim.algorithms.schedules import Constant
from hidim.curve import Curve, log_spaced_steps
from hidim.engines.march import Resolution, march
from hidim.engines.solve import solve
from hidim.problems import as_spectrum
from hidim.problems.spectrum import Spectrum
from hidim.rates.edges import EDGE_TOLERANCE, where_norm_is_one, where_runs_fail
from hidim.rates.frozen import gains, growth_of
from hidim.rates.recommend import resolve
from hidim.rates.verdict import GAIN, verdict, warning
from hidim.support import checks
from hidim.support.checks import shown
from hidim.support.json import plain
from hidim.support.results import Saved
from hidim.systems.base import System, chain
from hidim.systems.builders import system_of
from hidim.systems.kernel_norm import growth_rate, kernel_norm, loop_gain, small_step_norm
from hidim.systems.momentum import MomentumSystem
from hidim.systems.row_gain import RowLoop, looks, loop_of
from hidim.systems.rows import RowsSystem

# Those runs are asked only whether they diverge.
_ROUGH = Resolution(1e-6, stages=7)
# Times at which the norm is looked at while searching for the rate where it reaches 1.
_SEARCH_TIMES = 96


@dataclass(frozen=True, eq=False)
class Stability(Saved, format="hidim-stability/1"):
    """Whether a run holds, how close it is to the edge, and where the edges are.

    The edges are computed when first read; those of moving schedules take about ten runs.

    Attributes:
        steps: shape (n,), the steps at which the norms are given, 0 to the last.
        norm: shape (n,), the exact kernel norm with the coefficients frozen at each step;
            infinite where a mode is unstable by itself. Outside the momentum family the gain of
            the theory's own loop at the state of the run; NaN where it gives single steps alone.
        small_step_norm: shape (n,), its small-step expansion, for comparison only; None outside
            the momentum family.
        stable: whether the run holds; for constant schedules also ever after.
        verdict: the outcome in one line.
        warning: what to be careful about although the run holds; empty if nothing.
        diverged_at: first step with a risk above 1000 times the start, on a run that does
            not come back; None if there is none within the steps.
        growth: largest growth of the second moments per step, frozen at the last step.
        highest_risk: largest risk of the run over its start.
        curve: the exact run itself.
        no_edges: why no largest rate is known, where none is: all of them are None then.
        gain: shape (n,), the factor by which noise comes back (kernel_norm.loop_gain), 1 where
            the norm is 1 and larger below; on measured rows that of the rows themselves, which
            `norm` repeats. None outside the momentum family.
        rows, shares: which rows carry the largest gain, most first, and what part of it; None
            without measured rows.
    """

    steps: np.ndarray
    norm: np.ndarray
    small_step_norm: np.ndarray | None
    stable: bool
    verdict: str
    warning: str
    diverged_at: float | None
    growth: float
    highest_risk: float
    curve: Curve = field(repr=False)
    algorithm: Any = field(repr=False)
    spectrum: Spectrum | None = field(repr=False)
    batch_size: float = field(repr=False)
    no_edges: str = ""
    gain: np.ndarray | None = None
    rows: np.ndarray | None = None
    shares: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not is_named(self.algorithm):
            raise ValueError(f"`algorithm` must be one with a name, got {shown(self.algorithm)}.")

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
    def sgd_threshold(self) -> float | None:
        """The exact largest rate of plain SGD on this problem at this batch size.

        None for a problem that is no Spectrum.
        """
        return None if self.spectrum is None else sgd_threshold(self.spectrum, self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers for strict JSON; infinities become None."""
        numbers = ["growth", "highest_risk", "largest_gamma_2", "largest_gamma_3"]
        numbers += ["norm_gamma_2", "norm_gamma_3", "sgd_threshold", "diverged_at"]
        names = ["stable", "verdict", "warning", *numbers, "batch_size", "algorithm"]
        names += ["steps", "norm", "small_step_norm", "no_edges", "gain", "rows", "shares"]
        table: dict[str, Any] = plain({name: getattr(self, name) for name in names})
        return table

    @cached_property
    def _loop(self) -> RowLoop | None:
        """The loop of measured rows, where the problem has them."""
        return None if self.spectrum is None else loop_of(self.spectrum)

    def _scaled_rates(self, factor: float) -> Momentum:
        return self.algorithm.scheduled(Constant(factor))

    def _scaled_momentum(self, factor: float) -> Momentum:
        scaled: Momentum = replace(self.algorithm, gamma_3=factor * self.algorithm.gamma_3)
        return scaled

    def _peak(self, name: str) -> float:
        return float(np.max(getattr(self.algorithm, name)(np.asarray(self.steps, dtype=float))))

    def _norm_edge(self, name: str, scaled: Callable[[float], Momentum]) -> float | None:
        if self.no_edges or self.spectrum is None:
            return None
        spectrum, peak = self.spectrum, self._peak(name)
        if peak == 0.0 or (name == "gamma_3" and not self.algorithm.has_momentum):
            return None
        picks = np.unique(np.linspace(0, len(self.steps) - 1, _SEARCH_TIMES).astype(int))
        # One time is enough where nothing moves.
        times = self.steps[:1] if _is_constant(self.algorithm) else self.steps[picks]
        # A forgetting of 2 or more, as delta / (1 + t) starts with, is a transient that no rate
        # would make stable if it lasted.
        lasting = self.algorithm.forgetting(times) < 2.0
        times = times[lasting] if lasting.any() else times

        loop = None if self._loop is None else self._loop.largest(times, self.batch_size)

        def highest(factor: float) -> float:
            if loop is not None:
                return loop(scaled(factor))
            return float(np.max(kernel_norm(spectrum, scaled(factor), self.batch_size, times)))

        scale, top = 1.0, float(spectrum.eigenvalues[0])
        if top > 0 and not 1e-20 < peak * top < 1e20:  # a search from such a rate would end early
            scale = 1.0 / peak / top
        return peak * scale * where_norm_is_one(lambda factor: highest(scale * factor))

    def _edge(self, name: str, scaled: Callable[[float], Momentum]) -> float | None:
        by_norm = self._norm_edge(name, scaled)
        if by_norm is None or self.spectrum is None or _is_constant(self.algorithm):
            return by_norm
        if self._loop is not None:  # nothing short of the rows knows better
            return by_norm
        if is_stochastic_nesterov(self.algorithm) and math.isfinite(self.batch_size):
            return 0.0  # Even et al. 2021, theorem 7: every rate diverges, however late.
        ends = np.array([0.0, float(self.steps[-1])])
        spectrum, rough = self.spectrum, self.spectrum.compress(nodes_per_octave=8)

        def roughly_holds(factor: float) -> bool:
            system = MomentumSystem(rough, scaled(factor), self.batch_size)
            return not march(system, ends, _ROUGH).diverged

        def holds(factor: float) -> bool:
            system = MomentumSystem(spectrum, scaled(factor), self.batch_size)
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


def stability(
    problem: Any,
    algorithm: Any,
    steps: float,
    batch_size: float = 1,
    seed: int | None = None,
) -> Stability:
    """Whether `algorithm` holds on `problem` over `steps`, and by what margin.

    Args:
        problem: a PLRF or another problem, or a Spectrum.
        algorithm: a member of the momentum family, or a name: the recommended one; or what a
            registered theory takes.
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
    seed = checks.seed("seed", seed)
    algorithm = resolve(problem, algorithm, batch_size, seed=seed, steps=steps)
    system = system_of(problem, algorithm, batch_size, seed)
    loop = loop_of(system.spectrum) if isinstance(system, RowsSystem) else None
    if is_plain(algorithm) and loop is not None:
        return _on_rows(loop, problem, algorithm, steps, batch_size)
    if not (is_plain(algorithm) and isinstance(system, MomentumSystem)):
        return _of_any_theory(system, problem, algorithm, steps, batch_size, seed)
    spectrum = system.spectrum
    run = solve(spectrum, algorithm, steps, batch_size=batch_size, engine="exact", seed=seed)
    grid = _grid(float(run.steps[-1]), algorithm.breakpoints)
    norm = kernel_norm(spectrum, algorithm, batch_size, grid)
    try:
        growth = growth_rate(spectrum, algorithm, batch_size, float(grid[-1]))
    except OverflowError:  # absurd rates grow beyond float64 in a step
        growth = math.inf
    highest = _highest(run)
    holds = run.status != "diverged"
    stable = holds and not (_is_constant(algorithm) and not norm[0] < 1.0)
    return Stability(
        steps=grid,
        norm=norm,
        small_step_norm=small_step_norm(spectrum, algorithm, batch_size, grid),
        stable=stable,
        verdict=verdict(stable, run, grid, norm, growth),
        warning=warning(grid, norm, growth, highest) if stable else "",
        diverged_at=run.diverged_at,
        growth=growth,
        highest_risk=highest,
        curve=run,
        algorithm=algorithm,
        spectrum=spectrum,
        batch_size=batch_size,
        gain=loop_gain(spectrum, algorithm, batch_size, grid),
    )


def _on_rows(
    loop: RowLoop, spectrum: Spectrum, algorithm: Momentum, steps: float, batch_size: float
) -> Stability:
    """By the exact gain of the rows, which the closed covariance of the curve is no judge of."""
    run = solve(spectrum, algorithm, steps, batch_size=batch_size, engine="exact")
    grid = looks(float(run.steps[-1]), algorithm.breakpoints)
    found = loop.along(algorithm, batch_size, grid)
    gain = np.array([each.value for each in found])
    most = found[int(np.argmax(gain))]
    order = np.argsort(-most.shares, kind="stable")
    growth = growth_of(lambda w: loop.gain(algorithm, batch_size, float(grid[-1]), w).value)
    highest, largest = _highest(run), float(gain.max())
    stable = run.status != "diverged" and largest < 1.0
    said = f"mean-square unstable: {loop.told(most)}"
    held = f"stable on these rows: over {grid[-1]:.4g} steps {loop.told(most)}"
    if run.status == "diverged":
        said = f"{said}; {verdict(False, run, grid, gain, growth, GAIN)}"
    return Stability(
        steps=grid,
        norm=gain,
        small_step_norm=None,
        stable=stable,
        verdict=held if stable else said,
        warning=warning(grid, gain, growth, highest, GAIN) if stable else "",
        diverged_at=run.diverged_at,
        growth=growth,
        highest_risk=highest,
        curve=run,
        algorithm=algorithm,
        spectrum=spectrum,
        batch_size=batch_size,
        gain=gain,
        rows=loop.rows.index[order],
        shares=most.shares[order],
    )


def _of_any_theory(
    system: System,
    problem: Any,
    algorithm: Any,
    steps: float,
    batch_size: float,
    seed: int | None,
) -> Stability:
    run = solve(problem, algorithm, steps, batch_size=batch_size, engine="exact", seed=seed)
    parts = chain(system)
    grid = _grid(float(run.steps[-1]), [b for part in parts for b in part.breakpoints])
    norm, growth = gains(system, grid.astype(np.float64))
    highest = _highest(run)
    forever = all(part.affine and part.steady for part in parts)
    stable = run.status != "diverged" and not (forever and not norm[0] < 1.0)
    spectrum = getattr(system, "spectrum", None)
    return Stability(
        steps=grid,
        norm=norm,
        small_step_norm=None,
        stable=stable,
        verdict=verdict(stable, run, grid, norm, growth, GAIN),
        warning=warning(grid, norm, growth, highest, GAIN) if stable else "",
        diverged_at=run.diverged_at,
        growth=growth,
        highest_risk=highest,
        curve=run,
        algorithm=algorithm,
        spectrum=spectrum if isinstance(spectrum, Spectrum) else None,
        batch_size=batch_size,
        no_edges=f"the rates of {run.label} are not known, as those of the momentum family are",
    )


def _highest(run: Curve) -> float:
    start = float(run.risk[0])
    return float(np.max(run.risk)) / start if start > 0 else 1.0


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
        highest = loop.largest(np.zeros(1), batch_size)
        return scale * where_norm_is_one(lambda factor: highest(sgd(scale * factor)))
    return scale * where_norm_is_one(
        lambda factor: float(kernel_norm(spectrum, sgd(scale * factor), batch_size, 0.0))
    )


def _is_constant(algorithm: Momentum) -> bool:
    moving = ["gamma_1", "gamma_3", "forgetting"] if algorithm.has_momentum else []
    names = ["gamma_2", *moving]
    return all(getattr(algorithm, name).constant is not None for name in names)


def _grid(last: float, breakpoints: Sequence[float]) -> np.ndarray:
    """The default steps, and the last and first step of every formula of the schedules."""
    edges = np.array([b for b in breakpoints if 0 < b <= last], dtype=np.float64)
    both = np.concatenate([np.ceil(edges) - 1.0, np.ceil(edges)])
    steps = np.union1d(log_spaced_steps(last).astype(np.float64), both[both <= last])
    return steps.astype(np.int64) if last <= 2**53 else steps
