"""`hidim fit`: a scaling law from logs of training runs, with its hold-out errors."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hidim
from hidim.cli.fit_sizes import BEST, CHOSEN, ISOFLOP, add_size_flags
from hidim.cli.idle import refuse_in_fit
from hidim.cli.joint import add_joint_flags
from hidim.cli.numbers import amount, count, number, one_of
from hidim.cli.output import (
    add_output_flags,
    check_outputs,
    hand_back,
    prints_csv,
    table,
    write_figures,
)
from hidim.cli.problems import flag
from hidim.fitting.logs.how import How
from hidim.fitting.logs.readers import is_run, parse_columns, readings
from hidim.fitting.logs.readings import Reading, told_together
from hidim.fitting.logs.repairs import RESUMED
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
  hidim fit 25M/*.csv 100M/*.csv --params 25M=25M 100M=100M --tokens-per-step 5e5 --out both.json
  hidim fit runs/cosine runs/wsd curve.npz          (folders of hidim train, and saved curves)
  hidim fit main.log --schedule "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000"
  hidim fit wandb_loss.csv wandb_lr.csv             (two exports of one run are joined)
logs: tables (CSV, TSV, blanks), JSON lines, trainer_state.json, Parquet, TensorBoard events, what
programs print (nanoGPT, llm.c, Megatron, torchtitan, Hugging Face, ...), saved curves (.json,
.npz), the folder of a run; also .gz, .bz2, .xz and .zst; of hidim train's the validation loss
(--columns loss=train_loss). What was understood is printed in three lines before the fit."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim fit`."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="one log per run, or its folder")
    parser.add_argument(
        "--law",
        type=_law,
        default="fsl",
        metavar="LAW",
        help=f"of schedules: {', '.join(LAWS)}; of sizes: {', '.join(FORMS)}, "
        f"{CHOSEN} (whichever of those of parameters and tokens predicts best), {ISOFLOP}, "
        "or best:COLUMN, of a sweep: the best lr against size (fsl)",
    )
    add_log_flags(parser, several=True)
    add_size_flags(parser)
    add_joint_flags(parser)
    parser.add_argument(
        "--force",
        action="store_true",
        help="fit what is refused as doubtful, with warnings",
    )
    parser.add_argument("--out", metavar="LAW.json", help="where to keep the law for `forecast`")
    add_output_flags(parser)


def _law(text: str) -> str:
    if text.lower().startswith(BEST):
        return BEST + text[len(BEST) :]
    return str(one_of("law", (*LAWS, *FORMS, CHOSEN, ISOFLOP))(text))


def add_log_flags(
    parser: argparse.ArgumentParser, *, warmup: float | None = 0.0, several: bool = False
) -> None:
    """Add the flags that say how to read a log; without `warmup`, that of the law is usual.

    With `several`, --schedule may come once for every log.
    """
    group = parser.add_argument_group("log")
    group.add_argument(
        "--columns",
        metavar="ROLE=NAME,...",
        help="column names: step=...,loss=...,lr=...,run=..., - for none (sizes: params, tokens, "
        "flops, loss, x)",
    )
    group.add_argument(
        "--warmup-steps",
        type=amount,
        default=warmup,
        metavar="N",
        help="linear warm-up from zero that the log leaves out, in optimizer steps "
        + ("(0)" if warmup is not None else "(as in the fitted runs)"),
    )
    group.add_argument(
        "--lr", type=number, metavar="RATE", help="constant learning rate of a log that has none"
    )
    group.add_argument(
        "--schedule",
        metavar="WORDS",
        action="append" if several else "store",
        help='rate of a log that has none: "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 '
        'steps=24000", constant, cosine, linear, multistep, inverse-sqrt, power, file:plan.csv'
        + (
            "; once, or once for every log in their order, - where a log has its own"
            if several
            else ""
        ),
    )
    group.add_argument(
        "--resumed",
        type=one_of("resumed", RESUMED),
        default="refuse",
        metavar="HOW",
        help="steps that go back: refuse, or keep-last of what was logged twice (refuse)",
    )
    group.add_argument(
        "--drop-nan", action="store_true", help="leave out isolated rows with NaN, and count them"
    )
    group.add_argument(
        "--averaged",
        default="auto",
        metavar="HOW",
        help="losses are means: auto (as the program is known to), no, window (since the row "
        "before), window:STEPS, ema:0.9 (over rows), ema:0.9/step",
    )
    group.add_argument(
        "--step-scale",
        type=number,
        metavar="X",
        help="optimizer steps per step of the log: 0.125 for 8 micro-steps, 50 for log calls; per "
        "row of a log without steps",
    )
    group.add_argument(
        "--loss-scale", type=number, default=1.0, metavar="X", help="times the losses (1)"
    )
    group.add_argument(
        "--vocabulary", type=count, metavar="N", help="tokens, to refuse losses above a guess's"
    )


def how_of(args: argparse.Namespace, *, loss: str = "needed") -> How:
    """How the flags say that logs are to be read, by the first schedule of several."""
    schedule = args.schedule[0] if isinstance(args.schedule, list) else args.schedule
    schedule = None if schedule == "-" else schedule
    return How(
        parse_columns(args.columns) if args.columns else {},
        non_negative("warmup_steps", args.warmup_steps or 0.0),
        loss,
        args.lr,
        schedule,
        args.resumed,
        args.drop_nan,
        args.averaged,
        args.step_scale,
        args.loss_scale,
        args.vocabulary,
    )


def read_logs(args: argparse.Namespace, files: list[str], *, loss: str = "needed") -> list[Reading]:
    """The runs of the files named; equal file names are told apart by their folder."""
    return told_together(_read_each(args, files, loss))


def _read_each(args: argparse.Namespace, files: list[str], loss: str) -> list[Reading]:
    how = how_of(args, loss=loss)
    for name in files:
        if args.schedule and not Path(name).exists() and _is_schedule(name):
            raise ValueError(
                f"{name!r} is a schedule and no log: of several, each comes after a --schedule of "
                "its own, one for each log in their order."
            )
    stems = [_stem(name) for name in files]
    labels = [
        stem if stems.count(stem) == 1 else str(Path(name))
        for name, stem in zip(files, stems, strict=True)
    ]
    if isinstance(args.schedule, list) and len(args.schedule) > 1:
        if len(args.schedule) != len(files):
            return _scheduled_apart(args.schedule, files, how, labels)
        each = zip(files, args.schedule, labels, strict=True)
        return [
            one
            for name, words, label in each
            for one in readings(
                [name], replace(how, schedule=None if words == "-" else words), [label]
            )
        ]
    if how.columns or how.lr is not None or how.schedule is not None:
        return readings(files, how, labels)
    found: list[Reading] = []
    others = []
    for name, label in zip(files, labels, strict=True):
        if is_run(name):
            found.append(_trained(name, label, how.warmup_steps))
        else:
            others.append((name, label))
    return found + readings([name for name, _ in others], how, [label for _, label in others])


def _scheduled_apart(
    schedules: list[str], files: list[str], how: How, labels: list[str]
) -> list[Reading]:
    """The runs of files that hold several, each with the schedule of its place among them."""
    found = []
    for place, words in enumerate(schedules):
        runs = readings(files, replace(how, schedule=None if words == "-" else words), labels)
        if len(runs) != len(schedules):
            raise ValueError(
                f"--schedule comes {len(schedules)} times for {len(runs)} run(s): give one for "
                "all, or one for each in their order."
            )
        found.append(runs[place])
    return found


def _is_schedule(name: str) -> bool:
    try:
        hidim.read_schedule(name)
    except ValueError:
        return False
    return True


def _stem(name: str) -> str:
    path = Path(name)
    packed = path.suffix.lower() in (".gz", ".zst", ".bz2", ".xz") and "." in path.stem
    return Path(path.stem).stem if packed else path.stem


def _trained(name: str, label: str, warmup: float) -> Reading:
    """A run of `hidim train`, as far as it is."""
    from hidim.lab.training.store import RunFolder

    run = replace(Run.of(RunFolder(name).curve(), warmup_steps=warmup), label=label)
    lines = (
        f"{label}: run of hidim train, {len(run.steps):,} rows, to step {run.steps[-1]:,.6g}",
        f"  validation loss; lr as trained, at most {run.rate.peak:.4g}",
        f"  {'; '.join(run.notes) or 'nothing mended'}",
    )
    return Reading(run, lines, True)


def tell(args: argparse.Namespace, found: list[Reading]) -> None:
    """Print what was understood of logs, where a person reads."""
    if not args.json and not prints_csv(args):
        print("\n".join(line for one in found for line in one.lines), end="\n\n", flush=True)


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
    if args.law.startswith(BEST) or args.law in (*FORMS, CHOSEN, ISOFLOP):
        refuse_in_fit(args)
    joint = {"tokens_per_step": args.tokens_per_step, "prior": args.prior}
    for name, value in joint.items():
        if value is not None and not args.params:
            raise ValueError(f"{flag(name)} goes with a law over sizes: give --params too.")
    if args.law.startswith(BEST):
        from hidim.cli.fit_optimum import run_optimum

        return run_optimum(args)
    if args.law == ISOFLOP:
        from hidim.cli.fit_isoflop import run_isoflop

        return run_isoflop(args)
    if args.law in (*FORMS, CHOSEN):
        from hidim.cli.fit_sizes import run_sizes

        return run_sizes(args)
    usual_of_sizes = {"drop_highest": 0, "where": [], "loss": None}
    usual_of_sizes |= {"by": None, "group": None, "last": None}
    usual_of_refits = {} if args.params else {"bootstrap": 1000, "seed": 0}
    for name, usual in (
        usual_of_sizes | usual_of_refits | {"tolerance": None, "count": "6nd"}
    ).items():
        if getattr(args, name) != usual:
            raise ValueError(
                f"{flag(name)} goes with a law of sizes ({', '.join(FORMS)}), not with {args.law}."
            )
    if args.params:
        from hidim.cli.joint import run_joint

        return run_joint(args, read_logs, tell)
    found = read_logs(args, args.files)
    tell(args, found)
    runs = [one.run for one in found]
    start = time.perf_counter()
    law = fit(runs, args.law, force=args.force)
    seconds = time.perf_counter() - start
    if args.out:
        law.save(args.out)
    for warning in law.warnings:
        print(f"hidim: warning: {warning}", file=sys.stderr)
    rows = errors_by_curve(law, runs)
    if args.plot is not None:
        from hidim.plots.forecast import plot_forecast, plot_residuals

        draws = [lambda ax: plot_forecast(law, runs, ax), lambda ax: plot_residuals(law, runs, ax)]
        write_figures(args.plot, draws, size=(6.4, 4.2))
    return hand_back(
        args,
        columns={key: [row[key] for row in rows] for key in rows[0]},
        answer={
            **law.to_dict(),
            "errors": rows,
            "seconds": seconds,
            "understood": [[line.strip() for line in one.lines] for one in found],
        },
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
    lines.append(
        "\nparameters, often not identified one by one (quote predictions and their bands):"
    )
    lines.append("  " + ", ".join(f"{name} {value:.4g}" for name, value in law.parameters.items()))
    if law.undetermined:
        lines.append("told by the priors more than by these rows: " + ", ".join(law.undetermined))
    kept = f", law in {args.out}" if args.out else ""
    return "\n".join([*lines, f"hidim {hidim.__version__}{kept}, {seconds:.2f} s"])
