"""A theory from outside may claim the momentum family with a gradient that is no plain mean."""

import json
from dataclasses import replace

import numpy as np
import pytest

import hidim
from hidim.systems import builders
from tests.simulation.gradients import Noisy, Sign
from tests.theories import noisy

PROBLEM = hidim.PLRF(1.0, 0.7, d=10, v=40, noise_variance=0.05)
ALGORITHMS = {
    "sgd": hidim.sgd(0.1),
    "sgd-momentum": hidim.sgd_momentum(0.05, 0.01, 0.1),
    "dana-decaying": hidim.dana_decaying(0.1, 0.05, 0.5, 6.0),
}


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(builders, "_OUTSIDE", [])
    hidim.register(system=noisy.build)


def with_noise(name, std):
    return replace(ALGORITHMS[name], gradient=Noisy(std))


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_mean_of_runs_with_noisy_gradients_is_what_the_theory_says(name, batch_size):
    at, options = [1, 10, 60, 200], {"batch_size": batch_size, "seed": 3}
    algorithm = with_noise(name, 0.5)
    run = hidim.simulate(PROBLEM, algorithm, at=at, runs=500, **options)
    curve = hidim.predict(PROBLEM, algorithm, at=at, **options)
    assert np.all(np.abs(run.risk - curve.risk) < 4 * run.stderr)
    plain = hidim.predict(PROBLEM, ALGORITHMS[name], at=at, **options)
    assert curve.risk[-1] - plain.risk[-1] > 15 * run.stderr[-1]  # the noise is what is seen


@pytest.mark.parametrize("name", ALGORITHMS)
def test_without_noise_it_is_the_family(name):
    at = [0, 10, 1000, 100_000]
    curve = hidim.predict(PROBLEM, with_noise(name, 0.0), at=at, batch_size=2)
    plain = hidim.predict(PROBLEM, ALGORITHMS[name], at=at, batch_size=2)
    np.testing.assert_allclose(curve.risk, plain.risk, rtol=2e-8)


def test_the_theory_is_its_own_recursion_and_its_limit():
    spectrum, gamma, std = hidim.Spectrum([1.0, 0.4], [1.0, 3.0], 0.1, [1, 2]), 0.2, 0.3
    algorithm = replace(hidim.sgd(gamma), gradient=Noisy(std))
    curve = hidim.predict(spectrum, algorithm, at=[3, 100_000])
    lam, n = spectrum.eigenvalues, spectrum.counts
    x, a = spectrum.error_sq.copy(), gamma * spectrum.eigenvalues
    for t in range(300):
        risk = 0.1 + lam @ x / 2
        if t == 3:
            assert curve.risk[0] == pytest.approx(risk, rel=1e-9)
        x = (1 - 2 * a + 2 * a**2) * x + gamma**2 * n * (2 * lam * risk + std**2)
    assert curve.risk[1] == pytest.approx(risk, rel=1e-9)


def test_what_reads_a_curve_or_a_system_works_on_it(tmp_path):
    algorithm = with_noise("dana-decaying", 0.2)
    report = hidim.stability(PROBLEM, algorithm, 1000, seed=3)
    assert report.stable
    assert (report.largest_gamma_2, report.small_step_norm) == (None, None)
    plain = hidim.stability(PROBLEM, ALGORITHMS["dana-decaying"], 1000, seed=3)
    # Noise that no risk feeds leaves the loop's own gain as it is.
    np.testing.assert_allclose(report.norm, plain.norm, rtol=1e-9)
    report.save(tmp_path / "r.json")
    loaded = hidim.Stability.load(tmp_path / "r.json")
    assert loaded == report
    assert loaded.algorithm == algorithm
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["algorithm"]["gradient"] == "Noisy(std=0.2, name='noisy')"
    curve = hidim.predict(PROBLEM, algorithm, at=[10, 500], engine="volterra")
    curve.save(tmp_path / "c.npz")
    assert hidim.Curve.load(tmp_path / "c.npz") == curve
    slope = hidim.predict(PROBLEM, algorithm, at=[500], sensitivity=["std"]).columns["d_std"]
    up, down = (
        hidim.predict(PROBLEM, with_noise("dana-decaying", 0.2 + e), at=[500]).risk[0]
        for e in (1e-3, -1e-3)
    )
    assert slope[0] == pytest.approx(np.log(up / down) / 2e-3, rel=1e-4)


def test_only_what_it_claims_is_its_own():
    with pytest.raises(ValueError, match=r"no registered theory covers sgd with the gradient 'si"):
        hidim.predict(PROBLEM, replace(hidim.sgd(0.1), gradient=Sign()), 10)
    assert hidim.predict(PROBLEM, hidim.sgd(0.1), at=[10]).provenance["algorithm"] == {
        "name": "sgd",
        "gamma_1": 0.0,
        "gamma_2": 0.1,
        "gamma_3": 0.0,
        "forgetting": 1.0,
    }
    with pytest.raises(ValueError, match=r"another theory\. Use engine='exact'"):
        hidim.predict(PROBLEM, with_noise("sgd", 0.1), 10, engine="asymptotic")
