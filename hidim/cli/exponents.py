"""`hidim exponents`: compute-optimal exponents measured on exact curves, beside theory.

On power-law random features, or on random features of a covariance of one's own.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hidim.algorithms.named import lookup
from hidim.cli.algorithms import Asked, add_algorithm_flags, asked, check_keys
from hidim.cli.data import add_data_flags
from hidim.cli.executors import (
    add_executor_flags,
    check_executor_flags,
    executor_of,
    refuse_executor_flags,
)
from hidim.cli.numbers import count, number
from hidim.cli.output import add_output_flags, check_outputs, hand_back, table, write_figure
from hidim.support.checks import positive, whole

if TYPE_CHECKING:
    from hidim.studies import Ladder, LadderExponents

SUMMARY = "Compute-optimal exponents measured on exact curves over a ladder of sizes, and theory's."
EXAMPLE = """example:
  hidim exponents --alpha 1 --beta 0.7
  hidim exponents --alpha 1 --beta 0.3 --algorithm dana-decaying --d-max 1e7 --json
  hidim exponents --alpha 1 --beta 0.7 --algorithm sgd general-momentum:kappa_2=0.5,kappa_3=0.25
  hidim exponents --data rows.csv --target price --features relu:600 --algorithm sgd
± is the 95 % interval, which leaves out one size after another; drift is the later half of the
window minus the earlier half; "here" is the law with its constants over the same window"""

DEFAULT = ("sgd", "dana-constant", "dana-decaying")
KEYS = ("rate", "ratio", "delta", "kappa_2", "kappa_3")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim exponents`."""
    problem = parser.add_argument_group("problem: power laws, or a covariance of your own")
    problem.add_argument("--alpha", type=number, metavar="X", help="data exponent, positive")
    problem.add_argument("--beta", type=number, metavar="X", help="target exponent")
    problem.add_argument(
        "--v-over-d", type=number, metavar="X", help="v / d (inf; 4 when 2 alpha <= 1)"
    )
    problem.add_argument(
        "--spectrum", metavar="FILE", help=".json, .npz or .csv with eigenvalues and error_sq"
    )
    add_data_flags(problem)
    problem.add_argument("--ranks", metavar="FIRST,LAST", help="that alpha and beta are read from")
    problem.add_argument(
        "--seed", type=count, metavar="N", default=0, help="of the random features (0)"
    )
    add_algorithm_flags(parser, several=" ".join(DEFAULT), keys=KEYS)
    what = parser.add_argument_group("rates of all of them (recommended ones)")
    what.add_argument(
        "--rate", type=number, metavar="X", help="gamma_2 x trace (0.5 beside a ratio)"
    )
    what.add_argument(
        "--ratio", type=number, metavar="X", help="gamma_3 / gamma_2 (0.5 beside a rate)"
    )
    what.add_argument(
        "--batch-size", type=count, metavar="B", default=1, help="samples per step (1)"
    )
    for old in ("--step", "--kappa-2", "--kappa-3"):  # now --rate and keys of the algorithm
        what.add_argument(old, type=number, help=argparse.SUPPRESS)
    ladder = parser.add_argument_group("ladder of sizes")
    ladder.add_argument(
        "--d-min", type=number, metavar="X", help="smallest size (100; 10 of your own)"
    )
    ladder.add_argument(
        "--d-max", type=number, metavar="X", help="largest size (1e6; a quarter of your modes)"
    )
    ladder.add_argument(
        "--per-decade", type=number, metavar="N", default=6, help="sizes per decade (6)"
    )
    ladder.add_argument(
        "--last-decades",
        type=number,
        metavar="X",
        help="decades of flops that powers are fitted to (a window chosen by rule)",
    )
    ladder.add_argument(
        "--multiple",
        type=number,
        metavar="X",
        default=2.5,
        help="of the floor, for the time to it (2.5)",
    )
    add_executor_flags(parser, default="this process alone", keep="finished sizes")
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Print a row per optimizer: measured and theoretical exponents."""
    check_outputs(args)
    if args.spectrum or args.data:
        from hidim.cli.own_exponents import run_own

        refuse_executor_flags(args, "--spectrum" if args.spectrum else "--data")
        return run_own(args)
    return _run_powers(args)


def _run_powers(args: argparse.Namespace) -> int:
    from hidim.studies.ladder import sizes_between

    missing = [f"--{name}" for name in ("alpha", "beta") if getattr(args, name) is None]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} missing: give --alpha and --beta, or --spectrum FILE, or "
            "--data FILE."
        )
    args.d_min = 100 if args.d_min is None else args.d_min
    args.d_max = 1e6 if args.d_max is None else args.d_max
    check_executor_flags(args, folder=args.out)
    named = [_with_old_flags(one, args) for one in asked(args, DEFAULT)]
    for one in named:
        check_keys(one, KEYS)
    low, high = positive("d-min", args.d_min), positive("d-max", args.d_max)
    if not 10 <= low < high <= 1e12 or high < 30 * low:
        raise ValueError(
            f"`d-min` and `d-max` must lie between 10 and 1e12, at least a factor 30 apart, got "
            f"{low:g} and {high:g}."
        )
    for name, size in (("d-min", low), ("d-max", high)):
        whole(name, size)
    per_decade, args.multiple = (
        positive(name, getattr(args, name.replace("-", "_"))) for name in ("per-decade", "multiple")
    )
    if args.last_decades is not None:
        args.last_decades = positive("last-decades", args.last_decades)
    if args.multiple <= 1:
        raise ValueError(f"`multiple` of the floor must exceed 1, got {args.multiple:g}.")
    args.sizes = sizes_between(low, high, per_decade)
    args.batch_size = whole("batch-size", args.batch_size, minimum=1)
    with executor_of(args, folder=args.out) as executor:
        found = [_measure(args, one, executor) for one in named]
    labels = [one.label for one in named]
    rows = [{**one.to_dict(), "algorithm": k} for one, k in zip(found, labels, strict=True)]
    if args.plot is not None:
        write_figure(args.plot, lambda ax: _draw(ax, found, labels), size=(6.4, 4.4))
    head = (
        f"alpha = {args.alpha:g}, beta = {args.beta:g}: phase {found[0].phase}, "
        f"d = {low:g}..{high:g}"
    )
    answer = {"alpha": args.alpha, "beta": args.beta, "phase": found[0].phase, "rows": rows}
    return hand_back(
        args,
        columns=_frontiers(found, labels),
        answer=answer,
        text=f"{head}\n\n{table(_columns(rows))}",
    )


def _with_old_flags(one: Asked, args: argparse.Namespace) -> Asked:
    """--kappa-2 and --kappa-3 go to the general class, as in version 0.1."""
    if not lookup(one.name).takes_kappas:
        return one
    old = {key: getattr(args, key) for key in ("kappa_2", "kappa_3")}
    return one._replace(given={k: v for k, v in old.items() if v is not None} | one.given)


def _measure(args: argparse.Namespace, one: Asked, executor: Any) -> LadderExponents:
    from hidim.studies import Recipe, measure_ladder, run_ladder

    given = {"step": args.step, "rate": args.rate, "ratio": args.ratio} | one.given
    for key in ("step", "rate", "ratio"):
        if given[key] is not None:
            given[key] = positive(key, given[key])
    rate = given.pop("rate")
    given["step"] = given["step"] if rate is None else rate
    recipe = Recipe(one.name, **given)
    ladder = run_ladder(
        args.alpha,
        args.beta,
        recipe,
        sizes=args.sizes,
        v_over_d=args.v_over_d,
        batch_size=args.batch_size,
        executor=executor,
        workers=args.workers,
        folder=None if args.out is None else Path(args.out) / "tasks",
    )
    try:
        return measure_ladder(
            cast("Ladder", ladder), last_decades=args.last_decades, multiple=args.multiple
        )
    except ValueError as error:  # the flag's name
        raise ValueError(str(error).replace("step=", "rate=")) from None


def _frontiers(found: list[LadderExponents], labels: list[str]) -> dict[str, list[float | None]]:
    """The columns of --csv, padded to one length."""
    columns = {
        f"{label} {key}": getattr(one.frontier, key).tolist()
        for one, label in zip(found, labels, strict=True)
        for key in ("flops", "d", "risk")
    }
    length = max(map(len, columns.values()))
    return {key: [*column, *[None] * (length - len(column))] for key, column in columns.items()}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    def text(key: str) -> list[str]:
        return [_number(row[key]) for row in rows]

    columns = {"optimizer": [row["algorithm"] for row in rows]}
    for name, pad in (("eta", ""), ("xi", " ")):
        columns |= {
            name: text(name),
            f"±{pad}": [_half(row, name) for row in rows],
            f"drift{pad}": [_number(row[f"{name}_drift"], "+.4f") for row in rows],
            f"isoflop{pad}": text(f"{name}_isoflop"),
            f"theory{pad}": text(f"{name}_theory"),
            f"here{pad}": text(f"{name}_theory_here"),
        }
    return columns | {
        "floor d^": text("floor_time"),
        "theory  ": text("floor_time_theory"),
        "window in flops": ["{:.1e}..{:.1e}".format(*row["window"]) for row in rows],
    }


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def _half(row: dict[str, Any], name: str) -> str:
    """Half the interval."""
    return _number((row[f"{name}_high"] - row[f"{name}_low"]) / 2)


def _draw(ax: Any, found: list[LadderExponents], labels: list[str]) -> Any:
    from hidim.plots import colour_of, dress

    for index, (one, label) in enumerate(zip(found, labels, strict=True)):
        frontier, colour = one.frontier, colour_of(label, index=index)
        text = f"{label}   {one.eta:.3f} (theory {one.eta_theory:.3f})"
        ax.plot(frontier.flops, frontier.risk, "o", color=colour, markersize=3, label=text)
        last = frontier.risk[-1] * (frontier.flops / frontier.flops[-1]) ** -one.eta_theory
        ax.plot(frontier.flops, last, color=colour, linewidth=1)
    dress(ax, x="flops = steps x parameters x batch", y="compute-optimal risk")
    ax.legend(frameon=False, fontsize="small")
    return ax
