"""`hidim plan`: what to run next, by a fitted law."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import hidim
from hidim.cli.beside import beside, beside_text
from hidim.cli.forecast import known_warmup, reach_text
from hidim.cli.idle import given
from hidim.cli.joint import is_joint_law, joint_at, run_plan, size_of, size_reach
from hidim.cli.numbers import amount, count, number
from hidim.cli.output import (
    add_output_flags,
    check_outputs,
    hand_back,
    table,
    write_figure,
)
from hidim.cli.reach import counted_otherwise, refuse_no_law, refuse_units, warmup_apart
from hidim.fitting.logs.rates import Rate
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.planning import PlannedSchedule, best_schedule
from hidim.fitting.sizes.approaches import is_optimal_size
from hidim.fitting.sizes.law import SizeLaw, is_size_law
from hidim.fitting.sizes.optima import is_optimum_law
from hidim.support.checks import whole

SUMMARY = "Compute-optimal size and tokens for a budget, or the best learning-rate schedule."
EXAMPLE = """example:
  hidim plan sizes.json --flops 1e21 1e22          (sizes.json from fit --law chinchilla)
  hidim plan both.json --flops 1e20 --csv schedule.csv  (size, tokens and schedule: fit --params)
  hidim plan both.json --params 400M --steps 24000     (a schedule for one size, by the same law)
  hidim plan law.json --steps 24000 --warmup-steps 2160 --csv schedule.csv   (from fit --law fsl)
  hidim plan law.json --steps 24000 --schedule "cosine peak=3e-4" "wsd peak=3e-4 decay=20%"
