"""Which problem a command is about: the power-law model, a spectrum file, or measured data."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from typing import Any

import hidim
from hidim.cli.data import DATA_ONLY, add_data_flags, data_text, load_data
from hidim.cli.numbers import count, number
from hidim.problems.matrix import MatrixLeastSquares as Matrix
from hidim.problems.matrix import checked_outputs
from hidim.support.checks import given_seed, whole

# What describes a PLRF and nothing else. --alpha, --beta and --d may go with a file, where
# recommended rates take them instead of what they read off its spectrum.
PLRF_ONLY = ("v", "noise_variance", "kurtosis", "noise_kurtosis")


def add_problem_flags(
    parser: argparse.ArgumentParser, *, seed: str = "sample one W (average over W)"
) -> None:
    """Add the flags of PLRF, and --spectrum and --data for problems that were measured."""
    group = parser.add_argument_group("problem: power-law random features, or a spectrum")
    group.add_argument("--alpha", type=number, metavar="X", help="data: x_j ~ N(0, j^(-2 alpha))")
    group.add_argument("--beta", type=number, metavar="X", help="target: b_j = j^-beta")
    group.add_argument("--d", type=count, metavar="X", help="trained parameters")
    group.add_argument(
        "--v", type=count, metavar="X", help="hidden dimension, may be inf (inf; 4 d for runs)"
    )
    group.add_argument("--noise-variance", type=number, metavar="X", help="label noise (0)")
    group.add_argument(
        "--noise", metavar="LAW", help="law of label noise: student:DF:SCALE, cauchy:SCALE, ..."
    )
    group.add_argument("--kurtosis", type=number, metavar="X", help="E s^4 of data s z (1)")
    group.add_argument("--noise-kurtosis", type=number, metavar="X", help="of label noise (1)")
    group.add_argument(
        "--outputs", type=count, metavar="M", help="a matrix of so many rows, for sign-svd"
    )
    group.add_argument("--seed", type=count, metavar="N", help=seed)
    group.add_argument(
        "--spectrum",
        metavar="FILE",
        help=".json, .npz or .csv with eigenvalues, error_sq and, if known, risk_floor, "
        "multiplicity, kurtosis and noise_kurtosis",
    )
    add_data_flags(parser.add_argument_group("problem: rows of your own"))


def problem_from(args: argparse.Namespace, *, runs: bool = False) -> Any:
    """The problem that the flags describe: a PLRF or a Spectrum, or a matrix of `--outputs` rows.

    Args:
        args: the flags.
        runs: whether the algorithm will be run on it.

    Raises:
        ValueError: as `vector_from` does, or no number of outputs.
    """
    outputs = None if args.outputs is None else checked_outputs(args.outputs)
    problem = vector_from(args, runs=runs)
    if outputs is None:
        return problem
    if runs and args.seed is None:
        args.seed = 0
    return hidim.MatrixLeastSquares(problem.spectrum(args.seed), outputs=outputs)


def drawn(problem: Any, args: argparse.Namespace) -> Any:
    """What predictions and runs share: the spectrum that --seed draws, or the matrix problem."""
    return problem if isinstance(problem, Matrix) else problem.spectrum(args.seed)


def vector_from(args: argparse.Namespace, *, runs: bool = False) -> Any:
    """The problem without its outputs.

    Args:
        args: the flags.
        runs: whether the algorithm will be run on it, which draws a W, as --seed does; its v is
            4 d where none is given.

    Raises:
        ValueError: no problem, two problems, or a file that holds none.
    """
    files = [name for name in ("spectrum", "data") if getattr(args, name)]
    given = [name for name in PLRF_ONLY if getattr(args, name) is not None]
    if files and (given or len(files) > 1):
        other = flag(given[0]) if given else flag(files[1])
        raise ValueError(f"give one problem: --{files[0]} leaves no room for {other}.")
    args.seed = None if args.seed is None else given_seed("seed", args.seed)
    beside = [flag(name) for name in DATA_ONLY if getattr(args, name) not in (None, False)]
    if beside and not args.data:
        raise ValueError(f"{beside[0]} speaks of rows: give --data FILE with it.")
    noise = None if args.noise is None else hidim.noise.parse(args.noise)
    if args.spectrum:
        spectrum = hidim.Spectrum.load(args.spectrum)
        return spectrum if noise is None else _with_noise(spectrum, noise)
    if args.data:
        if noise is not None:
            raise ValueError("--noise does not go with --data: rows have what noise they have.")
        return load_data(args)
    missing = [flag(name) for name in ("alpha", "beta", "d") if getattr(args, name) is None]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)} missing: give --alpha, --beta and --d, or --spectrum FILE, "
            "or --data FILE."
        )
    args.d = int(whole("d", args.d, minimum=1))
    endless = 2 * args.alpha > 1 and args.alpha + args.beta > 0.5  # what an infinite v needs
    v = None if args.v is None else whole("v", args.v, minimum=1, allow_inf=True)
    if v is None and (runs or args.seed is not None) and not endless:
        v = 4 * args.d  # as where v may be infinite, and a W is drawn
    return hidim.PLRF(
        alpha=args.alpha,
        beta=args.beta,
        d=args.d,
        v=v,
        noise_variance=args.noise_variance or 0.0,
        noise=noise,
        **_kurtoses(args),
    )


def _with_noise(spectrum: hidim.Spectrum, noise: Any) -> hidim.Spectrum:
    """A spectrum whose labels have this noise on top of its floor."""
    if spectrum.law.noise is not None:
        raise ValueError(f"--noise is one too many: the file has {spectrum.law.noise!r}.")
    return hidim.Spectrum(
        spectrum.eigenvalues,
        spectrum.error_sq,
        spectrum.risk_floor,
        spectrum.multiplicity,
        label=spectrum.label,
        provenance=spectrum.provenance,
        law=replace(spectrum.law, noise=noise),
    )


def problem_text(problem: Any, args: argparse.Namespace) -> str:
    """The problem in one line, as a table's first line says it."""
    if isinstance(problem, Matrix):
        name = args.spectrum or args.data or problem.spectrum.label
        return (
            f"{name}, a matrix of {problem.outputs} rows: {problem.dimension:,.6g} parameters, "
            f"risk {problem.initial_risk:.6g} at the start, floor {problem.risk_floor:.6g}"
        )
    if isinstance(problem, hidim.Spectrum):
        source = args.spectrum or f"{args.data} ({data_text(problem)})"
        return (
            f"{source}: {problem.dimension:,.6g} modes, trace {problem.trace:.6g}, "
            f"risk {problem.initial_risk:.6g} at the start, floor {problem.risk_floor:.6g}"
        )
    v = _v(problem, args)
    chosen = " (4 d)" if args.v in (None, math.inf) else ""
    hidden = f"{v:,.0f}{chosen}" if math.isfinite(v) else "inf"
    noise = f", noise_variance={args.noise_variance:g}" if args.noise_variance else ""
    noise += f", noise={args.noise}" if args.noise else ""
    noise += "".join(f", {name}={value:g}" for name, value in _kurtoses(args).items())
    sample = "averaged over W" if args.seed is None else f"W of seed {args.seed}"
    return (
        f"PLRF(alpha={args.alpha:g}, beta={args.beta:g}, d={args.d:,.0f}, v={hidden}{noise}), "
        f"{sample}"
    )


