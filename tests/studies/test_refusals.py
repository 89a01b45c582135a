"""What no ladder or plane can be made of is refused before any work, naming the argument."""

import math

import numpy as np
import pytest

import hidim
from hidim.measure import envelope, isoflop
from hidim.studies import Recipe, measure_ladder, run_ladder
from hidim.studies.frontier import exact_frontier


@pytest.mark.parametrize("recipe", [3, None, hidim.sgd(0.1)])
def test_a_recipe_is_a_name_or_a_recipe(recipe):
    with pytest.raises(ValueError, match="`recipe`"):
        run_ladder(1.0, 0.7, recipe)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"sizes": sizes} for sizes in ([math.inf], [math.nan], "abc", [10.5], [], [1], 3)),
        *({"reach": reach} for reach in (0, -1, math.inf, "x")),
        {"batch_size": 0.5},
        {"v_over_d": -1},
    ],
)
def test_arguments_of_a_ladder_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        run_ladder(1.0, 0.7, **({"sizes": [100]} | wrong))


@pytest.mark.parametrize("wrong", [{"step": "x"}, {"step": -1}, {"ratio": -1}, {"delta": math.nan}])
def test_a_recipe_checks_its_numbers_when_it_is_made(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        Recipe("dana-decaying", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"recipes": recipes} for recipes in ([], [3], None, hidim.sgd)),
        *({"sizes": sizes} for sizes in ("abc", [10.5], [math.inf])),
        *({"workers": workers} for workers in (0, -1)),
        {"alphas": []},
        {"betas": "x"},
        {"reach": -1},
        {"v_over_d": -1},
    ],
)
def test_arguments_of_a_plane_out_of_range(wrong):
    pytest.importorskip("xarray")
    from hidim.studies.plane import run_plane

    argument = next(iter(wrong))
    with pytest.raises(ValueError, match=f"`{argument.removesuffix('s')}s?`"):
        run_plane(**({"alphas": [1.0], "betas": [0.7], "sizes": [100], "workers": 1} | wrong))


def test_one_name_is_enough_for_a_plane():
    pytest.importorskip("xarray")
    from hidim.studies.plane import run_plane

    options = {"sizes": [100], "points": 16, "workers": 1}
    named = run_plane([1.0], [0.7], recipes="sgd", **options)
    assert named.identical(run_plane([1.0], [0.7], recipes=["sgd"], **options))


@pytest.fixture(scope="module")
def ladder():
    return run_ladder(1.0, 0.7, sizes=[100, 200, 400, 800, 1600, 3200, 6400], reach=3)


@pytest.mark.parametrize("measured", [envelope, isoflop])
def test_one_budget_is_a_row_of_one(ladder, measured):
    assert measured(ladder.curves, 1e6) == measured(ladder.curves, [1e6])
    for wrong in (-1, math.nan, "x", [[1e6]]):
        with pytest.raises(ValueError, match="`flops`"):
            measured(ladder.curves, wrong)


@pytest.mark.parametrize("wrong", [{"last_decades": -1}, {"multiple": 0.5}, {"multiple": math.nan}])
def test_what_a_ladder_is_measured_by(ladder, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
        measure_ladder(ladder, **wrong)


@pytest.mark.parametrize("flops", [[], np.zeros(0)])
def test_no_budget_has_no_frontier(flops):
    law = hidim.scaling_law(1.0, 0.7)
    for frontier in (law.frontier, lambda f: exact_frontier(law, f)):
        with pytest.raises(ValueError, match="`flops` is empty"):
            frontier(flops)
