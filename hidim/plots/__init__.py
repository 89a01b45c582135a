"""Figures: functions that take curves, laws or plans and an optional ax, and return the ax."""

from hidim.plots.coordinates import plot_coordinates
from hidim.plots.curves import plot_agreement, plot_curves
from hidim.plots.forecast import (
    plot_departure,
    plot_forecast,
    plot_optimal_sizes,
    plot_planned_schedule,
    plot_residuals,
    plot_size_law,
    plot_so_far,
)
from hidim.plots.planes import plot_plane
from hidim.plots.style import colour_of, dress, new_ax

__all__ = [
    "colour_of",
    "dress",
    "new_ax",
    "plot_agreement",
    "plot_coordinates",
    "plot_curves",
    "plot_departure",
    "plot_forecast",
    "plot_optimal_sizes",
    "plot_plane",
    "plot_planned_schedule",
    "plot_residuals",
    "plot_size_law",
    "plot_so_far",
]
