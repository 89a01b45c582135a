"""`hidim forecast --so-far`: stop or go on, with a run that is not finished."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import hidim
from hidim.cli.fit import how_of, tell
from hidim.cli.idle import refuse_in_forecast
from hidim.cli.joint import is_joint_law, joint_at, size_reach
from hidim.cli.output import hand_back, table, write_figures
from hidim.cli.reach import (
    known_warmup,
    reach_text,
    refuse_no_law,
    refuse_units,
    unanswered,
    warmed,
    warmup_apart,
)
from hidim.fitting.logs.how import How
from hidim.fitting.logs.planned import planned
from hidim.fitting.logs.readers import readings
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.fit import fit
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.unfinished import SoFar, so_far
from hidim.fitting.sizes.law import is_size_law


def run_so_far(args: argparse.Namespace) -> int:
    """Compare a log with its law and its schedule."""
    if args.schedule is None:
        raise ValueError(
            '--so-far needs --schedule "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 '
            'steps=24000", how the run is to go on.'
        )
    if args.file is not None:
        raise ValueError("--so-far LOG stands in the place of FILE: give one of them.")
    refuse_in_forecast(args, "of schedules", "a log")
    how = replace(how_of(args), logged_first=True)
    log = _one(args.so_far, how)
    match = None
    if args.match:
        match = _one(args.match, replace(how, schedule=how.schedule, loss="needed"))
    whole = planned(args.schedule, warmup_steps=args.warmup_steps)
    law, said = _law(args, log, whole, match)
    plan = whole.run if args.warmup_steps is not None else warmed(whole, law)
    if plan is not whole.run and log.words is not None and not log.warmup_known:
        # A log without a rate has the warm-up of its schedule, which is that of the law.
        log = _one(args.so_far, replace(how, warmup_steps=known_warmup(law)))
    apart = warmup_apart(law, plan.rate.ready_step, float(plan.steps[-1]))
    doubts = (*apart, *unanswered(law, plan))
    plan = replace(plan, notes=(*plan.notes, *said, *doubts))
    refuse_units(law, plan.label, plan.rate, float(plan.steps[-1]))
    if log.run.rate.peak > plan.rate.peak:
        refuse_units(law, log.run.label, log.run.rate, float(plan.steps[-1]))
    found = so_far(law, log.run, plan, level=args.level, match=None if match is None else match.run)
    tell(args, [log] if match is None else [log, match])
    if args.plot is not None:
        from hidim.plots.forecast import plot_departure, plot_so_far

        draws = [lambda ax: plot_so_far(found, log.run, ax), lambda ax: plot_departure(found, ax)]
        write_figures(args.plot, draws, size=(6.4, 4.2))
    reach = law.extrapolation(plan)
    if args.params is not None:
        reach["params"] = size_reach(law, args.params)
    return hand_back(
        args,
        columns={
            "step": found.steps,
            "expected": found.expected,
            "low": found.low,
            "high": found.high,
        },
        answer={
            **asdict(found),
            "level": args.level,
            "law": law.law.name,
            "extrapolation": reach,
            "notes": plan.notes,
        },
        text=_text(law, found, plan, reach, args.level),
    )


def _one(path: str, how: How) -> Reading:
    found = readings([path], how, [Path(path).stem or path])
    if len(found) > 1:
        names = ", ".join(one.run.label for one in found[:8])
        raise ValueError(f"{path!r} holds several runs: {names}. Give one run per file.")
    return found[0]


def _law(
    args: argparse.Namespace, log: Reading, whole: Reading, match: Reading | None
) -> tuple[FittedLaw, tuple[str, ...]]:
    """The law given, or one fitted to the run to match, or to the log itself; and what to note."""
    if args.law is not None:
        refuse_no_law(args.law)
        if is_size_law(args.law):
            raise ValueError(f"{args.law!r} is a law of sizes: --so-far needs one of schedules.")
        if is_joint_law(args.law):
            law = joint_at(args.law, args.params)
            return law, law.warnings
        if args.params is None:
            return FittedLaw.load(args.law), ()
    if args.params is not None:
        raise ValueError("--params goes with a law over sizes, kept by `hidim fit --params`.")
    reading = log if match is None else match
    source, warmup = reading.run, whole.run.rate.ready_step
    said: tuple[str, ...] = ()
    if args.warmup_steps is None and not reading.warmup_known and 0 < warmup <= source.steps[0]:
        # Fitted as if it began at its peak, it would lie apart from every run that does not.
        source = replace(source, warmup_steps=warmup)
        said = (f"{source.label} is taken to have the schedule's warm-up, to step {warmup:g}",)
    if len(source.rate.events().time):
        return fit([source], "fsl"), said
    later = whole.run.lr[whole.run.steps > log.run.steps[-1]]
    if len(later) and np.ptp(later) > 0.01 * later.max():
        raise ValueError(
            f"the rate of {source.label} has not changed yet, so nothing says what its change will "
            "bring: give a law, LAW.json of `hidim fit --out`, or a finished run, --match LOG."
        )
    return fit([source], "intrinsic-time"), said


def _text(law: FittedLaw, found: SoFar, plan: Run, reach: dict[str, float], level: float) -> str:
    rows: dict[str, list[str]] = {
        "": ["expected, given the log", "of single rows, by the law alone"],
        "loss": [f"{found.loss:.4f}", f"{found.planned:.4f}"],
        "low": [f"{found.band[0]:.4f}", f"{found.planned_band[0]:.4f}"],
        "high": [f"{found.band[1]:.4f}", f"{found.planned_band[1]:.4f}"],
    }
    if found.match is not None:
        rows[""].append(f"of the run to match, step {found.match['end_step']:,.0f}")
        for name in ("loss", "low", "high"):
            rows[name].append(f"{found.match['end']:.4f}" if name == "loss" else "")
    lines: list[Any] = [
        f"{found.verdict}: {'; '.join(found.reasons)}",
        "",
        f"law {law.law.name}, step {found.end:,.0f} of {plan.label}, bands of {level:.0%}",
        "",
        table(rows),
        "",
        reach_text(reach),
        *(f"note: {note}" for note in plan.notes),
        f"hidim {hidim.__version__}",
    ]
    return "\n".join(lines)
