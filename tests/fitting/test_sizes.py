"""Laws of size and data recover what made the points, and the published fit where it is at hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import SizeLaw, envelope, fit_sizes, isoflop, read_sizes
from hidim.fitting.robust import HUBER, huber
from hidim.fitting.sizes.forms import FORMS
from hidim.fitting.sizes.growth import USUAL, growth
from hidim.fitting.sizes.refits import refit
from hidim.fitting.sizes.search import log_errors, solve


def chinchilla(seed: int = 0, noise: float = 2e-3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters, tokens and loss of 120 runs of a known law."""
    rng = np.random.default_rng(seed)
    params = np.exp(rng.uniform(np.log(5e7), np.log(1e10), 120))
    tokens = np.exp(rng.uniform(np.log(1e9), np.log(3e11), 120))
    loss = 1.8 + 480 * params**-0.35 + 2000 * tokens**-0.37
    return params, tokens, loss * np.exp(noise * rng.standard_normal(120))


@pytest.mark.parametrize("name", FORMS)
def test_gradient_is_exact(name: str) -> None:
    form = FORMS[name]
    rng = np.random.default_rng(1)
    logs = rng.uniform(-3, 3, (9, len(form.inputs)))
    vector = np.array([0.4, 0.2, -0.3, 0.5, 0.6, -0.2])[: len(form.parameters)]
    _, jacobian = form.function(vector, logs)
    for i in range(len(vector)):
        h = np.zeros_like(vector)
        h[i] = 1e-6
        slope = (form.function(vector + h, logs)[0] - form.function(vector - h, logs)[0]) / 2e-6
        # central difference: rounding 1e-16 / 1e-6
        assert np.allclose(jacobian[:, i], slope, rtol=1e-6, atol=1e-8)


def test_chinchilla_recovers_the_law_within_its_intervals() -> None:
    params, tokens, loss = chinchilla()
    law = fit_sizes([params, tokens], loss, bootstrap=100)
    truth = {"floor": 1.8, "exponent_params": 0.35, "exponent_tokens": 0.37}
    for name, (low, high) in law.intervals(0.99).items():
        if name in truth:
            assert low <= truth[name] <= high
    best = law.optimal(1e21)
    size = (0.35 * 480 / (0.37 * 2000) * (1e21 / 6) ** 0.37) ** (1 / 0.72)
    assert best["params_interval"][0] <= size <= best["params_interval"][1]
    assert best["params"] * best["tokens"] * 6 == pytest.approx(1e21)


def test_chinchilla_without_noise_is_exact() -> None:
    params, tokens, loss = chinchilla(noise=0.0)
    law = fit_sizes([params, tokens], loss, bootstrap=0)
    assert law.parameters["floor"] == pytest.approx(1.8, abs=1e-4)
    assert law.parameters["exponent_params"] == pytest.approx(0.35, abs=1e-4)
    assert law.holdout["max_relative_error"] < 1e-4


def test_a_few_wrong_points_move_the_fit_little() -> None:
    params, tokens, loss = chinchilla()
    loss[:4] *= 1.5
    law = fit_sizes([params, tokens], loss, bootstrap=0)
    assert law.parameters["exponent_params"] == pytest.approx(0.35, abs=0.03)


def test_band_holds_points_it_has_not_seen() -> None:
    params, tokens, loss = chinchilla()
    law = fit_sizes([params, tokens], loss, bootstrap=100)
    params, tokens, loss = chinchilla(seed=7)
    low, high = law.band(params, tokens)
    # 120 points at 90 %: three binomial standard errors are 0.08
    assert 0.82 <= np.mean((loss >= low) & (loss <= high)) <= 0.98


def test_saved_law_predicts_the_same(tmp_path: Path) -> None:
    params, tokens, loss = chinchilla()
    law = fit_sizes([params, tokens], loss, bootstrap=5)
    law.save(tmp_path / "law.json")
    again = SizeLaw.load(tmp_path / "law.json")
    assert np.array_equal(again.predict(1e9, 2e10), law.predict(1e9, 2e10))
    assert np.array_equal(again.band(1e9, 2e10), law.band(1e9, 2e10))


def test_saturating_and_broken_laws_recover_their_curve() -> None:
    x = np.geomspace(1e3, 1e8, 40)
    smooth = 1.2 + 30 * x**-0.4
    law = fit_sizes([x], smooth, "saturating", bootstrap=0)
    assert law.parameters["exponent"] == pytest.approx(0.4, abs=1e-3)
    bent = 0.5 + 20 * x**-0.2 * (1 + (x / 1e5) ** 2) ** (-0.15)
    law = fit_sizes([x], bent, "broken", bootstrap=0)
    assert np.max(np.abs(law.predict(x) / bent - 1)) < 2e-3
    assert law.parameters["break"] == pytest.approx(1e5, rel=0.2)
    law = fit_sizes([x], 3 * x**-0.7, "power", bootstrap=0)
    assert law.parameters["scale"] == pytest.approx(3, rel=1e-3)


def test_isoflop_finds_the_exponent_and_refuses_an_edge() -> None:
    params, flops = np.meshgrid(np.geomspace(1e7, 1e10, 8), [1e19, 1e20, 1e21])
    best = 0.3 * flops**0.46
    loss = np.exp(0.7 + 0.03 * np.log(params / best) ** 2)
    law = isoflop(params.ravel(), flops.ravel(), loss.ravel())
    assert law.exponent == pytest.approx(0.46, abs=1e-6)
    with pytest.raises(ValueError, match="minimum"):
        isoflop(params.ravel(), flops.ravel(), (1 / params).ravel())


