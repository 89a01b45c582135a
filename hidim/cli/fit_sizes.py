"""What `hidim fit` does for laws of size, data and compute."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hidim
from hidim.cli.numbers import count, number
from hidim.cli.output import table, write_figure
from hidim.cli.tables import Answer, answer_each, named, tables_of
from hidim.fitting.robust import HUBER
from hidim.fitting.sizes.choose import choose_form
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.forms import FORMS
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.tables import SizeTable
from hidim.support.checks import given_seed, positive

CHOSEN = "sizes"  # the name of whichever form hold-outs prefer
ISOFLOP = "isoflop"
BEST = "best:"  # and the column of a hyperparameter
PENALTIES = "huber:DELTA, l2, one-sided or one-sided:DELTA"


def add_size_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of laws of sizes."""
    group = parser.add_argument_group("laws of sizes, from one table of finished runs")
    group.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="only these rows; also != < <= > >=, and A=x|y; may be given again",
    )
    group.add_argument("--by", metavar="COLUMN", help="a law for each value of this column")
    group.add_argument(
        "--group", metavar="COLUMN", help="the run of each row: whole runs are resampled"
    )
    group.add_argument(
        "--last", metavar="COLUMN", help="the run of each row: only the row of most tokens counts"
    )
    group.add_argument(
        "--loss", metavar="PENALTY", help=f"what a residual costs: {PENALTIES} (huber:1e-3)"
    )
    group.add_argument(
        "--count",
        choices=("6nd", "exact"),
        default="6nd",
        help="flops: 6 x parameters x tokens, or of the transformer by its columns layers, width, "
        "context and vocabulary (6nd)",
    )
    group.add_argument(
        "--drop-highest", type=count, default=0, metavar="N", help="leave out the N highest losses"
    )
    group.add_argument(
        "--tolerance", type=number, metavar="T", help="isoflop: budgets within 1 + T are one (auto)"
    )
    group.add_argument("--bootstrap", type=count, default=1000, metavar="N", help="refits (1000)")
    group.add_argument("--seed", type=count, default=0, help="of the bootstrap (0)")


def penalty(text: str | None) -> tuple[float, bool]:
    """(Huber scale, whether one-sided) behind `huber:1e-3`, `l2`, `one-sided`, `one-sided:1e-3`.

    >>> penalty("l2"), penalty("huber:0.01"), penalty("one-sided")
    ((1.0, False), (0.01, False), (0.001, True))
    """
    name, colon, scale = (text or "huber").strip().lower().partition(":")
    if name not in ("huber", "l2", "one-sided") or (name == "l2" and colon):
        raise ValueError(f"--loss must be {PENALTIES}, got {text!r}.")
    if name == "l2":
        return 1.0, False  # beyond every residual: least squares of log losses
    try:
        delta = positive("loss", float(scale)) if colon else HUBER
    except ValueError:
        raise ValueError(f"--loss must be {PENALTIES}, got {text!r}.") from None
    return delta, name == "one-sided"


def run_sizes(args: argparse.Namespace) -> int:
    """Fit a law of sizes to one table of finished runs, or to each part of it."""
    delta, one_sided = penalty(args.loss)
    seed = given_seed("seed", args.seed)

    def fitted(data: SizeTable, kind: str) -> Answer:
        data = data.without_repeats()
        start = time.perf_counter()
        chosen = None
        if args.law == CHOSEN:
            chosen = choose_form(data, delta=delta, one_sided=one_sided)
        law = fit_sizes(
            data,
            law=chosen.name if chosen else args.law,
            delta=delta,
            bootstrap=args.bootstrap,
            seed=seed,
            one_sided=one_sided,
            force=args.force,
        )
        seconds = time.perf_counter() - start
        out = named(args.out, kind)
        if out:
            law.save(out)
        _draw(law, data, named(args.plot, kind))
        rows = parameter_rows(law)
        notes = (*data.notes, *([chosen.reason] if chosen else ()))
        return Answer(
            {key: [row[key] for row in rows] for key in rows[0]},
            {**law.to_dict(), "notes": notes, "seconds": seconds},
            f"{_text(law, data, rows, notes)}\n{_foot(args, out, seconds)}",
            law.warnings,
        )

    return answer_each(args, _tables(args), fitted)


