"""Claims about the linear program that turns terms into compute-optimal exponents."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from hidim.algorithms.named import kappas_of
from hidim.scaling.exponents import compute_optimal
from hidim.scaling.law import scaling_law
from hidim.scaling.terms import terms_of

_spec = importlib.util.spec_from_file_location("tables", Path(__file__).with_name("tables.py"))
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)

NAMES = ("sgd", "dana-constant", "dana-decaying")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("phase", tables.PHASES)
def test_the_program_finds_the_published_tables(phase, name):
    # 1e-9: the program is exact to rounding, 1e-3 away from edges where pieces turn parallel.
    for a, b in tables.points(phase, 1000, seed=7):
        kappas = kappas_of(a, name)
        eta, low, high = compute_optimal(terms_of(a, b, kappas).values(), kappas)
        wanted = tables.closed_form(phase, name, a, b)
        assert (eta, low, high) == pytest.approx((*wanted, wanted[1]), abs=1e-9), (a, b)


def test_the_program_agrees_with_a_brute_force_grid():
    grid = np.linspace(0, 1, 20001)
    random = np.random.default_rng(3)
    for _ in range(40):
        a, b = random.uniform(0.55, 2), random.uniform(0, 2)
        kappa_3 = random.uniform(0, 1)
        kappa_2 = max(0, 1 - 2 * a * kappa_3) + random.uniform(0, 1)
        law = scaling_law(a, b, "general-momentum", kappa_2=kappa_2, kappa_3=kappa_3)
        log_t = 1 - grid
        theta = np.maximum.reduce([0 * grid, log_t, (2 - kappa_3) * log_t - kappa_2 * grid])
        rho = 2 * a + 2 * b - 1
        terms = [-(2 * a - max(0, 1 - 2 * b)) * grid, -rho / (2 * a) * theta]
        if 2 * b > 1:
            terms += [-grid - (1 - 1 / (2 * a)) * theta, -(2 - 1 / (2 * a)) * theta]
        # The grid's step is 5e-5 and no slope exceeds 2 rho: 4e-4 above the exact minimum.
        best = np.max(terms, axis=0).min()
        assert -law.eta <= best + 1e-12
        assert best <= -law.eta + 4e-4


@pytest.mark.parametrize("name", NAMES)
def test_eta_is_continuous_across_every_boundary(name):
    line = 1 - 1 / math.sqrt(2)
    crossings = [
        *(((a, 0.5), (0, 1)) for a in (0.1, 0.25, 0.27, line, 0.4, 0.5, 0.75, 1.0, 2.0)),
        *(((0.5, b), (1, 0)) for b in (0.1, 0.4, 0.5, 0.8, 2.0)),
        *(((a, a), (1, -1)) for a in (0.6, 0.75, 1.0, 1.309, 2.0)),
        *(((0.25, b), (1, 0)) for b in (0.6, 1.0, 3.0)),
        *(((line, b), (1, 0)) for b in (0.6, 1.0, 3.0)),
        *(((0.75, b), (1, 0)) for b in (0.2, 0.6, 1.5)),
        *((((3 + math.sqrt(5)) / 4, b), (1, 0)) for b in (0.2, 0.7, 2.0)),
        *(((a, 0.5 - a), (1, 1)) for a in (0.1, 0.3, 0.45)),
    ]
    for (a, b), (da, db) in crossings:
        at = scaling_law(a, b, name).eta
        for step in (1e-7, -1e-7):
            near = scaling_law(a + step * da, b + step * db, name).eta
            # No slope of eta exceeds 4 in the plane.
            assert near == pytest.approx(at, abs=1e-6), (a, b, step)


def test_a_flat_optimum_is_reported_as_a_range():
    law = scaling_law(0.75, 0.6, "dana-constant")
    assert law.xi_range == pytest.approx((2 / 4.5, 1.2 / 2.55), abs=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "wanted"),
    [
        (1, 0.3, (0.5333, 0.3333, 0.64, 0.4, 0.6857, 0.4286)),
        (1, 0.7, (0.7059, 0.4118, 0.8, 0.4, 0.8780, 0.5122)),
        (0.7, 0.6, (0.6154, 0.4615, 0.64, 0.48, 0.699, 0.5243)),
        (0.7, 1.2, (0.6429, 0.5, 0.6429, 0.5, 0.7232, 0.5625)),
        (1, 1.5, (0.75, 0.5, 0.8, 0.4, 0.9, 0.6)),
        (1.5, 0.8, (0.7826, 0.3478, 1, 0.3333, 1.0714, 0.3571)),
        (1.5, 2, (0.8333, 0.5, 1, 0.3333, 1.0714, 0.3571)),
        (0.7, 0.3, (0.4167, 0.4167, 0.4545, 0.4545, 0.4787, 0.4787)),
    ],
)
def test_published_points(a, b, wanted):
    laws = [scaling_law(a, b, name) for name in NAMES]
    found = [x for law in laws for x in (law.eta, law.xi)]
    assert found == pytest.approx(wanted, abs=6e-5)  # the table has four digits


def test_time_to_the_floor_of_the_class():
    for a in (0.7, 1.0, 1.2):
        times = [scaling_law(a, 0.8, name).floor_time for name in NAMES]
        assert times == pytest.approx([2 * a, a + 0.5, 4 * a * a / (4 * a - 1)], abs=1e-12)
    for kappa_2, kappa_3, wanted in ((0.5, 0.25, 2.5 / 1.75), (1.5, 0.25, 2.0), (0.0, 1.0, 2.0)):
        law = scaling_law(1, 0.7, "general-momentum", kappa_2=kappa_2, kappa_3=kappa_3)
        assert law.floor_time == pytest.approx(wanted, abs=1e-12)


def test_below_the_line_no_named_optimizer_outscales_sgd():
    for a, b in ((0.2, 0.8), (0.27, 0.8), (0.4, 0.8), (0.4, 0.3), (0.2, 0.45)):
        etas = [scaling_law(a, b, name).eta for name in (*NAMES, "schedule-free-sgd")]
        assert etas == pytest.approx([etas[0]] * 4, abs=1e-12)
