"""`hidim simulate`: the real algorithm run many times, beside the prediction for it."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import hidim
from hidim.cli import common
from hidim.cli.numbers import count, one_of
from hidim.simulation.agreement import deviations
from hidim.simulation.simulate import METHODS
from hidim.support.checks import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "Run the real algorithm many times: mean risk with its standard error, and how far off "
SUMMARY += "the prediction is."

EXAMPLE = """\
example: 32 runs of DANA-decaying on one sampled problem, points over the predicted line
  hidim simulate --alpha 1 --beta 0.7 --d 200 --v 800 --algorithm dana-decaying \\
      --steps 1e4 --runs 32 --plot runs.png

the raw algorithm on W x, instead of the equal and faster walk in the eigenbasis
  hidim simulate --alpha 1 --beta 0.7 --d 50 --v 200 --algorithm sgd --steps 1e3 --method raw
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser, seed="of the sampled W and of the noise (0)")
    common.add_algorithm_flags(parser)
    common.add_schedule_flags(parser)
    common.add_run_flags(parser, steps=10_000)
    group = parser.add_argument_group("method")
    group.add_argument("--runs", type=count, default=16, metavar="N", help="independent runs (16)")
    group.add_argument(
        "--method",
        type=one_of("method", METHODS),
        default="auto",
        metavar="NAME",
        help="auto (rows where the problem has them, else eigenbasis or raw), eigenbasis, raw, "
        "sde, rows",
    )
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Simulate, predict the same, print, write."""
    common.check_outputs(args)
    common.check_run(args)
    runs = int(whole("runs", args.runs, minimum=2))
    started = time.perf_counter()
    problem = common.problem_from(args, runs=True)
    # A run needs one sampled W, so seed=None is the first of them here.
    args.seed = args.seed or 0
    algorithm = common.algorithm_from(args, problem)
    curve = hidim.simulate(
        problem,
        algorithm,
        steps=args.steps,
        batch_size=args.batch_size,
        runs=runs,
        seed=args.seed,
        at=common.steps_to_report(args),
        method=args.method,
    )
    predicted, note = None, ""
    try:
        predicted = hidim.predict(
            problem,
            algorithm,
            steps=args.steps,
            batch_size=args.batch_size,
            seed=args.seed,
            at=curve.steps,
        )
    except ValueError as error:  # what can be run need not have a theory, and is not lost
        note = str(error)
    else:
        told = [line.removeprefix("caution    ") for line in common.cautions([predicted])]
        note = "; ".join(filter(None, [*told, common.accuracy_note(predicted)]))
    extra = {}
    if predicted:
        extra = {"predicted": predicted.finite().risk, "z": deviations(curve, predicted)}
    return common.report_curve(
        args,
        title=common.title(problem, algorithm, args),
        curve=curve,
        answer={
            **common.answer(problem, algorithm, args),
            **({} if predicted else {"predicted": None, "not_predicted": note}),
        },
        seconds=time.perf_counter() - started,
        extra=extra,
        draw=lambda ax: draw(ax, curve, predicted),
        notes=[f"prediction: {note}"] if note else [],
    )


def draw(ax: Axes, measured: hidim.Curve, predicted: hidim.Curve | None) -> None:
    """The figure of --plot."""
    from hidim.plots import plot_curves

    both = [measured] if predicted is None else [predicted, measured]
    plot_curves([curve.finite() for curve in both], ax=ax)
