"""What `hidim plan` does with what `fit --law isoflop --out` kept: best sizes, read off runs."""

from __future__ import annotations

import argparse

import numpy as np

import hidim
from hidim.cli.output import hand_back, table
from hidim.fitting.sizes.approaches import OptimalSize
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN


def plan_isoflop(args: argparse.Namespace) -> int:
    """Best size and tokens for every budget, by the power law through the minima."""
    if not args.flops:
        raise ValueError("best sizes are planned for budgets: give --flops.")
    if args.plot is not None:
        raise ValueError("--plot goes with a law of sizes: fit one with --law chinchilla.")
    law = OptimalSize.load(args.law)
    flops = np.array(args.flops, dtype=np.float64)
    params = law.size(flops)
    columns = {"flops": flops, "params": params, "tokens": flops / (FLOPS_PER_TOKEN * params)}
    if law.exponent_interval is not None:
        # The line turns about the middle of the budgets that it goes through.
        away = np.log(flops) - np.mean(np.log(law.flops))
        ends = [params * np.exp((e - law.exponent) * away) for e in law.exponent_interval]
        columns["params_low"], columns["params_high"] = np.sort(ends, axis=0)
    far = float(max(flops.max() / law.flops.max(), law.flops.min() / flops.min()))
    lines = [
        table({key: [f"{x:.4g}" for x in values] for key, values in columns.items()}),
        "",
        f"parameters grow as flops^{law.exponent:.3f}, by isoflop, which says no loss; the "
        "interval (90 %) is that of the exponent",
    ]
    if far > 1.001:
        lines.append(f"extrapolates beyond the fitted budgets: flops {far:.3g} x")
    lines.append(f"flops = {FLOPS_PER_TOKEN:g} x parameters x tokens")
    return hand_back(
        args,
        columns=columns,
        answer={"law": "isoflop", "exponent": law.exponent, **columns, "beyond": max(far, 1.0)},
        text="\n".join([*lines, f"hidim {hidim.__version__}"]),
    )
