"""simulate(): run the real algorithm many times and report the mean risk with its error bars.

On Gaussian data the walk in the eigenbasis is exact in law and costs O(d) per step at any
batch size; the raw algorithm on W^T x and the diffusion of homogenized SGD are there to check
it. On measured rows the rows themselves are drawn. Who walks by which method stands in walkers.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from hidim._version import __version__
from hidim.algorithms.base import Algorithm, described, runnable
from hidim.algorithms.gradients import gradient_of
from hidim.algorithms.momentum import Momentum, is_plain
from hidim.algorithms.schedules import Constant, Schedule
from hidim.curve import DIVERGENCE_FACTOR, Curve
from hidim.engines.solve import asked_steps
from hidim.problems.matrix import MatrixLeastSquares
from hidim.problems.power_law import PLRF
from hidim.problems.spectrum import Spectrum
from hidim.rates.recommend import resolve
from hidim.simulation.walkers import WALKERS, Setup, rows_of
from hidim.support import checks
from hidim.support.memory import check_runs_fit
from hidim.support.progress import Progress

METHODS = ("auto", "eigenbasis", "raw", "sde", "rows")
# One step costs one step: further than this a person asked for the wrong tool.
MAX_STEPS = 1e10

# Steps between two looks at the clock, at divergence and at Ctrl-C.
_BLOCK = 512
# A run this far above its start is lost; squares of it are still finite.
_LOST = 1e120


def simulate(
    problem: Any,
    algorithm: Algorithm | str,
    steps: float | None = None,
    batch_size: float = 1,
    runs: int = 16,
    seed: int = 0,
    *,
    problem_seed: int | None = None,
    draw: int | None = None,
    method: str = "auto",
    at: Iterable[float] | None = None,
    readout: str = "gradient",
    progress: bool | None = None,
) -> Curve:
    """Mean risk of `runs` independent runs of the real algorithm, with standard errors.

    Args:
        problem: a PLRF or another problem, of which one W is sampled, or a Spectrum. A PLRF
            with v infinite is sampled with v = 4 d, as `provenance` then says.
        algorithm: a member of the momentum family, such as ``hidim.sgd(0.1)``, or a name: the
            recommended one for the W that is drawn. method="raw" runs anything with an `update`,
            and whatever gradient it makes of the samples.
        steps: last optimizer step; with `at` alone, the largest of those.
        batch_size: samples per step; math.inf for full batches, which are deterministic.
        runs: independent runs; with one there is no standard error.
        seed: of the noise and, unless `problem_seed` is given, of W: the prediction for the
            same W is ``hidim.predict(problem, ..., seed=seed)``.
        problem_seed: seed of W alone. A Spectrum has no W and ignores it.
        draw: another name of `problem_seed`.
        method: "eigenbasis" (exact in law, O(d) per step; the family's plain gradients only),
            "raw" (features W^T x drawn for every sample, O(v d) per sample; needs a problem with
            a W), "sde" (homogenized SGD, close to the others at small rates; SGD only) or "rows"
            (measured rows themselves, drawn with replacement). "auto" is "rows" on a Spectrum that
            has them, else "eigenbasis" for what that runs, and otherwise "raw".
        at: the steps to report, in any order; by default 0, the first steps, then 24 points
            per decade up to `steps` inclusive.
        readout: "gradient" for the iterate, or another point of the algorithm, such as
            "average" for Schedule-Free.
        progress: show a bar on standard error; None for "only on a terminal".

    Returns:
        A Curve with `stderr`. Once a run is lost to overflow the mean is infinite, and a mean
        that ends above 1000 times its start has status "diverged". With several outputs on
        one Spectrum the mean is theirs, the spread that of one output.

    Raises:
        ValueError: an argument out of range; a Spectrum whose multiplicities are not whole
            numbers, such as a deterministic equivalent, which has no realisation.

    Example:
        >>> import hidim
        >>> problem = hidim.PLRF(alpha=1.0, beta=0.7, d=20, v=80)
        >>> run = hidim.simulate(problem, hidim.sgd(0.3), steps=100, runs=200, seed=5)
        >>> expected = hidim.predict(problem, hidim.sgd(0.3), steps=100, seed=5)
        >>> bool(abs(run.risk[-1] - expected.risk[-1]) < 4 * run.stderr[-1])
        True
    """
    checks.choice("method", method, METHODS)
    if not isinstance(algorithm, str):
        method, algorithm = _runs_by(method, algorithm, problem)
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    runs = int(checks.whole("runs", runs, minimum=1))
    seed = checks.given_seed("seed", seed)
    problem_seed = _seed_of_w(seed, problem_seed, draw)
    marks, back = np.unique(_within_reach(asked_steps(steps, at)), return_inverse=True)
    last = float(marks[-1])
    if isinstance(algorithm, str):
        found = resolve(problem, algorithm, batch_size, seed=problem_seed, steps=last)
        method, algorithm = _runs_by(method, found, problem)
    together = 1 if math.isinf(batch_size) else runs  # without noise all runs are one
    d = problem.d if isinstance(problem, PLRF) else getattr(problem, "dimension", 1)
    # Parameters and momentum of every run, its risks at the marks, and a block of them.
    check_runs_fit(together, 2 * d + len(marks) + _BLOCK)
    weight = _readout(algorithm, readout)
    setup = WALKERS[method](problem, algorithm, batch_size, together, seed, problem_seed)
    bar = Progress(last, f"simulating {algorithm.name}", enabled=progress)
    # A diverging run overflows on purpose: what is not finite any more is infinite.
    with bar, np.errstate(over="ignore", invalid="ignore"):
        record = _walk(setup, weight, marks, bar)
    mean, stderr = _mean_and_error(record.risks, runs, setup.start)
    columns = {}
    if setup.floor == math.inf:  # of noise without a variance: only the excess is a number
        columns = {"excess": mean[back] - setup.finite_floor}
        mean = np.full_like(mean, math.inf)
    return Curve(
        steps=marks[back],
        risk=mean[back],
        stderr=None if stderr is None else stderr[back],
        status="ok" if record.diverged_at is None else "diverged",
        diverged_at=record.diverged_at,
        label=algorithm.name,
        dimension=setup.dimension,
        batch_size=batch_size,
        risk_floor=setup.floor,
        columns=columns,
        provenance={
            "hidim": __version__,
            "engine": "simulate",
            "method": method,
            "problem": setup.problem,
            "algorithm": described(algorithm),
            "batch_size": batch_size if math.isfinite(batch_size) else "inf",
            "runs": runs,
            "seed": seed,
            "problem_seed": None if isinstance(problem, Spectrum) else problem_seed,
            "readout": readout,
        },
    )


def _runs_by(method: str, algorithm: Any, problem: Any) -> tuple[str, Algorithm]:
    """The method that is meant, and the algorithm, if it runs by that."""
    known, gradient = runnable(algorithm), gradient_of(algorithm)
    walks, measured = is_plain(known), rows_of(problem) is not None
    law = getattr(getattr(problem, "law", None), "noise", getattr(problem, "noise", None))
    if isinstance(problem, MatrixLeastSquares):
        checks.choice("method", method, ("auto", "raw"))
        return "raw", known
    if method == "auto":
        method = "rows" if measured else "eigenbasis" if walks and law is None else "raw"
    if law is not None and method in ("eigenbasis", "sde"):
        raise ValueError(
            f'`method`={method!r} draws Gaussian label noise alone, not {law!r}: use method="raw".'
        )
    if measured and not walks:
        raise ValueError(
            f"{known.name} may depend on the basis, and a Spectrum keeps its rows in their own: "
            "give the data themselves to hidim.simulate_rows(X, y, ...)."
        )
    if method == "rows" and not measured:
        raise ValueError(
            '`method`="rows" needs a Spectrum with measured rows: Spectrum.from_data(X, y). Use '
            'method="auto".'
        )
    if method != "raw" and not walks:
        what = known.name if gradient is None else f"{known.name} with {gradient.name!r}"
        raise ValueError(
            f"`method`={method!r} runs the momentum family with its plain gradient alone, not "
            f'{what}. Use method="raw", which runs whatever has an update.'
        )
    return method, known


def _readout(algorithm: Algorithm, readout: str) -> Schedule:
    if isinstance(algorithm, Momentum):
        return algorithm.readout(readout)
    checks.choice("readout", readout, ["gradient"])
    return Constant(0.0)


def _within_reach(asked: np.ndarray) -> np.ndarray:
    """The asked steps, refused where no simulation gets to the last of them."""
    if asked.max() > MAX_STEPS:
        raise ValueError(
            f"`steps` must be at most {MAX_STEPS:g} to simulate, got {asked.max():g}. "
            "hidim.predict answers at any horizon."
        )
    return asked


def _seed_of_w(seed: int, problem_seed: int | None, draw: int | None) -> int:
    if draw is not None and problem_seed is not None and draw != problem_seed:
        raise ValueError(
            f"`draw` and `problem_seed` are two names of one seed, got {draw!r} and "
            f"{problem_seed!r}; give one."
        )
    if draw is not None:
        return checks.given_seed("draw", draw)
    return seed if problem_seed is None else checks.given_seed("problem_seed", problem_seed)


class _Record(NamedTuple):
    risks: np.ndarray  # (marks, runs)
    diverged_at: float | None


def _walk(setup: Setup, weight: Schedule, marks: np.ndarray, bar: Progress) -> _Record:
    """Step all bundles from 0 to the last mark, reading the risk of every run at the marks."""
    threshold = DIVERGENCE_FACTOR * setup.start
    crossed: int | None = None
    risks: list[np.ndarray] = []
    step, last = 0, setup.start
    for mark in marks.tolist():
        while step < mark:
            count = min(_BLOCK, mark - step)
            each = [walker.advance(step, count) for walker in setup.walkers]
            mean = np.concatenate(each, axis=1).mean(axis=1)  # (count,)
            high = ~(mean <= threshold)
            if crossed is None and high.any():
                crossed = step + 1 + int(np.argmax(high))
            step, last = step + count, float(mean[-1])
            bar.to(step)
            if not np.all(mean <= _LOST * max(setup.start, 1e-300)):
                lost = np.full((len(marks) - len(risks), 1), math.inf)
                width = sum(part.shape[1] for part in each)
                rows = [*risks, *np.broadcast_to(lost, (len(lost), width))]
                return _Record(np.array(rows), float(crossed or step))
        here = float(weight(float(mark)))
        risks.append(np.concatenate([walker.risk(here) for walker in setup.walkers]))
    end = float(crossed) if crossed is not None and last > threshold else None
    return _Record(np.array(risks), end)


def _mean_and_error(
    risks: np.ndarray, runs: int, start: float
) -> tuple[np.ndarray, np.ndarray | None]:
    lost = ~np.all(risks <= _LOST * max(start, 1e-300), axis=1)
    risks = np.where(lost[:, None], 0.0, risks)
    mean = np.where(lost, math.inf, risks.mean(axis=1))
    if runs == 1:
        return mean, None
    if risks.shape[1] == 1:  # full batches: one run stands for all
        return mean, np.where(lost, math.inf, 0.0)
    return mean, np.where(lost, math.inf, risks.std(axis=1, ddof=1) / math.sqrt(runs))
