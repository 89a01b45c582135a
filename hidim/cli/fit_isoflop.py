"""What `hidim fit --law isoflop` does: the compute-optimal size without a formula."""

from __future__ import annotations

import argparse
import time
from typing import Any

import hidim
from hidim.cli.output import table
from hidim.cli.tables import Answer, answer_each, named, tables_of
from hidim.fitting.sizes.approaches import (
    IsoflopBias,
    OptimalSize,
    isoflop,
    isoflop_bias,
    widest_tolerance,
)
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN, SizeTable
from hidim.support.checks import given_seed


def run_isoflop(args: argparse.Namespace) -> int:
    """Parabolas of loss in size at each budget, and what they get wrong on the joint law."""
    idle = [name for name in ("group", "loss") if getattr(args, name)]
    if idle:
        raise ValueError(f"law 'isoflop' has no use for --{idle[0]}: parabolas are by --tolerance.")
    given_seed("seed", args.seed)
    return answer_each(args, tables_of(args), lambda data, kind: _fitted(args, data, kind))


def _fitted(args: argparse.Namespace, data: SizeTable, kind: str) -> Answer:
    params, tokens = data.inputs
    flops = FLOPS_PER_TOKEN * params * tokens
    tolerance = widest_tolerance(flops) if args.tolerance is None else args.tolerance
    start = time.perf_counter()
    found = isoflop(
        params, flops, data.loss, tolerance=tolerance, bootstrap=args.bootstrap, seed=args.seed
    )
    bias, reason = None, ""
    try:
        bias = isoflop_bias(params, flops, data.loss, tolerance=tolerance)
    except ValueError as error:
        reason = str(error)
    doubts = _doubts(data)
    out = named(args.out, kind)
    if out:
        found.save(out)
    columns = {"flops": found.flops, "params": found.sizes, "loss": found.losses}
    answer = {
        "law": "isoflop",
        "exponent": found.exponent,
        "interval": found.exponent_interval,
        "tolerance": tolerance,
        "joint_exponent": bias.joint if bias else None,
        "bias": bias.bias if bias else None,
        "exponent_less_bias": found.exponent - bias.bias if bias else None,
        "no_bias": reason or None,
        "budgets": columns,
        "without_minimum": found.refused,
        "notes": data.notes,
        "warnings": doubts,
        "seconds": time.perf_counter() - start,
    }
    return Answer(columns, answer, _text(found, bias, reason, tolerance, data.notes, args), doubts)


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
