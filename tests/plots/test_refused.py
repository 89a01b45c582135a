"""What is no answer to draw is refused by the name of the argument."""

from __future__ import annotations

from typing import Any

import pytest

from hidim import plots


@pytest.mark.parametrize(
    ("draw", "arguments", "named"),
    [
        (plots.plot_forecast, (None, None), "`law`"),
        (plots.plot_residuals, ("law.json", []), "`law`"),
        (plots.plot_so_far, (None, None), "`found`"),
        (plots.plot_departure, (3,), "`found`"),
        (plots.plot_size_law, (None, None), "`law`"),
        (plots.plot_optimal_sizes, (None,), "`rows`"),
        (plots.plot_optimal_sizes, ([],), "`rows`"),
        (plots.plot_optimal_sizes, ([None],), "`rows`"),
        (plots.plot_planned_schedule, (None,), "`plan`"),
        (plots.plot_curves, (None,), "`curves`"),
        (plots.plot_curves, ([None],), "`curves`"),
        (plots.plot_agreement, (None, []), "`measured`"),
        (plots.plot_plane, (None,), "`exponents`"),
        (plots.plot_coordinates, (None,), "`found`"),
    ],
)
def test_an_argument_of_another_kind_is_named(draw: Any, arguments: tuple, named: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=named):
        draw(*arguments)
