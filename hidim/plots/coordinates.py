"""How do activations move over widths? The change at every site against the size of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.plots.style import OTHERS, dress, new_ax
from hidim.support.checks import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "os^vDPX"


def plot_coordinates(found: Any, ax: Axes | None = None, *, title: str = "") -> Axes:
    """Change of the activations after the last step, a line per site with its slope; log-log.

    Args:
        found: of `hidim coordinates`: `over`, `values`, `sites`, `steps`, `changes`, `slopes`.
        ax: to draw on; a fresh one by default.
        title: of the figure.

    Raises:
        ValueError: no such answer.
    """
    if not hasattr(found, "sites"):
        raise ValueError(f"`found` must be the answer of hidim coordinates, got {shown(found)}.")
    ax = ax or new_ax()
    for k, site in enumerate(found.sites):
        each = np.asarray(found.changes[k])[:, :, -1]  # (values, seeds)
        middle = np.exp(np.log(np.maximum(each, np.finfo(float).tiny)).mean(axis=1))
        beyond = [middle - each.min(axis=1), each.max(axis=1) - middle]
        ax.errorbar(
            found.values,
            middle,
            yerr=np.maximum(beyond, 0),
            color=OTHERS[k % len(OTHERS)],
            marker=_MARKERS[k % len(_MARKERS)],
            markersize=4,
            linewidth=1.2,
            label=f"{site}   slope {found.slopes[k]:+.2f}",
        )
    dress(ax, x=found.over, y=f"rms change after {found.steps[-1]} steps", title=title)
    ax.set_xticks(found.values, [str(value) for value in found.values])
    ax.minorticks_off()
    # Beside the lines, which may lie anywhere inside.
    ax.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax
