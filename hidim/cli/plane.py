"""`hidim plane`: exact curves over a plane of (alpha, beta), and the exponents they show."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.cli.algorithms import Asked, add_algorithm_flags, asked, check_keys
from hidim.cli.executors import add_executor_flags, check_executor_flags, executor_of
from hidim.cli.numbers import count, number, row, sizes
from hidim.cli.output import add_output_flags, check_outputs, hand_back, table, write_figures
from hidim.support.checks import finite, positive, whole
from hidim.support.extras import require

if TYPE_CHECKING:
    import xarray

    from hidim.studies import Recipe

SUMMARY = "Exact curves at every point of a plane and every size, and the exponents they show."
EXAMPLE = """\
example: 1,200 curves, kept in a folder; stopped or killed, the same command goes on
  hidim plane --alpha 0.3:1.5:6 --beta 0.1:1.5:10 --algorithm sgd dana-decaying --out plane \\
      --plot eta.png

the same on the workers of a Dask scheduler, or as 20 jobs of Slurm
  hidim plane ... --out plane --executor dask --scheduler tcp://10.0.0.1:8786
  hidim plane ... --out plane --executor slurm --workers 20 \\
      --slurm slurm_partition=cpu,timeout_min=60"""

KEYS = ("rate", "ratio", "delta", "kappa_2", "kappa_3")
_FEW = 12  # points that are listed one by one
_LEAST = 5  # sizes that show an exponent


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim plane`."""
    plane = parser.add_argument_group("plane: numbers as 0.4,0.7,1 or LOW:HIGH:COUNT")
    plane.add_argument(
        "--alpha", type=row, metavar="X,...", required=True, help="data exponents, positive"
    )
    plane.add_argument("--beta", type=row, metavar="X,...", required=True, help="target exponents")
    plane.add_argument(
        "--d", type=sizes, metavar="N,...", help="sizes, evenly in log d (100:51200:10)"
    )
    plane.add_argument(
        "--v-over-d", type=number, metavar="X", help="v / d (inf; 4 when 2 alpha <= 1)"
    )
    add_algorithm_flags(parser, several="sgd", keys=KEYS)
    what = parser.add_argument_group("runs")
    what.add_argument(
        "--batch-size", type=count, metavar="B", default=1, help="samples per step (1)"
    )
    what.add_argument(
        "--reach", type=number, metavar="X", default=100, help="length, in times to the floor (100)"
    )
    what.add_argument("--points", type=count, metavar="N", default=128, help="per curve (128)")
    what.add_argument(
        "--last-decades",
        type=number,
        metavar="X",
        help="decades of flops that powers are fitted to (a window chosen by rule)",
    )
    add_executor_flags(parser, default="processes", keep="finished tasks and plane.nc")
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Predict what is not kept, measure, print."""
    check_outputs(args)
    require("xarray", "studies")
    from hidim.studies import run_plane, save_plane

    check_executor_flags(args, folder=args.out)
    named = asked(args, ["sgd"])
    recipes = [_recipe(one) for one in named]
    if args.last_decades is not None:
        args.last_decades = positive("last_decades", args.last_decades)
    for value in args.alpha:
        positive("alpha", value)
    for value in args.beta:
        finite("beta", value)
    for value in args.d or ():
        whole("d", value, minimum=2)
    if args.plot is not None and len(args.d or range(10)) < _LEAST:
        raise ValueError(f"--plot draws exponents, which show from {_LEAST} sizes on.")
    with executor_of(args, folder=args.out) as executor:
        plane = run_plane(
            args.alpha,
            args.beta,
            recipes=recipes,
            sizes=args.d or (),
            folder=None if args.out is None else Path(args.out) / "tasks",
            points=args.points,
            reach=args.reach,
            batch_size=args.batch_size,
            v_over_d=args.v_over_d,
            workers=args.workers,
            executor=executor,
        )
    if args.out is not None:
        save_plane(plane, Path(args.out) / "plane.nc")
    return _report(args, plane, [one.label for one in named], recipes)


def _recipe(one: Asked) -> Recipe:
    from hidim.studies import Recipe

    check_keys(one, KEYS)
    given = {("step" if key == "rate" else key): value for key, value in one.given.items()}
    try:
        return Recipe(one.name, **given)
    except ValueError as error:
        raise ValueError(str(error).replace("`step`", "`rate`")) from None


def _report(
    args: argparse.Namespace, plane: xarray.Dataset, labels: list[str], recipes: list[Recipe]
) -> int:
    """Write the figure, and hand back one row per point and optimizer."""
    measured = None
    if plane.sizes["d"] >= _LEAST:
        from hidim.studies import plane_exponents

        measured = plane_exponents(plane, last_decades=args.last_decades)
    rows = _rows(plane, measured, labels, recipes)
    lost = [] if measured is None else _diverged(measured, labels)
    if args.plot is not None:
        assert measured is not None  # as `run` has seen to
        draws = [_panel(measured, str(name)) for name in plane["recipe"].values]
        write_figures(args.plot, draws, size=(5.4, 4.4))
    curves = int(np.isfinite(plane["risk"].values[..., 0]).sum())
    d = plane["d"].values
    head = (
        f"{plane.sizes['alpha']} x {plane.sizes['beta']} points (alpha, beta), {len(d)} sizes "
        f"d = {d.min():g}..{d.max():g}: {curves:,} curves"
    )
    where = "" if args.out is None else f", kept in {args.out}"
    notes = lost if measured is not None else [f"exponents show from {_LEAST} sizes on"]
    answer: dict[str, Any] = {key: plane[key].values for key in ("alpha", "beta", "d")}
    answer |= {"batch_size": args.batch_size, "curves": curves, "folder": args.out, "rows": rows}
    text = table(_points(rows) if len(rows) <= _FEW else _summary(rows))
    return hand_back(
        args,
        columns={key: [one[key] for one in rows] for key in rows[0]},
        answer=answer,
        text="\n\n".join([f"{head}{where}", text, *notes]),
    )


def _rows(
    plane: xarray.Dataset,
    measured: xarray.Dataset | None,
    labels: list[str],
    recipes: list[Recipe],
) -> list[dict[str, Any]]:
    """One row per point and optimizer; None where nothing scales or nothing was measured."""
    rows = []
    for r, (label, recipe) in enumerate(zip(labels, recipes, strict=True)):
        for i, alpha in enumerate(plane["alpha"].values.tolist()):
            for j, beta in enumerate(plane["beta"].values.tolist()):
                law = recipe.law(alpha, beta)
                row = {"algorithm": label, "alpha": alpha, "beta": beta, "phase": law.phase}
                for name, theory in (("eta", law.eta), ("xi", law.xi)):
                    for key in (name, f"{name}_low", f"{name}_high"):
                        value = math.nan if measured is None else measured[key].values[i, j, r]
                        row[key] = _known(float(value))
                    row[f"{name}_theory"] = _known(theory)
                row["diverged"] = None if measured is None else int(measured.diverged[i, j, r])
                rows.append(row)
    return rows


def _diverged(measured: xarray.Dataset, labels: list[str]) -> list[str]:
    """A line for each optimizer some of whose runs diverge, with the remedy."""
    lines = []
    for r, label in enumerate(labels):
        counts = measured["diverged"].values[:, :, r]
        if lost := int(np.count_nonzero(counts)):
            lines.append(
                f"{label}: diverges at {lost} of {counts.size} points, at up to {counts.max()} "
                "sizes, so that there are no exponents there: take a smaller rate, or leave it out "
                "for the recommended one"
            )
    return lines


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _points(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Every point, for a person."""
    columns = {"optimizer": [one["algorithm"] for one in rows]}
    columns |= {key: [f"{one[key]:.4g}" for one in rows] for key in ("alpha", "beta")}
    columns["phase"] = [one["phase"] for one in rows]
    for key, name in (("eta", "theory"), ("xi", "theory ")):
        columns[key] = [_text(one[key]) for one in rows]
        columns[name] = [_text(one[f"{key}_theory"]) for one in rows]
    return columns


def _summary(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """A line per optimizer and phase: how far measurement is from theory."""
    columns: dict[str, list[str]] = {}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in rows:
        groups.setdefault((one["algorithm"], one["phase"]), []).append(one)
    for (label, phase), points in sorted(groups.items()):
        line = {"optimizer": label, "phase": phase, "points": str(len(points))}
        for key, tail in (("eta", ""), ("xi", " ")):
            known = [one for one in points if None not in (one[key], one[f"{key}_theory"])]
            gaps = [abs(one[key] - one[f"{key}_theory"]) for one in known]
            values = [one[key] for one in known]
            line[key] = f"{min(values):.3f}..{max(values):.3f}" if values else "-"
            line[f"off by{tail}"] = _text(float(np.median(gaps)) if gaps else None)
            line[f"at most{tail}"] = _text(max(gaps, default=None))
        for name, cell in line.items():
            columns.setdefault(name, []).append(cell)
    return columns


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _panel(measured: xarray.Dataset, name: str) -> Callable[[Any], Any]:
    from hidim.plots.planes import plot_plane

    return lambda ax: plot_plane(measured, ax, recipe=name)
