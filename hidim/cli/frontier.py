"""`hidim frontier`: the compute-optimal parameters, steps and risk for a budget.

Once from the scaling law's closed form, and once from exact curves at the same rates.
"""

from __future__ import annotations

import argparse
from typing import Any

from hidim.algorithms.named import names as known_names
from hidim.cli.output import add_output_flags, check_outputs, print_json, table, write_csv
from hidim.scaling.law import scaling_law
from hidim.support.progress import Progress

SUMMARY = "The compute-optimal parameter count, step count and risk for a flops budget."
EXAMPLE = """example:
  hidim frontier --alpha 1 --beta 0.7 --flops 1e9
  hidim frontier --alpha 1 --beta 0.7 --algorithm dana-decaying --flops 1e8 1e9 1e10 --json"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim frontier`."""
    parser.add_argument("--alpha", type=float, required=True, help="data exponent, positive")
    parser.add_argument("--beta", type=float, required=True, help="target exponent")
    parser.add_argument(
        "--flops",
        type=float,
        nargs="+",
        required=True,
        metavar="F",
        help="budgets: steps x parameters x batch",
    )
    parser.add_argument(
        "--algorithm",
        choices=known_names(fixed=True),
        help="one optimizer (default: sgd and both DANAs)",
    )
    parser.add_argument("--batch-size", type=float, default=1.0, help="samples per step (1)")
    parser.add_argument("--v-over-d", type=float, help="v / d (inf; 4 when 2 alpha <= 1)")
    parser.add_argument(
        "--law-only", action="store_true", help="the closed form alone, without exact curves"
    )
    add_output_flags(parser, plot=False)


def run(args: argparse.Namespace) -> int:
    """Print one row per budget and optimizer."""
    check_outputs(args)
    names = [args.algorithm] if args.algorithm else ["sgd", "dana-constant", "dana-decaying"]
    rows = [row for name in names for row in _rows(args, name)]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    if args.csv is not None:
        write_csv(args.csv, columns)
    if args.json:
        print_json({"alpha": args.alpha, "beta": args.beta, "rows": rows})
        return 0
    law = scaling_law(args.alpha, args.beta, names[0])
    print(f"alpha = {args.alpha:g}, beta = {args.beta:g}: phase {law.phase}\n")
    formats = {"flops": "{:.4g}", "d": "{:,.0f}", "steps": "{:,.0f}", "risk": "{:.4g}"}
    print(table({k: [formats.get(k, "{}").format(x) for x in v] for k, v in columns.items()}))
    return 0


def _rows(args: argparse.Namespace, name: str) -> list[dict[str, Any]]:
    law = scaling_law(
        args.alpha, args.beta, name, batch_size=args.batch_size, v_over_d=args.v_over_d
    )
    best = law.frontier(args.flops)
    found = {"law": best}
    if not args.law_only:
        from hidim.studies.frontier import exact_frontier

        with Progress(len(args.flops), name) as bar:
            found["exact"] = exact_frontier(law, args.flops, done=bar.advance)
    return [
        {"algorithm": name, "source": source, "flops": f, "d": d, "steps": t, "risk": p}
        for k in range(len(args.flops))
        for source, best in found.items()
        for f, d, t, p in [[float(x[k]) for x in (best.flops, best.d, best.steps, best.risk)]]
    ]
