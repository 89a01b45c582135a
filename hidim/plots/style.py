"""How every figure of hidim looks: one colour per algorithm, named units, quiet axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hidim.algorithms.named import lookup, names
from hidim.support.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The same algorithm has the same colour in every figure; told apart by the colour-blind too. Those
# of the named algorithms stand in their records, these are torch's.
COLOURS: Mapping[str, str] = {
    **{name: lookup(name).colour for name in names()},
    "adam": "#111111",
    "adamw": "#111111",
    "adana": "#3c8a3c",
}
OTHERS = ("#555555", "#a0a000", "#b07aa1", "#59a14f", "#9c755f", "#bab0ac")


def colour_of(name: str, *, index: int = 0) -> str:
    """The colour of the algorithm named in `name`, else the `index`-th of the spare colours.

    >>> colour_of("dana-decaying, d = 1000") == colour_of("dana-decaying")
    True
    """
    colours = {**COLOURS, **{known: lookup(known).colour for known in names()}}  # new ones too
    spelt = name.lower().replace("_", "-")
    found = [known for known in colours if known in spelt]
    colour = colours[max(found, key=len)] if found else ""
    return colour or OTHERS[index % len(OTHERS)]


def new_ax() -> Axes:
    """A fresh ax of the size that the figures are drawn for.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    pyplot = require("matplotlib.pyplot", "plots")
    return pyplot.subplots(figsize=(7.0, 4.6), layout="constrained")[1]


def dress(ax: Axes, *, x: str, y: str, title: str = "") -> Axes:
    """Log-log, named units, light grid, no box."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if title:
        ax.set_title(title, fontsize="medium", loc="left")
    ax.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax
