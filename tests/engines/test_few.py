"""Which modes a walk follows: none is told by others that these do not tell."""

import numpy as np
import pytest

import hidim
from hidim.engines import march as marching
from hidim.engines.asleep import Asleep
from hidim.engines.few import Few
from hidim.engines.march import Resolution, Walk, march
from hidim.engines.settled import FEWEST, Settled
from hidim.engines.start import empty_record
from hidim.systems.momentum import MomentumSystem
from tests.engines.test_many_modes import SPECTRA

FINE = Resolution(1e-9, stages=10)


def both(system, at, monkeypatch, resolution=FINE):
    """Risks with few modes followed, and with every mode."""
    few = march(system, at, resolution)
    monkeypatch.setattr(marching, "_few", lambda *_: None)
    every = march(system, at, resolution)
    return few.columns["risk"], every.columns["risk"]


def followed(system, last, resolution=FINE):
    """How many modes each block of a walk followed."""
    record, counts = empty_record(system, np.array([float(last)])), []
    walk = Walk(system, record, resolution)
    accept = walk._accept

    def counted(blocks, span):
        counts.append(walk.states[0].shape[-1])
        accept(blocks, span)

    walk._accept = counted
    walk.run(float(last))
    return counts


def plrf(d=10**6):
    return hidim.PLRF(alpha=1.0, beta=0.7, d=d, noise_variance=0.1).spectrum()


ALGORITHMS = {
    "sgd": hidim.sgd(0.2),
    "momentum": hidim.sgd_momentum(0.05, 0.005, 0.1),
    "dana-decaying": hidim.dana_decaying(0.2, 0.1, 0.5, 3.4),
    "dana-constant": hidim.dana_constant(0.2, 1e-6, 3.4),
    "accelerated": hidim.accelerated_sgd(0.1, 0.2, 0.05, 0.05),
    "a drop": hidim.sgd(hidim.Table((0.0, 3e4, 4e5), (0.2, 0.05, 0.01), "previous")),
    "cosine": hidim.sgd(0.2).scheduled(hidim.Cosine(10**7, 0.0)),
    "wsd": hidim.sgd(0.2).scheduled(hidim.WSD(10**7, 1000, 0.3)),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_few_modes_make_the_curve_of_all(name, monkeypatch):
    system = MomentumSystem(plrf(), ALGORITHMS[name], 2)
    few, every = both(system, np.geomspace(10, 1e7, 60).round(), monkeypatch)
    np.testing.assert_allclose(few, every, rtol=2e-9)


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("algorithm", ["sgd", "dana-decaying"])
def test_any_spectrum_is_told_or_left_alone(name, algorithm, monkeypatch):
    system = MomentumSystem(SPECTRA[name], ALGORITHMS[algorithm], 4)
    few, every = both(system, np.geomspace(10, 1e6, 30).round(), monkeypatch)
    np.testing.assert_allclose(few, every, rtol=2e-9)


def test_many_targets_are_told_together(monkeypatch):
    spectra = tuple(hidim.PLRF(1.0, beta, 10**6).spectrum() for beta in (0.4, 0.9))
    system = MomentumSystem(spectra[0], hidim.sgd(0.2), 1, targets=spectra)
    few, every = both(system, np.geomspace(10, 1e7, 30).round(), monkeypatch)
    np.testing.assert_allclose(few, every, rtol=2e-9)


def test_most_modes_are_not_followed():
    spectrum = hidim.PLRF(alpha=1.0, beta=0.7, d=10**9).spectrum()
    system = MomentumSystem(spectrum, hidim.sgd(0.2), 1)
    counts = followed(system, 1e12, Resolution(1e-7))
    assert np.mean(counts) < 0.4 * len(spectrum)


def test_modes_that_settled_are_back_where_the_rate_drops():
    system = MomentumSystem(plrf(), ALGORITHMS["a drop"], 1)
    few, spectrum = Few(system, 1e-7), system.spectrum
    wanted = len(spectrum)
    counts = followed(system, 3e6, Resolution(1e-7))
    drops = [i for i in range(1, len(counts)) if counts[i] > counts[i - 1] + FEWEST]
    assert drops
    assert max(counts) <= wanted
    assert few.restart(system.start(), 10.0) is None  # nothing had settled


def test_polynomials_in_the_place_and_its_inverse_are_told():
    places = np.geomspace(0.1, 1e-5, 90)
    smooth = MomentumSystem(hidim.Spectrum(places, np.ones(90), 0.0), hidim.sgd(0.1), 1)
    settled = Settled.choose(smooth, slice(5, 85))
    full = sum(c * (places / 1e-3) ** k for k, c in ((-2, 1e-4), (-1, 0.1), (0, 1.0), (1, 0.01)))
    size = np.abs(full) @ places
    assert settled.untold(smooth, full[None])[0] < 1e-13 * size
    witnesses = full[settled.witnesses][None] * (1.0 + 1e-3)
    assert settled.unseen(full[settled.nodes][None], witnesses)[0] > 1e-5 * size
    # Nodes and witnesses carry the sum of all.
    kept = np.setdiff1d(settled.followed, settled.nodes)
    told = settled.counts * places[settled.nodes] @ full[settled.nodes] + places[kept] @ full[kept]
    assert told == pytest.approx(places[5:85] @ full[5:85], rel=1e-12)


def test_those_asleep_are_what_a_unit_becomes():
    places = np.geomspace(1.0, 1e-6, 80)
    start = np.random.default_rng(0).random(80) / places
    smooth = MomentumSystem(hidim.Spectrum(places, start, 0.0), hidim.sgd(0.1), 1)
    asleep = Asleep.choose(smooth, slice(20, 80), start)
    at = asleep.places[::2]

    def units(x):
        return np.stack([1.0 - x + x**2, x + 0.3 * x**3], axis=-1)

    state = asleep.state(units(at)[None])
    full = asleep.full(state, start, smooth.counts)[0]
    expected = units(places[20:]) @ [1.0, 0.0] * start[20:] + units(places[20:]) @ [0.0, 1.0]
    np.testing.assert_allclose(full, expected, rtol=1e-12)
    total = at @ state[0].reshape(-1, 2).sum(axis=1)
    assert total == pytest.approx(places[20:] @ expected, rel=1e-12)
    assert np.all(asleep.doubt(state) < 1e-12 * total)
    assert np.all(asleep.bent(np.cos(40.0 * at / at[0])[None]) > 1e-3 * (places @ start))


def test_derivatives_are_told_with_the_states(monkeypatch):
    spectrum, run = plrf(), hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)
    given = {"steps": 10**7, "sensitivity": ["gamma_2", "kappa_3"]}
    few = hidim.predict(spectrum, run, **given)
    monkeypatch.setattr(marching, "_few", lambda *_: None)
    every = hidim.predict(spectrum, run, **given)
    for name in ("d_gamma_2", "d_kappa_3"):
        scale = np.max(np.abs(every.columns[name]))
        np.testing.assert_allclose(few.columns[name], every.columns[name], atol=1e-8 * scale)


@pytest.mark.parametrize("algorithm", [hidim.sgd(0.1), hidim.dana_constant(0.1, 0.01, 8.0)])
def test_a_spectrum_of_zeros_stays_where_it_is(algorithm):
    still = hidim.Spectrum([0.0, 0.0], [1.0, 1.0], 0.1)
    assert hidim.predict(still, algorithm, steps=1000).risk == pytest.approx(0.1, rel=1e-14)
    found = hidim.stability(still, algorithm, 100)
    assert found.stable
    assert found.curve.risk == pytest.approx(0.1, rel=1e-14)
