"""Claims about the deterministic equivalent: m(z), edges, density, floor."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hidim.problems.equivalent.resolvent import Resolvent
from hidim.problems.power_law import PLRF


@pytest.mark.parametrize(("alpha", "d", "v"), [(1.0, 200, 800), (0.3, 50, 200), (1.5, 100, 101)])
def test_floor_is_the_fixed_point(alpha: float, d: int, v: int) -> None:
    beta = 0.6
    eigenvalues = np.arange(1, v + 1.0) ** (-2 * alpha)
    low, high = 0.0, 1e9  # sum tau l / (1 + tau l) = d by bisection on log(1 + tau)
    for _ in range(200):
        tau = math.expm1((math.log1p(low) + math.log1p(high)) / 2)
        if np.sum(tau * eigenvalues / (1 + tau * eigenvalues)) < d:
            low = tau
        else:
            high = tau
    weight = eigenvalues * np.arange(1, v + 1.0) ** (-2 * beta)
    floor = 0.5 * np.sum(weight / (1 + tau * eigenvalues))
    assert Resolvent(alpha, d, v).floor(beta) == pytest.approx(floor, rel=1e-8)


@pytest.mark.parametrize("z", [0.1 + 0.01j, 0.1 - 0.01j, 0.01, -1.0, 5j])
def test_m_solves_its_equation(z: complex) -> None:
    eigenvalues = np.arange(1, 801.0) ** -2
    m = complex(Resolvent(1.0, 200.0, 800.0).m_of(np.array(z)))
    assert m == pytest.approx(1 / (1 + np.sum(eigenvalues / (eigenvalues * m - z)) / 200), rel=1e-9)


def test_density_integrates_to_one() -> None:
    equivalent = Resolvent(0.6, 30.0, 90.0)
    x = np.geomspace(*equivalent.edges, 3001)
    # the trapezoid over square-root edges leaves some 1e-5
    assert np.trapezoid(equivalent.density(x) * x, np.log(x)) == pytest.approx(1.0, rel=1e-4)


def test_m_is_found_on_the_axis_and_in_gaps_at_any_size() -> None:
    for alpha, d, v in [(1.0, 1e9, math.inf), (0.3, 1000.0, 1001.0), (1.5, 1e6, 4e6)]:
        equivalent = Resolvent(alpha, d, v)
        low, high = equivalent.edges
        z = np.geomspace(low / 2, high * 1.2, 25) + 0j
        u = equivalent.solve(z)
        np.testing.assert_allclose(equivalent.z(u), z, rtol=1e-11)
        assert np.all(u.imag <= 0)
        # The one solution in the half plane: elsewhere this sum exceeds 1.
        assert np.all(equivalent.crowding(u) < 1e-8)


def test_edges_enclose_draws_and_density_vanishes_outside() -> None:
    problem = PLRF(0.6, 0.5, 100, 400)
    low, high = problem.edges
    eigenvalues = problem.spectrum(seed=0).eigenvalues
    # Fluctuations at the bottom are d^(-2/3) of a spacing; the top band is smeared, not moved.
    assert 0.9 * low < eigenvalues.min()
    assert eigenvalues.max() < 1.1 * high
    assert np.all(problem.density([0.5 * low, 1.1 * high]) == 0)
    assert problem.density(np.sqrt(low * high)) > 0
    assert problem.m(0.0) == pytest.approx(0.0, abs=1e-12)
