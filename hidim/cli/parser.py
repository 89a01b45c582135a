"""An argument parser whose errors are one line, with the nearest flag suggested."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from hidim.support.checks import is_number

_RATE = ("--gamma-2", "--algorithm NAME:gamma_2=X")
_PARAMETER = ("--algorithm NAME:{}=X",)
# What people type for it elsewhere -> our flags, the first that the command has.
_MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("lr", "learning-rate", "eta", "rate", "gamma", "step-size"), _RATE),
    **dict.fromkeys(("momentum", "beta1", "beta-1", "betas"), ("--algorithm sgd-momentum",)),
    **{f"gamma-{i}": _PARAMETER for i in (1, 2, 3)},
    **{f"kappa-{i}": _PARAMETER for i in (1, 2, 3, 4, 5)},
    **dict.fromkeys(("delta", "interpolation", "mixing", "averaging"), _PARAMETER),
    **dict.fromkeys(("optimizer", "optimiser", "opt"), ("--algorithm", "--optimizer")),
    **dict.fromkeys(("iterations", "iters", "horizon", "epochs", "updates", "t"), ("--steps",)),
    **dict.fromkeys(("batch", "bs", "b"), ("--batch-size",)),
    "at": ("--steps",),
    **dict.fromkeys(("samples", "repeats", "trials"), ("--runs",)),
    **dict.fromkeys(("budget", "compute"), ("--flops",)),
    **dict.fromkeys(("dim", "dimension", "params"), ("--d",)),
    **dict.fromkeys(("noise", "sigma", "label-noise"), ("--noise-variance",)),
    **dict.fromkeys(("figure", "fig", "png"), ("--plot",)),
    **dict.fromkeys(("output", "o", "save", "file"), ("--out", "--csv")),
}


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
        self.given: list[str] = []

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, remembering what was given for the complaints."""
        self.given = list(sys.argv[1:] if args is None else args)
        return super().parse_intermixed_args(args, namespace)

    @property
    def flags(self) -> list[str]:
        """Every flag the command knows, those that its help leaves out included."""
        return [flag for action in self._actions for flag in action.option_strings]

    def error(self, message: str) -> NoReturn:
        """Leave with one line; argparse's own would print the whole usage first."""
        unknown = message.removeprefix("unrecognized arguments: ")
        name = unknown.split()[0].split("=")[0]
        several = self._several(message, name if unknown != message else None)
        if unknown != message:
            meant = nearest_flag(name, self.flags)
            message = f"unknown argument {name}"
            message += f"; did you mean {meant}?" if meant and not several else ""
        message += f"; {several}" if several else ""
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)

    def _several(self, message: str, unknown: str | None) -> str:
        """The remedy where several values were given for what takes one in a run: a grid."""
        flag, values = _last_flag(self.given, unknown)
        if unknown is None:
            named = re.match(r"argument (--[\w-]+)[/:]", message)
            flag, values = (named[1], _values(self.given, named[1])) if named else (None, [])
        for spelled in (flag, flag.removesuffix("s")) if flag else ():
            action = self._option_string_actions.get(spelled)
            if getattr(action, "gridded", False) and (len(values) > 1 or spelled != flag):
                name = spelled.strip("-").replace("-", "_")
                grid = f"--grid {name}={','.join(values) or 'A,B'}"
                if "--grid" in self.flags:
                    return f"for several runs give {grid}"
                return f"a run has one {name}; for several: hidim sweep {grid}"
        return ""


def _last_flag(given: Sequence[str], unknown: str | None) -> tuple[str | None, list[str]]:
    """The flag that an unknown argument is, or that it was given to, and all of its values."""
    flag = None
    for argument in given:
        flag = argument.split("=")[0] if argument.startswith("--") else flag
        if argument.split("=")[0] == unknown:
            break
    return flag, _values(given, flag)


def _values(given: Sequence[str], flag: str | None) -> list[str]:
    """All that stands behind a flag, up to the next: 0.5,1 or 0.5 1 or =0.5,1."""
    values: list[str] = []
    reading = False
    for argument in given:
        if argument.startswith("--"):
            reading = argument.split("=")[0] == flag
            argument = argument.partition("=")[2]
        if reading:
            values += [part.strip() for part in argument.split(",") if part.strip()]
    return values


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Descriptions and examples stay as written; defaults are part of each flag's help."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=96)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == "+" and isinstance(action.metavar, str):  # not its name twice
            return f"{action.metavar} ..." if getattr(action, "several", True) else action.metavar
        return super()._format_args(action, default_metavar)


def nearest_flag(unknown: str, known: Iterable[str]) -> str | None:
    """What was meant by a flag that does not exist, or None.

    >>> nearest_flag("--lr", ["--plot", "--gamma-2"])
    '--gamma-2'
    >>> nearest_flag("--algoritm", ["--plot", "--algorithm"])
    '--algorithm'
    """
    if not unknown.startswith("-"):
        return None
    name, flags = unknown.strip("-").lower(), list(known)
    for meant in _MEANT.get(name, ()):
        if meant.split()[0] in flags:
            return meant.format(name.replace("-", "_"))
    bare = {flag.strip("-"): flag for flag in flags}
    close = difflib.get_close_matches(name, bare, n=1)
    return bare[close[0]] if close else None


def join_negative_values(arguments: Sequence[str]) -> list[str]:
    """Write `--flag -1e3` as `--flag=-1e3`, which argparse would take for another flag.

    >>> join_negative_values(["--alpha", "-1e3", "--json"])
    ['--alpha=-1e3', '--json']
    """
    joined: list[str] = []
    for argument in arguments:
        numbers = all(map(is_number, argument.split(",")))
        if argument.startswith("-") and numbers and joined:
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
