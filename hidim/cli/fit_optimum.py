"""What `hidim fit --law best:lr` does: the best hyperparameter against parameters and tokens."""

from __future__ import annotations

import argparse

import numpy as np

import hidim
from hidim.cli.fit_sizes import BEST
from hidim.cli.output import hand_back, table
from hidim.fitting.logs.names import logarithm_of
from hidim.fitting.logs.readers import numbers, parse_columns
from hidim.fitting.sizes.columns import ROLES
from hidim.fitting.sizes.optima import fit_optimum, sentence
from hidim.fitting.sizes.rows import column_of, matching
from hidim.fitting.sizes.tables import read_columns, read_sizes


def run_optimum(args: argparse.Namespace) -> int:
    """Fit the law of the best value of one column."""
    name = args.law[len(BEST) :].strip()
    if len(args.files) > 1 or args.by or args.group or args.loss:
        raise ValueError(f"law {args.law!r} reads one table, with --where and --columns.")
    if not name:
        raise ValueError("--law best:COLUMN needs the column of the hyperparameter, as best:lr.")
    source = args.files[0]
    columns = parse_columns(args.columns, ROLES) if args.columns else None
    data = read_sizes(source, columns=columns, where=args.where, untold=True)
    cells = read_columns(source)
    keep = matching(cells, args.where, source)
    kept = [c if k else None for c, k in zip(column_of(cells, name, source), keep, strict=True)]
    values = numbers(kept, name, source)[keep]
    if np.isnan(values).any():
        raise ValueError(f"column {name!r} of {source!r} has blank cells: fill them, or --where.")
    notes = data.notes
    if (log := logarithm_of(name)) is not None:
        base, of = log
        if not base:
            raise ValueError(
                f"column {name!r} does not say its base: rename it log10_{of} or ln_{of}."
            )
        values, notes = base**values, (*notes, f"{name!r} is a logarithm, read as {of}")
        name = of
    tokens = data.inputs[1] if len(data.inputs) == 2 else None
    law = fit_optimum(name, values, data.inputs[0], data.loss, tokens=tokens)
    if args.out:
        law.save(args.out)
    headings = [*law.inputs, f"best {name}", "log error", "curvature"]
    rows = {key: law.cells[:, i] for i, key in enumerate(headings)}
    shown = {key: [f"{x:.4g}" for x in column] for key, column in rows.items()}
    lines = [f"best {name} in {len(law.cells)} cells of {len(values)} runs", "", table(shown), ""]
    lines += sentence(law)
    lines += [f"no best {name} at {why}" for why in law.refused]
    lines += [f"note: {note}" for note in notes]
    return hand_back(
        args,
        columns=rows,
        answer={
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
            "notes": notes,
        },
        text="\n".join([*lines, f"hidim {hidim.__version__}"]),
    )
