"""What the subcommands share: their flags, and how these become problems and algorithms."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.algorithms.base import described
from hidim.cli.algorithms import (
    add_algorithm_flags,
    add_schedule_flags,
    algorithm_from,
    algorithm_of,
    algorithm_text,
    asked,
)
from hidim.cli.numbers import count, counts, one_of
from hidim.cli.output import (
    add_output_flags,
    check_outputs,
    hand_back,
    print_json,
    risk_text,
    round_steps,
    rows_to_show,
    step_text,
    table,
    write_csv,
    write_figure,
)
from hidim.cli.problems import (
    add_problem_flags,
    drawn,
    problem_data,
    problem_from,
    problem_text,
)
from hidim.curve import log_spaced_steps
from hidim.engines.solve import ENGINES, MAX_STEPS
from hidim.support.checks import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_USEFUL = 0.01  # an error above it leaves no curve to speak of
_SAID_BEFORE = ("caution", "finite_size")
_UNSAID = ("version", "hidim", *_SAID_BEFORE)  # said elsewhere, where they are to be said

__all__ = [
    "accuracy_note",
    "add_algorithm_flags",
    "add_engine_flag",
    "add_output_flags",
    "add_problem_flags",
    "add_run_flags",
    "add_schedule_flags",
    "algorithm_from",
    "algorithm_of",
    "algorithm_text",
    "answer",
    "asked",
    "cautions",
    "check_outputs",
    "check_run",
    "curve_columns",
    "curve_table",
    "curves_table",
    "drawn",
    "hand_back",
    "loss_note",
    "outcome_text",
    "print_json",
    "problem_data",
    "problem_from",
    "problem_text",
    "provenance_text",
    "report_curve",
    "risk_text",
    "step_text",
    "steps_to_report",
    "table",
    "title",
    "write_csv",
    "write_figure",
]


def add_run_flags(parser: argparse.ArgumentParser, *, steps: int, at: bool = True) -> None:
    """Add --steps (default `steps`), --batch-size and, where a curve comes out, --at."""
    group = parser.add_argument_group("run")
    group.add_argument("--steps", type=count, metavar="N", help=f"updates, up to 1e20 ({steps:g})")
    group.add_argument(
        "--batch-size",
        type=count,
        default=1,
        metavar="B",
        help="samples per step; inf is full batch (1)",
    )
    if at:
        group.add_argument(
            "--at", type=counts, metavar="T,...", help="report exactly these steps: 0,100,1e6"
        )
    parser.set_defaults(default_steps=steps)


def add_engine_flag(group: argparse._ArgumentGroup) -> None:
    """Add --engine."""
    group.add_argument(
        "--engine",
        type=one_of("engine", ("auto", *ENGINES)),
        metavar="NAME",
        default="auto",
        help=", ".join(("auto", *ENGINES)),
    )


def check_run(args: argparse.Namespace) -> None:
    """Refuse steps and batch sizes that are no counts, before any work.

    With --at and without --steps the run ends at the last step asked for.
    """
    args.batch_size = whole("batch_size", args.batch_size, minimum=1, allow_inf=True)
    args.at = getattr(args, "at", None)
    if args.at is not None:
        args.at = [whole("at", step) for step in args.at]
        if not args.at:
            raise ValueError("`at` names no step; write --at 0,100,1e6")
        if max(args.at) > MAX_STEPS:
            raise ValueError(f"`at` must be at most {MAX_STEPS:g}, got {max(args.at):g}.")
    if args.steps is None:
        args.steps = max(args.at) if args.at else args.default_steps
    args.steps = whole("steps", args.steps)
    if args.plot is not None and max(args.at or [args.steps]) < 1:
        raise ValueError("--plot draws from step 1 on, on log axes: ask for later steps than 0.")


def steps_to_report(args: argparse.Namespace) -> np.ndarray:
    """The steps of --at, or a fine log grid that holds the round steps a table shows."""
    if args.at is not None:
        return np.asarray(args.at, dtype=np.float64)
    return np.union1d(log_spaced_steps(args.steps), round_steps(args.steps))


def title(problem: Any, algorithm: Any, args: argparse.Namespace) -> list[str]:
    """The lines above a table: the problem, the algorithm and the batch size."""
    return [
        f"problem    {problem_text(problem, args)}",
        f"algorithm  {algorithm_text(algorithm)}",
        f"batch      {args.batch_size:g}",
    ]


def answer(problem: Any, algorithm: Any, args: argparse.Namespace) -> dict[str, Any]:
    """What the JSON of a single curve says first: the problem and the algorithm."""
    return {"problem": problem_data(problem, args), "algorithm": described(algorithm)}


def report_curve(
    args: argparse.Namespace,
    *,
    title: Sequence[str],
    curve: hidim.Curve,
    answer: dict[str, Any],
    seconds: float,
    extra: dict[str, np.ndarray] | None = None,
    draw: Callable[[Axes], Any] | None = None,
    notes: Sequence[str] = (),
) -> int:
    """Hand back one curve in every form that was asked for; `extra` columns go beside it."""
    extra = extra or {}
    if draw and getattr(args, "plot", None):
        write_figure(args.plot, draw, size=(7.0, 4.6))
    # What numbers are, and what is wrong with them, is said before them.
    told = [*loss_note(curve), *cautions([curve], notes)]
    said = [*title, *told, "", curve_table(curve, extra), "", outcome_text(curve)]
    return hand_back(
        args,
        cautions=told,
        columns={**curve_columns(curve), **extra},
        answer={**answer, **curve.to_dict(), **extra},
        text="\n".join([*said, provenance_text(curve, seconds=seconds)]),
    )


def loss_note(curve: hidim.Curve) -> list[str]:
    """That only the excess is a number, as a line; none where the risk is one.

    >>> loss_note(hidim.Curve([0], [math.inf], risk_floor=math.inf, columns={"excess": [0.5]}))
    ['loss       excess risk: the noise has no variance']
    """
    endless = curve.risk_floor == math.inf
    return ["loss       excess risk: the noise has no variance"] if endless else []


def cautions(curves: Sequence[hidim.Curve], notes: Sequence[str] = ()) -> list[str]:
    """What a theory has to say against its own numbers, a line each; most have nothing.

    >>> facts = {"caution": "the drift of signs is taken as linear"}
    >>> cautions([hidim.Curve([0], [1.0], status="inaccurate", provenance=facts)])
    ['caution    the drift of signs is taken as linear']
    """
    told = [
        "; ".join(str(c.provenance[name]) for name in _SAID_BEFORE if c.provenance.get(name))
        for c in curves
    ]
    if len(curves) > 1:
        told = [text and f"{c.label}: {text}" for c, text in zip(curves, told, strict=True)]
    return [f"caution    {text}" for text in [*told, *notes] if text]


def curve_columns(curve: hidim.Curve) -> dict[str, Sequence[Any] | np.ndarray]:
    """Every row of a curve under the names its CSV has: step, flops, risk, stderr, its columns."""
    columns: dict[str, Sequence[Any] | np.ndarray] = {"step": curve.steps}
    if _has_flops(curve):
        columns["flops"] = curve.flops
    columns["risk"] = curve.risk
    if curve.stderr is not None:
        columns["stderr"] = curve.stderr
    return columns | dict(curve.columns)


def _has_flops(curve: hidim.Curve) -> bool:
    return curve.dimension is not None and math.isfinite(curve.batch_size)


def curve_table(curve: hidim.Curve, extra: dict[str, np.ndarray] | None = None) -> str:
    """The curve as a person reads it: about three rows a decade."""
    rows = rows_to_show(curve.steps)
    columns = {"step": [step_text(step) for step in curve.steps[rows].tolist()]}
    if _has_flops(curve):
        columns["flops"] = [f"{flops:.4g}" for flops in curve.flops[rows]]
    endless = curve.risk_floor == math.inf  # the excess is a column of its own
    columns["risk"] = ["inf" if endless else risk_text(risk) for risk in curve.risk[rows]]
    if curve.stderr is not None:
        columns["stderr"] = [f"{error:.2g}" for error in curve.stderr[rows]]
    for name, values in {**curve.columns, **(extra or {})}.items():
        columns[name] = [f"{value:.6g}" for value in values[rows]]
    return table(columns)


def curves_table(predicted: Sequence[hidim.Curve], simulated: Sequence[hidim.Curve] = ()) -> str:
    """Curves on the same steps side by side; simulated ones with their standard errors."""
    rows = rows_to_show(predicted[0].steps)
    columns = [("step", [step_text(step) for step in predicted[0].steps[rows].tolist()])]
    for index, curve in enumerate(predicted):
        columns.append((curve.label, [risk_text(risk) for risk in curve.risk[rows]]))
        if simulated:
            run = simulated[index]
            errors = np.zeros(len(run)) if run.stderr is None else run.stderr
            pairs = zip(run.risk[rows], errors[rows], strict=True)
            columns.append(("runs", [f"{risk:.4g} ±{error:.1g}" for risk, error in pairs]))
    return table(columns)


def outcome_text(curve: hidim.Curve) -> str:
    """How the run ended, in one line."""
    where = ""
    if curve.status == "diverged":
        step = "" if curve.diverged_at is None else f" at step {step_text(curve.diverged_at)}"
        where = f"{step} (risk beyond 1000 times its start)"
    note = accuracy_note(curve)
    told = note or ("see the caution above" if curve.status == "inaccurate" else "")
    return f"status: {curve.status}{where}" + (f"; {told}" if told else "")


def accuracy_note(curve: hidim.Curve) -> str:
    """By how much a curve missed its rtol, and what to do; empty for every other.

    What its theory has to say against it stands in `cautions`.

    >>> facts = {"rtol": 1e-8, "error": 2.1e-7}
    >>> accuracy_note(hidim.Curve([0], [1.0], status="inaccurate", provenance=facts))
    'the risk may be off by 2.1e-07 of itself, more than rtol 1e-08: trust no more digits'
    """
    if curve.status != "inaccurate":
        return ""
    error, rtol = (float(curve.provenance.get(name, math.nan)) for name in ("error", "rtol"))
    if curve.provenance.get("caution") and error <= rtol:
        return ""
    known = f"{error:.1e} of itself" if math.isfinite(error) else "an unknown amount"
    remedy = "trust no more digits" if error <= _USEFUL else "ask for fewer steps"
    return f"the risk may be off by {known}, more than rtol {rtol:g}: {remedy}"


def provenance_text(curve: hidim.Curve, *, seconds: float) -> str:
    """Where the numbers come from, in one line."""
    said = {k: v for k, v in curve.provenance.items() if isinstance(v, str | int | float)}
    said = {k: v for k, v in said.items() if k not in _UNSAID and v != ""}
    if "error" in said:
        said["error"] = f"{said['error']:.1e}"
    listing = "".join(f", {key} {_plain_text(value)}" for key, value in said.items())
    return f"hidim {hidim.__version__}{listing}, {seconds:.2f} s"


def _plain_text(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.6g}"
    return str(value)
