"""Claims about the largest stable gamma_3."""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim.rates.critical import critical_amplitude, critical_kappa_2


def test_the_critical_amplitude_of_plain_momentum_is_near_the_kernel_norm_one():
    spectrum = hidim.Spectrum(np.arange(1, 9.0) ** -1.0, np.ones(8), 1e-2)
    found = critical_amplitude(spectrum, kappa_3=0.0, horizon=2000, precision=0.05)
    # Small steps: gamma_2 trace / 2 + d gamma_3 / (2 gamma_2) = 1 once every mode responds; a
    # run of finite length bears a little more.
    gamma_2 = 0.5 / spectrum.trace
    expected = 2 * gamma_2 / 8 * (1 - 0.25)
    assert 0.6 * expected < found < 2 * expected


def test_a_guess_far_from_every_threshold_is_refused():
    spectrum = hidim.Spectrum([1.0], [1.0], 1e-2)
    with pytest.raises(ValueError, match="guess"):
        critical_amplitude(spectrum, kappa_3=0.0, horizon=4, step=2.5)


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.7), (0.7, 1.2)])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_critical_amplitude_follows_the_stability_line(alpha, beta, share):
    kappa_3 = share / (2 * alpha)
    _, kappa_2 = critical_kappa_2(alpha, beta, kappa_3)
    assert kappa_2.mean() == pytest.approx(1 - 2 * alpha * kappa_3, abs=0.02)
