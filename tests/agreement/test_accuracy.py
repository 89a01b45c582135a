"""Predictions keep the accuracy they promise, and know how far they are off.

The truth is in 80-bit floats and decimals; where a long double is no longer than a double, as on
some machines, it could not tell rounding from error.
"""

import math
from functools import cache

import numpy as np
import pytest

import hidim
from tests.agreement.configurations import configurations, constant_configurations
from tests.agreement.decimals import power_risks
from tests.agreement.judge import (
    HAS_RTOL,
    ROUNDING,
    RTOL,
    Truth,
    compare,
    judge,
    power_truths,
    truths,
)
from tests.agreement.longdouble import EXTENDED, Run, risks

pytestmark = pytest.mark.skipif(not EXTENDED, reason="long doubles are doubles here")

_CURVE = hidim.predict(hidim.Spectrum([1.0], [1.0], 0.0), hidim.sgd(0.1), 1)
needs_estimates = pytest.mark.skipif(
    "error" not in _CURVE.provenance, reason="predictions do not estimate their error yet"
)
# Without an estimate of its own a prediction is held to what the engine's docstring says of it.
MOST = RTOL if HAS_RTOL else 6e-6


def verdicts_on(drawn, truths_of):
    known = dict(truths_of(drawn))
    return [judge(c, known[i]) for i, c in enumerate(drawn)]


@cache
def small():
    return verdicts_on(configurations(24, 1, steps=3000, modes=24), truths)


@cache
def constant():
    few_modes = [c for c in constant_configurations(22) if len(c.spectrum) <= 5]
    return verdicts_on(few_modes, power_truths)


@pytest.mark.parametrize("verdicts", [small, constant])
def test_predictions_are_as_near_to_the_truth_as_they_promise(verdicts):
    far = [(v.name, v.error) for v in verdicts() if v.status != "inaccurate" and v.error > MOST]
    assert not far
    assert not [(v.name, v.broken) for v in verdicts() if v.broken]


@needs_estimates
@pytest.mark.parametrize("verdicts", [small, constant])
def test_no_prediction_is_further_off_than_it_estimates(verdicts):
    assert not [v.name for v in verdicts() if v.estimate is None]
    assert not [(v.name, v.faults) for v in verdicts() if v.faults]


@needs_estimates
def test_estimates_are_within_thirty_times_the_error_in_the_middle():
    above = [v.ratio for v in small() + constant() if v.error > ROUNDING]
    assert np.median(above) <= 30


@pytest.mark.parametrize("batch_size", [1, 4, math.inf])
def test_both_truths_agree(batch_size):
    """Steps in 80-bit floats, and powers of one map in decimals, at the digits of float64."""
    spectrum = hidim.Spectrum([1.0, 0.3, 0.02, 0.0], [1.0, 2.0, 5.0, 1.0], 0.01, [1, 3, 2, 1])
    at = np.array([0, 1, 2, 30, 400, 2000])
    for algorithm, readout in (
        (hidim.sgd(0.2), "gradient"),
        (hidim.sgd_momentum(0.0, 0.01, 0.001), "gradient"),
        (hidim.accelerated_sgd(0.1, 0.2, 0.9, 0.05), "short-step"),
    ):
        run = Run(spectrum, algorithm, batch_size, int(at[-1]), readout)
        ((_, risk, iterate),) = risks([run])
        right = power_risks(spectrum, algorithm, batch_size, at, readout)
        np.testing.assert_allclose(risk[at], right, rtol=4e-16)
        right = power_risks(spectrum, algorithm, batch_size, at)
        np.testing.assert_allclose(iterate[at], right, rtol=4e-16)


class TestJudge:
    """What is not right is found out."""

    at = np.array([0, 1, 2, 4, 8])
    risk = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    grown = 10.0 ** np.arange(0, 27, 3)

    def verdict(self, right, risk, status="ok", **options):
        curve = hidim.Curve(self.at, risk, status=status, **options)
        return compare("a run", curve, Truth.of(self.at, right, right))

    def test_an_error_is_relative_to_the_largest_risk_within_a_factor_two(self):
        wrong = self.risk[self.at] + np.array([0, 0, 0, 0, 0.06])
        verdict = self.verdict(self.risk, wrong)
        assert verdict.error == pytest.approx(0.06 / 0.6)
        assert verdict.step == 8
        assert len(verdict.faults) == 1
        assert not self.verdict(self.risk, wrong, "diverged", diverged_at=3).error < 0.05

    def test_an_estimate_below_the_error_is_a_fault(self):
        wrong = self.risk[self.at] * (1 + 1e-9)
        for estimate, faults in ((1e-10, 1), (1e-8, 0)):
            found = self.verdict(self.risk, wrong, provenance={"error": estimate})
            assert len(found.faults) == faults

    def test_divergence_is_seen_at_its_step_and_nowhere_else(self):
        told = self.grown[self.at]
        assert not self.verdict(self.grown, told, "diverged", diverged_at=2).faults
        assert self.verdict(self.grown, told, "diverged", diverged_at=3).faults
        assert self.verdict(self.grown, told, "ok").faults
        lost = np.where(self.at < 8, told, math.inf)
        assert not self.verdict(self.grown, lost, "diverged", diverged_at=2).faults
        early = np.where(self.at < 4, told, math.inf)
        assert self.verdict(self.grown, early, "diverged", diverged_at=2).faults
        assert self.verdict(self.risk, self.risk[self.at], "diverged", diverged_at=3).faults


@pytest.mark.slow
@needs_estimates
def test_three_hundred_runs_of_up_to_a_hundred_thousand_steps():
    found = verdicts_on(configurations(300), truths)
    assert not [(v.name, v.faults) for v in found if v.faults]
    assert np.median([v.ratio for v in found if v.error > ROUNDING]) <= 30


@pytest.mark.slow
@needs_estimates
def test_constant_rates_to_a_trillion_steps():
    found = verdicts_on(constant_configurations(24), power_truths)
    assert not [(v.name, v.faults) for v in found if v.faults]
