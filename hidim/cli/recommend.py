"""`hidim recommend`: which numbers to type for ADANA or DANA, from an AdamW or SGD that works."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import Any

from hidim.algorithms.transfer import Transfer, adana_from_adamw, dana_from_sgd
from hidim.cli import common
from hidim.cli.numbers import count, number, one_of
from hidim.support.checks import positive, whole

SUMMARY = "ADANA's or DANA's numbers from an AdamW or SGD run that works, with reasons."

EXAMPLE = """\
example: a language model of 124 million parameters, 2.5 billion tokens
  hidim recommend --for adana --parameters 124e6 --tokens 2.5e9 --adamw-lr 6e-4 \\
      --batch-tokens 65536 --weight-decay 0.1

from SGD with momentum, 20,000 updates
  hidim recommend --for dana-decaying --sgd-lr 0.1 --momentum 0.9 --steps 20000
"""

_FOR = ("adana", "dana-decaying")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("run")
    group.add_argument(
        "--for",
        dest="optimizer",
        type=one_of("for", _FOR),
        metavar="NAME",
        default=_FOR[0],
        help=f"{' or '.join(_FOR)} ({_FOR[0]})",
    )
    group.add_argument("--parameters", type=count, metavar="N", help="of the whole model")
    group.add_argument("--tokens", type=count, metavar="N", help="of the run")
    group.add_argument("--batch-tokens", type=count, metavar="N", help="per update")
    group.add_argument("--steps", type=count, metavar="N", help="updates, tokens / batch-tokens")
    group.add_argument("--adamw-lr", type=number, metavar="X", help="AdamW's peak learning rate")
    group.add_argument("--sgd-lr", type=number, metavar="X", help="SGD's peak learning rate")
    group.add_argument("--momentum", type=number, metavar="X", help="SGD's (0.9)")
    group.add_argument(
        "--weight-decay", type=number, metavar="X", help="of that run (AdamW 0.01, SGD 0)"
    )
    common.add_output_flags(parser, plot=False)


def run(args: argparse.Namespace) -> int:
    """Look up, print."""
    common.check_outputs(args)
    for name in ("adamw_lr", "sgd_lr"):  # which Python calls lr
        if getattr(args, name) is not None:
            positive(f"--{name.replace('_', '-')}", getattr(args, name))
    found = _found(args)
    columns = {
        "option": [*found.options, "warmup", "clip"],
        "value": [f"{x:.4g}" for x in [*found.options.values(), found.warmup, found.clip]],
    }
    low, high = found.lr_interval
    sweep = "; ".join(
        ", ".join(f"{name}={value:.3g}" for name, value in one.items()) for one in found.sweep
    )
    known = [args.steps, args.tokens, args.batch_tokens].count(None) < 2
    of_such = "of this size, batch and length" if known else "of this size and length"
    said = [
        f"{found.optimizer} for a run {of_such}: {found.verdict}",
        "",
        common.table(columns),
        "",
        f"lr between {low:.3g} and {high:.3g}",
        f"with three runs: {sweep}",
        "",
        *(f"- {reason}" for reason in found.reasons),
    ]
    return common.hand_back(args, columns=columns, answer=_plain(found), text="\n".join(said))


def _steps_and_batch(args: argparse.Namespace) -> tuple[int, float | None]:
    """Updates and tokens per update, from any two of three; the batch is None where it is not said.

    However a run is written it is one run: the answer may not depend on which two were given.
    """
    steps, tokens, batch = args.steps, args.tokens, args.batch_tokens
    if steps is not None:
        steps = int(whole("steps", steps, minimum=1))
    if tokens is not None:
        positive("tokens", tokens)
    if batch is not None:
        positive("batch_tokens", batch)
    if tokens is not None and batch is not None:
        updates = tokens / batch
        if updates < 1:
            raise ValueError(f"`tokens` must be at least one batch of {batch:g}, got {tokens:g}.")
        if steps is not None and abs(steps - updates) > 1:
            raise ValueError(
                f"--steps {steps:g} is not --tokens / --batch-tokens = {updates:.6g}: leave one of "
                "the three out."
            )
        return steps or round(updates), batch
    if steps is None:
        raise ValueError("`steps` is not known: give steps=20000, or tokens and batch_tokens.")
    if tokens is not None:
        if tokens < steps:
            raise ValueError(
                f"`tokens` must be at least one for each of {steps} steps, got {tokens:g}."
            )
        batch = tokens / steps
    return steps, batch


def _found(args: argparse.Namespace) -> Transfer:
    steps, batch = _steps_and_batch(args)
    if args.optimizer == "dana-decaying":
        if args.sgd_lr is None:
            raise ValueError("`sgd_lr` is needed for dana-decaying: give sgd_lr=0.1.")
        momentum = 0.9 if args.momentum is None else args.momentum
        found = dana_from_sgd(
            args.sgd_lr, steps=steps, momentum=momentum, weight_decay=args.weight_decay or 0.0
        )
        of_the_batch = () if args.steps is None else ("tokens", "batch_tokens")
        return _saying_unused(args, found, ("adamw_lr", "parameters", *of_the_batch))
    if args.adamw_lr is None:
        raise ValueError("`adamw_lr` is needed for adana: give adamw_lr=6e-4.")
    if args.parameters is None:
        raise ValueError("`parameters` is needed for adana: give parameters=124e6.")
    found = adana_from_adamw(
        args.adamw_lr,
        steps=steps,
        parameters=args.parameters,
        weight_decay=0.01 if args.weight_decay is None else args.weight_decay,
        batch_tokens=batch,
    )
    return _saying_unused(args, found, ("sgd_lr", "momentum"))


def _saying_unused(args: argparse.Namespace, found: Transfer, names: tuple[str, ...]) -> Transfer:
    """What was given and is no part of this question stands among the reasons."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(args, name) is not None]
    if not given:
        return found
    said = f"not used for {found.optimizer}: {', '.join(given)}"
    return replace(found, reasons=(*found.reasons, said))


def _plain(found: Transfer) -> dict[str, Any]:
    return {**asdict(found), "reasons": list(found.reasons), "sweep": list(found.sweep)}
