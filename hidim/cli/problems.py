"""Which problem a command is about: the power-law model, a spectrum file, or measured data."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

import hidim
from hidim.support.checks import finite_array, non_negative, whole

# What describes a PLRF and nothing else. --alpha, --beta and --d may go with a file, where the
# recommended rates need them.
PLRF_ONLY = ("v", "noise_variance")


def add_problem_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of PLRF, and --spectrum and --data for problems that were measured."""
    group = parser.add_argument_group("problem: power-law random features, or a file")
    group.add_argument("--alpha", type=float, metavar="X", help="data: x_j ~ N(0, j^(-2 alpha))")
    group.add_argument("--beta", type=float, metavar="X", help="target: b_j = j^-beta")
    group.add_argument("--d", type=float, metavar="X", help="trained parameters")
    group.add_argument("--v", type=float, metavar="X", help="hidden dimension, may be inf (inf)")
    group.add_argument("--noise-variance", type=float, metavar="X", help="label noise (0)")
    group.add_argument("--seed", type=float, metavar="N", help="sample one W (average over W)")
    group.add_argument(
        "--spectrum",
        metavar="FILE",
        help=".json, .npz or .csv with eigenvalues, error_sq and, if known, risk_floor and "
        "multiplicity",
    )
    group.add_argument(
        "--data", metavar="FILE", help=".npz with X (rows are samples) and y: measure the spectrum"
    )


def problem_from(args: argparse.Namespace) -> Any:
    """The problem that the flags describe: a PLRF or a Spectrum.

    Raises:
        ValueError: no problem, two problems, or a file that holds none.
    """
    files = [name for name in ("spectrum", "data") if getattr(args, name)]
    given = [name for name in PLRF_ONLY if getattr(args, name) is not None]
    if files and (given or len(files) > 1):
        other = flag(given[0]) if given else flag(files[1])
        raise ValueError(f"give one problem: --{files[0]} leaves no room for {other}.")
    args.seed = None if args.seed is None else int(whole("seed", args.seed))
    if args.spectrum:
        return load_spectrum(args.spectrum)
    if args.data:
        return load_data(args.data)
    missing = [flag(name) for name in ("alpha", "beta", "d") if getattr(args, name) is None]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} missing: give --alpha, --beta and --d, or --spectrum FILE, "
            "or --data FILE."
        )
    return hidim.PLRF(
        alpha=args.alpha,
        beta=args.beta,
        d=int(whole("d", args.d, minimum=1)),
        v=None if args.v is None else whole("v", args.v, minimum=1, allow_inf=True),
        noise_variance=args.noise_variance or 0.0,
    )


def problem_text(problem: Any, args: argparse.Namespace) -> str:
    """The problem in one line, as a table's first line says it."""
    if isinstance(problem, hidim.Spectrum):
        source = args.spectrum or args.data
        return (
            f"{source}: {problem.dimension:,.6g} modes, trace {problem.trace:.6g}, "
            f"risk {problem.initial_risk:.6g} at the start, floor {problem.risk_floor:.6g}"
        )
    hidden = "inf" if args.v in (None, math.inf) else f"{args.v:,.0f}"
    noise = f", noise_variance={args.noise_variance:g}" if args.noise_variance else ""
    sample = "averaged over W" if args.seed is None else f"W of seed {args.seed}"
    return (
        f"PLRF(alpha={args.alpha:g}, beta={args.beta:g}, d={args.d:,.0f}, v={hidden}{noise}), "
        f"{sample}"
    )


def problem_data(problem: Any, args: argparse.Namespace) -> dict[str, Any]:
    """The problem as JSON holds it."""
    if isinstance(problem, hidim.Spectrum):
        return {
            "file": args.spectrum or args.data,
            "dimension": problem.dimension,
            "trace": problem.trace,
            "risk_floor": problem.risk_floor,
        }
    return {
        "alpha": args.alpha,
        "beta": args.beta,
        "d": whole("d", args.d),
        "v": "inf" if args.v in (None, math.inf) else whole("v", args.v),
        "noise_variance": args.noise_variance or 0.0,
        "seed": args.seed,
    }


def load_spectrum(path: str) -> hidim.Spectrum:
    """A Spectrum from a .json object, an .npz archive, or a .csv with a header row.

    Raises:
        ValueError: the file is missing, of another kind, or holds no spectrum.
    """
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".json":
            table = json.loads(Path(path).read_text(encoding="utf-8"))
        elif suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                table = {name: arrays[name] for name in arrays.files}
        elif suffix == ".csv":
            table = read_columns(path)
        else:
            raise ValueError("the name must end in .json, .npz or .csv")
        if not isinstance(table, dict) or not {"eigenvalues", "error_sq"} <= set(table):
            raise ValueError("it must hold `eigenvalues` and `error_sq`")
        floor = np.unique(finite_array("risk_floor", table.get("risk_floor", 0.0)))
        if floor.size != 1:
            raise ValueError("it must hold one `risk_floor`")
        return hidim.Spectrum(
            finite_array("eigenvalues", table["eigenvalues"], ndim=1),
            finite_array("error_sq", table["error_sq"], ndim=1),
            non_negative("risk_floor", floor[0]),
            multiplicity=table.get("multiplicity"),
        )
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror or error}.") from None
    except ValueError as error:
        raise ValueError(f"cannot read a spectrum from {path!r}: {error}") from None


def load_data(path: str) -> hidim.Spectrum:
    """The Spectrum measured on the arrays X and y of an .npz archive."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not {"X", "y"} <= set(arrays.files):
                raise ValueError(f"it must hold X and y, not {', '.join(arrays.files)}")
            features, targets = arrays["X"], arrays["y"]
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror or error}.") from None
    except (ValueError, AttributeError) as error:
        raise ValueError(f"cannot read data from {path!r}: {error}") from None
    return hidim.Spectrum.from_data(features, targets)


def flag(name: str) -> str:
    """The command-line spelling of a parameter."""
    return "--" + name.replace("_", "-")


def read_columns(path: str) -> dict[str, Any]:
    """The columns of a CSV file with a header row, as text."""
    import csv

    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    header = [name.strip() for name in rows[0]] if rows else []
    if any(len(row) != len(header) for row in rows):
        raise ValueError("its rows differ in length")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}
