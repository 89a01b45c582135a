"""What `hidim fit --law isoflop` does: the compute-optimal size without a formula."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import hidim
from hidim.cli.output import hand_back, table
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.approaches import (
    IsoflopBias,
    OptimalSize,
    isoflop,
    isoflop_bias,
    widest_tolerance,
)
from hidim.fitting.sizes.columns import ROLES
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN, SizeTable, read_sizes
from hidim.support.checks import given_seed, whole


def run_isoflop(args: argparse.Namespace) -> int:
    """Parabolas of loss in size at each budget, and what they get wrong on the joint law."""
    if len(args.files) > 1 or args.by or args.group or args.loss:
        raise ValueError(
            "law 'isoflop' reads one table, with --where, --drop-highest, --bootstrap."
        )
    columns = parse_columns(args.columns, ROLES) if args.columns else None
    data = read_sizes(args.files[0], columns=columns, where=args.where)
    data = data.without_highest(int(whole("drop_highest", args.drop_highest)))
    params, tokens = data.inputs
    flops = FLOPS_PER_TOKEN * params * tokens
    tolerance = widest_tolerance(flops) if args.tolerance is None else args.tolerance
    seed, start = given_seed("seed", args.seed), time.perf_counter()
    found = isoflop(
        params, flops, data.loss, tolerance=tolerance, bootstrap=args.bootstrap, seed=seed
    )
    bias, reason = None, ""
    try:
        bias = isoflop_bias(params, flops, data.loss, tolerance=tolerance)
    except ValueError as error:
        reason = str(error)
    doubts = _doubts(data)
    for doubt in doubts:
        print(f"hidim: warning: {doubt}", file=sys.stderr)
    if args.out:
        found.save(args.out)
    columns_out = {"flops": found.flops, "params": found.sizes, "loss": found.losses}
    interval = found.exponent_interval
    return hand_back(
        args,
        columns=columns_out,
        answer={
            "law": "isoflop",
            "exponent": found.exponent,
            "interval": interval,
            "tolerance": tolerance,
            "joint_exponent": bias.joint if bias else None,
            "bias": bias.bias if bias else None,
            "exponent_less_bias": found.exponent - bias.bias if bias else None,
            "no_bias": reason or None,
            "budgets": columns_out,
            "without_minimum": found.refused,
            "notes": data.notes,
            "warnings": doubts,
            "seconds": time.perf_counter() - start,
        },
        text=_text(found, bias, reason, tolerance, data.notes, args),
    )


def _doubts(data: SizeTable) -> tuple[str, ...]:
    """Warnings about the rows, and about their joint law, from which the bias comes."""
    try:
        joint = fit_sizes(data, bootstrap=0, held_out=0).warnings
    except ValueError:  # the reason why there is no bias
        return data.warnings
    others = (warning for warning in joint if warning not in data.warnings)
    return (*data.warnings, *(f"of the joint law: {warning}" for warning in others))


def _text(
    found: OptimalSize,
    bias: IsoflopBias | None,
    reason: str,
    tolerance: float,
    notes: tuple[str, ...],
    args: argparse.Namespace,
) -> str:
    rows: dict[str, list[Any]] = {
        "flops": [f"{x:.3g}" for x in found.flops],
        "best params": [f"{x:.3g}" for x in found.sizes],
        "loss": [f"{x:.4f}" for x in found.losses],
    }
    ends = found.exponent_interval
    interval = f" ({ends[0]:.3f} to {ends[1]:.3f}, 90 %)" if ends else ""
    lines = [f"isoflop, budgets within {tolerance:.0%} of the next", "", table(rows), ""]
    lines.append(f"best parameters grow as flops^{found.exponent:.3f}{interval}")
    lines.append(f"{len(found.refused)} group(s) of runs without a minimum inside them")
    if bias:
        lines.append(
            f"the joint law of all runs says {bias.joint:.3f}; isoflop finds {bias.found:.3f} on "
            f"that law at the same sizes and budgets, a bias of {bias.bias:+.3f}, without which "
            f"the runs say {found.exponent - bias.bias:.3f}"
        )
    else:
        lines.append(f"no bias estimated: {reason}")
    lines += [f"note: {note}" for note in notes]
    return "\n".join([*lines, f"hidim {hidim.__version__}, seed {args.seed}"])
