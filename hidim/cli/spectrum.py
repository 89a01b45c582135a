"""`hidim spectrum`: from a trained model's own covariances to a kappa_3 to start at."""

from __future__ import annotations

import argparse

from hidim.cli.numbers import count
from hidim.cli.output import print_json, table
from hidim.support.checks import whole
from hidim.support.extras import require

SUMMARY = "Tail exponents of a model's activations and gradients, and the kappa_3 they imply."
EXAMPLE = """example:
  hidim train --out run
  hidim spectrum run
eigenvalue j falls like j^-slope; alpha = slope / 2, kappa_3 = 1 / slope: a place to start a sweep,
and no more than that where the slopes of the two halves of the window differ"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim spectrum`."""
    parser.add_argument("folder", metavar="DIR", help="a run's folder")
    parser.add_argument(
        "--windows", type=count, default=256, metavar="N", help="held-out windows (256)"
    )
    parser.add_argument("--ranks", metavar="FIRST,LAST", help="ranks of the fit (3 to half)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    require("torch", "lab")
    from hidim.lab.reports.tails import model_tails

    window = None
    if args.ranks:
        parts = args.ranks.split(",")
        if len(parts) != 2:
            raise ValueError(f"`ranks` must read FIRST,LAST, got {args.ranks!r}.")
        window = (int(whole("ranks", parts[0])), int(whole("ranks", parts[1])))
    tails = model_tails(args.folder, windows=int(whole("windows", args.windows)), window=window)
    if args.json:
        print_json({"folder": args.folder, "tails": [one.to_dict() for one in tails]})
        return 0
    columns = {
        "where": [one.site for one in tails],
        "dimension": [str(len(one.eigenvalues)) for one in tails],
        "ranks": [f"{one.window[0]}-{one.window[1]}" for one in tails],
        "slope": [f"{one.slope:.3f}" for one in tails],
        "halves": [f"{one.halves[0]:.2f}, {one.halves[1]:.2f}" for one in tails],
        "alpha": [f"{one.alpha:.3f}" for one in tails],
        "kappa_3": ["none" if one.kappa_3 is None else f"{one.kappa_3:.3f}" for one in tails],
    }
    print(table(columns))
    return 0