def problem_data(problem: Any, args: argparse.Namespace) -> dict[str, Any]:
    """The problem as JSON holds it."""
    if isinstance(problem, Matrix):
        return {**problem.provenance, "dimension": problem.dimension}
    if isinstance(problem, hidim.Spectrum):
        return {
            **({} if args.spectrum else problem.provenance),
            "file": args.spectrum or args.data,
            "dimension": problem.dimension,
            "trace": problem.trace,
            "risk_floor": problem.risk_floor,
        }
    return {
        "alpha": args.alpha,
        "beta": args.beta,
        "d": whole("d", args.d),
        "v": _v(problem, args) if math.isfinite(_v(problem, args)) else "inf",
        "noise_variance": args.noise_variance or 0.0,
        **({"noise": args.noise} if args.noise else {}),
        **_kurtoses(args),
        "seed": args.seed,
    }


def _kurtoses(args: argparse.Namespace) -> dict[str, float]:
    """Those that were given."""
    both = {name: getattr(args, name) for name in ("kurtosis", "noise_kurtosis")}
    return {name: value for name, value in both.items() if value is not None}


def _v(problem: hidim.PLRF, args: argparse.Namespace) -> float:
    """The hidden dimension of what is solved: a drawn W has finitely many rows."""
    v = problem.v if args.seed is None else problem.drawn().v
    assert v is not None  # math.inf where none was given
    return v


def flag(name: str) -> str:
    """The command-line spelling of a parameter."""
    return "--" + name.replace("_", "-")
