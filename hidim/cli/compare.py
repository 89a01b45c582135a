"""`hidim compare`: several optimizers side by side in one table and one figure."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.algorithms.base import described
from hidim.cli import common
from hidim.cli.numbers import count
from hidim.measure.crossings import Standing, standings
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
      --algorithm sgd dana-decaying dana-decaying:kappa_3=0.75
"""

DEFAULT = ("sgd", "sgd-momentum", "dana-constant", "dana-decaying")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser, seed="sample one W (average over W; 0 with --runs)")
    common.add_algorithm_flags(parser, several=" ".join(DEFAULT))
    common.add_schedule_flags(parser)
    common.add_run_flags(parser, steps=1_000_000)
    group = parser.add_argument_group("method")
    common.add_engine_flag(group)
    group.add_argument(
        "--runs", type=count, metavar="N", default=0, help="also run the real algorithm N times (0)"
    )
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, simulate if asked, print, write."""
    common.check_outputs(args)
    common.check_run(args)
    runs = int(whole("runs", args.runs))
    if runs == 1:
        raise ValueError("`runs` is 1, which has no standard error; give at least 2, or 0.")
    named = common.asked(args, DEFAULT)
    started = time.perf_counter()
    problem = common.problem_from(args, runs=runs > 0)
    if runs and args.seed is None:
        args.seed = 0  # a run needs one sampled W, and the prediction is for the same one
    algorithms = [common.algorithm_of(one, args, problem) for one in named]
    spectrum = common.drawn(problem, args)
    steps = common.steps_to_report(args)
    predicted, simulated = [], []
    total = len(algorithms) * (2 if runs else 1)
    with Progress(total, "comparing") as progress:
        for one, algorithm in zip(named, algorithms, strict=True):
            options = {"steps": args.steps, "batch_size": args.batch_size, "at": steps}
            curve = hidim.predict(spectrum, algorithm, engine=args.engine, **options)
            predicted.append(replace(curve, label=one.label))
            progress.advance()
            if runs:
                curve = hidim.simulate(spectrum, algorithm, runs=runs, seed=args.seed, **options)
                simulated.append(replace(curve, label=one.label))
                progress.advance()
    seconds = time.perf_counter() - started
    if args.plot is not None:
        drawn = [c.finite() for c in (*predicted, *(_thinned(curve) for curve in simulated))]
        floor = spectrum.risk_floor
        common.write_figure(args.plot, lambda ax: draw(ax, drawn, floor=floor), size=(7.4, 5.0))
    return _report(args, problem, algorithms, predicted, simulated, seconds)


def draw(ax: Axes, curves: Sequence[hidim.Curve], *, floor: float | None = None) -> None:
    """The figure of --plot."""
    from hidim.plots import plot_curves

    plot_curves(curves, ax=ax, floor=floor)


def _report(
    args: argparse.Namespace,
    problem: Any,
    algorithms: Sequence[Any],
    predicted: Sequence[hidim.Curve],
    simulated: Sequence[hidim.Curve],
    seconds: float,
) -> int:
    lines, runs = ([curve.finite() for curve in some] for some in (predicted, simulated))
    columns: dict[str, Any] = common.curve_columns(lines[0])
    del columns["risk"]
    columns |= {curve.label: curve.risk for curve in lines}
    for curve in runs:
        columns[f"{curve.label} (runs)"] = curve.risk
        columns[f"{curve.label} (stderr)"] = curve.stderr
    told = [*common.loss_note(predicted[0]), *common.cautions(predicted)]
    said = [
        f"problem    {common.problem_text(problem, args)}",
        f"batch      {args.batch_size:g}",
        *(f"           {common.algorithm_text(algorithm)}" for algorithm in algorithms),
        *told,
        "",
        common.curves_table(lines, runs),
        "",
        _summary_text(standings(lines)),
        *(f"{c.label}: {note}" for c in predicted if (note := common.accuracy_note(c))),
        common.provenance_text(max(predicted, key=_error), seconds=seconds),
    ]
    return common.hand_back(
        args,
        cautions=told,
        columns=columns,
        answer={
            "problem": common.problem_data(problem, args),
            "algorithms": [described(algorithm) for algorithm in algorithms],
            "batch_size": args.batch_size,
            **({"loss": "excess"} if predicted[0].risk_floor == math.inf else {}),
            "predicted": [curve.to_dict() for curve in predicted],
            "simulated": [curve.to_dict() for curve in simulated],
            "summary": [row.to_dict() for row in standings(lines)],
        },
        text="\n".join(said),
    )


def _summary_text(rows: Sequence[Standing]) -> str:
    first = rows[0].algorithm
    near = ["~" if row.near else "" for row in rows]
    columns = {
        "algorithm": [row.algorithm for row in rows],
        "status": [row.status for row in rows],
        "final risk": [common.risk_text(row.final_risk) for row in rows],
        f"steps to {first}'s end": [
            mark + common.step_text(row.steps_to_first)
            for mark, row in zip(near, rows, strict=True)
        ],
        "times fewer": [
            "-" if row.speedup is None else f"{mark}{row.speedup:.3g}"
            for mark, row in zip(near, rows, strict=True)
        ],
    }
    about = [f"~ to within a thousandth of {first}'s end, for both"] if any(near) else []
    rose = [
        f"{row.algorithm} passed {common.risk_text(row.lowest_risk)} at step "
        f"{common.step_text(row.lowest_at)} and rose to {common.risk_text(row.final_risk)}"
        for row in rows
        if row.rose and row.status != "diverged"
    ]
    return "\n".join([common.table(columns), *about, *rose])


def _error(curve: hidim.Curve) -> float:
    return float(curve.provenance.get("error", 0.0))


def _thinned(curve: hidim.Curve) -> hidim.Curve:
    """About five points a decade: more would hide the line behind them."""
    order = np.argsort(curve.steps, kind="stable")
    steps = curve.steps[order]
    marks = np.searchsorted(steps, np.geomspace(1, steps[-1], 24)).clip(max=len(steps) - 1)
    keep = order[np.unique(marks)]
    assert curve.stderr is not None  # simulated curves always carry their errors
    return replace(
        curve,
        steps=curve.steps[keep],
        risk=curve.risk[keep],
        stderr=curve.stderr[keep],
        columns={name: values[keep] for name, values in curve.columns.items()},
    )
