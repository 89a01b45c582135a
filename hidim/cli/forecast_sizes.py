"""What `hidim forecast` does with a law of sizes: the loss of runs of given size and data."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import hidim
from hidim.cli.output import hand_back, table
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.tables import ROLES, read_columns, read_sizes


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
        k: [f"{x:.4g}" if k in law.form.inputs else f"{x:.4f}" for x in v]
        for k, v in columns.items()
    }
    lines += [table(cells), ""]
    if loss is not None:
        lines += [f"{key.replace('_', ' ')}: {value:.5f}" for key, value in score.items()]
    lines.append(_reach(law, float(beyond.max())))
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
    if args.file is None:
        raise ValueError(
            "a law of sizes predicts rows of a table: give FILE with their params and tokens."
        )
    names = list(read_columns(args.file))
    known = (columns or {}).get("loss") or next((n for n in names if n.lower() == "loss"), None)
    data = read_sizes(args.file, columns=columns, single=single, loss=known is not None)
    return data.inputs, data.loss if known is not None else None, data.notes


def _reach(law: SizeLaw, beyond: float) -> str:
    """How far the rows lie beyond the fitted runs, and what rollouts as far were off by."""
    if beyond <= 1.005:
        return "inside what the fitted runs cover"
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
