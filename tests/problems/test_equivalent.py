"""Claims about the nodes of the deterministic equivalent."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hidim import Spectrum, predict, sgd
from hidim.problems.equivalent.nodes import RESOLUTIONS, equivalent, equivalent_nodes
from hidim.problems.power_law import PLRF

GRID = [
    (1.0, 0.7, 200, 800),
    (0.25, 1.5, 200, 800),
    (1.5, 0.3, 300, 1200),
    (0.6, 1.3, 60, 61),
    (0.7, 0.5, 50, 50),
    (0.05, 0.4, 100, 1000),
    (1.0, -0.3, 40, 4000),
    (0.3, 0.25, 3, 5000),
    (2.5, 2.0, 20, 40),
    (1.0, 0.7, 1, 4),
]


def resolvents(alpha: float, beta: float, d: int, v: int, z: float) -> tuple[float, float]:
    """tr (K-z)^-1 and the target-weighted resolvent at z < 0, from the definition of m."""
    j = np.arange(1, v + 1.0)
    eigenvalues = j ** (-2 * alpha)

    def defect(m: float) -> float:  # rises with m
        return m * (1 + np.sum(eigenvalues / (eigenvalues * m - z)) / d) - 1

    low, high = 0.0, 1.0
    for _ in range(100):
        m = (low + high) / 2
        low, high = (m, high) if defect(m) < 0 else (low, m)
    return -d * m / z, float(np.sum(eigenvalues * j ** (-2 * beta) / (eigenvalues * m - z)))


@pytest.mark.parametrize(("alpha", "beta", "d", "v"), GRID)
def test_nodes_reproduce_both_resolvents_at_every_scale(
    alpha: float, beta: float, d: int, v: int
) -> None:
    eigenvalues, error_sq, multiplicity = equivalent_nodes(alpha, beta, d, v)
    floor = PLRF(alpha, beta, d, v).risk_floor
    lowest = max(eigenvalues.min(), 1e-12)
    for z in -np.geomspace(lowest, 10 * eigenvalues.max(), 12):
        count, energy = resolvents(alpha, beta, d, v, z)
        # Paths, sums and the bisection for m each leave some 1e-12.
        assert np.sum(multiplicity / (eigenvalues - z)) == pytest.approx(count, rel=1e-9)
        nodes = np.sum(eigenvalues * error_sq / (eigenvalues - z)) - 2 * floor / z
        assert nodes == pytest.approx(energy, rel=1e-9)


@pytest.mark.parametrize(
    ("alpha", "beta", "d", "v"),
    [
        (1.0, 0.7, 10**9, math.inf),
        (0.51, 1.5, 10**6, math.inf),
        (1.5, 1.5, 10**9, math.inf),
        (0.25, 0.25, 10**8, 10**9),
        (0.5, 1.0, 10**6, 10**6),
        (1.0, 0.5, 10**5, 10**5 + 1),
        (1.2, 1.7, 10**7, 10**15),  # (1 - 2 beta)/(2 alpha) = -1: a resonance of closed forms
        (0.25, 0.75, 200, 10**12),  # all eigenvalues near trace/d
        (3.0, -2.0, 10**4, math.inf),
        (1.7905, 2.2905, 20, math.inf),  # beta - alpha = 1/2 to rounding
    ],
)
def test_totals_are_kept_at_any_size(alpha: float, beta: float, d: int, v: float) -> None:
    problem = PLRF(alpha, beta, d, v)
    spectrum = problem.spectrum()
    low, high = problem.edges
    assert spectrum.dimension == pytest.approx(d, rel=1e-10)
    assert spectrum.trace == pytest.approx(problem.trace, rel=1e-10)
    assert spectrum.initial_risk == pytest.approx(problem.initial_risk, rel=1e-10)
    # No node outside the spectrum: one above it would be unstable before the problem is.
    assert low * (1 - 1e-9) < spectrum.eigenvalues.min()
    assert spectrum.eigenvalues.max() < high * (1 + 1e-9)
    assert np.all(spectrum.counts > 0)
    assert len(spectrum) < 1000


@pytest.mark.parametrize(
    ("alpha", "beta", "d", "v"),
    [(1.0, 0.7, 1000, 4000), (1.2, 0.3, 10**7, math.inf), (0.3, 0.8, 1000, 4000)],
)
def test_curves_of_few_nodes_agree_with_finer_nodes(
    alpha: float, beta: float, d: int, v: float
) -> None:
    floor = PLRF(alpha, beta, d, v).risk_floor
    times = np.geomspace(1, 1e12, 61)[:, None]

    def curves(*resolution: float) -> np.ndarray:
        eigenvalues, error_sq, _ = equivalent(alpha, d, v).nodes(beta, *resolution)
        energy = eigenvalues * error_sq
        damping = np.exp(-0.5 * times * eigenvalues)
        # sgd: e^(-2 gamma t lambda). dana-constant with delta = 8 and gamma_3 = 0.1/d: the
        # momentum mode Gamma(nu+1) (2/z)^nu J_nu(z) at nu = 7/2, z = t sqrt(gamma_3 lambda).
        z = np.maximum(times * np.sqrt(0.1 / d * eigenvalues), 1e-2)
        mode = 1575 * ((1 - 0.4 * z**2) * np.sin(z) - (z - z**3 / 15) * np.cos(z)) / z**7
        mode = np.where(z < 0.3, 1 - z**2 / 18 + z**4 / 792 - z**6 / 61776, mode)
        return 2 * floor + np.stack([damping @ energy, (mode**2 * damping) @ energy])

    # 1e-7 is the promise; measured 6e-9 at worst. Twice the frequency takes panels of half the
    # width, cut elsewhere: the two share nothing but the sums.
    np.testing.assert_allclose(curves(25.0), curves(50.0), rtol=1e-7)
    # The usual rule is off by less than twice what it differs from the coarser one by.
    usual, finest = curves(RESOLUTIONS[0]), curves(60.0)
    coarser = 2 * np.abs(curves(RESOLUTIONS[-1]) - usual).max(axis=-1)
    assert np.all(np.abs(usual - finest).max(axis=-1) < np.maximum(coarser, 1e-11 * usual[:, 0]))


def test_forcing_lies_among_draws_of_w() -> None:
    problem = PLRF(1.0, 0.7, 200, 800)
    times = np.geomspace(1, 1e6, 10)

    def forcing(seed: int | None) -> np.ndarray:
        spectrum = problem.spectrum(seed)
        decay = np.exp(-2 * times[:, None] * spectrum.eigenvalues)
        return spectrum.risk_floor + 0.5 * decay @ (spectrum.eigenvalues * spectrum.error_sq)

    draws = np.array([forcing(seed) for seed in range(40)])
    error = draws.std(axis=0, ddof=1) / math.sqrt(40)
    assert np.all(np.abs(forcing(None) - draws.mean(axis=0)) < 3 * error)


@pytest.mark.parametrize(("alpha", "beta", "d", "v"), [(1.0, 0.7, 1000, None), (0.4, 0.7, 99, 396)])
def test_the_coarser_spectrum_is_the_same_problem_on_fewer_nodes(
    alpha: float, beta: float, d: int, v: float | None
) -> None:
    spectrum = PLRF(alpha, beta, d, v, noise_variance=0.1).spectrum()
    coarser = spectrum.coarser
    assert coarser is not None
    assert coarser is spectrum.coarser
    assert coarser.coarser is None
    assert coarser.finer == spectrum
    assert len(coarser) < 0.9 * len(spectrum)
    assert np.all(coarser.counts > 0)
    assert coarser.risk_floor == spectrum.risk_floor
    for total in ("dimension", "trace", "initial_risk"):
        assert getattr(coarser, total) == pytest.approx(getattr(spectrum, total), rel=1e-13)
    curves = [predict(s, sgd(0.2), 1e8) for s in (spectrum, coarser)]
    np.testing.assert_allclose(curves[0].risk, curves[1].risk, rtol=1e-9)


def test_only_nodes_of_a_quadrature_have_a_coarser_spectrum(tmp_path: Path) -> None:
    problem = PLRF(1.0, 0.7, 20, 80)
    spectrum = problem.spectrum()
    spectrum.save(tmp_path / "s.json")
    loaded = Spectrum.load(tmp_path / "s.json")
    assert loaded == spectrum
    assert hash(loaded) == hash(spectrum)
    assert repr(loaded) == repr(spectrum)
    X = np.random.default_rng(0).standard_normal((9, 3))
    for other in (
        loaded,
        spectrum.compress(),
        problem.spectrum(seed=0),
        replace(spectrum, risk_floor=1.0),
        Spectrum.from_data(X, X[:, 0]),
        Spectrum([1.0], [1.0], 0.0),
    ):
        assert other.coarser is other.finer is None
    travelled = pickle.loads(pickle.dumps(spectrum))  # to another process, say
    assert travelled.coarser == spectrum.coarser


@pytest.mark.parametrize("frequency", [6.0, 12.0, 50.0, 200.0])
def test_a_rule_of_any_frequency_keeps_the_totals(frequency: float) -> None:
    problem = PLRF(1.2, 0.3, 10**6)
    eigenvalues, error_sq, counts = equivalent(1.2, 1e6, math.inf).nodes(0.3, frequency)
    assert counts.sum() == pytest.approx(1e6, rel=1e-10)
    assert counts @ eigenvalues == pytest.approx(problem.trace, rel=1e-10)
    removed = problem.initial_risk - problem.risk_floor
    assert 0.5 * eigenvalues @ error_sq == pytest.approx(removed, rel=1e-10)
    assert np.all(counts > 0)


def test_finer_nodes_follow_momentum_that_rings() -> None:
    # DANA-constant in continuous time with delta = 4, whose amplitude falls like 1/phase^2 only:
    # momentum mode Gamma(nu+1) (2/z)^nu J_nu(z) at nu = 3/2, damped by exp(-gamma_2 t lambda).
    times = np.geomspace(1e6, 1e12, 61)[:, None]
    rules: list[Spectrum] = []
    spectrum: Spectrum | None = PLRF(1.2, 0.3, 10**6).spectrum()
    while spectrum is not None:
        rules.append(spectrum)
        spectrum = spectrum.finer

    def curve(nodes: Spectrum) -> np.ndarray:
        z = np.maximum(times * np.sqrt(1e-7 * nodes.eigenvalues), 1e-2)
        mode = 3 * (np.sin(z) - z * np.cos(z)) / z**3
        energy = nodes.eigenvalues * nodes.error_sq
        return 2 * nodes.risk_floor + (mode**2 * np.exp(-times * nodes.eigenvalues)) @ energy

    curves = [curve(nodes) for nodes in rules]
    errors = [np.max(np.abs(c / curves[-1] - 1)) for c in curves[:-1]]
    assert [len(nodes) for nodes in rules] == sorted(len(nodes) for nodes in rules)
    assert len(rules) == 5
    assert errors[0] < 1e-3
    assert errors[2] < 1e-2 * errors[0]
    # Each finer rule measures the error of the one before it.
    for k in range(3):
        assert np.max(np.abs(curves[k + 1] / curves[k] - 1)) > 0.5 * errors[k]
