"""What `hidim fit` does for laws of size, data and compute."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import hidim
from hidim.cli.output import hand_back, table, write_figure
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.forms import FORMS
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.tables import ROLES, SizeTable, read_sizes
from hidim.support.checks import given_seed, whole


def run_sizes(args: argparse.Namespace) -> int:
    """Fit a law of sizes to one table of finished runs."""
    if len(args.files) > 1:
        raise ValueError(f"law {args.law!r} reads one table, got {len(args.files)} files.")
    columns = parse_columns(args.columns, ROLES) if args.columns else None
    single = len(FORMS[args.law].inputs) == 1
    if not single and columns is None and Path(args.files[0]).is_dir():
        data = _trained(args.files[0])
    else:
        data = read_sizes(args.files[0], columns=columns, single=single)
    data = data.without_highest(int(whole("drop_highest", args.drop_highest)))
    seed = given_seed("seed", args.seed)
    start = time.perf_counter()
    law = fit_sizes(data.inputs, data.loss, args.law, bootstrap=args.bootstrap, seed=seed)
    seconds = time.perf_counter() - start
    if args.out:
        law.save(args.out)
    rows = parameter_rows(law)
    if args.plot is not None:
        from hidim.plots.forecast import plot_size_law

        write_figure(args.plot, lambda ax: plot_size_law(law, data, ax), size=(7.0, 4.6))
    return hand_back(
        args,
        columns={key: [row[key] for row in rows] for key in rows[0]},
        answer={**law.to_dict(), "notes": data.notes, "seconds": seconds},
        text=_text(law, data, rows, seconds, args),
    )


def _trained(folder: str) -> SizeTable:
    """The ends of the finished runs of one optimizer that count, as `hidim report` chooses them."""
    from hidim.lab.reports.groups import best_groups
    from hidim.lab.reports.measured import measured_runs

    groups = best_groups(measured_runs(folder))
    labels = list(dict.fromkeys(group.label for group in groups))
    if len(labels) > 1:
        raise ValueError(
            f"{folder!r} holds runs of {', '.join(labels)}: a law of sizes is of one optimizer. "
            "Give a folder or a table of one."
        )
    runs = [run for group in groups for run in group.runs if run.status == "ok"]
    return SizeTable.of([run.curve for run in runs])


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
    seconds: float,
    args: argparse.Namespace,
) -> str:
    cells = {
        key: ["" if r[key] is None else r[key] if i == 0 else f"{r[key]:.5g}" for r in rows]
        for i, key in enumerate(rows[0])
    }
    head = f"law {law.form.name}, {len(data.loss)} runs, {len(law.replicas)} bootstrap refits"
    lines = [head, "", table(cells)]
    lines.append(f"\nmean relative error in the fit: {law.in_sample:.5f}")
    if law.holdout:
        lines.append(
            f"ordered hold-out: fitted to the smaller runs, the {law.holdout['runs']:.0f} largest "
            f"are predicted with mean relative error {law.holdout['mean_relative_error']:.5f}, "
            f"largest {law.holdout['max_relative_error']:.5f}"
        )
    lines += [f"note: {note}" for note in data.notes]
    kept = f", law in {args.out}" if args.out else ""
    lines.append(f"hidim {hidim.__version__}{kept}, seed {args.seed}, {seconds:.2f} s")
    return "\n".join(lines)
