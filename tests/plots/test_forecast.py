"""Figures of fitted laws draw what the law says and return the ax."""

from __future__ import annotations

import numpy as np
import pytest

from hidim.fitting import Run, SizeTable, best_schedule, fit, fit_sizes
from hidim.fitting.schedules.unfinished import so_far

pytest.importorskip("matplotlib")


def test_every_figure_of_a_law_is_drawn() -> None:
    from matplotlib.figure import Figure

    from hidim.plots import (
        plot_departure,
        plot_forecast,
        plot_optimal_sizes,
        plot_planned_schedule,
        plot_residuals,
        plot_size_law,
        plot_so_far,
    )

    steps = np.arange(100.0, 3000.0, 50)
    lr = np.where(steps < 1500, 1e-3, 2e-4)
    run = Run(steps, lr, 2 + (steps / 1000) ** -0.5 - 0.1 * (steps > 1500), label="stage")
    law = fit(run, "mtl")
    axes = Figure().subplots(1, 7)
    assert plot_forecast(law, [run], axes[0]) is axes[0]
    drawn = axes[0].lines[0]
    told = run.steps >= law.begins(run)
    assert np.array_equal(drawn.get_xdata(), run.steps[told])
    assert np.allclose(drawn.get_ydata(), law.predict(run)[told])
    params, tokens = map(
        np.ravel, np.meshgrid(np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e11, 5))
    )
    loss = 1.8 + 480 * params**-0.35 + 2000 * tokens**-0.37
    sizes = fit_sizes([params, tokens], loss, bootstrap=5)
    assert plot_size_law(sizes, SizeTable((params, tokens), loss), axes[1]) is axes[1]
    rows = [sizes.optimal(f) for f in (1e20, 1e21)]
    assert plot_optimal_sizes(rows, axes[2]) is axes[2]
    assert plot_residuals(law, [run], axes[4]) is axes[4]
    found = so_far(law, run.until(2000), run)
    assert plot_so_far(found, run.until(2000), axes[5]) is axes[5]
    assert plot_departure(found, axes[6]) is axes[6]
    low, high = axes[6].collections[0].get_paths()[0].get_extents().intervaly
    assert low < 0 < high
    assert plot_planned_schedule(best_schedule(law, 3000), axes[3]) is axes[3]
