"""What `hidim fit --params`, `forecast --params` and `plan --flops` do with a law over sizes and
schedules."""

from __future__ import annotations

import argparse
import fnmatch
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hidim
from hidim.cli.numbers import amount
from hidim.cli.output import hand_back, table, write_figure
from hidim.fitting.joint.collapse import collapses
from hidim.fitting.joint.fit import fit_joint
from hidim.fitting.joint.form import Prior
from hidim.fitting.joint.law import JointLaw, is_joint
from hidim.fitting.joint.planning import JointPlan, plan_budget
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw
from hidim.support.checks import given_seed
from hidim.support.inputs import read_json

_REFITS = 24
_SUFFIX = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def add_joint_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a fit over sizes and schedules."""
    group = parser.add_argument_group("one law over sizes and schedules, from logs of two or more")
    group.add_argument(
        "--params",
        nargs="+",
        metavar="SIZE",
        help="parameters: 25M 25M 100M, one per file, or PATTERN=25M (part of a path, or with *)",
    )
    group.add_argument(
        "--tokens-per-step", type=amount, metavar="N", help="batch size in tokens, for plans"
    )
    group.add_argument(
        "--prior",
        metavar="MEAN:SD",
        help="of the exponent a of the floor E + A N^-a (0.4:0.2), which two sizes do not give",
    )


def size_of(text: str, flag: str = "--params") -> float:
    """A number of parameters such as 4e8, 400M or 1.3B; `flag` is named in a complaint.

    >>> size_of("400M"), size_of("1.3B"), size_of("2e7")
    (400000000.0, 1300000000.0, 20000000.0)
    """
    found = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*([kmbt]?)\s*", text.lower())
    try:
        if not found:
            raise ValueError
        value = float(found.group(1)) * _SUFFIX.get(found.group(2), 1.0)
    except ValueError:
        raise ValueError(f"{flag} takes sizes such as 4e8, 400M or 1.3B, got {text!r}.") from None
    if value <= 0:
        raise ValueError(f"{flag} must be positive, got {text!r}.")
    return value


def sizes_of(given: list[str], files: list[str]) -> list[float]:
    """The size of every file, from one size per file or from PATTERN=SIZE."""
    if not any("=" in one for one in given):
        if len(given) != len(files):
            raise ValueError(
                f"--params gives {len(given)} sizes for {len(files)} files: one per file, or "
                "PATTERN=SIZE for several, as in --params '25M/*=25M' '100M/*=100M'."
            )
        return [size_of(one) for one in given]
    pairs = []
    for one in given:
        pattern, equals, size = one.rpartition("=")
        if not equals or not pattern:
            raise ValueError(f"--params must be sizes, or PATTERN=SIZE throughout; got {one!r}.")
        pairs.append((pattern, size_of(size)))
    out = []
    for file in files:
        found = {size for pattern, size in pairs if _matches(pattern, file)}
        found = found or {size for pattern, size in pairs if _is_in_name(pattern, file)}
        if len(found) != 1:
            says = "no pattern" if not found else "several patterns"
            raise ValueError(
                f"--params: {says} of {', '.join(given)} for {file!r}: one pattern must "
                f"name it, by a part of its path or wildcards, as '*{Path(file).stem}*=SIZE'."
            )
        out.append(found.pop())
    return out


def _matches(pattern: str, file: str) -> bool:
    """Whether a path has these parts in a row, or fits the pattern with its wildcards."""
    path = Path(file).as_posix()
    if any(c in pattern for c in "*?["):
        return fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path, f"*/{pattern}")
    return path == pattern or f"/{pattern.strip('/')}/" in f"/{path}/"


def _is_in_name(pattern: str, file: str) -> bool:
    """Whether a path has this text in it, and no digit goes on before it or word after it.

    >>> [_is_in_name("25M", f"runs/{one}.csv") for one in ("gpt25M_a", "125M", "0.25M", "25Mx")]
    [True, False, False, False]
    """
    before = r"(?<![0-9.])" if pattern[:1].isdigit() else r"(?<![A-Za-z0-9])"
    return (
        re.search(f"{before}{re.escape(pattern)}(?![A-Za-z0-9])", Path(file).as_posix()) is not None
    )


def run_joint(
    args: argparse.Namespace,
    read: Callable[[argparse.Namespace, list[str]], list[Reading]],
    tell: Callable[[argparse.Namespace, list[Reading]], None],
) -> int:
    """Fit one law over sizes and schedules, report, and keep it.

    Args:
        args: of `hidim fit`.
        read: the runs of files, which of one size may be several in one or one in several.
        tell: prints what was understood of them.
    """
    given = sizes_of(args.params, args.files)
    found: list[Reading] = []
    sizes: list[float] = []
    for size in dict.fromkeys(given):
        places = [i for i, n in enumerate(given) if n == size]
        of_size = read(_narrowed(args, places), [args.files[i] for i in places])
        found += of_size
        sizes += [size] * len(of_size)
    found = _told_apart(found, sizes)
    tell(args, found)
    runs = [one.run for one in found]
    start = time.perf_counter()
    law = fit_joint(
        runs,
        sizes,
        args.law,
        tokens_per_step=args.tokens_per_step,
        prior=_prior(args.prior),
        refits=min(args.bootstrap, _REFITS),
        seed=given_seed("seed", args.seed),
        force=args.force,
    )
    seconds = time.perf_counter() - start
    if args.out:
        law.save(args.out)
    for warning in law.warnings:
        print(f"hidim: warning: {warning}", file=sys.stderr)
    rows = [
        {
            "curve": run.label,
            "params": size,
            "rows": len(run.steps),
            "last_step": float(run.steps[-1]),
            "in_fit": law.in_sample[run.label],
            "left_out": law.holdout.get(run.label),
        }
        for run, size in zip(runs, sizes, strict=True)
    ]
    rows += [
        {"curve": label, "params": None, "rows": None, "last_step": None, "in_fit": None}
        | {"left_out": error}
        for label, error in law.holdout.items()
        if label not in law.in_sample
    ]
    if args.plot is not None:
        from hidim.plots.forecast import plot_forecast

        largest = max(sizes)
        shown = [run for run, size in zip(runs, sizes, strict=True) if size == largest]
        write_figure(
            args.plot, lambda ax: plot_forecast(law.at(largest), shown, ax), size=(7.0, 4.6)
        )
    return hand_back(
        args,
        columns={key: [row[key] for row in rows] for key in rows[0]},
        answer={**law.to_dict(), "errors": rows, "seconds": seconds},
        text=_text(law, runs, rows, seconds, args),
    )


def _told_apart(found: list[Reading], sizes: list[float]) -> list[Reading]:
    """The same, with its size before the name of every run that another size has too."""
    names = [one.run.label for one in found]
    out = []
    for one, size in zip(found, sizes, strict=True):
        label = f"{size:.4g} {one.run.label}" if names.count(one.run.label) > 1 else one.run.label
        first, second, third = one.lines
        lines = label + first.removeprefix(one.run.label), second, third
        out.append(replace(one, run=replace(one.run, label=label), lines=lines))
    return out


def _narrowed(args: argparse.Namespace, places: list[int]) -> argparse.Namespace:
    """The flags for some of the files, where --schedule came once for each."""
    schedule = args.schedule
    if isinstance(schedule, list) and len(schedule) == len(args.files) > 1:
        schedule = [schedule[i] for i in places]
    return argparse.Namespace(**{**vars(args), "schedule": schedule})


def _prior(text: str | None) -> Prior | None:
    if text is None:
        return None
    mean, colon, width = text.partition(":")
    try:
        return Prior(floor_exponent=(float(mean), float(width if colon else 0.2)))
    except ValueError:
        raise ValueError(f"--prior must read MEAN:SD, both positive, got {text!r}.") from None


def _text(
    law: JointLaw,
    runs: list[Run],
    rows: list[dict[str, Any]],
    seconds: float,
    args: argparse.Namespace,
) -> str:
    formats = {"params": "{:.4g}", "rows": "{:d}", "last_step": "{:,.0f}"}
    formats |= {"in_fit": "{:.5f}", "left_out": "{:.5f}"}
    cells = {
        key: ["" if row[key] is None else formats.get(key, "{}").format(row[key]) for row in rows]
        for key in rows[0]
    }
    lines = [
        f"law {law.form.law.name} over {len(law.sizes)} sizes, {len(runs)} curves, mean relative "
        "error as a fraction",
        "",
        table(cells),
        "",
        law.assumed(),
        *map(str, collapses(law, runs, [float(row["params"]) for row in rows[: len(runs)]])),
    ]
    if len(law.sizes) < 3:
        lines.append("two sizes do not say how the floor goes on: that is the prior, in the bands")
    kept = f", law in {args.out}" if args.out else ""
    return "\n".join([*lines, f"hidim {hidim.__version__}{kept}, {seconds:.2f} s"])


def is_joint_law(path: str) -> bool:
    """Whether a file holds a law over sizes and schedules."""
    return is_joint(read_json(path))


def joint_at(path: str, params: str | None) -> FittedLaw:
    """The law of schedules of one size, from a law over sizes."""
    law = JointLaw.load(path)
    if params is None:
        raise ValueError(
            "this law is one over sizes: say the parameters of the model, as in --params 400M "
            f"(fitted: {', '.join(f'{n:.3g}' for n in law.sizes)})."
        )
    return law.at(size_of(params))


def size_reach(law: FittedLaw, params: str) -> float:
    """How far a size lies beyond those of the fitted runs, as a ratio, 1 inside."""
    size = size_of(params)
    fitted = [float(curve["params"]) for curve in law.provenance["curves"]]
    return max(size / max(fitted), min(fitted) / size, 1.0)


def run_plan(args: argparse.Namespace) -> int:
    """Size, tokens and schedule for one budget."""
    law = JointLaw.load(args.law)
    if not args.flops:
        raise ValueError("a law over sizes and schedules plans for a budget: give --flops.")
    warmup = args.warmup_steps
    if warmup is None:
        warmup = law.at(law.reach["largest"]).warmup_steps or 0.0
    plans = [
        plan_budget(law, flops, tokens_per_step=args.tokens_per_step, warmup_steps=warmup)
        for flops in args.flops
    ]
    if args.plot is not None:
        from hidim.plots.forecast import plot_planned_schedule

        last = plans[-1].schedule
        write_figure(args.plot, lambda ax: plot_planned_schedule(last, ax), size=(7.0, 4.6))
    schedule = plans[-1].schedule
    return hand_back(
        args,
        columns={"step": schedule.steps, "lr": schedule.lr},
        answer={
            "law": law.form.law.name,
            "assumed": law.assumed(),
            "plans": [_plain(plan) for plan in plans],
            "warnings": law.warnings,
        },
        text=_plan_text(law, plans, warmup),
    )


def _plain(plan: JointPlan) -> dict[str, Any]:
    keys = ("flops", "params", "params_interval", "tokens", "steps", "bound", "beyond")
    schedule = plan.schedule
    return {key: getattr(plan, key) for key in keys} | {
        "loss": schedule.loss,
        "band": schedule.band,
        "compared": schedule.compared,
        "schedule": {"step": schedule.steps, "lr": schedule.lr},
        "warmup_steps": schedule.warmup_steps,
    }


def _plan_text(law: JointLaw, plans: list[JointPlan], warmup: float) -> str:
    rows: dict[str, list[str]] = {}
    for plan in plans:
        ends = plan.params_interval or (plan.params, plan.params)
        row = {
            "flops": f"{plan.flops:.3g}",
            "params": f"{plan.params:.3g}",
            "low": f"{ends[0]:.3g}",
            "high": f"{ends[1]:.3g}",
            "tokens": f"{plan.tokens:.3g}",
            "steps": f"{plan.steps:,.0f}",
            "loss": f"{plan.schedule.loss:.4f}",
            "band": f"{plan.schedule.band[0]:.4f} to {plan.schedule.band[1]:.4f}",
        }
        for key, cell in row.items():
            rows.setdefault(key, []).append(cell)
    lines = [table(rows), ""]
    schedule = plans[-1].schedule
    shown = slice(None, None, max(len(schedule.steps) // 8, 1))
    lines.append(f"schedule for {plans[-1].flops:.3g} flops (all of it with --csv):")
    lines.append(
        table(
            {
                "step": [f"{x:,.0f}" for x in schedule.steps[shown]],
                "lr": [f"{x:.4g}" for x in schedule.lr[shown]],
            }
        )
    )
    for plan in plans:
        if plan.bound:
            lines.append(f"note: at {plan.flops:.3g} flops the size is {plan.bound}")
        far = [f"{key} {value:.3g} x" for key, value in plan.beyond.items() if value > 1.005]
        if far:
            lines.append(
                f"extrapolates at {plan.flops:.3g} flops beyond the fitted runs: {', '.join(far)}"
            )
    lines += [law.assumed(), "flops = 6 x parameters x tokens; intervals hold 90 % of the refits"]
    if warmup:
        lines.append(f"linear warm-up of {warmup:g} steps before the first row")
    lines += [f"warning of the fit: {warning}" for warning in law.warnings]
    return "\n".join([*lines, f"hidim {hidim.__version__}"])
