"""What `hidim fit --law best:lr` does: the best hyperparameter against parameters and tokens."""

from __future__ import annotations

import argparse

import hidim
from hidim.cli.fit_sizes import BEST
from hidim.cli.output import table
from hidim.cli.tables import Answer, answer_each, named, tables_of
from hidim.fitting.sizes.optima import fit_optimum, sentence
from hidim.fitting.sizes.tables import SizeTable


def run_optimum(args: argparse.Namespace) -> int:
    """Fit the law of the best value of one column."""
    name = args.law[len(BEST) :].strip()
    idle = [one for one in ("group", "loss") if getattr(args, one)]
    if idle:
        raise ValueError(f"law {args.law!r} has no use for --{idle[0]}: its cells are parabolas.")
    if not name:
        raise ValueError("--law best:COLUMN needs the column of the hyperparameter, as best:lr.")
    tables = tables_of(args, sweep=name)
    return answer_each(args, tables, lambda data, kind: _fitted(args, data, kind))


def _fitted(args: argparse.Namespace, data: SizeTable, kind: str) -> Answer:
    name, values = data.dial or "", data.dialled
    tokens = data.inputs[1] if len(data.inputs) == 2 else None
    law = fit_optimum(name, values, data.inputs[0], data.loss, tokens=tokens)
    out = named(args.out, kind)
    if out:
        law.save(out)
    headings = [*law.inputs, f"best {name}", "log error", "curvature"]
    rows = {key: law.cells[:, i] for i, key in enumerate(headings)}
    shown = {key: [f"{x:.4g}" for x in column] for key, column in rows.items()}
    lines = [
        f"best {name} in {len(law.cells)} cells of {len(data.loss)} runs",
        "",
        table(shown),
        "",
    ]
    lines += sentence(law)
    lines += [f"no best {name} at {why}" for why in law.refused]
    lines += [f"note: {note}" for note in data.notes]
    return Answer(
        rows,
        {
            "law": args.law,
            "inputs": law.inputs,
            "powers": law.powers,
            "low": law.low,
            "high": law.high,
            "units": law.units,
            "scale": law.scale,
            "bends": law.bends,
            "bend_low": law.bend_low,
            "bend_high": law.bend_high,
            "scatter": law.scatter,
            "cells": rows,
            "refused": law.refused,
            "notes": data.notes,
            "warnings": data.warnings,
        },
        "\n".join([*lines, f"hidim {hidim.__version__}"]),
        data.warnings,
    )