def _tables(args: argparse.Namespace) -> dict[str, SizeTable]:
    """The table or its parts, or the runs of a folder."""
    single = args.law in FORMS and len(FORMS[args.law].inputs) == 1
    if len(args.files) == 1 and not single and not args.columns and Path(args.files[0]).is_dir():
        if args.where or args.by or args.group or args.last:
            raise ValueError("--where, --by, --group and --last go with a table, not a folder.")
        return {"": _trained(args.files[0]).without_highest(args.drop_highest)}
    return tables_of(args, single=single, group=args.group, exact=args.count == "exact")


def _draw(law: SizeLaw, data: SizeTable, figure: str | None) -> None:
    if figure is not None:
        from hidim.plots.forecast import plot_size_law

        write_figure(figure, lambda ax: plot_size_law(law, data, ax), size=(7.0, 4.6))


def _trained(folder: str) -> SizeTable:
    """The ends of the finished runs of one optimizer that count, as `hidim report` chooses them."""
    from hidim.lab.reports.groups import best_groups, taken
    from hidim.lab.reports.measured import measured_runs

    measured = measured_runs(folder)
    groups = best_groups(measured)
    labels = list(dict.fromkeys(group.label for group in groups))
    if len(labels) > 1:
        raise ValueError(
            f"{folder!r} holds runs of {', '.join(labels)}: a law of sizes is of one optimizer. "
            "Give a folder or a table of one."
        )
    runs = [run for group in groups for run in group.runs if run.status == "ok"]
    table = SizeTable.of([run.curve for run in runs])
    return replace(table, notes=(*table.notes, *taken(measured, groups)))


def parameter_rows(law: SizeLaw) -> list[dict[str, Any]]:
    """Value, standard error and 90 % interval of every parameter."""
    errors = law.standard_errors() if len(law.replicas) else {}
    intervals = law.intervals(0.9)
    nothing = (None, None)
    return [
        {
            "parameter": name,
            "value": value,
            "standard_error": errors.get(name),
            "low": intervals.get(name, nothing)[0],
            "high": intervals.get(name, nothing)[1],
        }
        for name, value in law.parameters.items()
    ]


def _text(
    law: SizeLaw,
    data: SizeTable,
    rows: list[dict[str, Any]],
    notes: tuple[str, ...],
) -> str:
    words = {"parameter"}
    cells = {
        key: ["" if r[key] is None else r[key] if key in words else f"{r[key]:.5g}" for r in rows]
        for key in rows[0]
    }
    runs = law.provenance["runs"]
    count = f"{runs} runs" if runs == len(data.loss) else f"{len(data.loss)} rows of {runs} runs"
    lines = [f"law {law.form.name}, {count}, {len(law.replicas)} bootstrap refits", ""]
    lines += [table(cells), f"\nmean relative error in the fit: {law.in_sample:.5f}"]
    if law.holdout:
        lines.append(
            f"ordered hold-out: fitted to the smaller runs, the {law.holdout['runs']:.0f} largest "
            f"are predicted with mean relative error {law.holdout['mean_relative_error']:.5f}, "
            f"largest {law.holdout['max_relative_error']:.5f}"
        )
    if law.rollout:
        name = law.form.inputs[0]
        told = [
            f"{row['up_to']:.3g} {row['mean_relative_error']:.5f} ({row['bias']:+.5f})"
            for row in law.rollout
        ]
        last = law.rollout[0]["predicted_up_to"]
        lines.append(
            f"rollout over {name}, mean error (bias) up to {last:.3g} when fitted up to: "
            + ", ".join(told)
        )
    if law.form.sized:
        lines.append(f"budgets count flops = {law.provenance['flops']}")
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])


def _foot(args: argparse.Namespace, out: str | None, seconds: float) -> str:
    kept = f", law in {out}" if out else ""
    return f"hidim {hidim.__version__}{kept}, seed {args.seed}, {seconds:.2f} s"
