"""Which table, or which parts of it, does `hidim fit` fit a law of sizes to, and what is said?

Every law of a table of finished runs goes this way, whatever it fits: the rows that --where picks,
a law for each value of --by, the ends of runs that --last names.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hidim.cli.output import hand_back
from hidim.fitting.logs.readers import parse_columns
from hidim.fitting.sizes.aliases import ROLES
from hidim.fitting.sizes.tables import SizeTable, read_sizes, read_sizes_by
from hidim.support.checks import whole


@dataclass(frozen=True)
class Answer:
    """What one law has to say: rows of a table, JSON, lines to read, warnings."""

    columns: dict[str, Any]
    answer: dict[str, Any]
    text: str
    warnings: tuple[str, ...] = ()


def tables_of(args: argparse.Namespace, **options: Any) -> dict[str, SizeTable]:
    """The table, under no name, or its parts by the value of --by; `options` of `read_sizes`.

    Raises:
        ValueError: several files, or what `read_sizes` refuses.
    """
    if len(args.files) > 1:
        raise ValueError(f"law {args.law!r} reads one table, got {len(args.files)} files.")
    options["columns"] = parse_columns(args.columns, ROLES) if args.columns else None
    options |= {"where": args.where, "last": args.last}
    if args.by:
        found = read_sizes_by(args.files[0], args.by, **options)
    else:
        found = {"": read_sizes(args.files[0], **options)}
    highest = int(whole("drop_highest", args.drop_highest))
    return {kind: data.without_highest(highest) for kind, data in found.items()}


def answer_each(
    args: argparse.Namespace,
    tables: dict[str, SizeTable],
    fit: Callable[[SizeTable, str], Answer],
) -> int:
    """Fit every table, print what each law says, and hand back all of it.

    Args:
        args: of `hidim fit`.
        tables: by the value of --by, "" for a table of its own.
        fit: from a table and that value to what is said.
    """
    columns: dict[str, list[Any]] = {}
    answers, texts = [], []
    for kind, data in tables.items():
        try:
            found = fit(data, kind)
        except ValueError as error:
            if not kind:
                raise
            raise ValueError(
                f"{args.by}={kind}: {error} To leave these rows out: --where '{args.by}!={kind}'."
            ) from None
        for warning in found.warnings:
            print(f"hidim: warning: {f'{kind}: ' if kind else ''}{warning}", file=sys.stderr)
        rows = len(next(iter(found.columns.values())))
        named = {args.by: [kind] * rows, **found.columns} if kind else found.columns
        for key, values in named.items():
            columns.setdefault(key, []).extend(values)
        answers.append({args.by: kind, **found.answer} if kind else found.answer)
        texts.append(f"{args.by}={kind}\n{found.text}" if kind else found.text)
    return hand_back(
        args,
        columns=columns,
        answer={"by": args.by, "laws": answers} if args.by else answers[0],
        text="\n\n".join(texts),
    )


def named(path: str | None, kind: str) -> str | None:
    """sizes.json, or sizes-VALUE.json of a part."""
    if path is None or not kind:
        return path
    given = Path(path)
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in kind)
    return str(given.with_name(f"{given.stem}-{safe}{given.suffix}"))
