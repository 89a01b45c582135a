"""`hidim report`: a folder of runs as one table, figures and exponents."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from hidim.cli.output import check_outputs, hand_back, table, write_figure
from hidim.support.checks import choice
from hidim.support.extras import require
from hidim.support.json import plain

SUMMARY = "Turn a folder of runs into one table, figures and exponents with intervals over seeds."
EXAMPLE = """example:
  hidim report ladder --figures figures
  hidim report ladder --baseline adamw --csv table.csv
  hidim report ladder --sql "select run, min(validation_loss) from metrics group by run"
± is the 95 % interval over seeds; * marks a learning rate at the edge of those tried"""


_ESTIMATES = ("loss", "exponent_tokens", "slope_tokens", "steeper_than_baseline", "compute_saved")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim report`."""
    parser.add_argument(
        "folder",
        metavar="DIR",
        help="a sweep, any folder with runs below it, or its metrics.parquet",
    )
    parser.add_argument("--baseline", default="sgd", metavar="NAME", help="compared with (sgd)")
    parser.add_argument(
        "--figures", metavar="DIR", help="draw tokens.png, flops.png and option.png"
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
    from hidim.lab.reports.groups import best_groups
    from hidim.lab.reports.report import report

    if args.figures:
        require("matplotlib", "plots")
    if args.sql is not None:
        names, rows = measured.query(args.folder, args.sql)
        _keep_table(args.folder)
        return _hand_back_query(names, rows, args)
    runs = measured.measured_runs(args.folder)
    missing = measured.unfinished(args.folder) if Path(args.folder).is_dir() else 0
    if missing:
        print(f"hidim: {missing} run(s) not finished are left out.", file=sys.stderr)
    known = list(dict.fromkeys(one.label for one in runs))
    if args.baseline == "sgd" and "sgd" not in known:
        args.baseline = known[0]  # the first by name, where nobody asked for another
    choice("baseline", args.baseline, known)
    answer = report(runs, baseline=args.baseline)
    if args.figures:
        groups = best_groups(runs)
        _draw(args.figures, groups, frontiers(groups), args.baseline)
    flat = [_flat(row) for row in answer["groups"]]
    return hand_back(
        args,
        columns={name: [row[name] for row in flat] for name in flat[0]},
        answer=_data(answer),
        text=_text(answer),
    )


def _keep_table(folder: str) -> None:
    """Write metrics.parquet beside the runs, where one may write."""
    from hidim.lab.reports.measured import consolidate

    if Path(folder).is_dir():
        try:
            consolidate(folder)
        except (ValueError, OSError) as error:
            print(f"hidim: metrics.parquet was not written: {error}", file=sys.stderr)


def _draw(folder: str, groups: Any, found: Any, baseline: str) -> None:
    from hidim.lab.reports.figures import plot_frontiers, plot_option, plot_tokens, swept_option

    Path(folder).mkdir(parents=True, exist_ok=True)
    size = (7.0, 4.6)
    write_figure(f"{folder}/tokens.png", lambda ax: plot_tokens(groups, ax), size=size)
    if found:
        write_figure(f"{folder}/flops.png", lambda ax: plot_frontiers(found, ax), size=size)
    if swept_option(groups):
        draw = partial(plot_option, groups, baseline=baseline)
        write_figure(f"{folder}/option.png", draw, size=size)


def _text(answer: dict[str, Any]) -> str:
    base = answer["baseline"]
    parts = [
        f"validation loss in nats per token; compute saved against {base}",
        table(_groups(answer["groups"])),
    ]
    if answer["frontiers"]:
        parts += [
            "how fast it falls: loss ~ tokens^-slope over the last decade of every size; of the "
            "lower\nenvelope over sizes, loss ~ flops^-slope, and loss ~ c + A flops^-b with a c "
            f"of its own\nor one for all (c = {answer['shared_floor']})",
            table(_slopes(answer["frontiers"], base)),
        ]
    if answer["best_options"]:
        parts += ["best options by size, and how far ahead of the next"]
        parts += [table(_options(answer["best_options"]))]
    if answer["at_baseline_rate"]:
        parts += [f"at the best rate of {base}, untuned"]
        parts += [table(_at_rate(answer["at_baseline_rate"], base))]
    if answer["matched_momentum"]:
        parts += ["SGD with momentum m beside SGD at its rate / (1 - m)"]
        parts += [table(_matched(answer["matched_momentum"]))]
    return "\n\n".join(parts)


def _groups(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "optimizer": [row["optimizer"] for row in rows],
        "lr": [f"{row['lr']:g}{'*' if row['lr_at_edge'] else ''}" for row in rows],
        "seeds": [_seeds(row) for row in rows],
        "loss": [str(row["loss"]) for row in rows],
        "b (tokens)": [str(row["exponent_tokens"]) for row in rows],
        "slope": [str(row["slope_tokens"]) for row in rows],
        "steeper by": [_or_dash(row["steeper_than_baseline"]) for row in rows],
        "compute saved": [_or_dash(row["compute_saved"]) for row in rows],
        "tokens/s": [f"{row['tokens_per_second']:,.0f}" for row in rows],
    }


def _slopes(rows: list[dict[str, Any]], base: str) -> dict[str, list[str]]:
    return {
        "optimizer": [row["optimizer"] for row in rows],
        "sizes": [str(row["sizes"]) for row in rows],
        "slope": [str(row["slope"]) for row in rows],
        f"steeper than {base}": [_or_dash(row["steeper_than_baseline"]) for row in rows],
        "b, own c": [str(row["exponent_flops"]) for row in rows],
        "b, one c": [str(row["exponent_shared_floor"]) for row in rows],
        f"over {base}": [_or_dash(row["exponent_over_baseline"]) for row in rows],
    }


def _options(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "best": [row["best"] for row in rows],
        "loss": [str(row["loss"]) for row in rows],
        "next": [row["next"] for row in rows],
        "lead": [f"{row['lead']:.4f}" for row in rows],
    }


def _at_rate(rows: list[dict[str, Any]], base: str) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "lr": [f"{row['lr']:g}" for row in rows],
        "steps": [str(row["steps"]) for row in rows],
        "optimizer": [row["optimizer"] for row in rows],
        "loss": [str(row["loss"]) for row in rows],
        f"over {base}": [_or_dash(row["over_baseline"]) for row in rows],
    }


def _matched(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {
        "parameters": [f"{row['parameters']:,}" for row in rows],
        "lr": [f"{row['lr']:g}" for row in rows],
        "steps": [str(row["steps"]) for row in rows],
        "seeds": [str(row["seeds"]) for row in rows],
        "loss": [str(row["loss"]) for row in rows],
        "over SGD": [str(row["loss_over_sgd"]) for row in rows],
        "largest gap": [str(row["largest_gap"]) for row in rows],
    }


def _seeds(row: dict[str, Any]) -> str:
    return f"{row['seeds']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")


def _or_dash(value: Any) -> str:
    return "-" if value is None else str(value)


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
        if name in _ESTIMATES:
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
