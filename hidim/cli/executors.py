"""Where a command works: --executor, and what goes with it, alike everywhere."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from hidim.cli.numbers import count, one_of, parse_pairs
from hidim.support.checks import whole
from hidim.support.executors import NAMES, check_name, opened


def add_executor_flags(parser: argparse.ArgumentParser, *, default: str, keep: str = "") -> None:
    """Add --executor, --scheduler, --slurm and --workers.

    Args:
        parser: the command's.
        default: what is done without --executor.
        keep: what --out keeps, where it is not a flag of the command's own.
    """
    group = parser.add_argument_group("where the work is done")
    group.add_argument(
        "--executor",
        type=one_of("executor", NAMES),
        metavar="NAME",
        help=f"{', '.join(NAMES)} ({default})",
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="of Dask's scheduler, such as tcp://10.0.0.1:8786"
    )
    group.add_argument(
        "--slurm",
        metavar="NAME=VALUE,...",
        help="of the jobs: slurm_partition=cpu,timeout_min=60 (implies --executor slurm)",
    )
    group.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="processes or jobs (one per core of this machine)",
    )
    if keep:
        group.add_argument("--out", metavar="DIR", help=f"keep {keep}, and go on from them")


def check_executor_flags(args: argparse.Namespace, *, folder: str | None) -> None:
    """Refuse, before any work, what does not go together.

    Raises:
        ValueError: an executor without what it needs, or with what is not its own.
        MissingExtra: its package is not installed.
    """
    if args.workers is not None:
        args.workers = int(whole("workers", args.workers, minimum=1))
    if args.slurm is not None and args.executor is None:
        args.executor = "slurm"
    if args.slurm is not None and args.executor != "slurm":
        raise ValueError(f"--slurm goes with --executor slurm, not with {args.executor!r}.")
    if args.workers is not None and args.executor == "dask":
        raise ValueError("--workers does not go with --executor dask: its scheduler has its own.")
    args.slurm_parameters = parse_pairs(args.slurm, "slurm") if args.slurm else {}
    check_name(args.executor or "processes", scheduler=args.scheduler, folder=folder)


def refuse_executor_flags(args: argparse.Namespace, other: str) -> None:
    """Refuse the flags beside `other`, which asks for work that is done at once.

    Raises:
        ValueError: one of them is given.
    """
    for name in ("executor", "scheduler", "slurm", "workers", "out"):
        if getattr(args, name) is not None:
            raise ValueError(f"{other} leaves no room for --{name}: nothing is worked on apart.")


def executor_of(args: argparse.Namespace, *, folder: str | None) -> AbstractContextManager[Any]:
    """The executor that was asked for, while a block lasts; None where none was."""
    if args.executor is None:
        return nullcontext()
    return opened(
        args.executor,
        scheduler=args.scheduler,
        folder=None if folder is None else Path(folder) / "jobs",
        parameters=args.slurm_parameters,
    )
