"""Figures of a contest: functions from the answer and an ax to the ax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_profile(profile: Mapping[str, Sequence[float]], ax: Axes) -> Axes:
    """Share of tasks on which a method's mean is within a ratio of the best (Dolan and Moré)."""
    limit = 1.05 * min(max(max(ratios) for ratios in profile.values()), 4.0)
    marks = ("-", "--", ":")
    for k, (method, ratios) in enumerate(sorted(profile.items(), key=lambda pair: sum(pair[1]))):
        steps = np.concatenate([[1.0], np.minimum(ratios, 10 * limit), [10 * limit]])
        shares = np.concatenate([[0.0], np.arange(1, len(ratios) + 1), [len(ratios)]])
        ax.step(steps, shares / len(ratios), where="post", label=method, ls=marks[k // 7 % 3])
    ax.set(
        xscale="log",
        xlim=(0.99, limit),
        ylim=(0, 1.03),
        xlabel="mean held-out value / best mean of the task",
        ylabel="share of the tasks",
    )
    _plain(ax)
    ax.legend(fontsize=7)
    return ax


def _plain(ax: Axes) -> None:
    """Ratios as people write them: 1, 1.2, 1.5, 2 and not powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = ax.get_xlim()
    marks = (0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 6, 10, 20, 50, 100)
    ax.xaxis.set_major_locator(FixedLocator([mark for mark in marks if low <= mark <= high]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def plot_task(board: Sequence[Mapping[str, Any]], task: str, ax: Axes) -> Axes:
    """Means at every length over tuned AdamW's at full length; bars are two standard errors."""
    own = [one for one in board if one["task"] == task and np.isfinite(one["mean"])]
    base = next((one["mean"] for one in own if one["score"] is None), own[0]["mean"])
    for place, one in enumerate(own):
        for length, mean in one["lengths"].items():
            if length != 1 and np.isfinite(mean):
                ax.plot(mean / base, place, "|", color="0.5", ms=4 + 8 * length)
        color = "C1" if one["meets"] is not None else "C0"
        ax.errorbar(
            one["mean"] / base, place, xerr=2 * one["stderr"] / base, fmt="o", ms=4, color=color
        )
    ax.axvline(1.0, color="0.6", lw=0.8, zorder=0)
    ax.set_yticks(range(len(own)), [one["method"] for one in own], fontsize=7)
    ax.invert_yaxis()
    ax.set(xlabel="held-out value / tuned AdamW's", title=task)
    if max(one["mean"] for one in own) > 2 * base:
        ax.set_xscale("log")
        _plain(ax)
    return ax
