"""`hidim train`: a language model on real text, with any optimizer, resumable."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hidim.cli.lab_flags import add_settings_flags, settings_given
from hidim.cli.numbers import count, number, or_word
from hidim.cli.output import print_json, shown
from hidim.lab.text.facts import bits_per_byte
from hidim.lab.training.near import near_runs
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder
from hidim.support.checks import non_negative, whole
from hidim.support.extras import require

_MOST_THREADS = 1024  # of far more torch's kernels fail, some of them without a word on why
SUMMARY = "Train a language model on text and keep its losses, state and settings in a folder."
EXAMPLE = """example:
  hidim train --out run
  hidim train --out run --resume
  hidim train --out big --model transformer --width 128 --heads 4 --optimizer adana --lr 1e-3
  torchrun --nproc-per-node 2 -m hidim train --out two
  torchrun --nproc-per-node 2 -m hidim train --out parts --parallel fsdp
the default text is the Python standard library's own source: nothing is downloaded"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim train`."""
    parser.add_argument("--out", required=True, metavar="DIR", help="the run's folder")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="must",
        type=_resume,
        metavar="or-begin",
        help="go on with the run in DIR, with its own settings; or-begin: or begin one if there is "
        "none, so that the same command starts and goes on",
    )
    add_settings_flags(parser)
    group = parser.add_argument_group("while it runs")
    group.add_argument(
        "--save-seconds", type=number, default=60.0, metavar="S", help="between checkpoints (60)"
    )
    group.add_argument("--threads", type=count, metavar="N", help="of torch (1 for a small model)")
    group.add_argument(
        "--parallel",
        choices=("ddp", "fsdp"),
        default="ddp",
        help="under torchrun: each process holds the model (ddp) or a part of it (fsdp)",
    )
    group.add_argument(
        "--peak-flops",
        type=or_word("measure", number, "flops a second"),
        metavar="N",
        help="flops per second of the device, or measure: log the share that the model uses",
    )
    group.add_argument("--tensorboard", metavar="DIR", help="also log to TensorBoard in DIR")
    group.add_argument("--wandb", metavar="PROJECT", help="also log to Weights & Biases")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def _resume(text: str) -> str:
    if text in ("must", "or-begin"):
        return text
    raise argparse.ArgumentTypeError(
        f"--resume takes no folder, only or-begin, and got {text!r}: give the folder as --out."
    )


def run(args: argparse.Namespace) -> int:
    """Train, and say how the loss fell."""
    require("torch", "lab")
    from hidim.lab.training.entry import train
    from hidim.lab.training.loggers import open_loggers

    given = settings_given(args)
    saved = non_negative("save_seconds", args.save_seconds)
    threads = None if args.threads is None else int(whole("threads", args.threads, minimum=1))
    if threads is not None and threads > _MOST_THREADS:
        raise ValueError(f"`threads` must be at most {_MOST_THREADS}, got {threads}.")
    folder = RunFolder(args.out)
    settings = _settings(given, folder if args.resume and folder.started else None)
    if args.resume and not folder.started:
        if args.resume == "must":
            _refuse_a_slip(folder.path, given)
        if os.environ.get("RANK", "0") == "0":
            print(f"hidim: {args.out!r} holds no run yet: a new one begins.", file=sys.stderr)
    # A run that is only read, or refused, has nothing to log.
    logged = _trains(folder, bool(args.resume))
    tensorboard, wandb = (args.tensorboard, args.wandb) if logged else (None, None)
    with open_loggers(tensorboard, wandb, settings, args.out) as loggers:
        if not args.json:
            loggers = [_Rows(folder, settings), *loggers]
        result = train(
            settings,
            args.out,
            resume=bool(args.resume),
            save_seconds=saved,
            threads=threads,
            parallel=args.parallel,
            loggers=loggers,
            peak_flops=args.peak_flops,
            tell=lambda line: print(f"hidim: {line}", file=sys.stderr),
        )
    if os.environ.get("RANK", "0") != "0":
        pass  # of several processes the first one speaks
    elif args.json:
        print_json({"out": args.out, **result.to_dict(), **_per_byte(folder, settings, result)})
    else:
        _print_end(folder, settings, result)
    return 0 if result.signal is None else 128 + result.signal


