"""Theories written outside the package are followed, judged, drawn, saved and typed as its own."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

import hidim
from hidim.algorithms import named
from hidim.cli.main import main
from hidim.systems import builders
from tests.agreement.longdouble import Run, risks
from tests.agreement.table import sign_truth
from tests.theories import sign_sgd, split_sgd

D = 60
LAM, ERROR = np.arange(1, D + 1.0) ** -1.2, np.arange(1, D + 1.0) ** -0.6
NOISY, SHARP = hidim.Spectrum(LAM, ERROR, 0.01), hidim.Spectrum(LAM, ERROR, 0.0)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(named, "RECORDS", dict(named.RECORDS))
    for toy in (sign_sgd, split_sgd):
        hidim.register(algorithm=toy.RECORD, system=toy.build)


def distance(curve, truth):
    """Largest distance over the largest risk within a factor of two in time."""
    at, errors = curve.steps, []
    for t, risk in zip(at, curve.risk, strict=True):
        errors.append(abs(risk - truth[t]) / truth[t // 2 : 2 * t + 1].max())
    return max(errors)


SIGNS = {
    "a rate": (NOISY, 0.01, 30_000),
    "a decaying rate": (NOISY, hidim.PowerLaw(0.02, 0.5), 30_000),
    "no floor": (SHARP, 0.002, 30_000),
    "kinks": (NOISY, 0.01 * hidim.WSD(100_000, 500), 100_000),
}


@pytest.mark.parametrize("case", SIGNS)
def test_a_nonlinear_theory_is_its_own_recursion(case):
    spectrum, eta, last = SIGNS[case]
    algorithm = sign_sgd.sign_sgd(eta)
    curve = hidim.predict(spectrum, algorithm, at=np.unique(np.geomspace(1, last, 60).round()))
    assert curve.status == "ok"
    truth = sign_truth(spectrum, algorithm, 1, last)
    assert distance(curve, truth) <= curve.provenance["error"] <= 1e-8


def test_a_driven_theory_adds_up_to_the_ordinary_curve():
    gamma, last = 0.1, 100_000
    curve = hidim.predict(NOISY, split_sgd.SplitSGD(gamma), last, batch_size=4)
    ((_, truth, _),) = risks([Run(NOISY, hidim.sgd(gamma), 4, last)])
    assert curve.status == "ok"
    assert distance(curve, truth) <= 1e-8
    ordinary = hidim.predict(NOISY, hidim.sgd(gamma), last, batch_size=4)
    np.testing.assert_allclose(curve.risk, ordinary.risk, rtol=2e-8)
    mean = hidim.predict(NOISY, split_sgd.SplitSGD(gamma), last, batch_size=4, readout="mean")
    full = hidim.predict(NOISY, hidim.sgd(gamma), last, batch_size=np.inf)
    np.testing.assert_allclose(mean.risk, full.risk, rtol=2e-8)


@pytest.mark.parametrize(
    "algorithm", [sign_sgd.sign_sgd(0.002), split_sgd.SplitSGD(0.1)], ids=lambda a: a.name
)
def test_a_hundred_million_steps_take_few_blocks(algorithm):
    curve = hidim.predict(NOISY, algorithm, 1e8)
    effort = curve.provenance["effort"]
    assert (curve.status, curve.label) == ("ok", algorithm.name)
    assert effort["blocks"] <= 60
    assert effort["single_steps"] <= 1000


def test_stability_answers_for_a_theory_of_anybody(tmp_path):
    report = hidim.stability(NOISY, sign_sgd.sign_sgd(0.01), 10_000)
    assert report.stable
    assert report.verdict.startswith("stable: the gain of the loop stays")
    assert report.norm[0] > report.norm[-1] > 0  # linearised where the run is, not at its start
    assert report.small_step_norm is None
    assert report.largest_gamma_2 is report.norm_gamma_3 is None
    assert "momentum family" in report.no_edges
    json.dumps(report.to_dict(), allow_nan=False)
    report.save(tmp_path / "r.json")
    assert hidim.Stability.load(tmp_path / "r.json") == report


@pytest.mark.parametrize("gamma", [0.1, 0.42, 0.46, 0.6])
def test_a_driven_theory_is_as_stable_as_the_ordinary_one(gamma):
    mine, known = (
        hidim.stability(NOISY, algorithm, 10_000)
        for algorithm in (split_sgd.SplitSGD(gamma), hidim.sgd(gamma))
    )
    np.testing.assert_allclose(mine.norm, known.norm, rtol=1e-12)
    assert mine.growth == pytest.approx(known.growth, rel=1e-9)
    assert (mine.stable, mine.diverged_at) == (known.stable, known.diverged_at)


def test_where_the_gain_is_one_the_rates_of_a_nonlinear_theory_stay_bounded():
    """Sign steps never diverge: the gain at a fixed point is below 1, whatever the rate."""
    for eta in (0.001, 0.1, 1.0):
        report = hidim.stability(NOISY, sign_sgd.sign_sgd(eta), 100_000)
        assert report.stable
        assert report.norm[-1] < 1
        assert report.growth == 0.0


def shell(capsys, *words):
    code = main(list(words))
    return code, capsys.readouterr()


def test_the_command_line_takes_them_by_name(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    NOISY.save("s.json")
    run = ("--spectrum", "s.json", "--steps", "1000", "--algorithm")
    code, told = shell(capsys, "predict", *run, "toy_sign:eta=0.01", "--json")
    assert code == 0
    expected = hidim.predict(NOISY, sign_sgd.sign_sgd(0.01), at=[1000])
    assert json.loads(told.out)["risk"][-1] == pytest.approx(expected.risk[0], rel=1e-8)
    for words in (
        ("compare", *run, "toy-sign:eta=0.01", "split-sgd:gamma=0.1"),
        ("stability", *run, "split-sgd:gamma=0.1", "--csv", "s.csv"),
        ("predict", *run, "toy-sign:eta=0.01", "--schedule", "cosine"),
    ):
        assert shell(capsys, *words)[0] == 0
    assert (tmp_path / "s.csv").read_text().startswith("step,norm\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predict", "split-sgd:gamma=0.1", "--schedule", "cosine"), "has no `scheduled`: it"),
        (("simulate", "toy-sign:eta=0.1"), "toy-sign has no `update`: it cannot be simulated."),
        (("predict", "toy-sign"), "no recommended rates: it has no rule for rates; give eta."),
        (("predict", "toy-sign:eta=0.1", "--batch-size", "2"), "no registered theory covers"),
        (("predict", "toy-sign:eta=0.1", "--engine", "volterra"), "Use --engine exact"),
    ],
)
def test_what_they_do_not_have_is_asked_for_in_one_line(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    NOISY.save("s.json")
    command, name, *flags = words
    code, told = shell(capsys, command, "--spectrum", "s.json", "--steps", "9", "--algorithm", name,
                       *flags)  # fmt: skip
    assert code == 2
    assert said in told.err.replace("'exact'", "exact")
    assert told.err.count("\n") == 1


def test_they_are_drawn_in_their_own_colour():
    pytest.importorskip("matplotlib").use("agg")
    from hidim.plots import plot_curves

    curves = [
        hidim.predict(NOISY, a, 100) for a in (sign_sgd.sign_sgd(0.01), split_sgd.SplitSGD(0.1))
    ]
    ax = plot_curves(curves)
    assert ax.lines[0].get_color() == "#0b7a75"


def test_a_rule_of_their_own_is_what_a_name_stands_for():
    record = hidim.Named(
        "ruled-sign", sign_sgd.sign_sgd, rates=lambda s: sign_sgd.sign_sgd(1e-2 / s.trace**0.5)
    )
    hidim.register(algorithm=record)
    problem = hidim.PLRF(1.0, 0.7, 50)
    chosen = hidim.recommend(problem, "ruled_sign")
    assert hidim.recommend(problem, "ruled-sign", scale=0.5).eta(0) == chosen.eta(0) / 2
    curve = hidim.predict(problem, "ruled sign", at=[100])
    assert curve == hidim.predict(problem, chosen, at=[100])
    noisy = hidim.PLRF(1.0, 0.7, 50, noise_variance=0.1)
    ends = [
        hidim.predict(noisy, algorithm, at=[100_000]).risk[0]
        for algorithm in (hidim.recommend(noisy, "ruled-sign"), "ruled-sign")
    ]
    assert ends[1] < ends[0]  # a name means the best rate for the horizon, as for the package's own


@dataclass(frozen=True, eq=False)
class Saturated(hidim.System):
    """r <- r - rate tanh(r) mode by mode: nonlinear in each, so it gives single steps alone."""

    spectrum: hidim.Spectrum
    rate: float
    kinds, orders, stepped = 1, (), True

    def start(self):
        return np.sqrt(self.spectrum.error_sq)[None]

    def order(self, x):
        return np.empty((*x.shape[:-2], 0))

    def step(self, t, x, q, drive=None):
        return x - self.rate * np.tanh(x)

    def readouts(self, t, x, q, drive=None):
        return {"risk": 0.5 * x[:, 0] ** 2 @ self.spectrum.eigenvalues}


def test_a_theory_of_single_steps_is_followed_as_far_as_these_go(monkeypatch):
    algorithm = SimpleNamespace(name="saturated")
    monkeypatch.setattr(builders, "_OUTSIDE", [])
    hidim.register(system=lambda p, a, b: Saturated(p, 0.01) if a is algorithm else None)
    curve, r = hidim.predict(SHARP, algorithm, at=[300]), np.sqrt(ERROR)
    for _ in range(300):
        r = r - 0.01 * np.tanh(r)
    assert curve.risk[0] == pytest.approx(0.5 * LAM @ r**2, rel=1e-12)
    for options in ({"at": [1e9]}, {"at": [9], "engine": "ode"}, {"at": [9], "engine": "volterra"}):
        with pytest.raises(ValueError, match=r"single steps|nonlinear|engine='exact'"):
            hidim.predict(SHARP, algorithm, **options)
    report = hidim.stability(SHARP, algorithm, 300)
    assert report.stable
    assert report.verdict.startswith("holds over 300 steps; this theory gives single steps alone")
    assert np.isnan(report.norm).all()


def test_registering_says_what_is_wrong():
    with pytest.raises(ValueError, match="give `algorithm`"):
        hidim.register()
    with pytest.raises(ValueError, match="`system` must be a builder"):
        hidim.register(algorithm=hidim.Named("lost", hidim.sgd), system=3)
    assert "lost" not in named.RECORDS
    before = list(builders._OUTSIDE)
    hidim.register(system=sign_sgd.build)  # once more changes nothing
    assert before == builders._OUTSIDE
    with pytest.raises(ValueError, match="no registered theory covers split-sgd"):
        hidim.predict(hidim.PLRF(1, 0.7, 10).spectrum(), type("A", (), {"name": "split-sgd"})(), 5)


def test_an_algorithm_outside_the_family_is_refused_by_name_where_the_family_is_meant():
    from hidim.engines.targets import predict_targets

    with pytest.raises(ValueError, match="must be of the momentum family here, got toy-sign"):
        predict_targets([NOISY], sign_sgd.sign_sgd(0.1), [1])
    with pytest.raises(ValueError, match=r"must be a hidim algorithm such as"):
        hidim.predict(NOISY, 0.1, 10)
