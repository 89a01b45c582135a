"""What a command hands back: an aligned table, strict JSON, a CSV file, a figure.

Every file is checked before the work starts and appears whole or not at all.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.support.checks import choice
from hidim.support.extras import require
from hidim.support.files import (
    atomic_write,
    check_writable,
    is_standard_output,
    is_stream,
    write_with,
)
from hidim.support.json import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE_SUFFIXES = (".png", ".svg", ".pdf")
_ROWS = 100_000  # of a CSV written at once


def add_output_flags(parser: argparse.ArgumentParser, *, plot: bool = True) -> None:
    """Add --json, --csv and, for commands that draw, --plot."""
    group = parser.add_argument_group("output (a table by default)")
    group.add_argument("--json", action="store_true", help="print one JSON object instead")
    group.add_argument(
        "--csv", metavar="FILE", help="also write every row to FILE; - prints them instead"
    )
    if plot:
        suffixes = ", ".join(FIGURE_SUFFIXES)
        group.add_argument("--plot", metavar="FILE", help=f"also draw FILE ({suffixes})")


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse, before any work, a file that could not be written at the end.

    Raises:
        ValueError: missing folder, no permission, unknown figure suffix, the same file twice,
            two things to print.
        MissingExtra: a figure is asked for and matplotlib is not installed.
    """
    figure, csv, out = (getattr(args, name, None) for name in ("plot", "csv", "out"))
    if csv is not None and csv != "-":
        check_writable(csv)
    if prints_csv(args) and args.json:
        raise ValueError(f"--json and --csv {csv} both print: give --csv a file.")
    if out == "-":
        raise ValueError("--out needs the name of a file, got '-'.")
    if figure is not None:
        check_writable(figure)
        choice("suffix of --plot", Path(figure).suffix.lower(), FIGURE_SUFFIXES)
        require("matplotlib", "plots")
    named = [name for name in (figure, csv, out) if name not in (None, "-")]
    files = [Path(name).resolve() for name in named if not is_stream(name)]
    if len(set(files)) < len(files):
        raise ValueError("--csv, --plot and --out must name different files.")


def prints_csv(args: argparse.Namespace) -> bool:
    """Whether --csv goes where the table would: then the rows are printed instead of it."""
    return args.csv is not None and (args.csv == "-" or is_standard_output(args.csv))


def hand_back(
    args: argparse.Namespace,
    *,
    columns: Mapping[str, Sequence[Any] | np.ndarray],
    answer: Mapping[str, Any],
    text: str,
    cautions: Sequence[str] = (),
) -> int:
    """Write --csv, then print the answer as JSON if asked for, and else the text; returns 0.

    Args:
        args: with `csv` and `json`.
        columns: the rows of --csv by column.
        answer: the object of --json.
        text: what a person reads.
        cautions: lines of it that rows printed by --csv have no room for: on standard error.
    """
    for line in cautions if prints_csv(args) else ():
        print(f"hidim: {line}", file=sys.stderr)
    if args.csv is not None:
        write_csv(args.csv, columns)
    if args.json:
        print_json(answer)
    elif not prints_csv(args):
        print(text)
    return 0


def shown(text: str) -> bool:
    """Print a line of work under way; False where nobody takes it, which must not end the work.

    A reader that left (`| head`) and a full disk are told once, on standard error.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        with suppress(OSError):
            why = error.strerror or type(error).__name__
            print(f"hidim: standard output: {why}; the work goes on, unseen.", file=sys.stderr)
        # Or what could not be written would be tried again at every line, and at the end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        return False
    return True


def print_json(answer: Mapping[str, Any]) -> None:
    """Print strict JSON: no NaN or Infinity, which are null here."""
    print(json.dumps(plain(answer), indent=1, allow_nan=False))


def write_csv(path: str, columns: Mapping[str, Sequence[Any] | np.ndarray]) -> None:
    """Write columns of equal length under their names, at full precision; "-" prints them."""
    import csv

    printed = path == "-" or is_standard_output(path)
    with nullcontext(sys.stdout) if printed else atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        several = [c if isinstance(c, np.ndarray) else list(c) for c in columns.values()]
        for start in range(0, max(map(len, several), default=0), _ROWS):  # memory for a few
            block = [c[start : start + _ROWS] for c in several]
            lists = [c.tolist() if isinstance(c, np.ndarray) else c for c in block]
            writer.writerows(zip(*lists, strict=True))


def write_figure(path: str, draw: Callable[[Axes], Any], *, size: tuple[float, float]) -> None:
    """Draw on a fresh ax and write the figure; `size` in inches."""
    write_figures(path, [draw], size=size)


def write_figures(
    path: str, draws: Sequence[Callable[[Axes], Any]], *, size: tuple[float, float]
) -> None:
    """Draw each on an ax of its own, side by side, and write them as one figure.

    Uses no pyplot, so no display and no global state is involved.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * len(draws), size[1]), layout="constrained")
    for place, draw in enumerate(draws, start=1):
        draw(figure.add_subplot(1, len(draws), place))
    suffix = Path(path).suffix.lower().removeprefix(".")
    write_with(path, lambda stream: figure.savefig(stream, format=suffix, dpi=160))


def table(columns: Mapping[str, Sequence[str]] | Sequence[tuple[str, Sequence[str]]]) -> str:
    """Columns of text, right-aligned under their names; pairs where a name comes twice.

    >>> print(table({"step": ["0", "10"], "risk": ["0.5", "0.25"]}))
      step  risk
         0   0.5
        10  0.25
    """
    pairs = columns.items() if isinstance(columns, Mapping) else columns
    cells = [[name, *column] for name, column in pairs]
    widths = [max(map(len, column)) for column in cells]
    rows = zip(*cells, strict=True)
    return "\n".join(
        "  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def step_text(step: float | None) -> str:
    """A step as people write it: in full up to ten million, then in powers of ten.

    >>> step_text(10_000), step_text(3e12), step_text(None)
    ('10,000', '3e+12', '-')
    """
    if step is None:
        return "-"
    return f"{step:,.0f}" if step < 1e7 else f"{step:.6g}"


def risk_text(risk: float) -> str:
    """A risk with six digits; what a diverged run has is called so.

    >>> risk_text(0.00123456789), risk_text(float("inf"))
    ('0.00123457', 'diverged')
    """
    return f"{risk:.6g}" if math.isfinite(risk) else "diverged"


def rows_to_show(steps: np.ndarray, *, limit: int = 32) -> np.ndarray:
    """Indices of the rows a person wants to read: all of a few, else about three a decade.

    The first and the last row are always among them.
    """
    if len(steps) <= limit or np.any(np.diff(steps) <= 0):
        return np.arange(len(steps))
    marks = round_steps(float(steps[-1]))
    if len(marks) > limit:
        marks = np.concatenate([marks[:1], marks[1::3]])
    wanted = np.searchsorted(steps, np.append(marks, steps[-1]))
    return np.unique(wanted)


def round_steps(last: float) -> np.ndarray:
    """0, 1, 2, 5, 10, 20, ... up to `last`.

    >>> round_steps(30).tolist()
    [0.0, 1.0, 2.0, 5.0, 10.0, 20.0]
    """
    decades = 10.0 ** np.arange(math.floor(math.log10(max(last, 1))) + 1)
    marks = np.concatenate([[0.0], np.outer(decades, [1.0, 2.0, 5.0]).ravel()])
    return marks[marks <= last]
