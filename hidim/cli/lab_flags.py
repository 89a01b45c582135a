"""What `train` and `sweep` share: a flag for every setting of a training run."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from hidim.cli.numbers import count, one_of, or_word, parse_pairs, parse_value
from hidim.lab.text.splits import DEDUPS, SPLITS
from hidim.lab.training.depth import at_depth
from hidim.lab.training.networks.choices import CHOICES
from hidim.lab.training.networks.shapes import COUNTS
from hidim.lab.training.settings import PRECISIONS, SCHEDULES, Settings

# Setting -> (group of flags, what its help says).
_HELP: dict[str, tuple[str, str]] = {
    "data": ("text", "stdlib, package:NAME, hub:NAME[:CONFIG[:SPLIT]], a file, a folder or -"),
    "max_mb": ("text", "at most this much text, millions of bytes (a hub set needs it)"),
    "tokens": ("text", "byte, char or bpe:SIZE"),
    "split": ("text", "what is held out: document, file or time"),
    "dedup": ("text", "what counts twice: document, near or line; alone: line"),
    "validation_tokens": ("text", "held-out tokens per evaluation, at most"),
    "model": ("model", "lstm, transformer or modern"),
    "width": ("model", "hidden size"),
    "layers": ("model", "depth"),
    "heads": ("model", "attention heads"),
    "context": ("model", "tokens per window"),
    "norm": ("modern", "rms or layer"),
    "positions": ("modern", "rotary or learned"),
    "qk_norm": ("modern", "queries and keys at unit size, or as they are"),
    "head": ("modern", "output tied to the embedding, or untied"),
    "mlp": ("modern", "swiglu, relu2 or gelu"),
    "parametrization": ("modern", "standard, mup (one rate for all widths) or completep (depths)"),
    "steps": ("training", "optimizer steps, or auto: 20 tokens per parameter"),
    "batch_size": ("training", "windows per step, over all processes"),
    "batch_ramp": ("training", "START:STEPS, double the batch from START windows over STEPS steps"),
    "accumulation": ("training", "micro-batches per step"),
    "optimizer": ("training", "any of hidim.torch's or torch.optim's"),
    "lr": ("training", "peak learning rate"),
    "schedule": ("training", "of the rate: constant, cosine, wsd or risk-matched"),
    "warmup": ("training", "steps of linear warm-up"),
    "clip": ("training", "largest gradient norm; 0 does not clip"),
    "evaluation_growth": ("training", "evaluate at steps growth^k instead of ten"),
    "seed": ("training", "of weights and order"),
    "log_every": ("training", "also log every so many steps, beside 1.1^k"),
    "precision": ("training", "float32, bfloat16 or auto: that of autocast"),
    "compile": ("training", "torch.compile"),
}
_CHOICES = {
    "model": tuple(COUNTS),
    "schedule": SCHEDULES,
    "precision": (*PRECISIONS, "bf16", "fp32"),
    "split": SPLITS,
    "dedup": DEDUPS,
    **{name: known for name, known in CHOICES.items() if name != "qk_norm"},
}
_ALSO = {"precision": ["--autocast"]}
_SHOWN = {"max_mb": "all", "evaluation_growth": "ten", "batch_ramp": "none", "log_every": "none"}
_STEPS = or_word("auto", count, "a number of steps")
_GROUPS = {
    "text": "text",
    "model": "model",
    "modern": "choices about --model modern",
    "training": "training",
}


def add_settings_flags(parser: argparse.ArgumentParser) -> None:
    """Add one flag per setting, and --options for the optimizer's own."""
    groups = {name: parser.add_argument_group(title) for name, title in _GROUPS.items()}
    for one in dataclasses.fields(Settings):
        if one.name not in _HELP:
            continue
        group, text = _HELP[one.name]
        flag = "--" + one.name.replace("_", "-")
        if one.name == "compile":
            groups[group].add_argument(flag, action="store_true", default=None, help=text)
            continue
        if one.name == "qk_norm":
            on_or_off = argparse.BooleanOptionalAction
            groups[group].add_argument(flag, action=on_or_off, default=None, help=f"{text} (on)")
            continue
        usual = CHOICES[one.name][0] if one.name in CHOICES else one.default
        kind: Any = str if isinstance(usual, str) or one.name == "batch_ramp" else count
        kind = _STEPS if one.name == "steps" else kind
        kind = _one_name if one.name in ("optimizer", "tokens") else kind
        alone: dict[str, Any] = {"nargs": "?", "const": "line"} if one.name == "dedup" else {}
        groups[group].add_argument(
            flag,
            *_ALSO.get(one.name, []),
            action=_OneSpelling,
            type=one_of(one.name, _CHOICES[one.name]) if one.name in _CHOICES else kind,
            metavar="NAME" if kind in (str, _one_name) else "N",
            help=f"{text} ({_SHOWN.get(one.name, usual)})",
            **alone,
        )
    groups["modern"].add_argument(
        "--depth",
        action=_OneSpelling,
        type=count,
        metavar="N",
        help="one dial: layers; sets --model modern, width, heads, rate and steps",
    )
    groups["training"].add_argument(
        "--options",
        metavar="NAME=VALUE,...",
        help="further arguments of the optimizer: kappa_3=0.7,delta=8",
    )


def _one_name(text: str) -> str:
    if "," in text:
        raise argparse.ArgumentTypeError(f"{text!r} are several")
    return text


class _OneSpelling(argparse.Action):
    """Keeps the last value, as usual, and refuses another one under the setting's other name."""

    gridded = True  # what a sweep may have several of, by --grid

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        flag, before = getattr(namespace, f"{self.dest}_flag", None), getattr(namespace, self.dest)
        if flag not in (None, option_string) and before != values:
            raise ValueError(
                f"{flag} {before} and {option_string} {values} are one setting: leave one out."
            )
        setattr(namespace, self.dest, values)
        setattr(namespace, f"{self.dest}_flag", option_string)


def settings_given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were asked for on the command line, and no others."""
    given = {name: getattr(args, name) for name in _HELP if getattr(args, name) is not None}
    if args.options:
        given["options"] = parse_pairs(args.options)
    return given if args.depth is None else at_depth(args.depth, given)


def resolved_apart(given: Mapping[str, Any], grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The grid with what depends on its other names: "auto" steps, and all beside a depth."""
    apart = given if "depth" in grid else {k: v for k, v in given.items() if v == "auto"}
    return {**{name: [value] for name, value in apart.items() if name != "options"}, **grid}


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
