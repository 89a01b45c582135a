"""What `hidim fit` does for laws of size, data and compute."""

from __future__ import annotations

import argparse
import time
from typing import Any

import hidim
from hidim.cli.output import print_json, table, write_csv, write_figure
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.fit import fit_sizes
from hidim.fitting.sizes.forms import FORMS
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.tables import ROLES, SizeTable, read_sizes
from hidim.support.checks import whole


def run_sizes(args: argparse.Namespace) -> int:
    """Fit a law of sizes to one table of finished runs."""
    if len(args.files) > 1:
        raise ValueError(f"law {args.law!r} reads one table, got {len(args.files)} files.")
    columns = parse_columns(args.columns, ROLES) if args.columns else None
    single = len(FORMS[args.law].inputs) == 1
    data = read_sizes(args.files[0], columns=columns, single=single)
    data = data.without_highest(int(whole("drop_highest", args.drop_highest)))
    start = time.perf_counter()
    law = fit_sizes(data.inputs, data.loss, args.law, bootstrap=args.bootstrap, seed=args.seed)
    seconds = time.perf_counter() - start
    if args.out:
        law.save(args.out)
    rows = parameter_rows(law)
    if args.csv is not None:
        write_csv(args.csv, {key: [row[key] for row in rows] for key in rows[0]})
    if args.plot is not None:
        from hidim.plots.forecast import plot_size_law

        write_figure(args.plot, lambda ax: plot_size_law(law, data, ax), size=(7.0, 4.6))
    if args.json:
        print_json({**law.to_dict(), "notes": data.notes, "seconds": seconds})
        return 0
    _report(law, data, rows, seconds, args)
    return 0


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


def _report(
    law: SizeLaw,
    data: SizeTable,
    rows: list[dict[str, Any]],
    seconds: float,
    args: argparse.Namespace,
) -> None:
    print(f"law {law.form.name}, {len(data.loss)} runs, {len(law.replicas)} bootstrap refits\n")
    cells = {
        key: ["" if r[key] is None else r[key] if i == 0 else f"{r[key]:.5g}" for r in rows]
        for i, key in enumerate(rows[0])
    }
    print(table(cells))
    print(f"\nmean relative error in the fit: {law.in_sample:.5f}")
    if law.holdout:
        print(
            f"ordered hold-out: fitted to the smaller runs, the {law.holdout['runs']:.0f} largest "
            f"are predicted with mean relative error {law.holdout['mean_relative_error']:.5f}, "
            f"largest {law.holdout['max_relative_error']:.5f}"
        )
    for note in data.notes:
        print(f"note: {note}")
    kept = f", law in {args.out}" if args.out else ""
    print(f"hidim {hidim.__version__}{kept}, seed {args.seed}, {seconds:.2f} s")
