"""Claims about exponents on a covariance of one's own."""

from __future__ import annotations

import numpy as np
import pytest

import hidim
from hidim.cli.main import main
from hidim.studies import own_exponents
from hidim.studies.ladder import sizes_between
from hidim.studies.own_covariance import data_exponents, random_features

J = np.arange(1, 401.0)
POWERS = hidim.Spectrum(J**-2.0, J**-0.6, 0.0)  # alpha = 1, beta = 0.3
SIZES = sizes_between(10, 100, 13)  # as by default


@pytest.fixture(scope="module")
def found():
    return own_exponents(POWERS, "sgd", sizes=SIZES)


def test_powers_show_their_law(found):
    assert found.alpha.value == pytest.approx(1.0, abs=1e-9)
    assert found.beta.value == pytest.approx(0.3, abs=1e-9)
    assert found.law.phase == "Ia"
    one = found.frontier
    # Eighty features and one draw of W at each size: the interval is wide, and holds the law.
    assert one.eta.low < one.eta_theory < one.eta.high
    assert one.eta.high - one.eta.low < 0.5


def test_random_features_are_those_of_the_power_law():
    rng = np.random.default_rng(3)
    ours = random_features(POWERS, 50, rng)
    theirs = hidim.PLRF(1.0, 0.3, 50, 400)
    # Sums over one W against the average over W.
    assert ours.risk_floor == pytest.approx(theirs.risk_floor, rel=0.2)
    assert ours.trace == pytest.approx(theirs.trace, rel=0.2)
    assert ours.initial_risk == pytest.approx(0.5 * np.sum(J**-2.6), rel=1e-9)


def test_a_rotation_changes_nothing():
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.standard_normal((60, 60)))
    eigenvalues, target = np.arange(1, 61.0) ** -1.4, np.arange(1, 61.0) ** -0.5
    K = Q @ np.diag(eigenvalues) @ Q.T
    turned = data_exponents(hidim.Spectrum.from_covariance(K, Q @ target))
    plain = data_exponents(hidim.Spectrum.from_covariance(eigenvalues, target))
    for one, other in zip(turned[:2], plain[:2], strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-8)
    assert plain[0].value == pytest.approx(0.7, abs=1e-9)


def test_what_has_no_ladder_is_refused():
    with pytest.raises(ValueError, match="every mode by itself"):
        own_exponents(hidim.PLRF(1.0, 0.7, 100).spectrum())
    with pytest.raises(ValueError, match="needs at least 160"):
        own_exponents(hidim.Spectrum(J[:60] ** -2.0, J[:60] ** -1.4, 0.0))
    with pytest.raises(ValueError, match="below the 400 modes"):
        own_exponents(POWERS, sizes=[100, 500])
    with pytest.raises(ValueError, match="nothing to learn"):
        own_exponents(hidim.Spectrum(J**-2.0, 0 * J, 1.0))


def test_the_command_sets_the_law_beside_it(capsys, tmp_path):
    file = tmp_path / "mine.npz"
    POWERS.save(file)
    flags = ["exponents", "--spectrum", str(file), "--algorithm", "sgd"]
    table = tmp_path / "table.csv"
    assert main([*flags, "--csv", str(table)]) == 0
    text = capsys.readouterr().out
    assert "alpha = 1.0000" in text
    assert "phase Ia" in text
    assert "0.5333" in table.read_text()  # eta of the law


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--spectrum", "none.npz", "--alpha", "1"], "--alpha"),
        (["--spectrum", "none.npz"], "none.npz"),
        (["--beta", "1"], "--alpha missing"),
        (["--data", "x.npz", "--algorithm", "sgd:rate=1"], "recommended rates"),
    ],
)
def test_bad_requests_are_one_line(capsys, flags, word):
    assert main(["exponents", *flags]) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1
