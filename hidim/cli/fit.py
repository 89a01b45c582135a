"""`hidim fit`: a scaling law from logs of training runs, with its hold-out errors."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hidim
from hidim.cli.numbers import count, number, one_of
from hidim.cli.output import (
    add_output_flags,
    check_outputs,
    hand_back,
    table,
    write_figure,
)
from hidim.cli.problems import flag
from hidim.fitting.logs.readers import is_run, parse_columns, read_run
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.errors import errors_by_curve
from hidim.fitting.schedules.fit import fit
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.laws import LAWS
from hidim.fitting.sizes.forms import FORMS
from hidim.support.checks import given_seed, non_negative
from hidim.support.files import check_writable, is_stream

SUMMARY = "Fit a law of the loss to logs of training runs; says how well it predicts held-out runs."
EXAMPLE = """example:
  hidim fit --law fsl cosine.csv constant.csv two-stage.csv --warmup-steps 2160 --out law.json
  hidim fit run.jsonl --columns step=_step,loss=train/loss,lr=train/lr --out law.json
  hidim fit --law chinchilla runs.csv --columns params=N,flops=C,loss=loss --out sizes.json
  hidim fit runs/cosine runs/wsd curve.npz          (folders of hidim train, and saved curves)
logs: CSV, TSV, JSON lines, trainer_state.json, Parquet, TensorBoard events, saved curves (.json,
.npz), the folder of a run; of hidim train's the validation loss (--columns loss=train_loss)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim fit`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="one log per run, or its folder")
    parser.add_argument(
        "--law",
        type=one_of("law", (*LAWS, *FORMS)),
        default="fsl",
        metavar="LAW",
        help=f"of schedules: {', '.join(LAWS)}; of sizes: {', '.join(FORMS)} (fsl)",
    )
    add_log_flags(parser)
    group = parser.add_argument_group("laws of sizes, from one table of finished runs")
    group.add_argument(
        "--drop-highest", type=count, default=0, metavar="N", help="leave out the N highest losses"
    )
    group.add_argument("--bootstrap", type=count, default=1000, metavar="N", help="refits (1000)")
    group.add_argument("--seed", type=count, default=0, help="of the bootstrap (0)")
    parser.add_argument(
        "--force",
        action="store_true",
        help="fit rates of doubtful unit and curves the law misses, with warnings (schedules)",
    )
    parser.add_argument("--out", metavar="LAW.json", help="where to keep the law for `forecast`")
    add_output_flags(parser)


def add_log_flags(parser: argparse.ArgumentParser, *, warmup: float | None = 0.0) -> None:
    """Add the flags that say how to read a log; without `warmup`, that of the law is usual."""
    group = parser.add_argument_group("log")
    group.add_argument(
        "--columns",
        metavar="ROLE=NAME,...",
        help="column names: step=...,loss=...,lr=... (sizes: params, tokens, flops, loss, x)",
    )
    group.add_argument(
        "--warmup-steps",
        type=number,
        default=warmup,
        metavar="N",
        help="linear warm-up from zero that the log leaves out, in optimizer steps "
        + ("(0)" if warmup is not None else "(as in the fitted runs)"),
    )
    group.add_argument(
        "--lr", type=number, metavar="RATE", help="constant learning rate of a log that has none"
    )


def read_logs(args: argparse.Namespace, *, loss: str = "needed") -> list[Run]:
    """The runs named on the command line; equal file names are told apart by their folder."""
    columns = parse_columns(args.columns) if args.columns else None
    warmup = non_negative("warmup_steps", args.warmup_steps)
    stems = [Path(name).stem for name in args.files]
    runs = []
    for name, stem in zip(args.files, stems, strict=True):
        label = stem if stems.count(stem) == 1 else str(Path(name))
        if columns is None and args.lr is None and is_run(name):
            runs.append(_trained(name, label, warmup))
            continue
        runs.append(
            read_run(name, columns=columns, warmup_steps=warmup, label=label, loss=loss, lr=args.lr)
        )
    return runs


def _trained(name: str, label: str, warmup: float) -> Run:
    """A run of `hidim train`, as far as it is."""
    from hidim.lab.training.store import RunFolder

    return replace(Run.of(RunFolder(name).curve(), warmup_steps=warmup), label=label)


def run(args: argparse.Namespace) -> int:
    """Fit, report, and keep the law."""
    check_outputs(args)
    if args.out:
        check_writable(args.out)
        if not (is_stream(args.out) or args.out.lower().endswith(".json")):
            raise ValueError(
                f"--out keeps a law as JSON: its name must end in .json, got {args.out!r}."
            )
    given_seed("seed", args.seed)
    if args.law in FORMS:
        from hidim.cli.fit_sizes import run_sizes

        return run_sizes(args)
    for name, usual in (("drop_highest", 0), ("bootstrap", 1000), ("seed", 0)):
        if getattr(args, name) != usual:
            raise ValueError(
                f"{flag(name)} goes with a law of sizes ({', '.join(FORMS)}), not with {args.law}."
            )
    runs = read_logs(args)
    start = time.perf_counter()
    law = fit(runs, args.law, force=args.force)
    seconds = time.perf_counter() - start
    if args.out:
        law.save(args.out)
    for warning in law.warnings:
        print(f"hidim: warning: {warning}", file=sys.stderr)
    rows = errors_by_curve(law, runs)
    if args.plot is not None:
        from hidim.plots.forecast import plot_forecast

        write_figure(args.plot, lambda ax: plot_forecast(law, runs, ax), size=(7.0, 4.6))
    return hand_back(
        args,
        columns={key: [row[key] for row in rows] for key in rows[0]},
        answer={**law.to_dict(), "errors": rows, "seconds": seconds},
        text=_text(law, runs, rows, seconds, args),
    )


def _text(
    law: FittedLaw,
    runs: list[Run],
    rows: list[dict[str, Any]],
    seconds: float,
    args: argparse.Namespace,
) -> str:
    formats = {"rows": "{:d}", "last_step": "{:,.0f}", "in_fit": "{:.5f}", "left_out": "{:.5f}"}
    columns = {
        key: ["" if row[key] is None else formats.get(key, "{}").format(row[key]) for row in rows]
        for key in rows[0]
    }
    head = f"law {law.law.name}, {len(runs)} curve(s), mean relative error as a fraction"
    lines = [head, "", table(columns)]
    if not law.holdout:
        lines.append(
            "no hold-out: without any one part of these curves no change of the rate is left"
        )
    lines += [f"note: {one.label}: {note}" for one in runs for note in one.notes]
    lines.append(
        "\nparameters, often not identified one by one (quote predictions and their bands):"
    )
    lines.append("  " + ", ".join(f"{name} {value:.4g}" for name, value in law.parameters.items()))
    kept = f", law in {args.out}" if args.out else ""
    return "\n".join([*lines, f"hidim {hidim.__version__}{kept}, {seconds:.2f} s"])
