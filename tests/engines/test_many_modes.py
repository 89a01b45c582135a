"""Claims about spectra of many modes: followed through few nodes, and not a digit the worse."""

import math

import numpy as np
import pytest

import hidim
from hidim.engines import march
from hidim.engines.many_modes import ManyModes
from hidim.systems.momentum import MomentumSystem
from tests.engines.test_exact import members
from tests.engines.truth import recursion, sampled_spectrum

RNG = np.random.default_rng(3)
EVEN = hidim.Spectrum(np.linspace(0.5, 1, 420), np.ones(420), 0.0)
SPECTRA = {
    "even, no floor": EVEN,
    "even, its energy at one end": hidim.Spectrum(
        np.linspace(0.5, 1, 420), np.where(np.arange(420) < 400, 0.0, 1.0), 0.0
    ),
    "squares, low floor": hidim.Spectrum(np.linspace(1e-3, 1, 340) ** 2, np.ones(340), 1e-6),
    "power law": sampled_spectrum(1.2, 0.3, 310, 620),
    "clusters, repeats and zeros": hidim.Spectrum(
        np.concatenate([np.full(150, 0.9), 0.3 + 1e-9 * RNG.random(200), np.zeros(50), [0.01]]),
        10.0 ** RNG.uniform(-3, 3, 401),
        0.0,
    ),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_nodes_change_nothing_a_user_can_see(name, monkeypatch):
    spectrum = SPECTRA[name]
    at = [10, 10**3, 10**4, 10**5]
    every_kind = members(spectrum, 1.0)
    runs = {key: every_kind[key] for key in ("heavy-ball", "dana-decaying", "schedule-free-sgd")}
    runs["slow sgd"] = hidim.sgd(0.05 / spectrum.trace)
    runs["cosine"] = every_kind["sgd"].scheduled(hidim.Cosine(30_000, 0.1))
    few = {key: hidim.predict(spectrum, run, at=at) for key, run in runs.items()}
    monkeypatch.setattr(march, "FEW_MODES", math.inf)
    for key, run in runs.items():
        every = hidim.predict(spectrum, run, at=at)
        alive = every.risk > 1e-280
        # Both hold a block to 3e-7 of the risk, by steps that differ in their last digits.
        np.testing.assert_allclose(few[key].risk[alive], every.risk[alive], rtol=1e-8, err_msg=key)


@pytest.mark.parametrize("engine", ["exact", "ode"])
def test_blocks_of_many_modes_are_solved_on_few_nodes(engine):
    many = march._nodes_if_fewer(MomentumSystem(EVEN, hidim.sgd(0.1), 1), march.PLAIN)
    assert isinstance(many, ManyModes)
    assert len(many) < 30
    curve = hidim.predict(EVEN, hidim.sgd(1e-4), 10**5, engine=engine)
    assert curve.provenance["effort"]["blocks"] > 5


@pytest.mark.parametrize(
    ("batch_size", "algorithm"),
    [
        (64, hidim.sgd(0.002)),
        (16, hidim.sgd_momentum(0.001, 1e-4, 0.1)),
        (16, hidim.dana_constant(0.002, 1e-6, 2.0)),
        (math.inf, hidim.sgd(0.002).scheduled(hidim.Cosine(8000, 0.3))),
    ],
    ids=str,
)
def test_a_risk_that_falls_for_ever_keeps_its_digits(batch_size, algorithm):
    truth = recursion(EVEN, algorithm, batch_size, 6000)
    at = [300, 1000, 3000, 6000]
    assert truth[6000] < 1e-4 * truth[0]
    curve = hidim.predict(EVEN, algorithm, at=at, batch_size=batch_size)
    assert curve.provenance["effort"]["blocks"] > 3
    np.testing.assert_allclose(curve.risk, truth[at], rtol=1e-7)  # the error of the blocks


def test_octaves_with_large_steps_keep_their_modes():
    spectrum = hidim.Spectrum(np.geomspace(1e-3, 1, 500), np.ones(500), 0.0)

    def kept_whole(algorithm):
        return ManyModes(MomentumSystem(spectrum, algorithm, 1))._kept_whole(np.array([0.0]))

    assert kept_whole(hidim.sgd(0.4)) == 0
    assert kept_whole(hidim.sgd(1.9)) == 2  # 1.9 and 0.95 are above one half
    assert kept_whole(hidim.Momentum(1.0, 0.0, 0.01, 1.99)) == 1


def test_the_edge_at_minus_one_is_resolved_among_many_modes():
    # Steps close to 2 / lambda of the fastest modes: they outlive all slower ones.
    spectrum = hidim.Spectrum(np.linspace(0.5, 1, 420), np.ones(420), 1e-9)
    rate = hidim.Table([0, 3e4], [1.9998, 1.999])
    at = [300, 2000, 9000]
    curve = hidim.predict(spectrum, hidim.sgd(rate), at=at, batch_size=math.inf)
    assert curve.provenance["effort"]["blocks"] > 3
    factors = 1 - np.outer(rate(np.arange(9000)), spectrum.eigenvalues)
    left = np.exp(2 * np.cumsum(np.log(np.abs(factors)), axis=0))
    truth = [1e-9 + 0.5 * left[t - 1] @ spectrum.eigenvalues for t in at]
    np.testing.assert_allclose(curve.risk, truth, rtol=1e-7)
