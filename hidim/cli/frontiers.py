"""What `hidim frontier --runs` does: the frontier that runs of one's own show, and the law."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hidim.cli.algorithms import Asked, asked, law_of
from hidim.cli.output import hand_back, table
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.ladders import ROLES, UNNAMED, Ladders, read_ladders
from hidim.measure import Exponent, MeasuredFrontier, frontier
from hidim.scaling.law import scaling_law

if TYPE_CHECKING:
    from hidim.curve import Curve


def run_measured(args: argparse.Namespace) -> int:
    """Print a row per optimizer: measured exponents with intervals, and the law's."""
    if (args.alpha is None) != (args.beta is None):
        raise ValueError("the law beside the runs needs both --alpha and --beta.")
    window = None
    if args.window is not None:
        low, high = args.window
        window = low, high
    found: dict[str, MeasuredFrontier] = {}
    ladders = _ladders(args)
    named = asked(args, ()) if args.algorithm else []
    if named and len(named) != len(ladders):
        raise ValueError(
            f"{args.runs!r} holds runs of {', '.join(ladders)}: give one --algorithm for each, or "
            "none."
        )
    if args.alpha is None and (idle := _idle(args, named)):
        raise ValueError(f"{idle} goes with the law of --alpha and --beta: give them too.")
    for k, (label, runs) in enumerate(ladders.items()):
        law = _law(args, named[k] if named else None, label, runs)
        try:
            found[label] = frontier(runs, window=window, floor=args.floor, law=law)
        except ValueError as error:
            raise ValueError(f"{label}: {error}") from None
    columns = power_columns(list(found), list(found.values()))
    rows = [{"runs": label, **one.to_dict()} for label, one in found.items()]
    return hand_back(
        args,
        columns=columns,
        answer={"source": args.runs, "rows": rows},
        text="\n\n".join([table(columns), *(_about(label, one) for label, one in found.items())]),
    )


def _ladders(args: argparse.Namespace) -> Ladders:
    columns = parse_columns(args.columns, ROLES) if args.columns else None
    path = Path(args.runs)
    if not path.exists():
        raise ValueError(f"there is no file or folder {args.runs!r}.")
    if path.is_dir() and any(path.rglob("metrics.jsonl")):
        return _trained(args.runs)
    if path.suffix == ".parquet" and columns is None:
        try:
            return _trained(args.runs)
        except (ValueError, TypeError):
            pass  # a table of somebody else's
    return read_ladders(path, columns=columns)


def _trained(path: str) -> Ladders:
    """The runs of `hidim train` and `sweep` that count, as `hidim report` chooses them."""
    from hidim.lab.reports.groups import best_groups, taken
    from hidim.lab.reports.measured import measured_runs

    ladders: Ladders = {}
    runs = measured_runs(path, unfinished=True)
    under_way = sum(run.status == "unfinished" for run in runs)
    if under_way:
        print(f"hidim: {under_way} unfinished run(s) count as far as they are.", file=sys.stderr)
    groups = best_groups(runs)
    for line in taken(runs, groups):
        print(f"hidim: {line}.", file=sys.stderr)
    for group in groups:
        own = ladders.setdefault(group.label, [])
        own += [run.curve for run in group.runs if run.status != "diverged"]
    return ladders


def _idle(args: argparse.Namespace, named: Sequence[Asked]) -> str:
    """A flag that only a law reads, where none was asked for; empty where there is none."""
    if args.v_over_d is not None:
        return "--v-over-d"
    if args.batch_size != 1:
        return "--batch-size"
    return next((repr(one.label) for one in named if one.given), "")


def _law(args: argparse.Namespace, one: Asked | None, label: str, runs: Sequence[Any]) -> Any:
    """The law of --alpha and --beta, or of the problem that predicted curves were made on."""
    if args.alpha is not None:
        if one is None and label == UNNAMED:
            raise ValueError(
                "the law of --alpha and --beta needs --algorithm NAME: nothing in the runs names "
                "their optimizer."
            )
        return law_of(args, one or Asked(label, {}, label))
    problems = {_problem(curve) for curve in runs}
    only = problems.pop()
    if only is None or problems:
        return None
    alpha, beta, known, batch = only
    return scaling_law(alpha, beta, known, batch_size=batch)


def _problem(curve: Curve | Any) -> tuple[float, float, str, float] | None:
    about = getattr(curve, "provenance", {})
    problem, algorithm = about.get("problem"), about.get("algorithm")
    if not isinstance(problem, dict) or not isinstance(algorithm, dict):
        return None
    if problem.get("problem") != "PLRF":
        return None
    return problem["alpha"], problem["beta"], algorithm["name"], float(curve.batch_size)


def power_columns(labels: Sequence[str], found: Sequence[MeasuredFrontier]) -> dict[str, list[str]]:
    """Columns of a table: both powers with intervals and drifts, and the law's."""
    columns: dict[str, list[str]] = {"optimizer": list(labels)}
    for name, pad in (("eta", ""), ("xi", " ")):
        powers = [getattr(one, name) for one in found]
        columns[name] = [interval(power) for power in powers]
        columns[f"drift{pad}"] = [f"{power.drift:+.4f}" for power in powers]
        for key, head in (("theory", "law"), ("theory_here", "law here")):
            values = [getattr(one, f"{name}_{key}") for one in found]
            if any(value is not None for value in values):
                columns[head + pad] = ["-" if v is None else f"{v:.4f}" for v in values]
    columns["window in flops"] = ["{:.1e}..{:.1e}".format(*one.eta.window) for one in found]  # type: ignore[union-attr, misc]
    columns["sizes"] = [str(one.sizes) for one in found]
    return columns


def interval(power: Exponent) -> str:
    """A power and half its 95 % interval."""
    if power.low is None or power.high is None:
        return f"{power.value:.4f}"
    return f"{power.value:.4f} ±{(power.high - power.low) / 2:.2g}"


def _about(label: str, one: MeasuredFrontier) -> str:
    lines = [f"{label}: "]
    if len(one.flops):
        lines[0] += (
            f"frontier from {one.flops[0]:.2g} to {one.flops[-1]:.2g} flops, best size "
            f"{one.d[0]:.3g} to {one.d[-1]:.3g}"
        )
    else:
        lines[0] += "at no budget does the best size run beside a smaller and a larger one"
    if one.floor_interval is not None:
        low, high = one.floor_interval
        lines[0] += f", floor {one.floor:.4g} (±{(high - low) / 2:.2g}) fitted and taken off"
    elif one.floor:
        lines[0] += f", floor {one.floor:.4g} taken off"
    fit = one.saturating
    if fit is not None and not fit.pinned and fit.c > 0:
        lines.append(f"  loss = {fit.c:.4g} + {fit.A:.3g} flops^-{fit.b:.3g} along it")
    if one.settled:
        lines.append("  settled: yes")
    else:
        bent = "" if one.floor else "; a floor may bend them (--floor fit)"
        lines.append(f"  settled: no, {one.reason}{bent}")
    return "\n".join(lines)
