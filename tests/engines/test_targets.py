"""Claims about predicting many targets at once."""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim.engines.targets import predict_targets

J = np.arange(1, 41.0)
TARGETS = [hidim.Spectrum(J**-2.0, J ** (-2 * b), 1e-4 * b) for b in (0.3, 0.7, 1.5)]


@pytest.mark.parametrize(
    "algorithm",
    [
        hidim.sgd(0.25),
        hidim.dana_constant(0.2, 0.002, 8.0),
        hidim.dana_decaying(0.2, 0.1, 0.5, 8.0),
        hidim.sgd(0.25).scheduled(hidim.WSD(10_000)),
    ],
    ids=lambda algorithm: algorithm.name,
)
def test_many_targets_have_the_curves_they_have_alone(algorithm):
    at = np.unique(np.round(np.geomspace(1, 1e7, 60)))
    together = predict_targets(TARGETS, algorithm, at, batch_size=2)
    for spectrum, curve in zip(TARGETS, together, strict=True):
        alone = hidim.predict(spectrum, algorithm, at=at, batch_size=2)
        # The tolerance per block, 1e-6, over some ten blocks that forget.
        assert curve.risk == pytest.approx(alone.risk, rel=1e-5)


def test_divergence_is_seen_for_every_target():
    curves = predict_targets(TARGETS, hidim.sgd(1.1), [0, 10, 1000])
    assert [curve.status for curve in curves] == ["diverged"] * 3


def test_spectra_that_differ_in_their_eigenvalues_are_refused():
    other = hidim.Spectrum(J**-1.5, J**-1.0, 0.0)
    with pytest.raises(ValueError, match="spectra"):
        predict_targets([TARGETS[0], other], hidim.sgd(0.1), [0, 10])
