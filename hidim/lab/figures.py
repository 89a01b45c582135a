"""How do the runs look? Loss against tokens at the largest size, and the envelope against flops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hidim.lab.frontiers import Frontier
from hidim.lab.groups import Group
from hidim.plots.style import colour_of, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", "-.", ":")


def plot_tokens(groups: Sequence[Group], ax: Axes) -> Axes:
    """Validation loss against tokens at the largest size, the band from the lowest to the highest
    seed."""
    largest = max(group.parameters for group in groups)
    for index, group in enumerate(g for g in groups if g.parameters == largest):
        longest = [
            run for run in group.runs if len(run.loss) == max(len(r.loss) for r in group.runs)
        ]
        losses = np.array([run.loss for run in longest])
        _line(ax, longest[0].tokens, losses, f"{group.label}, lr {group.lr:g}", index)
    dress(ax, x="tokens", y="validation loss, nats per token", title=f"{largest:,} parameters")
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_frontiers(frontiers: Sequence[Frontier], ax: Axes) -> Axes:
    """The lowest loss over sizes against training flops, with the fitted log-log slope."""
    for index, one in enumerate(frontiers):
        slope = float(one.slopes.mean())
        _line(ax, one.flops, one.losses, f"{one.label}   slope {slope:.3f}", index)
    dress(ax, x="training flops", y="lowest validation loss over sizes, nats per token")
    ax.legend(frameon=False, fontsize="small")
    return ax


def _line(ax: Axes, x: np.ndarray, losses: np.ndarray, label: str, index: int) -> None:
    colour = colour_of(label, index=index)
    style = _STYLES[sum(line.get_color() == colour for line in ax.get_lines()) % len(_STYLES)]
    ax.plot(x, losses.mean(axis=0), style, color=colour, label=label, linewidth=1.4)
    ax.fill_between(
        x, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.15, linewidth=0
    )
