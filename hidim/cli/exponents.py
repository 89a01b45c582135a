"""`hidim exponents`: compute-optimal exponents measured on exact curves, beside theory."""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np

from hidim.algorithms.named import GENERAL
from hidim.algorithms.named import names as known_names
from hidim.cli.output import (
    add_output_flags,
    check_outputs,
    print_json,
    table,
    write_csv,
    write_figure,
)
from hidim.support.checks import choice, positive, whole
from hidim.support.progress import Progress

SUMMARY = "Compute-optimal exponents measured on exact curves over a ladder of sizes, and theory's."
EXAMPLE = """example:
  hidim exponents --alpha 1 --beta 0.7
  hidim exponents --alpha 1 --beta 0.3 --algorithm dana-decaying --d-max 1e7 --json"""

DEFAULT = ("sgd", "dana-constant", "dana-decaying")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim exponents`."""
    problem = parser.add_argument_group("problem")
    problem.add_argument("--alpha", type=float, required=True, help="data exponent, positive")
    problem.add_argument("--beta", type=float, required=True, help="target exponent")
    problem.add_argument("--v-over-d", type=float, help="v / d (inf; 4 when 2 alpha <= 1)")
    what = parser.add_argument_group("optimizers")
    what.add_argument("--algorithm", nargs="+", metavar="NAME", help=f"({' '.join(DEFAULT)})")
    what.add_argument("--kappa-2", type=float, metavar="K", help=f"for {GENERAL}: gamma_3 ~ d^-K")
    what.add_argument("--kappa-3", type=float, metavar="K", help=f"for {GENERAL}: gamma_3 ~ t^-K")
    what.add_argument("--step", type=float, default=0.5, help="gamma_2 x trace (0.5)")
    what.add_argument("--ratio", type=float, default=0.5, help="gamma_3 / gamma_2 (0.5)")
    what.add_argument("--batch-size", type=float, default=1, help="samples per step (1)")
    ladder = parser.add_argument_group("ladder of sizes")
    ladder.add_argument("--d-min", type=float, default=100, help="smallest size (100)")
    ladder.add_argument("--d-max", type=float, default=1e6, help="largest size (1e6)")
    ladder.add_argument("--per-decade", type=float, default=6, help="sizes per decade (6)")
    ladder.add_argument(
        "--last-decades", type=float, default=2, help="decades of flops that powers are fitted to"
    )
    ladder.add_argument(
        "--multiple", type=float, default=2.5, help="of the floor, for the time to it (2.5)"
    )
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print a row per optimizer: measured and theoretical exponents."""
    check_outputs(args)
    names = [choice("algorithm", n, known_names(scaling=True)) for n in args.algorithm or DEFAULT]
    low, high = positive("d-min", args.d_min), positive("d-max", args.d_max)
    if not 10 <= low < high <= 1e12 or high < 30 * low:
        raise ValueError(
            f"`d-min` and `d-max` must lie between 10 and 1e12, at least a factor 30 apart, got "
            f"{low:g} and {high:g}."
        )
    rows, frontiers = [], []
    for name in names:
        row, frontier = _measure(args, name, low, high)
        rows.append(row)
        frontiers.append(frontier)
    if args.csv is not None:
        columns = [(f"{n} {key}", getattr(f, key)) for n, f in zip(names, frontiers, strict=True)
                   for key in ("flops", "d", "risk")]  # fmt: skip
        length = max(len(values) for _, values in columns)
        padded = {k: [*v.tolist(), *[None] * (length - len(v))] for k, v in columns}
        write_csv(args.csv, padded)
    if args.plot is not None:
        write_figure(args.plot, lambda ax: _draw(ax, names, frontiers, rows), size=(6.4, 4.4))
    if args.json:
        print_json({"alpha": args.alpha, "beta": args.beta, "phase": rows[0]["phase"],
                    "rows": rows})  # fmt: skip
        return 0
    print(f"alpha = {args.alpha:g}, beta = {args.beta:g}: phase {rows[0]['phase']}, "
          f"d = {low:g}..{high:g}, last {args.last_decades:g} decades\n")  # fmt: skip
    print(table(_columns(rows)))
    return 0


def _measure(args: argparse.Namespace, name: str, low: float, high: float) -> tuple[dict, Any]:
    from hidim.studies import (
        Recipe,
        envelope,
        isoflop,
        measure_exponent,
        run_ladder,
        time_to_multiple,
    )
    from hidim.studies.ladder import sizes_between

    kappas = {"kappa_2": args.kappa_2, "kappa_3": args.kappa_3} if name == GENERAL else {}
    recipe = Recipe(
        name, step=positive("step", args.step), ratio=positive("ratio", args.ratio), **kappas
    )
    sizes = sizes_between(low, high, positive("per-decade", args.per_decade))
    with Progress(len(sizes), name) as bar:
        ladder = run_ladder(
            args.alpha,
            args.beta,
            recipe,
            sizes=sizes,
            v_over_d=args.v_over_d,
            batch_size=whole("batch-size", args.batch_size, minimum=1),
            done=bar.advance,
        )
    assert not isinstance(ladder, list)
    for curve in ladder.curves:
        if curve.status == "diverged":
            raise ValueError(
                f"`step` {args.step:g} with `ratio` {args.ratio:g} diverges for {name} at "
                f"d = {curve.dimension:g}. Take smaller ones."
            )
    budgets = 10 ** np.arange(3, 45, 0.125)
    first, second = envelope(ladder.curves, budgets), isoflop(ladder.curves, budgets)
    if len(first.flops) < 4:
        raise ValueError(
            f"`d-max` is {high:g}: too short a ladder to hold a compute-optimal size. Raise it."
        )
    pairs = zip(ladder.curves, ladder.floors, strict=True)
    times = np.array([time_to_multiple(curve, floor, args.multiple) for curve, floor in pairs])
    crossed = np.isfinite(times)

    def power(x: np.ndarray, y: np.ndarray, decades: float) -> float:
        return measure_exponent(x, y, last_decades=decades).value if len(x) > 1 else math.nan

    law, span = ladder.law, args.last_decades
    return {
        "algorithm": name,
        "phase": law.phase,
        "eta": power(first.flops, 1 / first.risk, span),
        "eta_isoflop": power(second.flops, 1 / second.risk, span),
        "eta_theory": law.eta,
        "xi": power(first.flops, first.d, span),
        "xi_isoflop": power(second.flops, second.d, span),
        "xi_theory": law.xi,
        "floor_time": power(ladder.sizes[crossed], times[crossed], 1.0),
        "floor_time_theory": law.floor_time,
        "flops": [float(first.flops[0]), float(first.flops[-1])],
    }, first


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    def text(key: str) -> list[str]:
        return [f"{row[key]:.4f}" if math.isfinite(row[key]) else "-" for row in rows]

    return {
        "optimizer": [row["algorithm"] for row in rows],
        "eta": text("eta"),
        "isoflop": text("eta_isoflop"),
        "theory": text("eta_theory"),
        "xi": text("xi"),
        "isoflop ": text("xi_isoflop"),
        "theory ": text("xi_theory"),
        "floor d^": text("floor_time"),
        "theory  ": text("floor_time_theory"),
        "flops": ["{:.1e}..{:.1e}".format(*row["flops"]) for row in rows],
    }


def _draw(ax: Any, names: list[str], frontiers: list[Any], rows: list[dict[str, Any]]) -> Any:
    from hidim.plots import colour_of, dress

    for name, frontier, row in zip(names, frontiers, rows, strict=True):
        colour = colour_of(name)
        label = f"{name}   {row['eta']:.3f} (theory {row['eta_theory']:.3f})"
        ax.plot(frontier.flops, frontier.risk, "o", color=colour, markersize=3, label=label)
        last = frontier.risk[-1] * (frontier.flops / frontier.flops[-1]) ** -row["eta_theory"]
        ax.plot(frontier.flops, last, color=colour, linewidth=1)
    dress(ax, x="flops = steps x parameters x batch", y="compute-optimal risk")
    ax.legend(frameon=False, fontsize="small")
    return ax
