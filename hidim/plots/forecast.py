"""What a fitted law says beside what was measured: bands as areas, measurement as points.

Everything is read from the laws; nothing is fitted here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.planned import given_run
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw
from hidim.fitting.schedules.planning import PlannedSchedule
from hidim.fitting.schedules.unfinished import SoFar
from hidim.fitting.sizes.law import SizeLaw
from hidim.fitting.sizes.tables import SizeTable
from hidim.plots.style import colour_of, new_ax
from hidim.support.checks import instance, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ANSWERS = "answers of SizeLaw.optimal, one per budget"
_POINTS = 300  # measured points drawn per run; a law is drawn at as many


def plot_forecast(
    law: FittedLaw, runs: Run | Sequence[Run], ax: Axes | None = None, *, level: float = 0.9
) -> Axes:
    """Draw predicted loss with its band, and measured loss where a run has it.

    Args:
        law: a fitted schedule-aware law.
        runs: measured or planned runs, or one.
        ax: where to draw, a new figure by default.
        level: share of points that the bands hold.

    Returns:
        The ax.

    Raises:
        ValueError: no law, or no runs.
    """
    law = instance("law", law, FittedLaw, "as fit gives and FittedLaw.load reads")
    given = _runs(runs)
    ax = ax or new_ax()
    for index, run in enumerate(given):
        colour = colour_of(run.label, index=index)
        pick = _told(law, run)
        steps = run.steps[pick]
        low, high = law.band(run, steps, level=level)
        ax.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
        ax.plot(steps, law.predict(run, steps), color=colour, linewidth=1.4, label=run.label)
        if run.loss is not None:
            ax.plot(steps, run.loss[pick], ".", color=colour, markersize=3, alpha=0.7)
    ax.set(xscale="log", xlabel="optimizer steps", ylabel="loss")
    ax.set_title(
        f"law {law.law.name}: lines and {level:.0%} bands; points are measured",
        fontsize="medium",
        loc="left",
    )
    ax.legend(frameon=False)
    return _quiet(ax)


def _told(law: FittedLaw, run: Run) -> np.ndarray:
    """Rows to draw, some of those that the law speaks of: before, a loss falls from 10 to 4, and
    beside that all laws look alike."""
    kept = np.flatnonzero(run.steps >= max(law.begins(run), 1.0))
    return kept[np.linspace(0, len(kept) - 1, min(_POINTS, len(kept))).astype(int)]


def plot_residuals(
    law: FittedLaw, runs: Run | Sequence[Run], ax: Axes | None = None, *, level: float = 0.9
) -> Axes:
    """Draw measured over predicted loss, in percent, with the band, of the runs that have a loss.

    Args:
        law: a fitted schedule-aware law.
        runs: measured runs, or one.
        ax: where to draw, a new figure by default.
        level: share of points that the bands hold.

    Returns:
        The ax.

    Raises:
        ValueError: no law, or no runs.
    """
    law = instance("law", law, FittedLaw, "as fit gives and FittedLaw.load reads")
    given = _runs(runs)
    ax = ax or new_ax()
    for index, run in enumerate(given):
        if run.loss is None:
            continue
        colour = colour_of(run.label, index=index)
        pick = _told(law, run)
        steps = run.steps[pick]
        predicted = law.predict(run, steps)
        low, high = (100 * (end / predicted - 1) for end in law.band(run, steps, level=level))
        ax.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(steps, 100 * (run.loss[pick] / predicted - 1), ".", color=colour, markersize=3)
    ax.axhline(0.0, color="#555555", linewidth=0.8)
    ax.set(xlabel="optimizer steps", ylabel="measured less predicted, % of the loss")
    ax.set_title(f"errors, and {level:.0%} bands", fontsize="medium", loc="left")
    return _quiet(ax)


def plot_so_far(found: SoFar, log: Run, ax: Axes | None = None) -> Axes:
    """Draw a run so far, and where it is expected to end.

    Args:
        found: answer of `so_far`.
        log: rows so far.
        ax: where to draw, a new figure by default.

    Raises:
        ValueError: no such answer, or no log.
    """
    found = instance("found", found, SoFar, "as so_far gives")
    log = given_run("log", log)
    ax = ax or new_ax()
    grey, ink, ahead = colour_of("", index=5), colour_of("sgd"), colour_of("dana-decaying")
    pick = np.flatnonzero(log.steps >= found.seen[0])
    pick = pick[np.linspace(0, len(pick) - 1, min(2000, len(pick))).astype(int)]
    ax.plot(log.steps[pick], log.measured()[pick], ".", color=grey, markersize=2, alpha=0.6)
    ax.plot(found.seen, found.measured, color=ink, linewidth=1.4, label=f"{log.label}, so far")
    ax.fill_between(found.steps, found.low, found.high, color=ahead, alpha=0.3, linewidth=0)
    low, high = found.band
    ends = f"expected at step {found.end:,.0f}: {found.loss:.3f} ({low:.3f} to {high:.3f})"
    ax.plot(found.steps, found.expected, "--", color=ahead, label=ends)
    ax.set(xlabel="optimizer steps", ylabel="loss")
    ax.set_title(f"{found.verdict}: {found.reasons[0].partition(':')[0]}", loc="left")
    ax.legend(frameon=False)
    return _quiet(ax)


def plot_departure(found: SoFar, ax: Axes | None = None) -> Axes:
    """Draw how far a run lies from its law, in percent, with the band, so far and to come.

    Args:
        found: answer of `so_far`.
        ax: where to draw, a new figure by default.

    Raises:
        ValueError: no such answer.
    """
    found = instance("found", found, SoFar, "as so_far gives")
    ax = ax or new_ax()
    grey, ink, ahead = colour_of("", index=5), colour_of("sgd"), colour_of("dana-decaying")

    def percent(values: np.ndarray) -> np.ndarray:
        return 100 * (values / found.by_law - 1)

    low, high = percent(found.seen_low), percent(found.seen_high)
    ax.fill_between(found.seen, low, high, color=grey, alpha=0.4, linewidth=0, label="its band")
    ax.plot(found.seen, percent(found.measured), ".-", color=ink, linewidth=1.0, label="so far")
    for name, step in (("outside since", found.since), ("other rate since", found.lr_since)):
        if step is not None:
            ax.axvline(step, color=ahead, linewidth=1.0, linestyle=":", label=f"{name} {step:,.0f}")
    ax.axhline(0.0, color="#555555", linewidth=0.8)
    ax.set(xlabel="optimizer steps", ylabel="measured less predicted, % of the loss")
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)  # off the points
    return _quiet(ax)


def _runs(runs: Any) -> list[Run]:
    """Runs, or one."""
    if isinstance(runs, Run | Curve):
        runs = [runs]
    return [given_run("runs", run) for run in listed("runs", runs, "Runs, or one")]


def _quiet(ax: Axes) -> Axes:
    """A light grid, no box, steps in full."""
    ax.grid(visible=True, color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if ax.get_xscale() == "log":
        from matplotlib.ticker import LogLocator, NullFormatter

        # Two or three numbers a decade: those between would run into each other.
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}" if x < 1e6 else f"{x:.3g}")
    return ax


def plot_size_law(law: SizeLaw, data: SizeTable, ax: Axes | None = None) -> Axes:
    """Draw measured against predicted loss of every run, with the line of equality.

    Raises:
        ValueError: no law, or no table.
    """
    law = instance("law", law, SizeLaw, "as fit_sizes gives and SizeLaw.load reads")
    data = instance("data", data, SizeTable, "as read_sizes gives")
    ax = ax or new_ax()
    predicted = law.predict(*data.inputs)
    ends = [min(predicted.min(), data.loss.min()), max(predicted.max(), data.loss.max())]
    ax.plot(ends, ends, color=colour_of("", index=5), linewidth=1.2)
    ax.plot(predicted, data.loss, ".", color=colour_of("sgd"), markersize=5, alpha=0.7)
    ax.set(xlabel="predicted loss", ylabel="measured loss")
    ax.set_title(f"law {law.form.name}: mean relative error {law.in_sample:.4f}")
    return _quiet(ax)


def plot_optimal_sizes(rows: Sequence[dict[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw compute-optimal parameters and tokens against the budget, with their intervals.

    Args:
        rows: answers of `SizeLaw.optimal`, one per budget.
        ax: where to draw, a new figure by default.

    Raises:
        ValueError: no such answers.
    """
    rows = [instance("rows", row, dict, _ANSWERS) for row in listed("rows", rows, _ANSWERS)]
    if not rows:
        raise ValueError(f"`rows` is empty: give {_ANSWERS}.")
    ax = ax or new_ax()
    flops = np.array([row["flops"] for row in rows])
    for name, colour in (("params", colour_of("sgd")), ("tokens", colour_of("dana-decaying"))):
        value = np.array([row[name] for row in rows])
        ends = [row[f"{name}_interval"] for row in rows]
        bars = None
        if all(ends):
            low, high = np.array(ends).T
            bars = np.abs(np.stack([value - low, high - value]))
        ax.errorbar(flops, value, yerr=bars, fmt="o-", color=colour, capsize=3, label=name)
    ax.set(xscale="log", yscale="log", ylabel="parameters, tokens")
    ax.set_xlabel("flops = 6 x parameters x tokens")
    ax.set_title("compute-optimal sizes with 90 % intervals")
    ax.legend(frameon=False)
    return ax


def plot_planned_schedule(plan: PlannedSchedule, ax: Axes | None = None) -> Axes:
    """Draw the learning rate of a planned schedule over its steps, warm-up included.

    Raises:
        ValueError: no plan.
    """
    plan = instance("plan", plan, PlannedSchedule, "as best_schedule gives")
    ax = ax or new_ax()
    steps, lr = plan.steps, plan.lr
    if plan.warmup_steps > 0:
        steps, lr = np.concatenate([[0.0], steps]), np.concatenate([[0.0], lr])
    ax.plot(steps, lr, color=colour_of("dana-decaying"), linewidth=1.6)
    ax.set(xlabel="optimizer steps", ylabel="learning rate")
    ax.set_title(f"predicted final loss {plan.loss:.4f}")
    return _quiet(ax)