"""


_OF_SCHEDULES = ("steps", "schedule", "peak", "floor", "unbounded")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim plan`."""
    parser.add_argument("law", metavar="LAW.json", help="a law kept by `hidim fit --out`")
    group = parser.add_argument_group("with a law of sizes")
    group.add_argument(
        "--flops", "--budget", type=number, nargs="+", metavar="F", help="training budgets"
    )
    group.add_argument(
        "--tokens-per-step", type=amount, metavar="N", help="batch size (law over sizes, schedules)"
    )
    group.add_argument(
        "--params", metavar="SIZE", help="plan a schedule for this size: 400M (the same law)"
    )
    group = parser.add_argument_group("with a law of schedules")
    group.add_argument("--steps", type=count, metavar="N", help="length of the run, in steps")
    group.add_argument(
        "--warmup-steps", type=amount, metavar="N", help="warm-up (as in the fitted runs)"
    )
    group.add_argument(
        "--schedule", nargs="+", metavar="WORDS", help='to set beside it: "cosine peak=3e-4 end=0"'
    )
    group.add_argument("--peak", type=number, help="highest rate (highest fitted)")
    group.add_argument("--floor", type=number, help="lowest rate (lowest fitted)")
    group.add_argument(
        "--unbounded", action="store_true", help="leave the neighbourhood of the fitted runs"
    )
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Plan with whichever law the file holds."""
    check_outputs(args)
    refuse_no_law(args.law)
    if is_joint_law(args.law):
        if args.params is not None:
            _refuse(args, "of one size", "flops", "tokens_per_step")
            return _plan_schedule(args, joint_at(args.law, args.params))
        if not args.flops and args.steps is not None:
            raise ValueError(
                f"{args.law!r} is a law over sizes: say which, --params 400M, to plan "
                f"{args.steps:g} steps of it, or --flops for size, tokens and schedule."
            )
        _refuse(args, "over sizes", *_OF_SCHEDULES)
        return run_plan(args)
    if is_optimum_law(args.law):
        raise ValueError(
            f"{args.law!r} is a law of a best hyperparameter: ask it with hidim forecast "
            f"{args.law} --params 7B --tokens 140B."
        )
    if args.params is not None:
        raise ValueError("--params goes with a law over sizes, kept by `hidim fit --params`.")
    if is_optimal_size(args.law):
        from hidim.cli.plan_isoflop import plan_isoflop

        _refuse(args, "of best sizes", "tokens_per_step", "warmup_steps", *_OF_SCHEDULES)
        return plan_isoflop(args)
    if is_size_law(args.law):
        return _plan_sizes(args)
    return _plan_schedule(args, FittedLaw.load(args.law))


def _plan_sizes(args: argparse.Namespace) -> int:
    if not args.flops:
        raise ValueError("a law of sizes plans for budgets: give --flops.")
    _refuse(args, "of sizes", "tokens_per_step", "warmup_steps", *_OF_SCHEDULES)
    law = SizeLaw.load(args.law)
    rows = [law.optimal(flops) for flops in args.flops]
    flat = [_flat(row) for row in rows]
    if args.plot is not None:
        from hidim.plots.forecast import plot_optimal_sizes

        write_figure(args.plot, lambda ax: plot_optimal_sizes(rows, ax), size=(7.0, 4.6))
    lines = [table({key: [_cell(row[key]) for row in flat] for key in flat[0]}), ""]
    lines.append(f"parameters grow as flops^{rows[0]['params_exponent']:.3f}; intervals hold 90 %")
    beyond = max(row["beyond_largest_run"] for row in rows)
    below = max(law.reach["flops"][0] / row["flops"] for row in rows)
    for side, far in (("beyond", beyond), ("below", below)):
        if far > 1:
            lines.append(f"extrapolates {side} the fitted runs: flops {far:.3g} x")
    lines.append(f"flops = {law.provenance.get('flops', '6 x parameters x tokens')}")
    lines += [f"warning of the fit: {warning}" for warning in law.warnings]
    return hand_back(
        args,
        columns={key: [row[key] for row in flat] for key in flat[0]},
        answer={"law": law.form.name, "rows": rows, "warnings": law.warnings},
        text="\n".join([*lines, f"hidim {hidim.__version__}"]),
    )


def _refuse(args: argparse.Namespace, of: str, *names: str) -> None:
    """Flags that a law has no use for are not passed over in silence."""
    found = given(args, names, {})
    if found is not None:
        raise ValueError(f"{args.law!r} is a law {of}, whose plan has no use for {found}.")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    out = {key: row[key] for key in ("flops", "params", "tokens", "loss")}
    for name in ("params_interval", "tokens_interval", "loss_band"):
        low, high = row[name] or (None, None)
        short = name.split("_")[0]
        out[f"{short}_low"], out[f"{short}_high"] = low, high
    return out


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _plan_schedule(args: argparse.Namespace, law: FittedLaw) -> int:
    if args.steps is None:
        raise ValueError("a law of schedules plans a run of given length: give --steps.")
    if args.params is None:
        _refuse(args, "of schedules", "flops", "tokens_per_step")
    args.steps = whole("steps", args.steps, minimum=1)
    warmup = known_warmup(law) if args.warmup_steps is None else args.warmup_steps
    peak = law.units.rate if args.peak is None else args.peak
    if peak > 0:  # else refused with more to say
        lr = np.array([peak, peak])
        flat = Rate(np.array([0.0, args.steps]), lr, lr, 0.0)
        refuse_units(law, "the plan", flat, float(args.steps))
    plan = best_schedule(
        law,
        args.steps,
        peak=args.peak,
        floor=args.floor,
        warmup_steps=warmup,
        bounded=not args.unbounded,
    )
    if args.plot is not None:
        from hidim.plots.forecast import plot_planned_schedule

        write_figure(args.plot, lambda ax: plot_planned_schedule(plan, ax), size=(7.0, 4.6))
    reach = dict(plan.extrapolation)
    sized = {}
    if args.params is not None:
        reach["params"] = size_reach(law, args.params)
        sized = {"params": size_of(args.params)}
    steps = float(args.steps)
    apart = counted_otherwise(law, "the plan", warmup, steps) or warmup_apart(law, warmup, steps)
    notes = (*apart, *(law.warnings if args.params else ()))
    others_said = beside(law, args.schedule or (), args.steps, warmup, peak)
    rows = slice(None, None, max(len(plan.steps) // 10, 1))
    columns = {
        "step": [f"{x:,.0f}" for x in plan.steps[rows]],
        "lr": [f"{x:.4g}" for x in plan.lr[rows]],
    }
    low, high = plan.band
    others = ", ".join(f"{name} {loss:.4f}" for name, loss in plan.compared.items())
    said = [
        table(columns),
        "",
        f"predicted final loss {plan.loss:.4f} (90 % band {low:.4f} to {high:.4f})",
        f"other shapes of the same peak and floor: {others}",
        *_against_fitted(plan),
        reach_text(reach),
        *([f"linear warm-up of {warmup:g} steps before the first row"] if warmup else []),
        *(f"note: {note}" for note in notes),
        *beside_text(others_said),
        f"hidim {hidim.__version__}",
    ]
    return hand_back(
        args,
        columns={"step": plan.steps, "lr": plan.lr},
        answer={
            "law": law.law.name,
            **sized,
            "steps": plan.steps,
            "lr": plan.lr,
            "warmup_steps": plan.warmup_steps,
            "loss": plan.loss,
            "band": plan.band,
            "compared": plan.compared,
            "schedules": others_said,
            "extrapolation": reach,
            "distance": plan.distance,
            "gain": plan.gain,
            "regret": plan.regret,
            "notes": notes,
        },
        text="\n".join(said),
    )


def _against_fitted(plan: PlannedSchedule) -> list[str]:
    """What the plan gains over the best fitted shape, and how far it lies from all of them."""
    if not plan.distance:
        return []
    near = min(plan.distance, key=lambda name: plan.distance[name])
    away = ", ".join(f"{name} {apart:.2f}" for name, apart in plan.distance.items())
    lines = [f"mean distance in log rate from the fitted shapes: {away}"]
    if plan.distance[near] < 0.005:
        return [f"the shape of {near}: nothing else gains more than the law may err by", *lines]
    worst = f"{-plan.regret:.2%}" if plan.regret < 0 else f"{plan.regret:.2%} above it"
    return [
        f"below the best fitted shape by {plan.gain:.2%}, at worst of all refits {worst}",
        *lines,
    ]
