"""`hidim predict`: the expected risk of one optimizer at every step."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import hidim
from hidim.cli import common
from hidim.cli.numbers import names, number
from hidim.engines.control import RTOL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "Expected risk of an optimizer at every step, exactly and without sampling."

EXAMPLE = """\
example: DANA-decaying on a power-law problem, a hundred million steps, with a figure
  hidim predict --alpha 1 --beta 0.7 --d 1000 --algorithm dana-decaying --steps 1e8 --plot a.png

the risk at three steps, for a program to read
  hidim predict --alpha 1 --beta 0.7 --d 1000 --algorithm sgd --at 0,1e3,1e6 --json

which rate to change, and by how much that pays: d log risk / d parameter at the end
  hidim predict --alpha 1 --beta 0.7 --d 1000 --at 1e6 --sensitivity gamma_2,gamma_3,kappa_3

a quadratic of your own, with rates of your own
  hidim predict --spectrum measured.json --steps 1e5 --csv curve.csv \\
      --algorithm sgd-momentum:gamma_2=0.01,gamma_3=0.002,delta=0.1

rows of your own, as 600 random features of the columns
  hidim predict --data rows.csv --target price --features relu:600 --intercept \\
      --algorithm sgd:gamma_2=0.1
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser)
    common.add_algorithm_flags(parser)
    common.add_schedule_flags(parser)
    common.add_run_flags(parser, steps=1_000_000)
    group = parser.add_argument_group("method")
    common.add_engine_flag(group)
    group.add_argument(
        "--readout", metavar="NAME", default="gradient", help="point whose risk is read (gradient)"
    )
    group.add_argument(
        "--rtol",
        type=number,
        metavar="X",
        default=RTOL,
        help=f"relative error allowed on the risk, 1e-12 to 0.01 ({RTOL:g})",
    )
    group.add_argument(
        "--sensitivity",
        type=names,
        metavar="NAME,...",
        default=[],
        help="derivatives of the log risk by these parameters: gamma_2,kappa_3,delta",
    )
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, print, write."""
    common.check_outputs(args)
    common.check_run(args)
    started = time.perf_counter()
    problem = common.problem_from(args)
    algorithm = common.algorithm_from(args, problem)
    curve = hidim.predict(
        problem,
        algorithm,
        steps=args.steps,
        batch_size=args.batch_size,
        engine=args.engine,
        seed=args.seed,
        at=common.steps_to_report(args),
        readout=args.readout,
        rtol=args.rtol,
        sensitivity=args.sensitivity,
    )
    return common.report_curve(
        args,
        title=common.title(problem, algorithm, args),
        curve=curve,
        answer=common.answer(problem, algorithm, args),
        seconds=time.perf_counter() - started,
        draw=lambda ax: draw(ax, curve),
    )


def draw(ax: Axes, curve: hidim.Curve) -> None:
    """The figure of --plot."""
    from hidim.plots import plot_curves

    plot_curves([curve.finite()], ax=ax)
