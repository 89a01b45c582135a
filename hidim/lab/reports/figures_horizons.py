"""How does the last loss fall with the horizon, and from which horizon on is the gain a power?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.lab.reports.groups import Group
from hidim.plots.style import colour_of, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^v"


def plot_horizons(groups: Sequence[Group], ax: Axes) -> Axes:
    """Last validation loss against the steps of the run, a line per method at the largest size.

    Every point is a finished run of its own length; the bar is the 95 % interval over seeds.
    """
    largest = max((group.parameters for group in groups), default=0)
    lines: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if group.parameters == largest and np.isfinite(group.final.mean):
            lines[group.label].append(group)
    styles = _styles([label for label, own in lines.items() if len(own) > 1])
    for place, (label, style) in enumerate(styles.items()):
        own = sorted(lines[label], key=lambda group: group.steps)
        # Side by side, so that bars can be told apart.
        x = np.array([group.steps for group in own]) * 1.02**place
        y = [group.final.mean for group in own]
        bars = [group.final.half_width or 0.0 for group in own]
        ax.errorbar(x, y, yerr=bars, label=label, capsize=2, linewidth=1.2, markersize=3, **style)
    dress(ax, x="steps of the run", y="last validation loss, nats per token",
          title=f"{largest:,} parameters")  # fmt: skip
    _plain_numbers(ax)
    _ticks_at(ax, [group.steps for own in lines.values() for group in own])
    ax.legend(frameon=False, fontsize="x-small")
    return ax


def plot_exponents(rows: Sequence[Mapping[str, Any]], ax: Axes) -> Axes:
    """The exponent of T'(T) against the first horizon of the window, all methods and the null.

    Args:
        rows: the `horizons` of a report.
        ax: to draw on.
    """
    styles = _styles([row["optimizer"] for row in rows])
    for place, row in enumerate(rows):
        style = {**styles[row["optimizer"]]}
        name = row["optimizer"]
        if row["null"]:
            style, name = {"color": "0.55", "fmt": "x:"}, f"null: {name}"
        x = np.array([one["from_steps"] for one in row["windows"]]) * 1.03**place
        y = [one["exponent"].mean for one in row["windows"]]
        bars = [one["exponent"].half_width or 0.0 for one in row["windows"]]
        ax.errorbar(x, y, yerr=bars, label=name, capsize=2, linewidth=1.2, markersize=3, **style)
    ax.axhline(1.0, color="0.3", linewidth=0.8)
    dress(ax, x="first horizon of the window, steps", y="exponent of the baseline's horizon")
    ax.set_yscale("linear")
    _ticks_at(ax, [one["from_steps"] for row in rows for one in row["windows"]])
    ax.legend(frameon=False, fontsize="x-small")
    return ax


def _styles(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A colour per optimizer, and a marker and a shade per method of it."""
    seen: list[str] = []
    styles: dict[str, dict[str, Any]] = {}
    for index, label in enumerate(labels):
        if label in styles:
            continue
        colour = colour_of(label, index=index)
        alike = seen.count(colour)
        seen.append(colour)
        fmt = f"{_MARKERS[alike % len(_MARKERS)]}{('-', '--', '-.')[alike % 3]}"
        styles[label] = {"color": colour, "fmt": fmt, "alpha": max(1 - 0.2 * alike, 0.4)}
    return styles


def _ticks_at(ax: Axes, steps: Sequence[int]) -> None:
    """The horizons themselves on the axis of steps."""
    every = sorted(set(steps))
    ax.set_xticks(every, [f"{one:,}" for one in every])
    ax.set_xticks([], minor=True)


def _plain_numbers(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(lambda *_: "")
