"""Rows of one's own on the command line: the file, the target, and what is made of the columns."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

import hidim
from hidim.cli.numbers import count
from hidim.support.checks import choice, given_seed, whole

_FEATURES = ("relu", "poly")
# What says something of --data and of no other problem.
DATA_ONLY = (
    "target",
    "drop",
    "center",
    "standardize",
    "intercept",
    "features",
    "features_seed",
    "gaussian",
)


def add_data_flags(group: argparse._ArgumentGroup) -> None:
    """Add --data and what goes with it."""
    group.add_argument(
        "--data",
        metavar="FILE",
        help="measured rows: .csv, .parquet, .npy, or .npz with X (rows are samples) and y",
    )
    group.add_argument("--target", metavar="COLUMN,...", help="what is learned from the others")
    group.add_argument("--drop", metavar="COLUMN,...", help="columns to leave out")
    group.add_argument("--center", action="store_true", help="subtract the columns' means")
    group.add_argument("--standardize", action="store_true", help="and divide by their deviations")
    group.add_argument("--intercept", action="store_true", help="append a column of ones")
    group.add_argument(
        "--features",
        metavar="KIND:N",
        help="of the standardized columns: relu:600 random features, poly:2 or poly:3 products",
    )
    group.add_argument(
        "--gaussian",
        action="store_true",
        help="take the rows for Gaussian of their covariance, as signs, clipping and Adam ask",
    )
    group.add_argument("--features-seed", type=count, metavar="N", help="of relu (--seed, or 0)")


def load_data(args: argparse.Namespace) -> hidim.Spectrum:
    """The Spectrum measured on the rows of --data; its provenance says what was made of them.

    Raises:
        ValueError: rows that cannot be read, or features that cannot be made of them.
    """
    from hidim.problems.tables import read_rows

    kind, size = _features(args.features)
    if args.features_seed is not None and kind != "relu":
        raise ValueError("--features-seed goes with --features relu:600, which are random.")
    data = read_rows(args.data, args.target, drop=args.drop or ())
    said: dict[str, Any] = {"file": args.data, "target": data.targets, "columns": len(data.columns)}
    X, scaling = data.X, {"center": args.center, "standardize": args.standardize}
    try:
        if kind is not None:
            never = np.flatnonzero(hidim.problems.features.constant(X)).tolist()
            X = _made(X, kind, size, args)
            said |= {"standardize": True, "features": args.features}
            said |= {"features_seed": _seed(args)} if kind == "relu" else {}
            said |= {"constant": never} if never else {}
            scaling = {}
        spectrum = hidim.Spectrum.from_data(
            X,
            data.y,
            label=args.data,
            rows=not args.gaussian,
            intercept=args.intercept,
            **scaling,
        )
        said |= {"gaussian": True} if args.gaussian else {}
    except ValueError as error:
        raise ValueError(f"cannot use the rows of {args.data!r}: {error}") from None
    said = spectrum.provenance | said
    if "constant" in said:
        said["constant"] = [data.columns[place] for place in said["constant"]]
    return replace(spectrum, provenance=said)


def data_text(spectrum: hidim.Spectrum) -> str:
    """What was measured, as the first line of a table says it after the file's name."""
    said = spectrum.provenance
    parts = [f"{said['rows']:,} rows", f"target {', '.join(said['target'])}"]
    if said.get("standardize") or said.get("center"):
        done = "standardized" if said.get("standardize") else "centered"
        parts.append(f"{said['columns']:,} columns {done}")
    else:
        parts.append(f"{said['columns']:,} columns")
    if "features" in said:
        drawn = f" of seed {said['features_seed']}" if "features_seed" in said else ""
        parts.append(f"features {said['features']}{drawn}")
    parts += ["intercept"] if said.get("intercept") else []
    parts += ["taken for Gaussian"] if said.get("gaussian") else []
    if said.get("constant"):
        parts.append(f"never changing: {', '.join(said['constant'][:6])}")
    rows = spectrum.law.rows
    if rows is not None:
        kept = f", {len(rows):,} rows kept" if len(rows) < rows.of else ""
        parts.append(f"kurtosis {rows.kurtosis:.3g}{kept}")
    return "; ".join(parts)


def _features(text: str | None) -> tuple[str | None, int]:
    """--features as its kind and its number."""
    if text is None:
        return None, 0
    kind, _, size = text.partition(":")
    kind = choice("features", kind.strip().lower(), _FEATURES)
    remedy = "write relu:600, poly:2 or poly:3"
    if not size:
        raise ValueError(f"`features` is {text!r}, which says no number: {remedy}.")
    try:
        return kind, int(whole("features", count(size), minimum=1))
    except (ValueError, argparse.ArgumentTypeError):
        raise ValueError(f"`features` is {text!r}, whose number is none: {remedy}.") from None


def _made(X: np.ndarray, kind: str, size: int, args: argparse.Namespace) -> np.ndarray:
    features = hidim.problems.features
    if kind == "poly":
        return features.polynomial(X, size)
    return features.relu(X, size, seed=_seed(args))


def _seed(args: argparse.Namespace) -> int:
    if args.features_seed is not None:
        return given_seed("features_seed", args.features_seed)
    return args.seed or 0
