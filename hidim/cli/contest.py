"""`hidim contest`: optimizers against tuned AdamW under one budget."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hidim.cli.numbers import count, number
from hidim.cli.output import add_output_flags, check_outputs, hand_back, step_text, table
from hidim.support.checks import whole
from hidim.support.extras import require
from hidim.support.files import check_writable

SUMMARY = "Optimizers under one budget: tuned alike, counted by the harness, held to one rule."
EXAMPLE = """example:
  hidim contest --dry-run                                  (the plan, and what it costs)
  hidim contest --tasks least-squares --methods adamw,sgd-m --out mine
  hidim contest --method mine.py --from docs/results/contest.parquet --out mine
  hidim contest --out mine --report --page contest.md
  hidim contest --rerun least-squares.adamw.final0.1 --from docs/results/contest.parquet
the same command goes on where it was stopped; rows are kept in --out"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim contest`."""
    group = parser.add_argument_group("who takes part")
    group.add_argument("--tasks", metavar="A,B,...", help="by name (all of them)")
    group.add_argument("--methods", metavar="A,B,...", help="by name (all of them)")
    group.add_argument(
        "--task", action="append", default=[], metavar="FILE", help="a task of your own"
    )
    group.add_argument(
        "--method", action="append", default=[], metavar="FILE", help="a method of your own"
    )
    group = parser.add_argument_group("what is done (the contest by default)")
    group.add_argument("--dry-run", action="store_true", help="print the plan and train nothing")
    group.add_argument("--report", action="store_true", help="report what is kept, train nothing")
    group.add_argument(
        "--false-alarms", action="store_true", help="40 further seeds of AdamW on each task named"
    )
    group.add_argument("--rerun", metavar="ROW", help="compute a kept row again and compare")
    group = parser.add_argument_group("where rows are")
    group.add_argument("--out", default="contest", metavar="DIR", help="kept there (contest)")
    group.add_argument("--from", dest="source", metavar="FILE", help="rows of before, in Parquet")
    group.add_argument("--store", metavar="FILE", help="also write all rows to FILE, in Parquet")
    group.add_argument("--page", metavar="FILE", help="also write the leaderboard, with figures")
    group.add_argument("--workers", type=count, default=1, metavar="N", help="processes (1)")
    group.add_argument(
        "--scale", type=number, default=1.0, metavar="X", help="times every task's steps, to try"
    )
    add_output_flags(parser, plot=False)


def run(args: argparse.Namespace) -> int:
    """Hold the contest, or say what was asked."""
    check_outputs(argparse.Namespace(csv=args.csv, json=args.json))
    for path in (args.store, args.page):
        if path is not None:
            check_writable(path)
    args.workers = int(whole("workers", args.workers, minimum=1))
    require("torch", "contest")
    from hidim.contest import rows as kept
    from hidim.contest.protocol import Protocol, hold, of_this, progress_of, raise_alarms

    tasks, methods = _entrants(args)
    protocol = Protocol(scale=args.scale)
    before = [] if args.source is None else kept.read_parquet(args.source)
    if args.rerun is not None:
        return _rerun(args, before, tasks, methods)
    store = kept.rows_of(args.out)
    if args.dry_run:
        rows = of_this(protocol, tasks, methods, kept.with_folder(before, args.out))
        return _plan(args, progress_of(protocol, tasks, methods, rows), len(methods))
    if before and not args.report:
        kept.seed_folder(args.out, before)
    if args.false_alarms:
        baseline = next((m for m in methods if m.name == _baseline()), None)
        if baseline is None:
            raise ValueError(f"--false-alarms asks {_baseline()!r}: leave out --methods.")
        raise_alarms(protocol, tasks, baseline, store, workers=args.workers)
    elif not args.report:
        hold(protocol, tasks, methods, store, workers=args.workers, told=_say)
    every = kept.with_folder(before, args.out) if before else kept.read_folder(args.out)
    if args.store is not None:
        kept.write_parquet(args.store, every)
    rows = of_this(protocol, tasks, methods, every)
    if len(rows) < len(every):
        _say(f"{len(every) - len(rows)} rows of other tasks, methods or lengths are left out")
    return _report(args, rows, progress_of(protocol, tasks, methods, rows))