def _refuse_a_slip(path: Path, given: Mapping[str, Any]) -> None:
    """A slip in the folder's name must not train something else.

    Without settings nobody asks for a new run; with them the same command may start and go on, as
    that of a job that is queued again, unless a run of nearly that name has just these settings.
    """
    near = [one for one in near_runs(path) if not given or _has(RunFolder(one), given)]
    if given and not near:
        return
    held = "holds one" if len(near) == 1 else "hold runs"
    named = f" ({' and '.join(repr(str(one)) for one in near)} {held})" if near else ""
    raise ValueError(
        f"{str(path)!r} holds no run to go on with: it was stopped before it had begun, or never "
        f"was{named}. Start it without --resume, or give --resume or-begin, which starts or goes "
        "on."
    )


def _has(folder: RunFolder, given: Mapping[str, Any]) -> bool:
    """Whether the run there has all of these settings."""
    try:
        held = folder.settings().to_dict()
        asked = Settings.from_dict({**held, **given}).to_dict()
    except (ValueError, OSError):
        return False
    return bool(asked == held)


def _trains(folder: RunFolder, resume: bool) -> bool:
    return resume and not folder.finished if folder.begun else True


def _settings(given: dict[str, Any], folder: RunFolder | None) -> Settings:
    """Those asked for, on top of the defaults or, when resuming, of the run's own."""
    if folder is None:
        return Settings.from_dict(given)
    return Settings.from_dict({**folder.settings().to_dict(), **given})


class _Rows:
    """Prints about ten rows a decade, each as it comes."""

    def __init__(self, folder: RunFolder, settings: Settings) -> None:
        self._next = 0.0
        self._folder, self._settings = folder, settings
        self._bits: float | None = None

    def __call__(self, row: dict[str, Any]) -> None:
        step = row["step"]
        if step < self._next:
            return
        if self._next == 0.0:
            self._bits = _bits(self._folder, self._settings)
            shown(f"{'step':>8} {'tokens':>12} {'train':>8} {'validation':>10} {'bits/byte':>9} "
                  f"{'tokens/s':>9}")  # fmt: skip
        self._next = max(1.25 * step, 1.0)
        speed = "" if row["tokens_per_second"] is None else f"{row['tokens_per_second']:,.0f}"
        loss = row.get("validation_loss")
        bits = None if loss is None or self._bits is None else loss * self._bits
        shown(f"{step:>8,} {row['tokens']:>12,} {_number(row['train_loss']):>8} "
              f"{_number(loss):>10} {_number(bits):>9} {speed:>9}")  # fmt: skip


def _bits(folder: RunFolder, settings: Settings) -> float | None:
    """Bits per byte of a nat per token in this run."""
    text = folder.read_config().get("text", {}) if folder.started else {}
    return bits_per_byte(text, settings.tokens)


def _per_byte(folder: RunFolder, settings: Settings, result: Any) -> dict[str, float | None]:
    bits, loss = _bits(folder, settings), result.validation_loss
    return {"bits_per_byte": None if bits is None or loss is None else loss * bits}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _print_end(folder: RunFolder, settings: Settings, result: Any) -> None:
    out = folder.path
    loss = "none" if result.validation_loss is None else f"{result.validation_loss:.4f} nats"
    bits = _bits(folder, settings)
    if result.status == "stopped":
        name = signal.Signals(result.signal).name
        print(f"stopped by {name} at step {result.step:,}, saved: hidim train --out {out} --resume")
        return
    per_byte = ""
    if result.validation_loss is not None and bits is not None:
        per_byte = f" ({result.validation_loss * bits:.4f} bits per byte)"
    print(
        f"{result.status}: {result.step:,} steps, {result.tokens:,} tokens, validation loss {loss}"
        f" per token{per_byte}, {result.parameters:,} parameters, "
        f"{result.tokens_per_second:,.0f} tokens/s"
    )
    size = folder.read_config()["text"]["vocabulary"]
    if result.status == "ok" and not (result.validation_loss or 0.0) <= math.log(size):
        print(
            f"hidim: that is above guessing among {size} tokens, {math.log(size):.4f} nats: `lr` "
            f"{settings.lr:g} suits another optimizer or model, or the run is too short.",
            file=sys.stderr,
        )
