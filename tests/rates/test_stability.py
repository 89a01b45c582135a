"""Edges of stability: closed forms, the engine on both sides of them, and what is reported."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import hidim
from hidim.rates.edges import Edges
from hidim.rates.stability import sgd_threshold
from hidim.systems.row_gain import looks


def power_law(modes=40, exponent=2.0, floor=1e-3, count=None):
    lam = np.arange(1, modes + 1.0) ** -exponent
    return hidim.Spectrum(lam, np.arange(1, modes + 1.0) ** -0.4, floor, count)


def plain_risk(spectrum, algorithm, batch_size, steps):
    """The written recursion, step by step, for as long as the numbers last."""
    lam, count = spectrum.eigenvalues, spectrum.counts
    rho, sig, chi = spectrum.error_sq.copy(), 0.0 * lam, 0.0 * lam
    risk = [spectrum.initial_risk]
    for t in range(steps):
        g1, g2 = float(algorithm.gamma_1(t)), float(algorithm.gamma_2(t))
        g3, D = float(algorithm.gamma_3(t)), 1.0 - float(algorithm.forgetting(t))
        G, e = g2 + g1 * g3, 1.0 + 1.0 / batch_size
        twice = count * lam / batch_size * 2.0 * risk[-1]
        rho, sig, chi = (
            rho * (1 - 2 * G * lam + e * G**2 * lam**2)
            + g3**2 * D**2 * sig
            + (-2 * g3 * D + 2 * G * g3 * D * lam) * chi
            + G**2 * twice,
            e * g1**2 * lam**2 * rho + D**2 * sig + 2 * g1 * D * lam * chi + g1**2 * twice,
            (g1 * lam - e * G * g1 * lam**2) * rho
            - g3 * D**2 * sig
            + (D - (G + g1 * g3) * D * lam) * chi
            - G * g1 * twice,
        )
        risk.append(spectrum.risk_floor + 0.5 * float(lam @ rho))
        if not risk[-1] < 1e12 * risk[0]:  # beyond any transient that comes back
            break
    return np.array(risk)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 64])
def test_sgd_threshold_solves_its_equation(batch_size):
    spectrum = power_law(count=np.linspace(0.5, 3.0, 40))
    g = sgd_threshold(spectrum, batch_size)
    lam = spectrum.eigenvalues
    terms = g * lam / (batch_size * (2 - g * lam * (batch_size + 1) / batch_size))
    assert np.all(terms > 0)
    assert float(spectrum.counts @ terms) == pytest.approx(1.0, rel=1e-12)


def test_sgd_threshold_known_value():
    # lambda = j^-2, d = 200, B = 4: 1.304, where the small-step form would say 4.88.
    assert sgd_threshold(power_law(200), 4) == pytest.approx(1.304, abs=5e-4)


def test_sgd_threshold_limits():
    spectrum = power_law()
    assert sgd_threshold(spectrum, math.inf) == 2.0
    assert sgd_threshold(spectrum, 1e9) == pytest.approx(2.0, rel=1e-6)
    assert sgd_threshold(hidim.Spectrum([0.0], [1.0], 0.1)) == math.inf


@pytest.mark.parametrize("batch_size", [1, 4])
def test_sgd_lives_just_below_its_threshold_and_dies_just_above(batch_size):
    spectrum = power_law()
    edge = sgd_threshold(spectrum, batch_size)
    below = plain_risk(spectrum, hidim.sgd(0.97 * edge), batch_size, 2000)
    above = plain_risk(spectrum, hidim.sgd(1.03 * edge), batch_size, 2000)
    assert below[-1] < below[0]
    assert above[-1] > 1000 * above[0]
    report = hidim.stability(spectrum, hidim.sgd(1.03 * edge), 2000, batch_size)
    assert not report.stable
    assert report.diverged_at == np.argmax(above > 1000 * above[0])
    assert hidim.stability(spectrum, hidim.sgd(0.97 * edge), 2000, batch_size).stable


@pytest.mark.parametrize("batch_size", [1, 4, math.inf])
def test_largest_rates_of_constant_schedules_are_where_the_spectral_radius_is_one(batch_size):
    spectrum = power_law(8)
    algorithm = hidim.sgd_momentum(0.1, 0.03, 0.2)
    report = hidim.stability(spectrum, algorithm, 100, batch_size)
    for change, edge in (
        (lambda r: hidim.sgd_momentum(r, 0.3 * r, 0.2), report.largest_gamma_2),
        (lambda r: hidim.sgd_momentum(0.1, r, 0.2), report.largest_gamma_3),
    ):
        for factor, growing in ((1 - 1e-9, False), (1 + 1e-9, True)):
            near = hidim.stability(spectrum, change(factor * edge), 10, batch_size)
            assert (near.growth > 0) == growing
            assert near.stable != growing
    assert report.norm_gamma_2 == report.largest_gamma_2


def test_a_constant_rate_beyond_the_edge_is_unstable_before_it_has_diverged():
    spectrum = power_law()
    report = hidim.stability(spectrum, hidim.sgd(1.001 * sgd_threshold(spectrum)), 50)
    assert not report.stable
    assert report.diverged_at is None
    assert "unstable" in report.verdict


@pytest.mark.parametrize(
    "algorithm",
    [
        hidim.dana_decaying(0.2, 0.1, 0.5, 6.0),
        hidim.dana_constant(0.2, 0.002, 6.0),
        hidim.schedule_free_sgd(0.3),
        hidim.sgd(0.3).scheduled(hidim.Cosine(1000)),
    ],
    ids=lambda algorithm: algorithm.name,
)
def test_largest_rate_of_a_moving_schedule_is_where_runs_start_to_diverge(algorithm):
    spectrum = power_law()
    steps = 1000
    report = hidim.stability(spectrum, algorithm, steps, 2)
    scale = report.largest_gamma_2 / float(algorithm.gamma_2(0))
    for factor, holds in ((0.995, True), (1.01, False)):  # the edge is known to 0.2 %
        scaled = algorithm.scheduled(hidim.Constant(factor * scale))
        risk = plain_risk(spectrum, scaled, 2, steps)
        assert (risk[-1] < 1000 * risk[0]) == holds
    assert report.norm_gamma_2 <= 1.01 * report.largest_gamma_2


def test_largest_momentum_rate_of_dana_is_where_runs_start_to_diverge():
    spectrum = power_law()
    report = hidim.stability(spectrum, hidim.dana_constant(0.2, 0.002, 6.0), 1000)
    for factor, holds in ((0.995, True), (1.01, False)):
        algorithm = hidim.dana_constant(0.2, factor * report.largest_gamma_3, 6.0)
        risk = plain_risk(spectrum, algorithm, 1, 1000)
        assert (risk[-1] < 1000 * risk[0]) == holds


def test_slides_forgetting_above_two_does_not_hide_the_edge_of_the_norm():
    slides = hidim.Momentum(1.0, 0.2, 0.002, hidim.PowerLaw(8.0, 1.0))
    safe = hidim.Momentum(1.0, 0.2, 0.002, hidim.Forgetting(8.0))
    spectrum = power_law()
    by_slides = hidim.stability(spectrum, slides, 1000)
    assert by_slides.norm[0] == math.inf
    assert by_slides.norm_gamma_2 == pytest.approx(
        hidim.stability(spectrum, safe, 1000).norm_gamma_2, rel=0.05
    )


@pytest.mark.parametrize("scale", [0.5, 0.1, 0.02])
def test_stochastic_nesterov_is_reported_divergent_with_the_step(scale):
    spectrum = power_law(30, floor=0.0)
    algorithm = hidim.stochastic_nesterov(scale / spectrum.trace)
    report = hidim.stability(spectrum, algorithm, 5000)
    risk = plain_risk(spectrum, algorithm, 1, 5000)
    assert not report.stable
    assert report.diverged_at == np.argmax(risk > 1000 * risk[0])
    assert f"step {report.diverged_at:g}" in report.verdict


def test_no_rate_is_stable_for_stochastic_nesterov_unless_batches_are_full():
    spectrum = hidim.Spectrum([1.0, 0.1], [1.0, 1.0], 0.1)
    noisy = hidim.stability(spectrum, hidim.stochastic_nesterov(0.1), 200)
    assert (noisy.largest_gamma_2, noisy.largest_gamma_3) == (0.0, 0.0)
    full = hidim.stability(spectrum, hidim.stochastic_nesterov(0.1), 200, math.inf)
    assert full.stable
    assert full.largest_gamma_2 > 0.5


def test_smaller_rates_only_postpone_the_divergence_of_stochastic_nesterov():
    spectrum = power_law(30)
    steps = [
        hidim.stability(spectrum, hidim.stochastic_nesterov(s / spectrum.trace), 5000).diverged_at
        for s in (0.5, 0.1, 0.02)
    ]
    assert all(4 < later / earlier < 12 for earlier, later in pairwise(steps))


def test_norm_above_one_on_a_run_that_holds_is_a_warning():
    spectrum = power_law()
    algorithm = hidim.sgd(hidim.Table([0, 20, 21], [0.9, 0.9, 0.1], "previous"))
    report = hidim.stability(spectrum, algorithm, 1000)
    assert report.norm.max() > 1
    assert report.stable
    assert "between steps 0 and 20" in report.warning
    assert report.highest_risk > 1.1


def test_grid_holds_both_ends_and_every_breakpoint():
    algorithm = hidim.sgd(0.1).scheduled(hidim.Warmup(37) * hidim.Cosine(5001))
    report = hidim.stability(power_law(), algorithm, 1e4)
    assert {0, 35, 36, 5000, 5001, 10_000} <= set(report.steps.tolist())
    assert report.steps.dtype == np.int64
    assert report.norm.shape == report.small_step_norm.shape == report.steps.shape


def test_algorithms_without_a_rate_have_no_largest_one():
    spectrum = power_law()
    assert hidim.stability(spectrum, hidim.sgd(0.1), 10).largest_gamma_3 is None
    torch_momentum = hidim.stability(spectrum, hidim.sgd_momentum(0.0, 0.01, 0.1), 10)
    assert torch_momentum.largest_gamma_2 is None
    assert torch_momentum.largest_gamma_3 > 0.01
    assert hidim.stability(spectrum, hidim.sgd(0.0), 10).stable


def test_no_momentum_rate_holds_where_the_gradient_step_is_unstable():
    report = hidim.stability(power_law(), hidim.sgd_momentum(1.5, 0.01, 0.5), 100)
    assert report.largest_gamma_3 == 0.0


def test_full_batches_keep_gradient_descent_below_two_over_the_top_curvature():
    spectrum = power_law()
    report = hidim.stability(spectrum, hidim.sgd(1.9), 1000, math.inf)
    assert report.stable
    assert report.largest_gamma_2 == pytest.approx(2.0, rel=1e-9)
    assert not hidim.stability(spectrum, hidim.sgd(2.1), 1000, math.inf).stable


def test_report_is_strict_json():
    report = hidim.stability(power_law(), hidim.sgd(2.5), 100, math.inf)
    table = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert table["stable"] is False
    assert table["norm"][0] is None
    assert table["sgd_threshold"] == 2


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="batch_size"):
        hidim.stability(power_law(), hidim.sgd(0.1), 10, 0)
    with pytest.raises(ValueError, match="steps"):
        hidim.stability(power_law(), hidim.sgd(0.1), -1)
    with pytest.raises(ValueError, match="algorithm"):
        hidim.stability(power_law(), "sdg", 10)
    with pytest.raises(ValueError, match="problem"):
        hidim.stability(None, hidim.sgd(0.1), 10)


@pytest.mark.parametrize("rate", [1e-200, 1e160, 1e300])
def test_rates_of_any_size_get_a_verdict_and_the_same_edge(rate):
    spectrum = power_law()
    found = hidim.stability(spectrum, hidim.sgd(rate), 100)
    assert found.stable == (rate < 1)
    # The edge of SGD does not depend on the rate that it is searched from, but for the root's 1e-9.
    assert found.largest_gamma_2 == pytest.approx(sgd_threshold(spectrum), rel=1e-9)
    json.dumps(found.to_dict(), allow_nan=False)


def test_clipping_the_lengths_of_rows_is_what_it_says():
    rng = np.random.default_rng(1)
    X = rng.standard_t(3, (200, 4))
    found = hidim.stability(hidim.Spectrum.from_data(X, X[:, 0]), hidim.sgd(0.01), 100)
    for quantile in (0.5, 0.95, 1.0):
        lengths = np.linalg.norm(X, axis=1)
        most = np.quantile(lengths, quantile)
        short = X * np.minimum(1.0, most / lengths)[:, None]
        known = hidim.stability(hidim.Spectrum.from_data(short, X[:, 1]), hidim.sgd(0.01), 100)
        assert found.clipped_gamma_2(quantile) == pytest.approx(known.largest_gamma_2, rel=1e-4)
    bare = hidim.stability(hidim.Spectrum([1.0], [1.0], 0.0), hidim.sgd(0.1), 10)
    assert bare.clipped_gamma_2(0.9) is None
    for quantile in (0.0, 1.5):
        with pytest.raises(ValueError, match="quantile"):
            found.clipped_gamma_2(quantile)


def test_a_report_on_rows_is_saved_with_them(tmp_path):
    X = np.random.default_rng(2).standard_normal((30, 3))
    found = hidim.stability(hidim.Spectrum.from_data(X, X[:, 0]), hidim.sgd(0.1), 100)
    found.save(tmp_path / "rows.json")
    again = hidim.Stability.load(tmp_path / "rows.json")
    assert again == found
    assert again.largest_gamma_2 == found.largest_gamma_2


def test_full_batches_of_rows_hold_up_to_the_modes_own_edge():
    X = np.random.default_rng(2).standard_normal((30, 3))
    spectrum = hidim.Spectrum.from_data(X, X[:, 0])
    for rate, stable in ((0.1, True), (2.1 / spectrum.eigenvalues[0], False)):
        found = hidim.stability(spectrum, hidim.sgd(rate), 100, math.inf)
        assert found.stable == stable
        assert len(found.rows) == 0
        assert found.largest_gamma_2 == pytest.approx(2 / spectrum.eigenvalues[0], rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 8, math.inf])
@pytest.mark.parametrize("name", ["gamma_2", "gamma_3"])
def test_the_edge_of_moving_rates_on_rows_is_that_of_the_worst_time(name, batch_size):
    X = np.random.default_rng(3).standard_t(4, (80, 5)) / np.arange(1, 6)
    edges = Edges(
        hidim.Spectrum.from_data(X, X[:, 0]),
        hidim.dana_decaying(0.05, 0.02, 0.3, 4.0),
        batch_size,
        looks(10_000),
    )
    highest = edges.loop.largest(edges.steps, batch_size)
    found = edges.by_norm(name)
    one = {"gamma_2": edges.algorithm.scheduled(hidim.Constant(found / 0.05))}
    one["gamma_3"] = replace(edges.algorithm, gamma_3=found / 0.02 * edges.algorithm.gamma_3)
    if batch_size < math.inf:
        assert highest(one[name]) == pytest.approx(1.0, abs=2e-5)
    else:
        assert highest(one[name].scheduled(hidim.Constant(0.999))) == 0.0
        assert highest(one[name].scheduled(hidim.Constant(1.001))) == math.inf
