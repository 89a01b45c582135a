"""An argument parser whose errors are one line, with the nearest flag suggested."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Flags spelled in full, the worked example kept as it was laid out, exit 2 on errors."""

    def __init__(self, prog: str, *, summary: str, example: str) -> None:
        super().__init__(
            prog=prog,
            usage=f"{prog} [flags]",
            description=summary,
            epilog=example.rstrip() + "\n",
            formatter_class=Formatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Leave with one line; argparse's own would print the whole usage first."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown != message:
            message = f"unknown argument {unknown.split()[0]}"
            known = [flag for action in self._actions for flag in action.option_strings]
            close = difflib.get_close_matches(unknown.split()[0].split("=")[0], known, n=1)
            if close:
                message += f"; did you mean {close[0]}?"
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples stay as written; defaults are part of each flag's help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=96)


def join_negative_values(arguments: Sequence[str]) -> list[str]:
    """Write `--flag -1e3` as `--flag=-1e3`, which argparse would take for another flag.

    >>> join_negative_values(["--alpha", "-1e3", "--json"])
    ['--alpha=-1e3', '--json']
    """
    joined: list[str] = []
    for argument in arguments:
        if argument.startswith("-") and _is_number(argument) and joined:
            last = joined[-1]
            if last.startswith("--") and "=" not in last:
                joined[-1] = f"{last}={argument}"
                continue
        joined.append(argument)
    return joined


def hyphenate(arguments: Sequence[str]) -> list[str]:
    """Read `--gamma_2`, the parameter's name in Python, as the flag `--gamma-2`.

    >>> hyphenate(["predict", "--gamma_2=0.1", "--plot", "my_run.png"])
    ['predict', '--gamma-2=0.1', '--plot', 'my_run.png']
    """
    spelled = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag.startswith("--"):
            argument = flag.replace("_", "-") + equals + value
        spelled.append(argument)
    return spelled


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
