"""Claims about PLRF: one draw of W, the deterministic equivalent, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hidim.problems.power_law import PLRF


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0, "beta": 0.7, "d": 10}, "`alpha` must be positive"),
        ({"alpha": math.nan, "beta": 0.7, "d": 10}, "`alpha` must be a finite number"),
        ({"alpha": 1.0, "beta": math.inf, "d": 10}, "`beta` must be a finite number"),
        ({"alpha": 1.0, "beta": 0.7, "d": 0}, "`d` must be at least 1"),
        ({"alpha": 1.0, "beta": 0.7, "d": 10.5}, "`d` must be a whole number"),
        ({"alpha": 1.0, "beta": 0.7, "d": 10, "v": 9}, "`v` must be at least d"),
        ({"alpha": 0.5, "beta": 0.7, "d": 10}, r"`v` must be finite when 2\*alpha <= 1"),
        ({"alpha": 0.6, "beta": -0.1, "d": 10}, "`v` must be finite when alpha"),
        ({"alpha": 1.0, "beta": 0.7, "d": 10, "noise_variance": -1}, "must not be negative"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        PLRF(**arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("v", [None, 4 * 10**6])
def test_a_draw_of_absurd_size_is_refused(v: int | None) -> None:
    for draw in (PLRF(1.0, 0.7, 10**6, v).spectrum, PLRF(1.0, 0.7, 10**6, v).draw):
        with pytest.raises(ValueError, match="too large"):
            draw(seed=0)


def test_a_draw_without_v_has_four_rows_per_column_and_says_so() -> None:
    open_ended, given = PLRF(1.0, 0.7, 12, noise_variance=0.1), PLRF(1.0, 0.7, 12, 48, 0.1)
    drawn, expected = open_ended.spectrum(seed=5), given.spectrum(seed=5)
    np.testing.assert_array_equal(drawn.eigenvalues, expected.eigenvalues)
    np.testing.assert_array_equal(drawn.error_sq, expected.error_sq)
    assert drawn.risk_floor == expected.risk_floor
    assert drawn.label == expected.label
    assert drawn.provenance == expected.provenance | {"v_default": "4 d"}
    assert open_ended.spectrum().provenance["v"] == math.inf
    assert open_ended.drawn() == given
    assert given.drawn() is given


def test_a_seed_means_the_documented_w() -> None:
    alpha, beta, d, v = 0.8, 0.4, 12, 40
    W = np.random.default_rng(7).standard_normal((v, d)) / math.sqrt(d)
    j = np.arange(1, v + 1.0)
    left, singular, _ = np.linalg.svd(j[:, None] ** -alpha * W, full_matrices=False)
    projection = left.T @ j ** -(alpha + beta)
    spectrum = PLRF(alpha, beta, d, v, noise_variance=0.2).spectrum(seed=7)
    np.testing.assert_allclose(spectrum.eigenvalues, singular**2, rtol=1e-12)
    np.testing.assert_allclose(spectrum.error_sq, (projection / singular) ** 2, rtol=1e-9)
    floor = 0.5 * (np.sum(j ** (-2 * (alpha + beta))) - projection @ projection) + 0.1
    assert spectrum.risk_floor == pytest.approx(floor, rel=1e-12)


@pytest.mark.parametrize(
    ("alpha", "beta", "d", "v"),
    [(1.0, 0.7, 10**9, math.inf), (0.25, 1.5, 200, 800), (1.5, 1.5, 1000, 4000)],
)
def test_equivalent_keeps_dimension_trace_and_initial_risk(
    alpha: float, beta: float, d: int, v: float
) -> None:
    problem = PLRF(alpha, beta, d, v, noise_variance=0.01)
    spectrum = problem.spectrum()
    # Contours and sums are good to some 1e-11.
    assert spectrum.dimension == pytest.approx(d, rel=1e-10)
    assert spectrum.trace == pytest.approx(problem.trace, rel=1e-9)
    assert spectrum.initial_risk == pytest.approx(problem.initial_risk, rel=1e-9)
    assert spectrum.risk_floor == problem.risk_floor
    low, high = problem.edges
    assert low * (1 - 1e-9) < spectrum.eigenvalues.min()
    assert spectrum.eigenvalues.max() < high * (1 + 1e-9)


def test_v_follows_d_by_a_ratio_of_at_least_one():
    assert PLRF.of_ratio(1.0, 0.7, 100, 1.15).v == 115  # though 1.15 * 100 < 115 in floats
    assert PLRF.of_ratio(1.0, 0.7, 100, math.inf).v == math.inf
    with pytest.raises(ValueError, match="`v` must be at least d"):
        PLRF.of_ratio(1.0, 0.7, 100, 0.5)
