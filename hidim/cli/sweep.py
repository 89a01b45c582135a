"""`hidim sweep`: many runs, trained by many processes, each once."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hidim.cli.executors import add_executor_flags, check_executor_flags, executor_of
from hidim.cli.lab_flags import add_settings_flags, parse_grid, resolved_apart, settings_given
from hidim.cli.numbers import number
from hidim.cli.output import shown
from hidim.lab.text.facts import lines_of
from hidim.lab.text.streams import is_stream
from hidim.lab.training.settings import Settings
from hidim.support.checks import non_negative
from hidim.support.extras import MissingExtra, require
from hidim.support.progress import Progress

SUMMARY = "Train every combination of settings, in parallel; resumes whatever was killed."
EXAMPLE = """example:
  hidim sweep --out kappas --optimizer dana-decaying --grid kappa_3=0.5,0.7,0.9 --grid seed=0,1,2
  hidim sweep --out kappas                        (go on, or join in from another machine)
  hidim sweep --out ladder --preset lstm-ladder   (about two hours on two cores)
  hidim report kappas"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim sweep`."""
    parser.add_argument("--out", required=True, metavar="DIR", help="the sweep's folder")
    parser.add_argument(
        "--grid",
        action="append",
        metavar="NAME=A,B,...",
        help="values of a setting or of an optimizer's option; may be given several times",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="lstm-ladder or transformer-ladder, with -gpu at the size of a GPU; horizons-lstm or "
        "horizons-transformer, with -small in ten minutes",
    )
    parser.add_argument(
        "--from",
        dest="stored",
        metavar="FILE",
        help="a metrics.parquet whose finished runs count as finished here",
    )
    add_executor_flags(parser, default="processes")
    group = parser.add_argument_group("workers")
    group.add_argument("--save-seconds", type=number, default=60.0, metavar="S", help="(60)")
    group.add_argument(
        "--dry-run", action="store_true", help="list the runs, say what they cost, train none"
    )
    group.add_argument(
        "--tflops",
        type=number,
        metavar="X",
        help="with --dry-run: what a machine sustains in training, 1e12 flops/s (tried out here)",
    )
    group.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    group.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
    add_settings_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Want the runs, then train what is not finished."""
    if args.lifeline:
        from hidim.lab.sweeps.executors import die_with_parent

        die_with_parent()  # before torch is there, which takes seconds
    require("torch", "lab")
    from hidim.lab.sweeps.presets import ladder
    from hidim.lab.sweeps.sweep import Sweep

    check_executor_flags(args, folder=args.out)
    if args.tflops is not None and not args.dry_run:
        raise ValueError("`--tflops` says what runs will cost: give --dry-run too.")
    sweep = Sweep(args.out)
    saved = non_negative("save_seconds", args.save_seconds)
    given, grid = settings_given(args), parse_grid(args.grid)
    if not (args.preset or given or grid):
        args.preset = sweep.preset  # a ladder goes on as one, whoever joins in
    plan = ladder(args.preset) if args.preset else None
    stage = plan.stage if plan else None
    if args.worker:
        return _worker(sweep, stage, saved)
    if stage is not None and (given or grid):
        raise ValueError("`preset` decides all settings: leave out --grid and the other settings.")
    if args.stored:
        from hidim.lab.reports.restored import restore

        if args.dry_run:  # what would be left is asked of a copy
            with tempfile.TemporaryDirectory() as place:
                copy = Sweep(_copied(sweep, place))
                found = restore(args.stored, copy)
                print(f"{found} finished runs of {args.stored} would be taken over")
                return _list(copy, _wanted(copy, stage, given, grid), plan, args.tflops)
        found = restore(args.stored, sweep)
        print(f"{found} finished runs of {args.stored} are taken over")
    wanted = _wanted(sweep, stage, given, grid)
    if args.dry_run:
        return _list(sweep, wanted, plan, args.tflops)
    if not wanted and not sweep.settings():
        raise ValueError(f"{args.out!r} holds no sweep: give --grid, --preset or settings.")
    cores = os.cpu_count() or 1
    sweep.add(wanted, preset=args.preset)
    return _train(sweep, stage, args.workers or cores, saved, args)


def _wanted(
    sweep: Any, stage: Any, given: dict[str, Any], grid: dict[str, list[Any]]
) -> list[Settings]:
    """The runs that are asked for, given what is finished."""
    from hidim.lab.sweeps.sweep import expand

    if given or grid:
        return expand(Settings.from_dict(given), resolved_apart(given, grid))
    return list(stage(sweep)) if stage else []


def _copied(sweep: Any, place: str) -> Path:
    """A copy of a sweep in a folder, without what only training needs."""
    copy = Path(place) / "sweep"
    if sweep.path.is_dir():
        left = shutil.ignore_patterns("checkpoint*", "text-*", "lock")
        shutil.copytree(sweep.path, copy, ignore=left)
    return copy


def _train(sweep: Any, stage: Any, count: int, saved: float, args: argparse.Namespace) -> int:
    from hidim.lab.sweeps.executors import local_workers, submit_workers, train_with

    for one in _new_texts(sweep):
        if is_stream(one.data):  # a worker has no standard input, and a pipe is read once
            sweep.tokens(one)
    if args.executor == "slurm":
        jobs = submit_workers(sweep, count, preset=args.preset, parameters=args.slurm_parameters)
        names = [str(job.job_id) for job in jobs]
        print("submitted: " + ", ".join(names))
        print(f"they go on without this command; to stop them: scancel {' '.join(names)}")
        return 0
    before = len(sweep.finished())
    _tell(sweep)
    if args.executor == "dask":
        with executor_of(args, folder=args.out) as executor:
            code = _code(train_with(sweep, executor, stage=stage, save_seconds=saved))
    elif count == 1:
        code = _worker(sweep, stage, saved)
    else:
        with Progress(len(sweep.settings()), "training") as bar:
            code = local_workers(
                sweep, count, preset=args.preset, save_seconds=saved, progress=_show(bar)
            )
    done, total = len(sweep.finished()), len(sweep.settings())
    print(f"{done} of {total} runs finished, {done - before} of them now: hidim report {args.out}")
    return code


def _new_texts(sweep: Any) -> list[Settings]:
    """One run of every text on which no run has begun."""
    every = sweep.settings()
    old = {one.text_fingerprint for name, one in every.items() if sweep.folder(name).begun}
    return list(
        {f: one for one in every.values() if (f := one.text_fingerprint) not in old}.values()
    )


def _tell(sweep: Any) -> None:
    """Read every new text, once for all workers; say what it is worth and how often it is read."""
    from hidim.lab.training.entry import passes_of

    new = {one.text_fingerprint for one in _new_texts(sweep)}
    for one in _longest_new(sweep):
        with suppress(ValueError, MissingExtra, OSError):  # whoever trains on it says so
            tokens = sweep.tokens(one)
            facts = {**tokens.facts, "validation_tokens": len(tokens.validation)}
            lines = lines_of(facts, evaluated=one.validation_tokens)
            lines = lines if one.text_fingerprint in new else []
            for line in [*lines, passes_of(one, tokens)]:
                print(f"hidim: {one.data}: {line}", file=sys.stderr)


def _longest_new(sweep: Any) -> list[Settings]:
    """Of every text the run that will read most of it, of those that have not begun."""
    found: dict[str, Settings] = {}
    for name, one in sweep.settings().items():
        if not sweep.folder(name).begun:
            most = found.setdefault(one.text_fingerprint, one)
            if one.tokens_before(one.steps) > most.tokens_before(most.steps):
                found[one.text_fingerprint] = one
    return list(found.values())


def _show(bar: Progress) -> Callable[[int, int], None]:
    return lambda done, total: bar.to(done)


def _worker(sweep: Any, stage: Any, saved: float) -> int:
    from hidim.lab.sweeps.sweep import work

    return _code(work(sweep, stage=stage, save_seconds=saved, report=_say))


def _code(outcome: Any) -> int:
    """The exit code; a run that could not be trained is named."""
    if outcome.signal is not None:
        return 128 + outcome.signal
    if outcome.failed:
        name, reason = next(iter(outcome.failed.items()))
        raise ValueError(f"{len(outcome.failed)} run(s) could not be trained; {name}: {reason}")
    return 0


def _say(name: str, result: dict[str, Any]) -> None:
    loss = result["validation_loss"]
    last = "no loss" if loss is None else f"{loss:.4f}"
    shown(f"{result['status']:>8}  {last}  {result['tokens_per_second']:>8,.0f} tokens/s  {name}")


def _list(sweep: Any, wanted: list[Settings], plan: Any, tflops: float | None) -> int:
    """Print the runs, and what those that are left will cost."""
    from hidim.lab.sweeps.budget import budget, table
    from hidim.lab.sweeps.sweep import name_of

    known, finished = sweep.settings(), sweep.finished()
    every = {**known, **{name_of(run): run for run in wanted}}
    for name in every:
        state = "finished" if name in finished else "wanted" if name in known else "new"
        print(f"{state:>8}  {name}")
    done = [known[name] for name in finished]
    lines = budget(every.values() if plan is None else plan.planned(), done, tflops=tflops)
    if plan is not None and lines:
        print(f"\nthe whole plan, {plan.extent}, less what is finished:")
    print("\n" + table(lines) if lines else "\nnothing is left to train")
    return 0
