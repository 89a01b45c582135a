"""Figures of whole planes of (alpha, beta)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.plots.style import new_ax
from hidim.support.checks import shown

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes


def plot_plane(
    exponents: xarray.Dataset, ax: Axes | None = None, *, recipe: str | None = None, of: str = "eta"
) -> Axes:
    """Measured exponents over the plane as colours, theory's as lines of equal value.

    Args:
        exponents: from `hidim.studies.plane_exponents`.
        ax: where to draw.
        recipe: one of its recipes; the first by default.
        of: "eta" or "xi".

    Raises:
        ValueError: no such exponents.
    """
    if not hasattr(exponents, "sel"):
        raise ValueError(
            f"`exponents` must be what hidim.studies.plane_exponents gives, got {shown(exponents)}."
        )
    ax = new_ax() if ax is None else ax
    name = str(exponents["recipe"].values[0]) if recipe is None else recipe
    one = exponents.sel(recipe=name).sortby(["alpha", "beta"])
    alpha, beta = one["alpha"].values, one["beta"].values
    measured, theory = one[of].values.T, one[f"{of}_theory"].values.T
    both: Any = np.concatenate([measured.ravel(), theory.ravel()])
    both = both[np.isfinite(both)]
    limits = {"vmin": both.min(), "vmax": both.max()} if both.size else {}
    # Cells around the points: a row of one still has a width.
    mesh = ax.pcolormesh(_edges(alpha), _edges(beta), measured, cmap="viridis", **limits)
    if min(theory.shape) > 1 and np.ptp(both) > 1e-9:
        lines = ax.contour(alpha, beta, theory, colors="black", linewidths=0.8, levels=8)
        ax.clabel(lines, fontsize="x-small")
    ax.figure.colorbar(mesh, ax=ax, label=f"{of}, measured; lines: theory")
    ax.set_xlabel("alpha, of the data")
    ax.set_ylabel("beta, of the target")
    ax.set_title(name, fontsize="medium", loc="left")
    return ax


def _edges(x: np.ndarray) -> np.ndarray:
    """Borders half-way between ascending points."""
    if len(x) == 1:
        return np.array([x[0] - 0.05, x[0] + 0.05])
    middle = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
