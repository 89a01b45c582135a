"""`hidim forecast`: the loss of a schedule that was not run, with a band."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

import hidim
from hidim.cli.fit import add_log_flags, read_logs, tell
from hidim.cli.idle import refuse_in_forecast
from hidim.cli.joint import is_joint_law, joint_at, size_reach
from hidim.cli.numbers import number
from hidim.cli.output import (
    add_output_flags,
    check_outputs,
    hand_back,
    rows_to_show,
    table,
    write_figures,
)
from hidim.cli.reach import (
    known_warmup,
    reach_text,
    refuse_no_law,
    refuse_units,
    unanswered,
    warmed,
    warmup_apart,
)
from hidim.fitting.logs.planned import planned
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.sizes.approaches import is_optimal_size
from hidim.fitting.sizes.law import is_size_law
from hidim.fitting.sizes.optima import is_optimum_law

__all__ = ["configure", "known_warmup", "reach_text", "run"]

_AT_ONCE = 1_000_000  # rows
_FITS = 0.55  # of the rows that should lie in the band, or the law is of another run

SUMMARY = "Predict the loss of a schedule with a fitted law, and say how far that extrapolates."
EXAMPLE = """example:
  hidim forecast law.json --schedule "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000"
  hidim forecast law.json plan.csv --warmup-steps 2160 --json
  hidim forecast sizes.json --params 7B --tokens 140B      (a law of sizes, or of best values)
  hidim forecast law.json --so-far log.csv --schedule "cosine peak=3e-4 end=10% steps=24000"
  (plan.csv has columns step, lr; with a column loss too, the errors are reported. --so-far says
  whether to go on with a run: where it will end, and whether it left its band, and since when)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim forecast`."""
    parser.add_argument(
        "law", metavar="LAW.json", nargs="?", help="a law kept by `hidim fit --out`"
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="step and lr of the run to predict, or --schedule"
    )
    parser.add_argument("--level", type=number, default=0.9, help="share a band holds (0.9)")
    parser.add_argument("--params", metavar="SIZE", help="of the model, for a law over sizes: 400M")
    parser.add_argument(
        "--tokens", metavar="COUNT", help="of the run, beside --params, for a law of sizes: 8B"
    )
    group = parser.add_argument_group("a run that is not finished")
    group.add_argument("--so-far", metavar="LOG", help="its log; --schedule says how it goes on")
    group.add_argument(
        "--match", metavar="LOG", help="the run it should match; without LAW.json, also what to fit"
    )
    add_log_flags(parser, warmup=None)
    add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Predict every row of the file, or of the schedule in words."""
    check_outputs(args)
    if args.so_far:
        from hidim.cli.so_far import run_so_far

        return run_so_far(args)
    if args.match:
        raise ValueError("--match goes with --so-far LOG.")
    if args.law is None:
        raise ValueError("give LAW.json, a law kept by `hidim fit --out`.")
    refuse_no_law(args.law)
    if is_optimum_law(args.law):
        from hidim.cli.forecast_sizes import forecast_optimum

        return forecast_optimum(args)
    if is_size_law(args.law):
        from hidim.cli.forecast_sizes import forecast_sizes

        return forecast_sizes(args)
    if is_optimal_size(args.law):
        raise ValueError(
            f"{args.law!r} holds best sizes by budget, which say no loss: hidim plan {args.law} "
            "--flops 1e21, or a law of sizes (`hidim fit --law chinchilla`) for a forecast."
        )
    if args.tokens is not None:
        raise ValueError("--tokens goes with a law of sizes or of best values (`hidim fit --law`).")
    joint = is_joint_law(args.law)
    if args.params is not None and not joint:
        raise ValueError("--params goes with a law over sizes, kept by `hidim fit --params`.")
    law = joint_at(args.law, args.params) if joint else FittedLaw.load(args.law)
    reading = _plan(args)
    plan = reading.run if args.warmup_steps is not None else warmed(reading, law)
    apart = warmup_apart(law, plan.rate.ready_step, float(plan.steps[-1]))
    doubts = (*apart, *unanswered(law, plan))
    plan = replace(plan, notes=(*plan.notes, *doubts))
    if args.params is not None:
        plan = replace(plan, notes=(*plan.notes, *law.warnings))
    reach = law.extrapolation(plan)
    of_file = args.file is not None
    refuse_units(law, plan.label, plan.rate, float(plan.steps[-1]), of_file=of_file)
    predicted, low, high = _evaluated(law, plan, args.level)
    score = {}
    if plan.loss is not None and len(plan.steps) <= _AT_ONCE:
        score = law.score(plan, level=args.level)
    elif plan.loss is not None:
        score = _score(plan.loss, predicted, low, high)
    if score and score["band_coverage"] < _FITS * args.level:
        note = (
            f"{score['band_coverage']:.0%} of the measured rows lie in the band of "
            f"{args.level:.0%}: a law of "
            "another model, data, batch or unit of the loss? Its forecast is none of this run"
        )
        plan = replace(plan, notes=(*plan.notes, note))
    columns = {"step": plan.steps, "lr": plan.lr, "prediction": predicted, "low": low, "high": high}
    if plan.loss is not None:
        columns["loss"] = plan.loss
    if args.plot is not None:
        from hidim.plots.forecast import plot_forecast, plot_residuals

        draws = [lambda ax: plot_forecast(law, [plan], ax, level=args.level)]
        if plan.loss is not None:
            draws.append(lambda ax: plot_residuals(law, [plan], ax, level=args.level))
        write_figures(args.plot, draws, size=(6.4, 4.2))
    if args.params is not None:
        reach["params"] = size_reach(law, args.params)
    answer: dict[str, Any] = {}
    if args.json:
        answer = {
            "law": law.law.name,
            "steps": plan.steps,
            "lr": plan.lr,
            "predictions": predicted,
            "bands": {"level": args.level, "low": low, "high": high},
        }
        if plan.loss is not None:
            answer["loss"] = plan.loss
    return hand_back(
        args,
        columns=columns,
        answer={**answer, **score, "extrapolation": reach, "notes": plan.notes},
        text=_text(law, plan, columns, score, reach, args.level),
    )


def _evaluated(law: FittedLaw, plan: Run, level: float) -> tuple[np.ndarray, ...]:
    """Prediction and ends of the band at every row; of millions of rows, some at a time."""
    count = len(plan.steps)
    first = int(np.searchsorted(plan.steps, law.begins(plan)))
    if count <= _AT_ONCE or first == count:
        return law.predict(plan), *law.band(plan, level=level)
    out = np.full((3, count), np.nan)
    for start in range(first, count, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        at = plan.steps[part]
        out[0, part] = law.predict(plan.rate, at)
        out[1:, part] = law.band(plan.rate, at, level=level)
    return tuple(out)


def _score(
    loss: np.ndarray, predicted: np.ndarray, low: np.ndarray, high: np.ndarray
) -> dict[str, float]:
    """`FittedLaw.score` of what was evaluated, some rows at a time."""
    total, inside, count, largest = 0.0, 0, 0, 0.0
    for start in range(0, len(loss), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        held = ~np.isnan(predicted[part])
        measured = loss[part][held]
        error = np.abs(predicted[part][held] / measured - 1.0)
        total, count = total + float(error.sum()), count + len(error)
        largest = max(largest, float(error.max(initial=0.0)))
        within = (measured >= low[part][held]) & (measured <= high[part][held])
        inside += int(np.count_nonzero(within))
    return {
        "mean_relative_error": total / count,
        "max_relative_error": largest,
        "final_error": float(predicted[-1] - loss[-1]),
        "band_coverage": inside / count,
    }


def _plan(args: argparse.Namespace) -> Reading:
    """The run to predict: of a file, or of a schedule in words alone."""
    if args.file is None:
        if args.schedule is None:
            raise ValueError(
                'give FILE, the step and lr of the run to predict, or --schedule "wsd peak=3e-4 '
                'end=3e-5 warmup=2000 decay=4800 steps=24000".'
            )
        refuse_in_forecast(args, "of schedules", "a schedule")
        return planned(args.schedule, warmup_steps=args.warmup_steps)
    found = read_logs(args, [args.file], loss="optional")
    if len(found) > 1:
        names = ", ".join(one.run.label for one in found[:8])
        raise ValueError(f"{args.file!r} holds several runs: {names}. Give one run per file.")
    if found[0].run.loss is not None:
        tell(args, found)
    return found[0]


def _text(
    law: FittedLaw,
    plan: Run,
    columns: dict[str, np.ndarray],
    score: dict[str, float],
    reach: dict[str, float],
    level: float,
) -> str:
    rows = rows_to_show(plan.steps)
    formats = {"step": "{:,.0f}", "lr": "{:.4g}"}
    cells = {
        k: ["" if np.isnan(x) else formats.get(k, "{:.4f}").format(x) for x in v[rows]]
        for k, v in columns.items()
    }
    lines = [
        f"law {law.law.name}, {plan.label}, band of {level:.0%} of points",
        "",
        table(cells),
        "",
    ]
    lines += [f"{key.replace('_', ' ')}: {value:.5f}" for key, value in score.items()]
    lines.append(reach_text(reach))
    silent = int(np.count_nonzero(np.isnan(columns["prediction"])))
    if silent:
        begins = law.begins(plan)
        lines.append(f"note: no number for {silent} row(s) before the burn-in, step {begins:g}")
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join([*lines, f"hidim {hidim.__version__}"])
