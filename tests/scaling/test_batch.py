"""Claims about batches that grow with the size, below the line 2 alpha = 1, on exact curves.

There momentum gains nothing at a fixed batch. Once the batch outgrows the trace, kappa_b >
1 - 2 alpha, gradient noise leaves room for it: kappa_3 = (1 - kappa_b) / (2 alpha) < 1.
"""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim import scaling_law
from hidim.algorithms.named import kappas_of
from hidim.engines.targets import predict_targets
from hidim.systems.kernel_norm import kernel_norm

DELTA = 8.0


def _spectrum(alpha, beta, d):
    return hidim.PLRF(alpha, beta, int(d), 4 * int(d)).spectrum().compress(nodes_per_octave=10)


def _best_log_risk(law, flops):
    """Log risk at the best size for a budget: a parabola in log d through exact risks."""
    sizes = np.geomspace(0.2, 0.9, 4) * flops**law.xi
    risks = []
    for d in sizes:
        batch = round(d**law.kappas.kappa_b)
        spectrum = _spectrum(law.alpha, law.beta, d)
        steps = round(flops / (int(d) * batch))
        risks.append(hidim.predict(spectrum, law.algorithm(d), batch_size=batch, at=[steps]).risk)
    centre = np.log(sizes) - np.log(sizes).mean()
    c = np.polyfit(centre, np.log(np.concatenate(risks)), 2)
    assert c[0] > 0
    assert abs(c[1] / (2 * c[0])) < centre[-1]  # the bracket holds the optimum
    return c[2] - c[1] ** 2 / (4 * c[0])


@pytest.mark.parametrize(("name", "eta"), [("sgd", 0.1154), ("dana-decaying", 0.1339)])
def test_a_batch_above_the_trace_lets_dana_decaying_outscale_sgd(name, eta):
    momentum = {"c_3": 0.2, "delta": DELTA} if name == "dana-decaying" else {}
    law = scaling_law(0.45, 0.2, name, kappa_b=0.7, c_2=0.05, **momentum)
    assert law.eta == pytest.approx(eta, abs=1e-4)
    risk = [_best_log_risk(law, flops) for flops in (1e18, 1e21)]
    measured = (risk[0] - risk[1]) / np.log(1e3)
    assert measured == pytest.approx(law.eta, abs=0.001)


def test_kappa_3_is_the_smallest_that_keeps_the_kernel_norm_bounded():
    alpha, kappa_b = 0.45, 0.5
    sizes = (1e8, 1e12)
    times = np.geomspace(1, 1e13, 100)
    least = kappas_of(alpha, "dana-decaying", kappa_b=kappa_b).kappa_3
    for kappa_3, growth in ((least, 0.0), (least - 0.1, 0.2 * alpha)):
        algorithm = hidim.dana_decaying(0.2, 0.1, kappa_3, DELTA)
        norm = [
            kernel_norm(_spectrum(alpha, 0.7, d), algorithm, d**kappa_b, times).max() for d in sizes
        ]
        slope = np.log(norm[1] / norm[0]) / np.log(sizes[1] / sizes[0])
        assert slope == pytest.approx(growth, abs=0.01)


def test_the_noise_that_early_steps_leave_behind_follows_the_momentum_s_time():
    # K_pp alone: what a finite batch adds at the same rates.
    alpha, beta, kappa_b, d = 0.45, 2.0, 0.5, 1e15
    law = scaling_law(alpha, beta, "dana-decaying", kappa_b=kappa_b)
    algorithm = hidim.dana_decaying(0.02, 0.4, law.kappas.kappa_3, DELTA)
    steps, batch = np.array([1e5, 1e6]), d**kappa_b
    spectra = [_spectrum(alpha, beta, d)]
    noisy, calm = (
        predict_targets(spectra, algorithm, steps, batch_size=b, tolerance=1e-10)[0].risk
        for b in (batch, 1e3 * batch)
    )
    slope = np.log10((noisy - calm)[1] / (noisy - calm)[0])
    power = law.terms["K_pp"].power
    assert slope == pytest.approx(-(2 - law.kappas.kappa_3) * power, abs=0.01)