def test_envelope_of_chinchilla_curves_has_its_exponent() -> None:
    curves = []
    for params in np.geomspace(1e7, 3e9, 25):
        tokens = np.geomspace(1e8, 1e12, 200)
        loss = 1.8 + 480 * params**-0.35 + 2000 * tokens**-0.35
        curves.append((params, 6 * params * tokens, loss))
    law = envelope(curves)
    assert law.exponent == pytest.approx(0.5, abs=1e-3)
    assert law.exponent_wider == pytest.approx(0.5, abs=1e-3)
    assert law.size(law.flops[3]) == pytest.approx(law.sizes[3], rel=0.02)


def test_tables_that_cannot_fix_a_law_are_refused() -> None:
    params, tokens, loss = chinchilla()
    with pytest.raises(ValueError, match="three values"):
        fit_sizes([np.full(120, 1e9), tokens], loss)
    with pytest.raises(ValueError, match="at least"):
        fit_sizes([params[:5], tokens[:5]], loss[:5])
    with pytest.raises(ValueError, match="positive"):
        fit_sizes([params, tokens], -loss)
    with pytest.raises(ValueError, match="NaN"):
        fit_sizes([params, tokens], np.where(loss > 2.5, np.nan, loss))


@pytest.mark.slow
def test_published_chinchilla_fit(measured: Callable[..., Path]) -> None:
    data = read_sizes(measured("chinchilla", "svg_extracted_data.csv")).without_highest(5)
    start = time.process_time()
    law = fit_sizes(data.inputs, data.loss, bootstrap=0)
    assert time.process_time() - start < 10
    start = time.process_time()
    law = fit_sizes(data.inputs, data.loss, bootstrap=1000)
    assert time.process_time() - start < 60
    # Besiroglu et al. 2024, table 1; A and B within their standard errors
    assert law.parameters["floor"] == pytest.approx(1.817, abs=0.005)
    assert law.parameters["exponent_params"] == pytest.approx(0.348, abs=0.003)
    assert law.parameters["exponent_tokens"] == pytest.approx(0.366, abs=0.004)
    assert law.parameters["scale_params"] == pytest.approx(482.01, abs=124.58)
    assert law.parameters["scale_tokens"] == pytest.approx(2085.43, abs=1293.23)
    assert law.intervals()["exponent_params"][0] < 0.348 < law.intervals()["exponent_params"][1]


@pytest.mark.parametrize(("law", "rows"), [("chinchilla", 10), ("chinchilla", 60), ("tied", 12)])
def test_refits_searched_together_are_no_worse_than_one_by_one(law: str, rows: int) -> None:
    """Ten rows are met exactly by five parameters, where one search alone creeps for hundreds of
    steps along a valley."""
    rng = np.random.default_rng(1)
    params = np.exp(rng.uniform(np.log(1e7), np.log(1e9), rows))
    tokens = params * np.exp(rng.uniform(np.log(5), np.log(200), rows))
    loss = 1.8 + 480 * params**-0.35 + 2000 * tokens**-0.37
    log_loss = np.log(loss) + 0.01 * rng.standard_normal(rows)
    logs = np.log(np.stack([params / 1e8, tokens / 3e9], axis=1))
    form = FORMS[law]
    best = solve(form, logs, log_loss)
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), 6)
    together = refit(form, logs, log_loss, counts, best, HUBER)
    higher = 0
    for count, vector in zip(counts, together, strict=True):
        again = np.repeat(logs, count, axis=0), np.repeat(log_loss, count)
        alone = solve(form, *again, near=best)
        costs = [
            np.sum(huber((log_errors(form, v, *again) / HUBER) ** 2, 0)[0]) for v in (vector, alone)
        ]
        higher += costs[0] > 1.001 * costs[1]
        if rows == 60:
            assert np.allclose(vector, alone, atol=1e-4)
    assert higher <= 1


def test_errors_grow_as_seen_where_noise_is_small_and_as_usual_where_it_is_not() -> None:
    distance = np.linspace(0.0, 1.5, 9)
    for slope, noise, found in ((0.05, 1e-4, 0.05), (0.0, 1e-4, 0.0), (0.0, 0.5, USUAL)):
        covariance = noise**2 * (np.eye(9) + 0.5)
        assert growth(slope * distance, distance, covariance) == pytest.approx(found, abs=4e-4)
    assert growth(np.ones(3), np.zeros(3), np.eye(3)) == USUAL


def test_bands_widen_beyond_few_noisy_runs_and_not_beyond_many_exact_ones() -> None:
    n = np.geomspace(1e7, 1e9, 6)[:, None]
    n, d = (x.ravel() for x in np.broadcast_arrays(n, n * np.array([5.0, 20.0, 80.0])))
    truth = 1.8 + 480 * n**-0.35 + 2000 * d**-0.35
    noisy = truth * np.exp(0.04 * np.random.default_rng(0).standard_normal(len(n)))
    exact = fit_sizes([n, d], truth, "tied", bootstrap=0)
    some = fit_sizes([n, d], noisy, "tied", bootstrap=0)
    assert exact.growth < 1e-4
    assert some.growth > 0.25 * USUAL
    assert fit_sizes([n, d], noisy, "tied", bootstrap=0, held_out=0.0).growth == USUAL

    def width(law: SizeLaw, times: float) -> float:
        low, high = law.band(times * n.max(), times * d.max())
        return float(np.log(high / low)[0])

    assert width(exact, 10.0) < 1e-4
    assert width(some, 10.0) > width(some, 1.0) + USUAL / 4
