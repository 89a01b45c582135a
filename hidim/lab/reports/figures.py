"""How do the runs look? Loss against tokens, the envelope against flops, loss against an option.

Of an optimizer that ran with several options the first two figures show the best ones; the third
shows them all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.lab.reports.frontiers import Frontier
from hidim.lab.reports.groups import Group
from hidim.lab.reports.windows import STARTS
from hidim.plots.style import colour_of, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = (
    0.005  # of the tokens are left out at the start: a high rate may throw the loss about there
)
_STYLES = ("-", "--", "-.", ":")
_MARKERS = "os^vD"


def plot_tokens(groups: Sequence[Group], ax: Axes) -> Axes:
    """Validation loss against tokens at the largest size, the band from the lowest to the highest
    seed."""
    groups = [group for group in groups if any(len(run.loss) for run in group.runs)]
    largest = max((group.parameters for group in groups), default=0)
    best: dict[str, Group] = {}
    for group in sorted(groups, key=lambda group: group.final.mean):
        if group.parameters == largest:
            best.setdefault(group.runs[0].settings.optimizer, group)
    for index, group in enumerate(best.values()):
        longest = [
            run for run in group.runs if len(run.loss) == max(len(r.loss) for r in group.runs)
        ]
        losses = np.array([run.loss for run in longest])
        tokens = longest[0].tokens
        keep = tokens >= _SHOWN * tokens[-1]
        _line(ax, tokens[keep], losses[:, keep], f"{group.label}, lr {group.lr:g}", index)
    _dress(ax, x="tokens", y="validation loss, nats per token", title=f"{largest:,} parameters")
    if best:
        ax.legend(frameon=False, fontsize="small")
    return ax


def plot_frontiers(frontiers: Sequence[Frontier], ax: Axes) -> Axes:
    """The lowest loss over sizes against training flops, with the fitted log-log slope."""
    best: dict[str, Frontier] = {}
    for one in sorted(frontiers, key=lambda one: float(one.losses[:, -1].mean())):
        best.setdefault(one.label.split()[0], one)
    for index, one in enumerate(best.values()):
        slope = float(one.slopes.mean())
        _line(ax, one.flops, one.losses, f"{one.label}   slope {slope:.3f}", index)
    _dress(ax, x="training flops", y="lowest validation loss over sizes, nats per token")
    ax.legend(frameon=False, fontsize="small")
    return ax


def swept_option(groups: Sequence[Group]) -> tuple[str, str] | None:
    """Optimizer and name of the numerical option with the most values, at least three."""
    values: dict[tuple[str, str], set[float]] = defaultdict(set)
    for group in groups:
        settings = group.runs[0].settings
        for name, value in settings.options.items():
            if isinstance(value, int | float):
                values[settings.optimizer, name].add(float(value))
    found = max(values, key=lambda key: len(values[key]), default=None)
    return found if found and len(values[found]) >= 3 else None


def plot_option(groups: Sequence[Group], ax: Axes, *, baseline: str) -> Axes:
    """Last loss minus the baseline's against the option of `swept_option`, a line per size.

    The bar is the 95 % interval over seeds of the difference, seed by seed.
    """
    swept = swept_option(groups)
    if swept is None:
        raise ValueError("`groups` must hold an optimizer with at least 3 values of an option.")
    optimizer, name = swept
    base = {group.parameters: group for group in groups if group.label == baseline}
    lines: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    for group in groups:
        options, other = group.runs[0].settings.options, base.get(group.parameters)
        if group.runs[0].settings.optimizer != optimizer or name not in options or other is None:
            continue
        over = group.final_over(other)
        if over is not None and np.isfinite(over.mean):
            row = (float(options[name]), over.mean, over.half_width or 0.0)
            lines[group.parameters].append(row)
    for index, (parameters, rows) in enumerate(sorted(lines.items())):
        x, y, bar = (np.array(column) for column in zip(*sorted(rows), strict=True))
        # Side by side, so that bars of several sizes can be told apart.
        x = x + 0.008 * (x[-1] - x[0]) * (index - (len(lines) - 1) / 2)
        shade = 0.25 + 0.75 * (index + 1) / len(lines)
        ax.errorbar(x, y, yerr=bar, fmt="o-", color=colour_of(optimizer), alpha=shade, capsize=2,
                    linewidth=1.4, markersize=4, label=f"{parameters:,} parameters")  # fmt: skip
    ax.axhline(0.0, color=colour_of(baseline), linewidth=1.0, label=baseline)
    dress(ax, x=f"{name} of {optimizer}", y=f"last validation loss minus {baseline}'s, nats")
    ax.set_xscale("linear")
    ax.set_yscale("linear")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_windows(table: Mapping[str, Any], ax: Axes, *, baseline: str) -> Axes:
    """How much steeper than the baseline's every envelope falls, against the start of the window.

    Args:
        table: the `windows` of a report.
        ax: to draw on.
        baseline: its label.
    """
    colours: list[str] = []
    for index, row in enumerate(table["rows"]):
        points = [
            # Side by side, so that bars can be told apart.
            (start * 1.03**index, one.mean, one.half_width or 0.0)
            for start, one in zip(STARTS, row["steeper"], strict=True)
            if one is not None
        ]
        if points:
            x, y, bar = (np.array(column) for column in zip(*points, strict=True))
            colour = colour_of(row["optimizer"], index=index)
            alike = colours.count(colour)
            colours.append(colour)
            ax.errorbar(
                x,
                y,
                yerr=bar,
                fmt=f"{_MARKERS[alike % len(_MARKERS)]}-",
                color=colour,
                alpha=max(1 - 0.15 * alike, 0.4),
                capsize=2,
                linewidth=1.2,
                markersize=3,
                label=row["optimizer"],
            )
    ax.axhline(0.0, color=colour_of(baseline), linewidth=1.0, label=baseline)
    if table["start"] is not None:
        ax.axvline(table["start"], color="0.6", linestyle=":", label="window of the report")
    dress(ax, x="start of the window / the smallest size's budget", y=f"slope over {baseline}'s")
    ax.set_yscale("linear")
    ax.legend(frameon=False, fontsize="x-small")
    return ax


def _dress(ax: Axes, *, x: str, y: str, title: str = "") -> None:
    """Log-log with plain numbers on an axis of losses, which spans less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    dress(ax, x=x, y=y, title=title)
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 6.0)))
    ax.yaxis.set_major_formatter(plain)
    ax.yaxis.set_minor_formatter(lambda *_: "")


def _line(ax: Axes, x: np.ndarray, losses: np.ndarray, label: str, index: int) -> None:
    colour = colour_of(label, index=index)
    style = _STYLES[sum(line.get_color() == colour for line in ax.get_lines()) % len(_STYLES)]
    ax.plot(x, losses.mean(axis=0), style, color=colour, label=label, linewidth=1.4)
    ax.fill_between(
        x, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.15, linewidth=0
    )
