"""The `hidim` command: finds the subcommand, imports only that one, turns errors into one line.

Exit codes: 0 done, 2 the request was refused (one line on standard error), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence

import hidim
from hidim.cli import outside
from hidim.cli.parser import Parser, hyphenate, join_negative_values
from hidim.support.checks import choice
from hidim.support.extras import MissingExtra
from hidim.support.files import FULL

# Name of the subcommand, which is also its file in this folder, and what it does in one line.
COMMANDS: dict[str, str] = {
    "predict": "expected risk of an optimizer at every step, exactly",
    "simulate": "run the real algorithm many times: mean risk with error bars",
    "stability": "which learning rates hold, and when the others diverge",
    "compare": "several optimizers side by side in one table and one figure",
    "clip": "which threshold for heavy-tailed noise, and does clipping help at all",
    "privacy": "how much privacy noisy SGD keeps at which loss, accountant named",
    "recommend": "ADANA's or DANA's numbers from a run of AdamW or SGD that works",
    "phase": "which phase a problem is in, and the exponents every optimizer reaches",
    "frontier": "the compute-optimal size, steps and risk for a budget",
    "fit": "a law of the loss from logs of training runs, with hold-out errors",
    "forecast": "the loss of a schedule that was not run, with a band",
    "plan": "the size and data for a budget, or the schedule a fitted law likes best",
    "exponents": "measured compute-optimal exponents beside theory",
    "plane": "exact curves and exponents over a plane of problems, here or on a cluster",
    "train": "a language model on real text, with any optimizer, resumable",
    "sweep": "many training runs in parallel, each once, resumable",
    "contest": "optimizers against tuned AdamW under one budget, any row rerun",
    "report": "a folder of training runs as one table, figures and exponents",
    "spectrum": "tail exponents of a trained model, and the kappa_3 they imply",
    "coordinates": "does one learning rate hold over widths, or depths, of a network",
    "demo": "the main job on a synthetic and a real problem: tables and figures",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line given by `arguments` (default: sys.argv) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for name in ("stdout", "stderr"):  # None where the shell closed it, as `hidim ... >&-` does
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = _dispatch(given)
        sys.stdout.flush()
        return code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt as stop:  # which may say how to go on
        return _complain(str(stop) or "stopped", 130)
    except BrokenPipeError:
        # The reader left (`hidim ... | head`): nothing more to say, not even at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, MissingExtra, OSError) as error:
        if os.environ.get("HIDIM_TRACEBACK"):
            raise
        text = str(error)
        if isinstance(error, OSError) and error.errno in FULL:
            where = "standard output" if error.filename is None else repr(error.filename)
            text = f"cannot write {where}: {error.strerror}"
        return _complain(text, 2)
    except (OverflowError, MemoryError) as error:
        if os.environ.get("HIDIM_TRACEBACK"):
            raise
        lost = "memory" if isinstance(error, MemoryError) else "float64"
        return _complain(f"a number given is too large for {lost}: ask for less.", 2)


def usage() -> str:
    """What `hidim --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: hidim COMMAND [flags]        hidim COMMAND --help        hidim --version",
            "",
            "Exact loss curves of stochastic optimizers in high dimension, and their scaling laws.",
            "",
            *lines,
            "",
            "example:",
            "  hidim compare --alpha 1 --beta 0.7 --d 1000 --steps 1e6 --plot curves.png",
        ]
    )


def _dispatch(given: list[str]) -> int:
    if given[:1] == ["help"] and len(given) > 1:  # as `hidim COMMAND --help`
        given = [given[1], "--help"]
    if given and given[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if given and given[0] in ("-V", "--version"):
        print(f"hidim {hidim.__version__}")
        return 0
    if not given:
        print(usage(), file=sys.stderr)
        return 2
    outside.load()
    name = choice("command", given[0], COMMANDS)
    command = importlib.import_module(f"hidim.cli.{name.replace('-', '_')}")
    parser = Parser(f"hidim {name}", summary=command.SUMMARY, example=command.EXAMPLE)
    command.configure(parser)
    args = parser.parse_intermixed_args(join_negative_values(hyphenate(given[1:])))
    try:
        return int(command.run(args))
    except ValueError as error:
        if os.environ.get("HIDIM_TRACEBACK"):
            raise
        message = in_flags(str(error), parser.flags)
        if isinstance(getattr(args, "d", None), int | float):  # a number that can be typed
            message = re.sub(r"\b(\d+)\*d\b", lambda found: f"{int(found[1]) * args.d:g}", message)
        raise ValueError(message) from None


def in_flags(message: str, flags: Sequence[str]) -> str:
    """A remedy written for Python, `v=800`, as one for the command line, `--v 800`.

    >>> in_flags("Give v, for example v=4*d, or seed=None.", ["--v", "--seed"])
    'Give v, for example --v 4*d, or no --seed.'
    >>> in_flags("Name it: --columns flops=C or tokens=NAME.", ["--flops", "--tokens"])
    'Name it: --columns flops=C or tokens=NAME.'
    """
    if "--algorithm" in flags:  # the `name` of an algorithm
        message = message.replace("`name`", "`algorithm`")
    if "--gaussian" in flags:
        message = message.replace("Spectrum.from_data(X, y, rows=False)", "--gaussian")

    def spelled(found: re.Match[str]) -> str:
        if found["quoted"]:  # what the user wrote stays as it was
            return found[0]
        name = found["name"]
        if name == "name" and "--algorithm" in flags:
            name = "algorithm"
        flag = "--" + name.replace("_", "-")
        if flag not in flags:
            return found[0]
        value = found["value"].strip("'\"")
        return f"no {flag}" if value == "None" else f"{flag} {value}".rstrip()

    # Not inside a word, a quotation, or an algorithm's key=value.
    # What a flag takes, and a place holder, stay too: --columns params=N or flops=NAME.
    quoted = r"(?P<quoted>(?<![\w=])'[^']*'|--[\w-]+ [a-z]\w*=\S+|\w+=NAME\b)|"
    pattern = quoted + r"(?<![\w`'\":;,=/.-])(?P<name>[a-z]\w*)=(?P<value>[^\s,;()]*[^\s,;().]|)"
    return re.sub(pattern, spelled, message)


def _complain(message: str, code: int) -> int:
    print(f"hidim: {' '.join(message.split())}", file=sys.stderr)
    return code
