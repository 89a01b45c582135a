"""Noise on clipped samples: its limits, and runs of the raw algorithm."""

import numpy as np
import pytest

import hidim

ALONG = np.arange(1, 121) ** -0.2 / 20
AT = [5, 30, 80]


def problem(noise):
    floor = 0.02 if noise is None else 0.0
    return hidim.Spectrum(ALONG, np.full(120, 0.05), floor, noise=noise)


@pytest.mark.parametrize("algorithm", [hidim.sgd(0.1), hidim.dana_constant(0.05, 0.005, 4.0)])
def test_thresholds_that_nothing_reaches_leave_the_noise_alone(algorithm):
    clipped = hidim.noisy(hidim.clipped(algorithm, 1e9), 0.1, 0.1, start_variance=0.1)
    alone = hidim.noisy(algorithm, 0.1, 0.1, start_variance=0.1)
    found, expected = (hidim.predict(problem(None), one, at=AT).risk for one in (clipped, alone))
    assert found == pytest.approx(expected, rel=1e-12)


def test_no_noise_leaves_the_clipping_alone():
    clipped = hidim.clipped(hidim.sgd(0.1), 0.5)
    assert hidim.noisy(clipped, 0.0) == clipped
    faint = hidim.predict(problem(None), hidim.noisy(clipped, 1e-9), at=AT)
    assert faint.risk == pytest.approx(hidim.predict(problem(None), clipped, at=AT).risk, rel=1e-9)


@pytest.mark.parametrize(
    ("noise", "algorithm", "batch", "l2"),
    [
        (hidim.noise.Cauchy(0.2), hidim.sgd(0.1), 1, 0.2),
        pytest.param(hidim.noise.StudentT(3, 0.3), hidim.sgd(0.3), 8, 0.0, marks=pytest.mark.slow),
        (None, hidim.dana_constant(0.05, 0.005, 4.0), 4, 0.1),
    ],
)
def test_runs_of_private_descent_agree(noise, algorithm, batch, l2):
    private = hidim.noisy(hidim.clipped(algorithm, 1.0, kind="norm"), 0.1, l2)
    ask = {"at": AT, "batch_size": batch}
    run = hidim.simulate(problem(noise), private, runs=60, seed=2, **ask)
    found = hidim.predict(problem(noise), private, **ask)
    assert np.all(np.abs(run.excess - found.excess) < 3.5 * run.stderr + 0.01 * found.excess)
    assert hidim.stability(problem(noise), private, 100, batch).limit_risk > 0


def test_noise_goes_on_clipped_samples_and_on_nothing_else():
    for changed in (hidim.sign_sgd(0.1), hidim.clipped(hidim.sgd(0.1), 1.0, kind="batch")):
        with pytest.raises(ValueError, match="gradient"):
            hidim.noisy(changed, 0.1)
