"""What `hidim exponents` does for a covariance of one's own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hidim.cli.algorithms import asked
from hidim.cli.data import load_data
from hidim.cli.frontiers import interval, power_columns
from hidim.cli.output import hand_back, table
from hidim.problems.spectrum import Spectrum
from hidim.studies.ladder import sizes_between
from hidim.support.checks import given_seed, positive, whole
from hidim.support.progress import Progress

if TYPE_CHECKING:
    from hidim.studies import OwnExponents

_DEFAULT = ("sgd", "dana-decaying")
# What belongs to power laws alone.
_ELSEWHERE = ("alpha", "beta", "v_over_d", "rate", "ratio", "step", "last_decades", "plot")


def run_own(args: argparse.Namespace) -> int:
    """Print alpha and beta of the modes, and a row per optimizer."""
    from hidim.studies.own_covariance import own_exponents

    idle = [name for name in _ELSEWHERE if getattr(args, name, None) is not None]
    if idle or (args.spectrum and args.data):
        other = f"--{idle[0].replace('_', '-')}" if idle else "--data"
        raise ValueError(f"--{'spectrum' if args.spectrum else 'data'} leaves no room for {other}.")
    named = asked(args, _DEFAULT)
    for one in named:
        if one.given:
            raise ValueError(f"{one.label!r}: a covariance of your own has the recommended rates.")
    args.seed = given_seed("seed", args.seed)
    spectrum = Spectrum.load(args.spectrum) if args.spectrum else load_data(args)
    sizes = _sizes(args, spectrum)
    batch = whole("batch-size", args.batch_size, minimum=1)
    found = []
    for one in named:
        with Progress(14 if sizes is None else len(sizes), one.label) as bar:
            found.append(
                own_exponents(
                    spectrum,
                    one.name,
                    sizes=sizes,
                    batch_size=batch,
                    seed=args.seed,
                    window=_ranks(args.ranks),
                    done=bar.advance,
                )
            )
    rows = [one.to_dict() for one in found]
    columns = power_columns([row["algorithm"] for row in rows], [one.frontier for one in found])
    return hand_back(
        args,
        columns=columns,
        answer={"file": args.spectrum or args.data, "rows": rows},
        text=f"{_head(found[0], args)}\n\n{table(columns)}",
    )


def _head(one: OwnExponents, args: argparse.Namespace) -> str:
    first, last = one.ranks
    law = "no scaling law" if one.law is None else f"phase {one.law.phase}"
    return (
        f"{args.spectrum or args.data}: alpha = {interval(one.alpha)}, beta = "
        f"{interval(one.beta)} from ranks {first} to {last}: {law}\n"
        f"random features, d = {one.sizes[0]:g}..{one.sizes[-1]:g}, seed {args.seed}"
    )


def _sizes(args: argparse.Namespace, spectrum: Spectrum) -> Any:
    """The sizes between --d-min and --d-max, None for the study's own."""
    if args.d_min is None and args.d_max is None:
        return None
    low = positive("d-min", 10 if args.d_min is None else args.d_min)
    high = positive("d-max", spectrum.dimension // 4 if args.d_max is None else args.d_max)
    if not low < high:
        raise ValueError(f"`d-max` must exceed `d-min`, got {low:g} and {high:g}.")
    return sizes_between(low, high, positive("per-decade", args.per_decade))


def _ranks(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError(f"`ranks` must read FIRST,LAST, got {text!r}.")
    return int(whole("ranks", parts[0])), int(whole("ranks", parts[1]))
