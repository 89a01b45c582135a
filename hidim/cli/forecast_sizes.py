"""What `hidim forecast` does with a law of sizes, the loss of runs of given size and data, and with
the law of a best hyperparameter, its best value there."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

import hidim
from hidim.cli.idle import refuse_in_forecast
from hidim.cli.joint import size_of
from hidim.cli.output import hand_back
from hidim.cli.output import table as table_of
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.aliases import ROLES
from hidim.fitting.sizes.columns import RunColumns
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.optima import OptimumLaw, sentence
from hidim.fitting.sizes.rows import matching
from hidim.fitting.sizes.tables import read_sizes, read_table

_LARGE = 1e6  # from where on digits after the point say nothing


def forecast_sizes(args: argparse.Namespace) -> int:
    """Predict every row of a table of sizes, with bands and the errors of rollouts that far."""
    law = SizeLaw.load(args.law)
    inputs, loss, notes = _asked(args, law)
    predicted = law.predict(*inputs)
    low, high = law.band(*inputs, level=args.level)
    beyond = law.beyond(*inputs)
    columns: dict[str, Any] = dict(zip(law.form.inputs, inputs, strict=True))
    columns |= {"prediction": predicted, "low": low, "high": high, "beyond": beyond}
    answer: dict[str, Any] = {"law": law.form.name, "level": args.level, **columns}
    lines = [f"law {law.form.name}, band of {args.level:.0%} of runs", ""]
    if loss is not None:
        columns["loss"] = loss
        error = np.abs(predicted / loss - 1)
        score = {
            "mean_relative_error": float(error.mean()),
            "max_relative_error": float(error.max()),
            "band_coverage": float(np.mean((loss >= low) & (loss <= high))),
        }
        answer |= {"loss": loss, **score}
    cells = {
        k: [f"{x:.4g}" if k in law.form.inputs or x >= _LARGE else f"{x:.4f}" for x in v]
        for k, v in columns.items()
    }
    lines += [table_of(cells), ""]
    if loss is not None:
        lines += [f"{key.replace('_', ' ')}: {value:.5f}" for key, value in score.items()]
    farthest = int(np.argmax(beyond))
    low_end = law.below(*inputs)[farthest] >= beyond[farthest]
    lines.append(_reach(law, float(beyond[farthest]), below=bool(low_end)))
    lines += [f"warning of the fit: {warning}" for warning in law.warnings]
    lines += [f"note: {note}" for note in notes]
    return hand_back(
        args,
        columns=columns,
        answer={**answer, "rollout": law.rollout, "warnings": law.warnings, "notes": notes},
        text="\n".join([*lines, f"hidim {hidim.__version__}"]),
    )


def _asked(
    args: argparse.Namespace, law: SizeLaw
) -> tuple[tuple[np.ndarray, ...], np.ndarray | None, tuple[str, ...]]:
    """Inputs, measured loss where the table has one, and notes."""
    columns = parse_columns(args.columns, ROLES) if args.columns else None
    single = not law.form.sized
    if args.file is None and not single:
        refuse_in_forecast(args, "of sizes", "one size")
        return _said(args, law.form.inputs), None, ()
    if args.file is None or args.params or args.tokens:
        raise ValueError(
            "a law of sizes predicts rows of a table, FILE with "
            + ("column x." if single else "params and tokens, or one run, --params 7B --tokens 8B.")
        )
    refuse_in_forecast(args, "of sizes", "a table")
    known = _measured(args.file, columns or {})
    data = read_sizes(args.file, columns=columns, single=single, loss=known)
    return data.inputs, data.loss if known else None, data.notes


def _measured(path: str, columns: dict[str, str]) -> bool:
    """Whether a table has a loss, and not the blank column of runs still to come."""
    table, _ = read_table(path)
    name = RunColumns(table, path, columns, matching(table, (), path)).name("loss", needed=False)
    return name is not None and any(cell is not None for cell in table[name])


def _said(args: argparse.Namespace, names: Sequence[str]) -> tuple[np.ndarray, ...]:
    """One run, by --params and --tokens."""
    missing = [name for name in names if getattr(args, name) is None]
    if missing:
        asked = " ".join(f"--{name} 8B" for name in missing)
        file = "FILE with these columns, or " if len(missing) == len(names) else ""
        too = " too" if not file else ""
        raise ValueError(
            f"{args.law!r} is a law of {' and '.join(names)}: give {file}{asked}{too}."
        )
    return tuple(np.array([size_of(getattr(args, name), f"--{name}")]) for name in names)


def _sizes(
    path: str, given: dict[str, str], names: Sequence[str]
) -> tuple[tuple[np.ndarray, ...], tuple[str, ...]]:
    """The quantities of a law of the best value in a table, and notes on how they were read."""
    if "tokens" in names:
        data = read_sizes(path, columns=given, loss=False)
        known = dict(zip(("params", "tokens"), data.inputs, strict=True))
        return tuple(known[name] for name in names), data.notes
    table, said = read_table(path)
    column = RunColumns(table, path, given, matching(table, (), path))
    return (np.asarray(column("params")),), (*said, *column.said)


def forecast_optimum(args: argparse.Namespace) -> int:
    """The best value at every row of a table of sizes, or at one size, with its interval."""
    law = OptimumLaw.load(args.law)
    asked_of = "one size" if args.file is None else "a table"
    refuse_in_forecast(args, f"of the best {law.name}", asked_of)
    if args.level != 0.9:
        raise ValueError(f"--level: the intervals of a law of the best {law.name} are its own.")
    notes: tuple[str, ...] = ()
    if args.file is None:
        idle = [n for n in ("params", "tokens") if getattr(args, n) and n not in law.inputs]
        inputs = _said(args, law.inputs)
        notes = tuple(f"the law does not see {n}: its runs had one for each size" for n in idle)
    else:
        given = parse_columns(args.columns, ROLES) if args.columns else {}
        inputs, notes = _sizes(args.file, given, law.inputs)
    asked = [
        dict(zip(law.inputs, map(float, row), strict=True)) for row in zip(*inputs, strict=True)
    ]
    best = [law.best(**row) for row in asked]
    columns: dict[str, Any] = dict(zip(law.inputs, inputs, strict=True))
    for i, name in enumerate((f"best {law.name}", "low", "high")):
        columns[name] = np.array([row[i] for row in best])
    columns["beyond"] = np.array([law.beyond(**row) for row in asked])
    far = float(columns["beyond"].max())
    lines = [f"best {law.name}, interval of {law.level:.0%}", ""]
    lines.append(table_of({k: [f"{x:.4g}" for x in v] for k, v in columns.items()}))
    lines += ["", *sentence(law)]
    lines.append(
        "inside what the sweep covers" if far <= 1.005 else f"extrapolates beyond it: {far:.3g} x"
    )
    lines += [f"note: {note}" for note in notes]
    return hand_back(
        args,
        columns=columns,
        answer={"law": f"best:{law.name}", "level": law.level, **columns, "notes": notes},
        text="\n".join([*lines, f"hidim {hidim.__version__}"]),
    )


def _reach(law: SizeLaw, beyond: float, *, below: bool) -> str:
    """How far the rows lie beyond the fitted runs, and what rollouts as far were off by."""
    if beyond <= 1.005:
        return "inside what the fitted runs cover"
    if below:  # rollouts go to larger runs alone
        return f"extrapolates below the fitted runs: {beyond:.3g} x"
    text = f"extrapolates beyond the fitted runs: {beyond:.3g} x"
    far = [row for row in law.rollout if row["predicted_up_to"] >= 1.5 * row["up_to"]]
    if not far:
        return f"{text}; too few sizes to say how such forecasts fared"
    row = min(far, key=lambda r: abs(np.log(r["predicted_up_to"] / r["up_to"] / beyond)))
    return (
        f"{text}; fitted up to {row['up_to']:.3g} {law.form.inputs[0]}, the runs up to "
        f"{row['predicted_up_to']:.3g} were missed by {row['mean_relative_error']:.2%} on average "
        f"(bias {row['bias']:+.2%})"
    )
