"""How far two runs lie apart that differ in one sample: against runs whose other data are fixed."""

import numpy as np
import pytest

import hidim
from hidim.rates.pairs import NOTE, _checked, _Diffusion

D, STEPS = 30, 40
ALONG = np.full(D, 1.0 / D)
THETA = np.ones(D) / np.sqrt(D)
SPECTRUM = hidim.Spectrum.from_covariance(ALONG, THETA, noise_variance=0.25)
RUN = hidim.noisy(hidim.sgd(0.1), 0.1, 0.1)


def exact(rng, pair, step, std=0.1):
    """Order 2, injected noise alone: mean and covariance of both runs on one draw of the rest."""
    X = rng.standard_normal((STEPS, D)) * np.sqrt(ALONG)
    y = X @ THETA + 0.5 * rng.standard_normal(STEPS)
    runs = []
    for a, b in pair:
        mean, V = np.zeros(D), np.zeros((D, D))
        for t in range(STEPS):
            row, label = (a, b) if t == step else (X[t], y[t])
            M = 0.99 * np.eye(D) - 0.1 * np.outer(row, row)
            mean, V = M @ mean + 0.1 * label * row, M @ V @ M.T + (0.1 * std) ** 2 * np.eye(D)
        runs.append((mean, V))
    (m, V), (m0, V0) = runs
    log = [np.linalg.slogdet(C)[1] for C in (2 * V0 - V, V, V0)]
    return (m - m0) @ np.linalg.solve(2 * V0 - V, m - m0) - 0.5 * (log[0] + log[1] - 2 * log[2])


@pytest.mark.parametrize("step", [5, 30, 39])
def test_a_given_pair_lies_as_far_apart_as_exact_runs(step):
    rng = np.random.default_rng(step)
    pair = [(a := rng.standard_normal(D) * np.sqrt(ALONG), a @ THETA + e) for e in (0.5, -0.4)]
    drawn = [exact(rng, pair, step) for _ in range(30)]
    given = (pair[0][0], pair[0][1], pair[1][0], pair[1][1])
    from hidim.rates.pairs import _turned

    spectrum, turned = _turned(SPECTRUM, SPECTRUM.law.basis, given)
    run = _Diffusion(spectrum, RUN, *_checked(RUN), 1.0, np.array([float(STEPS)]), False)
    found = run.divergence(np.array([float(step)]), float(STEPS), 2.0, turned)[0]
    assert found == pytest.approx(np.mean(drawn), rel=0.12)


@pytest.mark.parametrize("std", [0.1, 1.0])  # at 1 most of the risk is injected noise
def test_a_typical_pair_is_the_middle_of_drawn_ones(std):
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(80):
        rows = rng.standard_normal((2, D)) * np.sqrt(ALONG)
        pair = [(a, a @ THETA + 0.5 * rng.standard_normal()) for a in rows]
        drawn.append(exact(rng, pair, 38, std))
    noisy = hidim.noisy(hidim.sgd(0.1), std, 0.1)
    run = _Diffusion(SPECTRUM, noisy, *_checked(noisy), 1.0, np.array([float(STEPS)]), False)
    found = run.divergence(np.array([38.0]), float(STEPS), 2.0, None)[0]
    assert found == pytest.approx(np.mean(drawn), abs=3 * np.std(drawn) / np.sqrt(80))
    # Spread like an exponential law, of which a tenth is beyond: .1 + 3 standard errors.
    assert np.mean(np.array(drawn) > 2.3 * found) < 0.2


def test_one_step_is_the_gaussian_mechanism():
    rng = np.random.default_rng(1)
    a, other = rng.standard_normal((2, D)) * np.sqrt(ALONG)
    run = hidim.noisy(hidim.sgd(0.1), 0.3)
    found = hidim.privacy.pair_divergence(
        SPECTRUM, run, 1, at=[1], sampling_noise=False, pair=(a, 1.0, other, -0.5)
    )
    moved = 1.0 * a - -0.5 * other  # gradients at 0, but for their sign
    assert found.divergence[0] == pytest.approx(2 * moved @ moved / (2 * 0.3**2), rel=1e-9)
    assert (found.pair, found.note) == ("given", NOTE)


def test_the_noise_of_the_other_samples_helps_and_a_longer_wait_too():
    ask = {"at": [50, 400], "batch_size": 2}
    with_them = hidim.privacy.pair_divergence(SPECTRUM, RUN, 400, **ask).divergence
    alone = hidim.privacy.pair_divergence(SPECTRUM, RUN, 400, sampling_noise=False, **ask)
    assert np.all(with_them < alone.divergence)
    noisier = hidim.noisy(hidim.sgd(0.1), 0.3, 0.1)
    assert np.all(
        hidim.privacy.pair_divergence(SPECTRUM, noisier, 400, **ask).divergence < with_them
    )


def test_places_that_are_skipped_do_not_matter(monkeypatch):
    from hidim.rates import pairs

    ask = {"at": [280]}
    every = hidim.privacy.pair_divergence(SPECTRUM, RUN, 300, **ask).divergence
    monkeypatch.setattr(pairs, "_ALL", 100)
    few = hidim.privacy.pair_divergence(SPECTRUM, RUN, 300, **ask).divergence
    assert few == pytest.approx(every, rel=2e-3)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, hidim.sgd(0.1), 9), "`algorithm`"),
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, RUN, 9, order=1.0), "`order`"),
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, RUN, 9, pair=(ALONG, 0.0)), "`pair`"),
        (lambda: hidim.privacy.pair_divergence(hidim.PLRF(1.0, 0.7, 9), RUN, 9), "seed=0"),
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, RUN, 9, at=[10]), "`at`"),
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, RUN, 9, np.inf), "`batch_size`"),
        (
            lambda: hidim.privacy.pair_divergence(
                SPECTRUM, hidim.noisy(hidim.clipped(hidim.sgd(0.1), 1.0, "norm"), 0.1), 9
            ),
            "`algorithm`",
        ),
        (
            lambda: hidim.privacy.pair_divergence(
                hidim.Spectrum([1.0], [1.0], 0.1), RUN, 9, pair=([1.0], 0.0, [1.0], 0.0)
            ),
            "`pair`",
        ),
    ],
)
def test_what_it_does_not_cover_is_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask()