def _baseline() -> str:
    from hidim.contest.methods import BASELINE

    return BASELINE


def _say(line: str) -> None:
    print(f"hidim: {line}", file=sys.stderr)


def _entrants(args: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    from hidim.contest.methods import METHODS
    from hidim.contest.tasks import TASKS

    def chosen(known: Any, files: list[str], names: str | None, alone: bool) -> list[Any]:
        own = [one for path in files for one in known.add_file(path)]
        if names is not None:
            listed = [part.strip() for part in names.split(",") if part.strip()]
            return list({one.name: one for one in [*map(known.find, listed), *own]}.values())
        if own and alone:
            return own
        return [known.find(name) for name in known.names()]

    tasks = chosen(TASKS, args.task, args.tasks, True)
    methods = chosen(METHODS, args.method, args.methods, False)
    if not tasks or not methods:
        raise ValueError("a contest needs a task and a method: see --tasks and --methods.")
    return tasks, methods


def _plan(args: argparse.Namespace, plan: list[dict[str, Any]], methods: int) -> int:
    hours = sum(one["hours_left"] for one in plan)
    runs = sum(one["runs"] - one["finished"] for one in plan)
    names = list(plan[0])
    text = "\n".join([
        _plan_table(plan),
        f"{methods} methods, {runs:,} runs left, about {hours:.2f} core-hours: "
        f"{hours / args.workers:.2f} hours with --workers {args.workers}",
    ])  # fmt: skip
    return hand_back(
        args,
        columns={name: [one[name] for one in plan] for name in names},
        answer={"plan": plan, "runs_left": runs, "core_hours_left": hours},
        text=text,
    )


def _plan_table(plan: list[dict[str, Any]]) -> str:
    return table(
        {
            "task": [one["task"] for one in plan],
            "steps": [step_text(one["steps"]) for one in plan],
            "runs": [str(one["runs"]) for one in plan],
            "finished": [str(one["finished"]) for one in plan],
            "s each": [f"{one['seconds_each']:.1f}" for one in plan],
            "h done": [f"{one['hours_done']:.2f}" for one in plan],
            "h left": [f"{one['hours_left']:.2f}" for one in plan],
        }
    )


def _report(
    args: argparse.Namespace, rows: Sequence[Mapping[str, Any]], plan: list[dict[str, Any]]
) -> int:
    from hidim.contest.page import answer_of, board_text, write_page

    answer = answer_of(rows, plan)
    if args.page is not None:
        write_page(Path(args.page), answer)
    keys = ("task", "method", "mean", "stderr", "score", "meets", "tuned", "diverged", "seconds")
    return hand_back(
        args,
        columns={key: [_cell(one[key]) for one in answer["leaderboard"]] for key in keys},
        answer=answer,
        text=f"{board_text(answer)}\n\n{_plan_table(plan)}",
    )


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def _rerun(
    args: argparse.Namespace, rows: list[dict[str, Any]], tasks: list[Any], methods: list[Any]
) -> int:
    from hidim.contest.rows import again, differences, read_folder

    rows = rows or read_folder(args.out)
    row, found = again(args.rerun, rows, tasks, methods)
    changed = differences(row, found)
    text = [f"{row['name']}: {found['value']!r} in {found['seconds']:.1f} s"]
    text += [f"  {line}" for line in changed] or ["  the same to the last bit, weights included"]
    hand_back(
        args,
        columns={key: [row[key], found[key]] for key in found},
        answer={"row": row, "again": found, "differences": changed},
        text="\n".join(text),
    )
    return 1 if changed else 0
