"""Loss against privacy: the points are the library's own, the envelope is one."""

import math

import numpy as np
import pytest

import hidim

SPECTRUM = hidim.Spectrum(np.full(50, 1 / 50), np.full(50, 0.02), 0.05)
GRID = {"rates": [0.1, 0.5], "stds": [0.05, 0.2], "steps": [40, 120]}
POISSON = {"accountant": "poisson", "clip": 1.0, "samples": 1000, "batch_size": 10}


def ask(**given):
    return hidim.privacy.frontier(SPECTRUM, **(GRID | given))


@pytest.fixture(scope="module")
def found():
    return ask(**POISSON)


def test_points_are_predictions_and_epsilons_of_the_accountant(found):
    assert found.guarantee
    assert len(found.risk) == 8
    i = 3
    run = hidim.noisy(hidim.clipped(hidim.sgd(found.gamma_2[i]), 1.0, "norm"), found.std[i])
    at = found.steps[i]
    assert found.risk[i] == hidim.predict(SPECTRUM, run, at=[at], batch_size=10).risk[0]
    assert found.epsilon[i] == hidim.privacy.rdp_epsilon(0.01, 10 * found.std[i], at, 1e-5)


def test_one_pass_costs_the_same_however_long():
    found = ask(accountant="one-pass", clip=1.0, batch_size=10, adjacency="add-remove")
    assert set(found.epsilon) == {
        hidim.privacy.gdp_epsilon(0.1 / std, 1e-5) for std in GRID["stds"]
    }


def test_nothing_beats_the_envelope(found):
    for i in found.best:
        beats = (found.epsilon <= found.epsilon[i]) & (found.risk < found.risk[i])
        assert not np.any(beats)
    assert np.all(np.diff(found.epsilon[found.best]) > 0)
    assert np.all(np.diff(found.risk[found.best]) < 0)


@pytest.mark.parametrize("name", ["pair", "pair-injected"])
def test_a_number_of_pairs_is_never_called_epsilon(name):
    found = ask(accountant=name, rates=[0.1], stds=[0.2], steps=[50])
    assert not found.guarantee
    assert found.delta is None
    assert "no (eps, delta) guarantee" in found.note
    assert "epsilon" not in found.unit
    assert "epsilon" not in found.to_dict()
    assert found.to_dict()["pair_divergence"][0] == pytest.approx(found.epsilon[0])


def test_gaussian_mechanisms_equal_dp_accounting():
    dp = pytest.importorskip("dp_accounting")
    for mu in (0.5, 2.0):
        pld = dp.pld.privacy_loss_distribution
        known = pld.from_gaussian_mechanism(1.0 / mu)
        expected = known.get_epsilon_for_delta(1e-5)
        assert hidim.privacy.gdp_epsilon(mu, 1e-5) == pytest.approx(expected, rel=1e-5)


def test_noise_without_a_variance_has_an_excess_alone(found):
    endless = hidim.Spectrum(
        np.full(50, 1 / 50), np.full(50, 0.02), 0.0, noise=hidim.noise.Cauchy(0.2)
    )
    grid = {"rates": [0.1], "stds": [0.05], "steps": [40]}
    heavy = hidim.privacy.frontier(endless, accountant="one-pass", clip=0.5, **grid)
    assert heavy.loss == "excess risk"
    assert np.all(np.isfinite(heavy.risk))
    assert found.loss == "risk P"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"accountant": "moments"}, "`accountant`"),
        ({"accountant": "poisson", "samples": 100}, "`clip` is missing"),
        ({"accountant": "poisson", "clip": 1.0}, "`samples` is missing"),
        ({"accountant": "pair", "clip": 1.0}, "`clip` does not go"),
        ({"accountant": "one-pass", "clip": 1.0, "samples": 100}, "use more than"),
        ({"accountant": "one-pass", "clip": -1.0}, "`clip` must be positive"),
        ({"accountant": "one-pass", "clip": 1.0, "stds": [0.0]}, "`stds` must be positive"),
        ({"accountant": "one-pass", "clip": 1.0, "rates": []}, "`rates` is empty"),
        ({"accountant": "one-pass", "clip": 1.0, "rates": [0.1] * 999}, "more than 2000"),
        ({**POISSON, "batch_size": 2000}, "more than `samples`"),
        ({**POISSON, "batch_size": math.inf}, "`batch_size`"),
    ],
)
def test_what_an_accountant_lacks_is_said_in_one_line(given, match):
    with pytest.raises(ValueError, match=match) as told:
        ask(**given)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("accountant", ["poisson", "one-pass"])
def test_a_formula_of_pairs_is_refused_where_no_pairs_are_followed(accountant):
    with pytest.raises(ValueError, match="`formula` does not go with accountant="):
        ask(**(POISSON | {"accountant": accountant, "formula": "mean"}))
