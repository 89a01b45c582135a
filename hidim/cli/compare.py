"""`hidim compare`: several optimizers side by side in one table and one figure."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.cli import common
from hidim.support.checks import whole
from hidim.support.progress import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "Several optimizers on one problem: one table, one figure, who is ahead and by how much."

EXAMPLE = """\
example: the four of the DANA paper at their recommended rates, with a figure
  hidim compare --alpha 1 --beta 0.7 --d 1000 --steps 1e6 --plot compare.png

one of them at a rate of your own, beside 16 runs of the real algorithm
  hidim compare --alpha 1 --beta 0.7 --d 300 --v 1200 --seed 0 --steps 1e4 --runs 16 \\
      --algorithms sgd dana-decaying dana-decaying:kappa_3=0.75
"""

DEFAULT = ("sgd", "sgd-momentum", "dana-constant", "dana-decaying")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser)
    group = parser.add_argument_group("algorithms (rates left out are recommended ones)")
    group.add_argument(
        "--algorithms",
        nargs="+",
        metavar="NAME",
        default=list(DEFAULT),
        help="names, each with parameters if you like: dana-decaying:gamma_2=0.1,kappa_3=0.5 "
        f"({' '.join(DEFAULT)})",
    )
    common.add_schedule_flags(parser)
    common.add_run_flags(parser, steps=1e6)
    group = parser.add_argument_group("method")
    group.add_argument(
        "--engine", metavar="NAME", default="auto", help="auto, exact, ode, volterra, asymptotic"
    )
    group.add_argument(
        "--runs", type=float, metavar="N", default=0, help="also run the real algorithm N times (0)"
    )
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, simulate if asked, print, write."""
    common.check_outputs(args)
    common.check_run(args)
    runs = int(whole("runs", args.runs))
    if runs == 1:
        raise ValueError("`runs` is 1, which has no standard error; give at least 2, or 0.")
    twice = [text for text in args.algorithms if args.algorithms.count(text) > 1]
    if twice:
        raise ValueError(f"--algorithms names {twice[0]!r} twice.")
    started = time.perf_counter()
    problem = common.problem_from(args)
    algorithms = [common.algorithm_from_text(text, args, problem) for text in args.algorithms]
    if runs and args.seed is None:
        args.seed = 0  # a run needs one sampled W, and the prediction is for the same one
    spectrum = problem.spectrum(args.seed)
    steps = common.steps_to_report(args)
    predicted, simulated = [], []
    total = len(algorithms) * (2 if runs else 1)
    with Progress(total, "comparing") as progress:
        for text, algorithm in zip(args.algorithms, algorithms, strict=True):
            options = {"steps": args.steps, "batch_size": args.batch_size, "at": steps}
            curve = hidim.predict(spectrum, algorithm, engine=args.engine, **options)
            predicted.append(_named(curve, text))
            progress.advance()
            if runs:
                curve = hidim.simulate(spectrum, algorithm, runs=runs, seed=args.seed, **options)
                simulated.append(_named(curve, text))
                progress.advance()
    seconds = time.perf_counter() - started
    if args.plot is not None:
        drawn = [*predicted, *(_thinned(curve) for curve in simulated)]
        floor = spectrum.risk_floor
        common.write_figure(args.plot, lambda ax: draw(ax, drawn, floor=floor), size=(7.4, 5.0))
    return _report(args, problem, algorithms, predicted, simulated, seconds)


def draw(ax: Axes, curves: Sequence[hidim.Curve], *, floor: float | None = None) -> None:
    """The figure of --plot."""
    from hidim.plots import plot_curves

    plot_curves(curves, ax=ax, floor=floor)


def summary(predicted: Sequence[hidim.Curve]) -> list[dict[str, Any]]:
    """Final risk of each curve, and how many fewer steps it needs to end where the first ends."""
    target = float(predicted[0].risk[-1])
    rows = []
    for curve in predicted:
        reached = steps_to(curve, target)
        last = float(predicted[0].steps[-1])
        rows.append(
            {
                "algorithm": curve.label,
                "status": curve.status,
                "diverged_at": curve.diverged_at,
                "final_risk": float(curve.risk[-1]),
                "steps_to_first": reached,
                "speedup": None if not reached else last / reached,
            }
        )
    return rows


def steps_to(curve: hidim.Curve, level: float) -> float | None:
    """First step at which the risk is down to `level`, by log-log interpolation; None if never."""
    below = np.flatnonzero(curve.risk <= level)
    if below.size == 0:
        return None
    first = int(below[0])
    if first == 0:
        return float(curve.steps[0])
    x = np.log1p(curve.steps[first - 1 : first + 1].astype(np.float64))
    with np.errstate(divide="ignore"):
        y = np.log(np.maximum(curve.risk[first - 1 : first + 1], 1e-300))
    if not np.all(np.isfinite(y)):
        return float(curve.steps[first])
    return float(np.expm1(np.interp(-np.log(level), -y, x)))


def _named(curve: hidim.Curve, label: str) -> hidim.Curve:
    import dataclasses

    return dataclasses.replace(curve, label=label)


def _report(
    args: argparse.Namespace,
    problem: Any,
    algorithms: Sequence[hidim.Momentum],
    predicted: Sequence[hidim.Curve],
    simulated: Sequence[hidim.Curve],
    seconds: float,
) -> int:
    columns: dict[str, Any] = {"step": predicted[0].steps, "flops": predicted[0].flops}
    columns |= {curve.label: curve.risk for curve in predicted}
    for curve in simulated:
        columns[f"{curve.label} (runs)"] = curve.risk
        columns[f"{curve.label} (stderr)"] = curve.stderr
    if args.csv is not None:
        common.write_csv(args.csv, columns)
    if args.json:
        common.print_json(
            {
                "problem": common.problem_data(problem, args),
                "algorithms": [algorithm.to_dict() for algorithm in algorithms],
                "batch_size": args.batch_size,
                "predicted": [curve.to_dict() for curve in predicted],
                "simulated": [curve.to_dict() for curve in simulated],
                "summary": summary(predicted),
            }
        )
        return 0
    print(f"problem    {common.problem_text(problem, args)}")
    print(f"batch      {args.batch_size:g}")
    for algorithm in algorithms:
        print(f"           {common.algorithm_text(algorithm)}")
    print()
    print(common.curves_table(predicted, simulated))
    print()
    print(_summary_text(predicted))
    print(common.provenance_text(predicted[0], seconds=seconds))
    return 0


def _summary_text(predicted: Sequence[hidim.Curve]) -> str:
    rows = summary(predicted)
    first = predicted[0].label
    columns = {
        "algorithm": [row["algorithm"] for row in rows],
        "status": [row["status"] for row in rows],
        "final risk": [common.risk_text(row["final_risk"]) for row in rows],
        f"steps to {first}'s end": [common.step_text(row["steps_to_first"]) for row in rows],
        "times fewer": [f"{row['speedup']:.3g}" if row["speedup"] else "-" for row in rows],
    }
    return common.table(columns)


def _thinned(curve: hidim.Curve) -> hidim.Curve:
    """About five points a decade: more would hide the line behind them."""
    import dataclasses

    keep = np.unique(np.searchsorted(curve.steps, np.geomspace(1, curve.steps[-1], 24)))
    assert curve.stderr is not None  # simulated curves always carry their errors
    return dataclasses.replace(
        curve, steps=curve.steps[keep], risk=curve.risk[keep], stderr=curve.stderr[keep]
    )
