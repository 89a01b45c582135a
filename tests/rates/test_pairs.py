"""How far two runs lie apart that differ in one sample: against runs whose other data are fixed."""

import numpy as np
import pytest

import hidim
from hidim.rates.pair_diffusion import Diffusion
from hidim.rates.pairs import NOTE, _checked

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
    run = Diffusion(spectrum, RUN, *_checked(RUN), 1.0, np.array([float(STEPS)]), False)
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
    run = Diffusion(SPECTRUM, noisy, *_checked(noisy), 1.0, np.array([float(STEPS)]), False)
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


WORKED = hidim.Spectrum(1 / np.arange(1.0, 61), np.arange(1.0, 61) ** -1.2, 0.05)


@pytest.mark.parametrize(
    ("steps", "std", "all_noise", "alone", "risk"),  # the worked example of the derivation
    [
        (100, 0.05, 1.025, 31.8, 0.1048),
        (100, 0.2, 0.350, 0.835, 0.1126),
        (1000, 0.8, 0.0062, 0.0077, 0.2492),
    ],
)
def test_means_alone_are_the_formula_of_small_rates(steps, std, all_noise, alone, risk):
    run = hidim.noisy(hidim.sgd(0.05), std, 0.1)
    ask = {"at": [steps], "formula": "mean"}
    for known, sampling in ((all_noise, True), (alone, False)):
        found = hidim.privacy.pair_divergence(WORKED, run, steps, sampling_noise=sampling, **ask)
        assert found.divergence[0] == pytest.approx(known, rel=2e-3 if known > 0.01 else 6e-3)
        assert found.without_number is None
    assert hidim.predict(WORKED, run, at=[steps]).risk[0] == pytest.approx(risk, abs=5e-5)


def test_at_a_small_rate_every_formula_says_the_same():
    run = hidim.noisy(hidim.sgd(1e-4), 1.0)
    found = [
        hidim.privacy.pair_divergence(SPECTRUM, run, 50, at=[50], formula=name).divergence[0]
        for name in ("path", "risk", "mean")
    ]
    assert found == pytest.approx([found[0]] * 3, rel=2e-3)


def test_how_many_drawn_pairs_have_no_number_is_counted_and_said():
    run, shares = hidim.noisy(hidim.sgd(0.29), 0.1, 0.1), []
    made = Diffusion(SPECTRUM, run, *_checked(run), 1.0, np.array([30.0]), False)
    made.spectrum.__dict__["_signs"] = THETA
    rng, s = np.random.default_rng(5), made.places[30.0]
    for _ in range(100):
        a, other = rng.standard_normal((2, D)) * np.sqrt(ALONG)
        shares.append(not np.all(np.isfinite(made.divergence(s, 30.0, 2.0, (a, 0.0, other, 0.0)))))
    found = hidim.privacy.pair_divergence(SPECTRUM, run, 30, at=[5, 30], sampling_noise=False)
    assert np.all(np.isfinite(found.divergence))
    # Two binomials, of 100 and 200 draws: 4 standard errors.
    assert found.without_number[1] == pytest.approx(np.mean(shares), abs=0.24)
    assert 0.1 < found.without_number[1] < 0.9
    assert f"up to {100 * found.without_number.max():.2g} % of drawn ones have no" in found.note
    few = hidim.privacy.pair_divergence(SPECTRUM, RUN, 30, at=[30])
    assert few.without_number[0] == 0.0
    assert "no finite number" not in few.note


def test_places_that_are_skipped_do_not_matter(monkeypatch):
    from hidim.rates import pair_diffusion

    ask = {"at": [280]}
    every = hidim.privacy.pair_divergence(SPECTRUM, RUN, 300, **ask).divergence
    monkeypatch.setattr(pair_diffusion, "_ALL", 100)
    few = hidim.privacy.pair_divergence(SPECTRUM, RUN, 300, **ask).divergence
    assert few == pytest.approx(every, rel=2e-3)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, hidim.sgd(0.1), 9), "`algorithm`"),
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, RUN, 9, order=1.0), "`order`"),
        (lambda: hidim.privacy.pair_divergence(SPECTRUM, RUN, 9, formula="paper"), "`formula`"),
        (
            lambda: hidim.privacy.pair_divergence(
                SPECTRUM, RUN, 9, formula="mean", pair=(ALONG, 0.0, ALONG, 0.0)
            ),
            "`formula`='mean' is for typical",
        ),
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
