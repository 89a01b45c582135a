"""Claims about the phase diagram."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from hidim.scaling.phases import boundaries, phase_of

_spec = importlib.util.spec_from_file_location("tables", Path(__file__).with_name("tables.py"))
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)


@pytest.mark.parametrize("phase", tables.PHASES)
def test_every_point_of_a_phase_is_named_so(phase):
    assert {phase_of(a, b) for a, b in tables.points(phase, 200, seed=1)} == {phase}


def test_no_scaling_below_one_half():
    assert phase_of(0.2, 0.3) == phase_of(0.1, 0.1) == "trivial"
    assert phase_of(0.2, 0.300001) == "Ib"


def test_points_on_a_line_are_named_and_said_to_be_on_it():
    for a, b in ((1.0, 0.5), (0.5, 0.7), (0.8, 0.8), (0.25, 0.9), (0.5, 0.5), (0.1, 0.4)):
        assert boundaries(a, b)[0].distance < 1e-15
        assert phase_of(a, b) in (*tables.PHASES, "trivial")


def test_distances_are_those_of_the_plane():
    found = {edge.line: edge.distance for edge in boundaries(1.0, 0.7)}
    assert found == pytest.approx({"2 beta = 1": 0.2, "alpha = beta": 0.3 / math.sqrt(2)})
    corner = {edge.between: edge.distance for edge in boundaries(0.4, 0.4)}
    assert corner["trivial", "Ib"] == pytest.approx(0.3 / math.sqrt(2))
    assert corner["Ib", "IVa"] == pytest.approx(0.1)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (1.0, math.inf)])
def test_exponents_out_of_range_are_refused(a, b):
    with pytest.raises(ValueError, match=r"alpha|beta"):
        phase_of(a, b)
