"""`hidim frontier`: the compute-optimal parameters, steps and risk for a budget.

Once from the scaling law's closed form, and once from exact curves at the same rates; or, with
--runs, the exponents that runs of one's own show.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from hidim.cli.algorithms import LAW_KEYS, Asked, add_algorithm_flags, asked, law_of
from hidim.cli.executors import (
    add_executor_flags,
    check_executor_flags,
    executor_of,
    refuse_executor_flags,
)
from hidim.cli.numbers import count, number
from hidim.cli.output import add_output_flags, check_outputs, hand_back, table
from hidim.scaling.law import ScalingLaw
from hidim.support.progress import Progress

SUMMARY = "The compute-optimal parameter count, step count and risk for a flops budget."
EXAMPLE = """example:
  hidim frontier --alpha 1 --beta 0.7 --flops 1e9
  hidim frontier --alpha 1 --beta 0.7 --algorithm dana-decaying --flops 1e8 1e9 1e10 --json

exponents of runs of your own: a sweep's folder, a folder of saved curves, or a table with columns
for parameters, flops (or tokens, or steps) and loss, and one that names the optimizer if several
  hidim frontier --runs runs.csv --columns params=N,tokens=D,loss=val_loss --floor fit
  hidim frontier --runs curves --alpha 1 --beta 0.7"""

DEFAULT = ("sgd", "dana-constant", "dana-decaying")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim frontier`."""
    parser.add_argument("--alpha", type=number, metavar="X", help="data exponent, positive")
    parser.add_argument("--beta", type=number, metavar="X", help="target exponent")
    parser.add_argument(
        "--flops",
        type=number,
        nargs="+",
        metavar="F",
        help="budgets: steps x parameters x batch",
    )
    runs = parser.add_argument_group("runs of your own, in place of budgets")
    runs.add_argument("--runs", metavar="DIR|FILE", help="measure the exponents of these")
    runs.add_argument("--columns", metavar="ROLE=NAME,...", help="columns of a table of runs")
    runs.add_argument(
        "--window",
        type=number,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="flops to fit the powers over (a window chosen by rule)",
    )
    runs.add_argument(
        "--floor", type=_floor, metavar="X|fit", default=0.0, help="loss taken off all runs (0)"
    )
    add_algorithm_flags(parser, several=" ".join(DEFAULT), keys=LAW_KEYS)
    parser.add_argument(
        "--batch-size", type=count, metavar="B", default=1, help="samples per step (1)"
    )
    parser.add_argument(
        "--v-over-d", type=number, metavar="X", help="v / d (inf; 4 when 2 alpha <= 1)"
    )
    parser.add_argument(
        "--law-only", action="store_true", help="the closed form alone, without exact curves"
    )
    add_executor_flags(parser, default="this process alone", keep="finished budgets")
    add_output_flags(parser, plot=False)


def run(args: argparse.Namespace) -> int:
    """Print one row per budget and optimizer."""
    check_outputs(args)
    if args.runs is not None:
        from hidim.cli.frontiers import run_measured

        if args.flops is not None:
            raise ValueError("--runs leaves no room for --flops: the runs say their own.")
        if args.law_only:
            raise ValueError("--runs leaves no room for --law-only: the runs are what is measured.")
        refuse_executor_flags(args, "--runs")
        return run_measured(args)
    alone = [k for k in ("columns", "window") if getattr(args, k) is not None]
    alone += ["floor"] if args.floor else []
    if alone:
        raise ValueError(f"--{alone[0]} goes with --runs DIR|FILE alone.")
    missing = [f"--{name}" for name in ("alpha", "beta", "flops") if getattr(args, name) is None]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing: give them, or --runs DIR|FILE.")
    check_executor_flags(args, folder=args.out)
    named = asked(args, DEFAULT)
    laws = [law_of(args, one) for one in named]
    if not args.law_only:
        from hidim.studies.frontier import check_reach

        for law in laws:  # all of them before the work of the first
            check_reach(law, args.flops)
    with executor_of(args, folder=args.out) as executor:
        both = zip(named, laws, strict=True)
        rows = [row for one, law in both for row in _rows(args, one, law, executor)]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    formats = {"flops": "{:.4g}", "d": "{:,.0f}", "steps": "{:,.0f}", "risk": "{:.4g}"}
    cells = {k: [formats.get(k, "{}").format(x) for x in v] for k, v in columns.items()}
    head = f"alpha = {args.alpha:g}, beta = {args.beta:g}: phase {laws[0].phase}"
    return hand_back(
        args,
        columns=columns,
        answer={"alpha": args.alpha, "beta": args.beta, "rows": rows},
        text=f"{head}\n\n{table(cells)}",
    )


def _floor(text: str) -> float | str:
    return "fit" if text.strip().lower() == "fit" else number(text)


def _rows(
    args: argparse.Namespace, one: Asked, law: ScalingLaw, executor: Any
) -> list[dict[str, Any]]:
    found = {"law": law.frontier(args.flops)}
    if not args.law_only:
        from hidim.studies.frontier import exact_frontier

        with Progress(len(args.flops), one.label) as bar:
            found["exact"] = exact_frontier(
                law,
                args.flops,
                progress=bar.to,
                executor=executor,
                workers=args.workers,
                folder=None if args.out is None else Path(args.out) / "tasks",
            )
    return [
        {"algorithm": one.label, "source": source, "flops": f, "d": d, "steps": t, "risk": p}
        for k in range(len(args.flops))
        for source, best in found.items()
        for f, d, t, p in [[float(x[k]) for x in (best.flops, best.d, best.steps, best.risk)]]
    ]
