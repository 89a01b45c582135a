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
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.base import is_named
from hidim.algorithms.momentum import Momentum, is_plain
from hidim.curve import Curve, log_spaced_steps
from hidim.engines.solve import solve
from hidim.problems.spectrum import Spectrum
from hidim.rates.edges import Edges, is_constant, sgd_threshold
from hidim.rates.frozen import gains, growth_of
from hidim.rates.limits import limit_risk
from hidim.rates.recommend import resolve
from hidim.rates.verdict import GAIN, ROWS, verdict, warning
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
        rows, shares: which rows carry the largest gain, most first, counted from 0, and what part
            of it; empty where none does, None without measured rows.
        limit_risk: where the risk stops with the rates of the last step held, for other theories
            than the family's; above the floor alone where that is infinite, and None where it is
            not known.
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
    limit_risk: float | None = None

    def __post_init__(self) -> None:
        if not is_named(self.algorithm):
            raise ValueError(f"`algorithm` must be one with a name, got {shown(self.algorithm)}.")

    @cached_property
    def largest_gamma_2(self) -> float | None:
        """Largest stable gamma_2 with gamma_3 / gamma_2 held fixed; its peak if it moves.

        0.0 for stochastic Nesterov, which no rate makes stable; None for an algorithm without
        gamma_2.
        """
        return None if self._edges is None else self._edges.by_runs("gamma_2")

    @cached_property
    def largest_gamma_3(self) -> float | None:
        """Largest stable gamma_3 with gamma_2 held fixed; its peak if it moves.

        0.0 where gamma_2 is unstable alone, None for an algorithm without gamma_3.
        """
        return None if self._edges is None else self._edges.by_runs("gamma_3")

    @cached_property
    def norm_gamma_2(self) -> float | None:
        """Like `largest_gamma_2`, for N < 1 at every step: what a cautious user would keep to."""
        return None if self._edges is None else self._edges.by_norm("gamma_2")

    @cached_property
    def norm_gamma_3(self) -> float | None:
        """Like `largest_gamma_3`, for N < 1 at every step."""
        return None if self._edges is None else self._edges.by_norm("gamma_3")

    def clipped_gamma_2(self, quantile: float = 0.99) -> float | None:
        """`largest_gamma_2` if the longest rows were shortened to a quantile of all lengths.

        What clipping the lengths of measured rows would buy. The problem then is another one, with
        an optimum of its own. None without measured rows.

        Args:
            quantile: of the lengths, in (0, 1]; 1 leaves the rows as they are.

        Raises:
            ValueError: another quantile.

        >>> import hidim
        >>> X = np.random.default_rng(0).standard_t(3, (400, 4))
        >>> found = stability(hidim.Spectrum.from_data(X, X[:, 0]), hidim.sgd(0.01), 100)
        >>> found.clipped_gamma_2(0.95) > 1.5 * found.largest_gamma_2
        True
        """
        quantile = checks.positive("quantile", quantile)
        if quantile > 1.0:
            raise ValueError(
                f"`quantile` is a share of the rows, in (0, 1], got {quantile:g}. Give .99 to "
                "shorten one row in a hundred."
            )
        return None if self._edges is None else self._edges.clipped("gamma_2", quantile)

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
        names += [
            "steps",
            "norm",
            "small_step_norm",
            "no_edges",
            "gain",
            "rows",
            "shares",
            "limit_risk",
        ]
        table: dict[str, Any] = plain({name: getattr(self, name) for name in names})
        return table

    @cached_property
    def _edges(self) -> Edges | None:
        if self.no_edges or self.spectrum is None:
            return None
        return Edges(self.spectrum, self.algorithm, self.batch_size, self.steps)


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
    stable = holds and not (is_constant(algorithm) and not norm[0] < 1.0)
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
    looked = dict(zip(grid.tolist(), found, strict=True))
    worst = loop.between(algorithm, batch_size, looked, 1.0)
    if worst is not None:
        looked[worst] = loop.gain(algorithm, batch_size, worst)
        grid = np.array(sorted(looked))
        found = [looked[t] for t in grid.tolist()]
    gain = np.array([each.value for each in found])
    most = found[int(np.argmax(gain))]
    order = np.argsort(-most.shares, kind="stable")[: np.count_nonzero(most.shares)]
    growth = growth_of(lambda w: loop.gain(algorithm, batch_size, float(grid[-1]), w).value)
    highest, largest = _highest(run), float(gain.max())
    stable = run.status != "diverged" and largest < 1.0
    said = verdict(stable, run, grid, gain, growth, ROWS)
    if stable and most.shares.any():
        said = f"stable on these rows: over {grid[-1]:.4g} steps {loop.told(most)}"
    elif not largest < 1.0:
        lost = f"; {said}" if run.status == "diverged" else ""
        said = f"mean-square unstable: {loop.told(most)}{lost}"
    return Stability(
        steps=grid,
        norm=gain,
        small_step_norm=None,
        stable=stable,
        verdict=said,
        warning=warning(grid, gain, growth, highest, ROWS) if stable else "",
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
    limit = limit_risk(system, float(grid[-1]), _last_order(system, run)) if stable else None
    careful = warning(grid, norm, growth, highest, GAIN) if stable else ""
    said = verdict(stable, run, grid, norm, growth, GAIN)
    edges = f"the rates of {run.label} are not known, as those of the momentum family are"
    if system.bounded:
        careful = str(run.provenance.get("caution", ""))
        said = "cannot diverge: its steps are bounded, however large the rate"
        edges = "bounded steps hold at any rate"
        if limit is not None:
            said += f"; with the rates of the last step the risk stops at {limit:.6g}"
    return Stability(
        steps=grid,
        norm=norm,
        small_step_norm=None,
        stable=stable,
        verdict=said,
        warning=careful,
        diverged_at=run.diverged_at,
        growth=growth,
        highest_risk=highest,
        curve=run,
        algorithm=algorithm,
        spectrum=spectrum if isinstance(spectrum, Spectrum) else None,
        batch_size=batch_size,
        no_edges=edges,
        limit_risk=limit,
    )


def _last_order(system: System, run: Curve) -> float:
    """Twice the excess or the risk where a run ends, whichever the theory's order is."""
    floor = float(getattr(system, "floor", 0.0)) if system.orders == ("twice_excess",) else 0.0
    last = run.columns["excess"][-1] if run.risk_floor == math.inf else run.risk[-1] - floor
    return max(2.0 * float(last), 1e-200)


def _highest(run: Curve) -> float:
    risk = run.excess if run.risk_floor == math.inf else run.risk
    start = float(risk[0])
    return float(np.max(risk)) / start if start > 0 else 1.0


def _grid(last: float, breakpoints: Sequence[float]) -> np.ndarray:
    """The default steps, and the last and first step of every formula of the schedules."""
    edges = np.array([b for b in breakpoints if 0 < b <= last], dtype=np.float64)
    both = np.concatenate([np.ceil(edges) - 1.0, np.ceil(edges)])
    steps = np.union1d(log_spaced_steps(last).astype(np.float64), both[both <= last])
    return steps.astype(np.int64) if last <= 2**53 else steps
