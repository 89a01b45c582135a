"""What `train` and `sweep` share: a flag for every setting of a training run."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from hidim.cli.numbers import count, one_of, parse_pairs, parse_value
from hidim.lab.text.splits import DEDUPS, SPLITS
from hidim.lab.training.settings import PRECISIONS, SCHEDULES, Settings

# Setting -> (group of flags, what its help says).
_HELP: dict[str, tuple[str, str]] = {
    "data": ("text", "stdlib, package:NAME, hub:NAME[:CONFIG[:SPLIT]], a file, a folder or -"),
    "max_mb": ("text", "at most this much text, millions of bytes (a hub set needs it)"),
    "tokens": ("text", "byte, char or bpe:SIZE"),
    "split": ("text", "what is held out: document, file or time"),
    "dedup": ("text", "what counts twice: document, near or line; alone: line"),
    "validation_tokens": ("text", "held-out tokens per evaluation, at most"),
    "model": ("model", "lstm or transformer"),
    "width": ("model", "hidden size"),
    "layers": ("model", "depth"),
    "heads": ("model", "attention heads"),
    "context": ("model", "tokens per window"),
    "steps": ("training", "optimizer steps"),
    "batch_size": ("training", "windows per step, over all processes"),
    "accumulation": ("training", "micro-batches per step"),
    "optimizer": ("training", "any of hidim.torch's or torch.optim's"),
    "lr": ("training", "peak learning rate"),
    "schedule": ("training", "of the rate: constant, cosine, wsd or risk-matched"),
    "warmup": ("training", "steps of linear warm-up"),
    "clip": ("training", "largest gradient norm; 0 does not clip"),
    "evaluation_growth": ("training", "evaluate at steps growth^k instead of ten"),
    "seed": ("training", "of weights and order"),
    "precision": ("training", "float32, bfloat16 or auto"),
    "compile": ("training", "torch.compile"),
}
_CHOICES = {
    "model": ("lstm", "transformer"),
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "split": SPLITS,
    "dedup": DEDUPS,
}


def add_settings_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag per setting, and --options for the optimizer's own."""
    groups = {name: parser.add_argument_group(name) for name in ("text", "model", "training")}
    for one in dataclasses.fields(Settings):
        if one.name not in _HELP:
            continue
        group, text = _HELP[one.name]
        flag = "--" + one.name.replace("_", "-")
        if one.name == "compile":
            groups[group].add_argument(flag, action="store_true", default=None, help=text)
            continue
        shown = {"max_mb": "all", "evaluation_growth": "ten"}.get(one.name, one.default)
        kind: Any = str if isinstance(one.default, str) else count
        alone: dict[str, Any] = {"nargs": "?", "const": "line"} if one.name == "dedup" else {}
        groups[group].add_argument(
            flag,
            type=one_of(one.name, _CHOICES[one.name]) if one.name in _CHOICES else kind,
            metavar="NAME" if kind is str else "N",
            help=f"{text} ({shown})",
            **alone,
        )
    groups["training"].add_argument(
        "--options",
        metavar="NAME=VALUE,...",
        help="further arguments of the optimizer: kappa_3=0.7,delta=8",
    )


def settings_given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were asked for on the command line, and no others."""
    given = {name: getattr(args, name) for name in _HELP if getattr(args, name) is not None}
    if args.options:
        given["options"] = parse_pairs(args.options)
    return given


def parse_grid(texts: list[str] | None) -> dict[str, list[Any]]:
    """`--grid lr=1,2 --grid kappa_3=0.6,0.7` as lists of values."""
    grid: dict[str, list[Any]] = {}
    for text in texts or []:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not values.strip():
            raise ValueError(f"`grid` must read NAME=VALUE,VALUE,..., got {text!r}.")
        if name in grid:
            raise ValueError(f"`grid` names {name!r} twice; put all its values in one.")
        grid[name] = [parse_value(value.strip()) for value in values.split(",")]
    return grid
