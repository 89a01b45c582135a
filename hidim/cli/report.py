"""`hidim report`: a folder of runs as one table, figures and exponents."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from hidim.cli.output import check_outputs, hand_back, table, write_figure
from hidim.cli.report_text import report_text
from hidim.support.checks import choice
from hidim.support.extras import require
from hidim.support.json import plain

SUMMARY = "Turn a folder of runs into one table, figures and exponents with intervals over seeds."
EXAMPLE = """example:
  hidim report ladder --figures figures
  hidim report ladder --baseline adamw --csv table.csv
  hidim report ladder --sql "select run, min(validation_loss) from metrics group by run"
± is the 95 % interval over seeds; * marks a learning rate at the edge of those tried, ° one whose
neighbours were not tried at the same length"""


_ESTIMATES = ("loss", "bits_per_byte", "exponent_tokens", "slope_tokens", "steeper_than_baseline",
              "compute_saved", "compute_saved_midway", "compute_saved_by_chance")  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim report`."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="a sweep, any folder with runs below it, or its metrics.parquet",
    )
    parser.add_argument("--baseline", default="sgd", metavar="NAME", help="compared with (sgd)")
    parser.add_argument(
        "--tuned",
        metavar="A,B",
        default="",
        help="options tuned like the rate, or following from a run's length: the best values count",
    )
    parser.add_argument(
        "--figures",
        metavar="DIR",
        help="draw tokens.png, flops.png, windows.png, option.png, horizons.png and exponents.png",
    )
    parser.add_argument("--sql", metavar="QUERY", help="ask DuckDB about the table `metrics`")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    parser.add_argument(
        "--csv", metavar="FILE", help="also write the table to FILE; - prints it instead"
    )


def run(args: argparse.Namespace) -> int:
    """Report."""
    check_outputs(args)
    from hidim.lab.reports import measured
    from hidim.lab.reports.frontiers import frontiers
    from hidim.lab.reports.groups import best_groups, horizon_groups
    from hidim.lab.reports.report import report
    from hidim.lab.reports.tables import query

    if args.figures:
        require("matplotlib", "plots")
    if args.sql is not None:
        names, rows = query(args.folder, args.sql)
        _keep_table(args.folder)
        return _hand_back_query(names, rows, args)
    tuned = [name.strip().replace("-", "_") for name in args.tuned.split(",") if name.strip()]
    runs = measured.measured_runs(args.folder, tuned=tuned)
    missing = measured.unfinished(args.folder) if Path(args.folder).is_dir() else 0
    if missing:
        print(f"hidim: {missing} run(s) not finished are left out.", file=sys.stderr)
    known = list(dict.fromkeys(one.label for one in runs))
    if args.baseline == "sgd" and "sgd" not in known:
        args.baseline = known[0]  # the first by name, where nobody asked for another
    choice("baseline", args.baseline, known)
    answer = report(runs, baseline=args.baseline, tuned=tuned)
    if args.figures:
        groups = best_groups(runs)
        _draw(args.figures, groups, frontiers(groups), args.baseline, answer["windows"])
        _draw_horizons(args.figures, horizon_groups(runs), answer["horizons"])
    flat = [_flat(row) for row in answer["groups"]]
    columns = dict.fromkeys(name for row in flat for name in row)
    return hand_back(
        args,
        columns={name: [row.get(name) for row in flat] for name in columns},
        answer=_data(answer),
        text=report_text(answer),
    )


def _keep_table(folder: str) -> None:
    """Write metrics.parquet beside the runs, where one may write."""
    from hidim.lab.reports.tables import consolidate

    if Path(folder).is_dir():
        try:
            consolidate(folder)
        except (ValueError, OSError) as error:
            print(f"hidim: metrics.parquet was not written: {error}", file=sys.stderr)


def _draw(folder: str, groups: Any, found: Any, baseline: str, windows: Any) -> None:
    from hidim.lab.reports.figures import (
        plot_frontiers,
        plot_option,
        plot_tokens,
        plot_windows,
        swept_option,
    )

    Path(folder).mkdir(parents=True, exist_ok=True)
    size = (7.0, 4.6)
    write_figure(f"{folder}/tokens.png", lambda ax: plot_tokens(groups, ax), size=size)
    if found:
        write_figure(f"{folder}/flops.png", lambda ax: plot_frontiers(found, ax), size=size)
    if windows["rows"]:
        draw = partial(plot_windows, windows, baseline=baseline)
        write_figure(f"{folder}/windows.png", draw, size=size)
    if swept_option(groups):
        draw = partial(plot_option, groups, baseline=baseline)
        write_figure(f"{folder}/option.png", draw, size=size)


def _draw_horizons(folder: str, groups: Any, rows: Any) -> None:
    from hidim.lab.reports.figures_horizons import plot_exponents, plot_horizons

    if rows:
        size = (7.0, 4.6)
        draw = partial(plot_horizons, groups)
        write_figure(f"{folder}/horizons.png", draw, size=size)
        draw = partial(plot_exponents, rows)
        write_figure(f"{folder}/exponents.png", draw, size=size)


def _hand_back_query(
    names: list[str], rows: list[tuple[Any, ...]], args: argparse.Namespace
) -> int:
    columns = {name: [row[k] for row in rows] for k, name in enumerate(names)}
    return hand_back(
        args,
        columns=columns,
        answer={"columns": names, "rows": [list(row) for row in rows]},
        text=table({name: [str(value) for value in cells] for name, cells in columns.items()}),
    )


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Every estimate as two columns."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "tuned":
            flat |= {f"tuned_{option}": str(best) for option, best in value.items()}
        elif name in _ESTIMATES:
            flat[name] = getattr(value, "mean", None)
            flat[f"{name}_half_width"] = getattr(value, "half_width", None)
        else:
            flat[name] = value
    return flat


def _data(answer: dict[str, Any]) -> dict[str, Any]:
    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, list):
            return [convert(item) for item in value]
        if hasattr(value, "half_width"):
            return {"mean": value.mean, "half_width": value.half_width}
        return value

    converted: dict[str, Any] = plain(convert(answer))
    return converted
