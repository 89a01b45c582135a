"""One record per algorithm: every spelling of every name, through every entry point."""

import math
import re

import numpy as np
import pytest

import hidim
from hidim.algorithms import named
from hidim.algorithms.kappas import Kappas
from hidim.algorithms.named import Amplitudes, kappas_of, lookup, names
from hidim.rates.recommend import scaled
from hidim.studies import Recipe
from hidim.studies.frontier import exact_frontier
from hidim.studies.plane import run_plane

PROBLEM = hidim.PLRF(1.0, 0.7, 50)
RATED = [name for name in names() if not lookup(name).no_rates]
KAPPAS = {"general-momentum": {"kappa_2": 0.5, "kappa_3": 0.3}}


def spellings(name):
    """The ways people write it."""
    words = name.split("-")
    return [
        name,
        name.replace("-", "_"),
        name.upper(),
        name.title(),
        " ".join(words),
        "".join(word.capitalize() for word in words),
        "_".join(words).upper(),
    ]


@pytest.mark.parametrize("name", names())
def test_every_spelling_is_the_same_algorithm_everywhere(name):
    given = KAPPAS.get(name, {})
    for spelling in spellings(name):
        assert lookup(spelling).name == name
        if lookup(name).no_rates:
            for ask in (kappas_of, lambda a, n: hidim.recommend(PROBLEM, n)):
                with pytest.raises(ValueError, match=re.escape(lookup(name).refusal)):
                    ask(1.0, spelling)
            continue
        chosen = hidim.recommend(PROBLEM, spelling, **given)
        assert chosen == hidim.recommend(PROBLEM, name, **given)
        assert chosen.name == name
        if name not in names(scaling=True):
            with pytest.raises(ValueError, match="no scaling law"):
                hidim.scaling_law(1.0, 0.7, spelling)
            continue
        law = hidim.scaling_law(1.0, 0.7, spelling, **given)
        assert law.name == name
        assert law.algorithm(50) == chosen
        recipe = Recipe(spelling, **given)
        assert recipe.name == name
        assert recipe.algorithm(1.0, 0.7, 50, 1.6) == chosen


@pytest.mark.parametrize("wrong", ["dana", "dana-decaing", "sgdm", "", "lion", 3, None, ["sgd"]])
def test_an_unknown_name_is_refused_with_the_nearest(wrong):
    for ask in (
        lambda n: lookup(n),
        lambda n: hidim.recommend(PROBLEM, n),
        lambda n: hidim.scaling_law(1.0, 0.7, n),
        lambda n: kappas_of(1.0, n),
        lambda n: Recipe(n),
    ):
        with pytest.raises(ValueError, match="must be one of") as raised:
            ask(wrong)
        assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="Did you mean 'dana-decaying'"):
        lookup("Dana_Decaing")


@pytest.mark.parametrize("name", RATED)
def test_a_name_in_place_of_an_algorithm_means_the_recommended_one(name):
    chosen = hidim.recommend(PROBLEM, name, 2)
    curve = hidim.predict(PROBLEM, name.replace("-", "_"), steps=20, batch_size=2)
    np.testing.assert_array_equal(curve.risk, hidim.predict(PROBLEM, chosen, 20, 2).risk)
    assert curve.label == name
    assert hidim.stability(PROBLEM, name, 20, 2).algorithm == chosen
    drawn = hidim.recommend(PROBLEM, name, 2, seed=3)
    runs = [hidim.simulate(PROBLEM, a, 20, 2, runs=3, seed=3) for a in (name.upper(), drawn)]
    np.testing.assert_array_equal(runs[0].risk, runs[1].risk)


def test_a_name_follows_the_seed():
    small = hidim.PLRF(0.8374, 0.979, 10, 40)  # this draw does not bear the equivalent's rates
    assert hidim.predict(small, hidim.recommend(small, "sgd", 2), 1000, 2, seed=3).status != "ok"
    assert hidim.predict(small, "sgd", 1000, 2, seed=3).status == "ok"
    assert hidim.stability(small, "dana-constant", 1000, 2, seed=3).stable


def test_a_name_on_a_bare_spectrum_is_the_recommended_algorithm():
    spectrum = hidim.Spectrum([1.0, 0.1], [1.0, 1.0], 0.0)
    one = hidim.predict(spectrum, "sgd", steps=30)
    other = hidim.predict(spectrum, hidim.recommend(spectrum, "sgd"), steps=30)
    np.testing.assert_array_equal(one.risk, other.risk)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("name", names(fixed=True))
@pytest.mark.parametrize("alpha", [0.4, 0.7, 1.2])
def test_laws_ladders_and_recommend_give_one_answer(name, alpha, batch_size):
    ratio = math.inf if alpha > 0.5 else 4.0
    problem = hidim.PLRF(alpha, 0.8, 200, ratio * 200)
    # A law's and a ladder's batch stays as it is while d grows.
    chosen = hidim.recommend(problem, name, batch_size, kappa_b=0.0)
    assert hidim.scaling_law(alpha, 0.8, name, batch_size=batch_size).algorithm(200) == chosen
    trace = problem.spectrum().trace
    assert Recipe(name).algorithm(alpha, 0.8, 200, trace, batch_size=batch_size) == chosen


@pytest.mark.parametrize("name", names(fixed=True))
def test_the_constants_of_a_law_are_the_recommended_rates_of_large_problems(name):
    law = hidim.scaling_law(1.2, 0.7, name)
    algorithm = hidim.recommend(hidim.PLRF(1.2, 0.7, 10**6), name)
    whole = float(algorithm.gamma_2(0))
    if lookup(name).forgetting:
        whole += float(algorithm.gamma_3(0) / algorithm.forgetting(0))
    whole /= lookup(name).direct  # of an average, the step that it is an average of
    assert law.rates.c_2 == pytest.approx(whole, rel=1e-6)  # the trace at d is its limit by then
    if law.rates.c_3:
        there = float(algorithm.gamma_3(1e9)) * 1e9**law.kappas.kappa_3
        assert law.rates.c_3 * 1e6**-law.kappas.kappa_2 == pytest.approx(there, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 64])
@pytest.mark.parametrize("name", names(fixed=True))
def test_a_law_describes_its_own_algorithm_at_any_batch(name, batch_size):
    law = hidim.scaling_law(1.0, 0.7, name, batch_size=batch_size)
    flops = 1e8 * batch_size
    ratio = float(law.frontier(flops).risk / exact_frontier(law, flops).risk)
    assert 0.7 < ratio < (1.7 if name == "schedule-free-sgd" else 1.3)  # as its docstring says


@pytest.mark.parametrize(
    ("name", "amplitude"),
    [("sgd", "c_3"), ("sgd", "delta"), ("sgd-momentum", "c_3"), ("schedule-free-sgd", "delta")],
)
def test_an_amplitude_that_an_optimizer_does_not_have_is_refused(name, amplitude):
    with pytest.raises(ValueError, match=f"`{amplitude}` is no amplitude of"):
        hidim.scaling_law(1.0, 0.7, name, **{amplitude: 0.5})


def test_explicit_amplitudes_are_taken_as_they_are():
    law = hidim.scaling_law(1.0, 0.7, "dana_decaying", c_2=0.2, c_3=0.05, delta=6.0)
    assert law.algorithm(1000) == hidim.dana_decaying(0.2, 0.05, 0.5, 6.0)
    longer = hidim.scaling_law(1.0, 0.7, "sgd_momentum", c_2=0.2).algorithm(1000)
    assert float(longer.gamma_2(0)) == 0.1
    assert float(longer.gamma_3(0)) == pytest.approx(0.01, rel=1e-15)
    assert float(longer.forgetting(0)) == 0.1
    recipe = Recipe("dana-decaying", delta=8.0)
    assert recipe.algorithm(1.0, 0.7, 50, 2.0) == hidim.dana_decaying(0.25, 0.125, 0.5, 8.0)


@pytest.mark.parametrize("name", ["sgd", "sgd-momentum", "dana-constant", "schedule-free-sgd"])
def test_the_horizon_and_label_noise_decide_the_rates(name):
    noisy = hidim.PLRF(0.4, 0.7, 200, 800, noise_variance=1.0)
    default = hidim.recommend(noisy, name)
    ends = []
    for horizon in (1e3, 1e6):
        best = hidim.recommend(noisy, name, steps=horizon)
        ends.append(hidim.predict(noisy, best, at=[horizon]).risk[0])
        assert ends[-1] < 0.98 * hidim.predict(noisy, default, at=[horizon]).risk[0]
        for factor in (0.5, 2.0):  # no neighbour is better by what is worth a move
            near = hidim.predict(noisy, scaled(best, factor, factor), at=[horizon])
            assert near.status != "ok" or near.risk[0] > 0.998 * ends[-1]
    assert ends[1] < ends[0]
    by_name = hidim.predict(noisy, name, at=[1e6])
    assert by_name.risk[0] == pytest.approx(ends[1], rel=1e-12)


def test_without_noise_a_short_horizon_keeps_the_rule():
    assert hidim.recommend(PROBLEM, "sgd", steps=100) == hidim.recommend(PROBLEM, "sgd")


def test_scale_multiplies_the_recommended_rates():
    for name in RATED:
        base, half = (hidim.recommend(PROBLEM, name, scale=s) for s in (None, 0.5))
        t = np.array([0.0, 7.0, 1e5])
        np.testing.assert_allclose(half.gamma_2(t), 0.5 * base.gamma_2(t), rtol=1e-15)
        np.testing.assert_allclose(half.gamma_3(t), 0.5 * base.gamma_3(t), rtol=1e-15)
    for arguments in ({"scale": 0.0}, {"scale": 1.0, "steps": 10}, {"steps": 0}, {"steps": 1e21}):
        with pytest.raises(ValueError, match=r"`scale`|`steps`"):
            hidim.recommend(PROBLEM, "sgd", **arguments)


def test_equal_algorithms_have_equal_edges_whatever_their_names():
    nesterov = hidim.stochastic_nesterov(0.02)
    parts = (nesterov.gamma_1, nesterov.gamma_2, nesterov.gamma_3, nesterov.forgetting)
    twins = [
        hidim.Momentum(*parts),
        hidim.Momentum(*parts, name="dana-decaying"),
        hidim.Momentum(2.0 * parts[0], parts[1], 0.5 * parts[2], parts[3]),
    ]
    spectrum = hidim.Spectrum([1.0, 0.2], [1.0, 1.0], 0.0)
    for twin in twins:
        report = hidim.stability(spectrum, twin, 200)
        assert report.largest_gamma_2 == 0.0
        assert report.verdict == hidim.stability(spectrum, nesterov, 200).verdict
    other = hidim.sgd(0.1)
    impostor = hidim.Momentum(*(getattr(other, p) for p in ("gamma_1", "gamma_2", "gamma_3")),
                              other.forgetting, name="stochastic-nesterov")  # fmt: skip
    assert hidim.stability(spectrum, impostor, 200).largest_gamma_2 > 0.1


@pytest.fixture
def registered(monkeypatch):
    names()  # the built-in ones are loaded before the copy is taken
    monkeypatch.setattr(named, "RECORDS", dict(named.RECORDS))
    record = hidim.Named(
        "half-dana",
        lambda gamma_2, gamma_3: hidim.dana_constant(gamma_2, gamma_3, 4.0),
        "#123456",
        exponents=lambda alpha, kappa_b: Kappas(0.0, 1.0, 0.0, kappa_b),
        amplitudes=lambda setting: Amplitudes(0.2 * setting.rate, 0.05 / setting.d, 4.0),
        member=lambda a, kappas, d: hidim.dana_constant(a.gamma_2, a.gamma_3, a.delta),
    )
    hidim.register(algorithm=record)
    return record


def test_an_algorithm_from_outside_works_everywhere(registered):
    from hidim.plots import colour_of

    chosen = hidim.recommend(PROBLEM, "HalfDana")
    assert hidim.predict(PROBLEM, "half_dana", steps=10).label == "half-dana"
    assert hidim.stability(PROBLEM, "half-dana", 10).stable
    law = hidim.scaling_law(1.2, 0.7, "half-dana")
    assert law.algorithm(50) == hidim.recommend(hidim.PLRF(1.2, 0.7, 50), "half-dana")
    assert law.rates.c_3 == pytest.approx(0.05)
    assert Recipe("half dana").algorithm(1.0, 0.7, 50, 1.6) == chosen
    assert colour_of("half-dana, d = 50") == "#123456"
    assert "half-dana" in hidim.algorithms.NAMED
    with pytest.raises(ValueError, match="half-dana"):
        lookup("nothing like it")


def test_other_processes_are_told_what_a_registered_name_means(registered):
    pytest.importorskip("xarray")
    options = {"sizes": [40, 60], "points": 16, "recipes": ["half-dana", "sgd"], "progress": False}
    apart = run_plane([1.0], [0.7], workers=2, **options)
    here = run_plane([1.0], [0.7], workers=1, **options)
    np.testing.assert_array_equal(apart.risk, here.risk)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "-a-"},
        {"name": "Sgd"},
        {"constructor": None},
        {"colour": "red"},
        {"exponents": lambda alpha, kappa_b: Kappas()},
    ],
)
def test_a_record_that_could_not_work_is_refused(wrong):
    with pytest.raises(ValueError, match=r"`name`|`constructor`|`colour`|`exponents`"):
        hidim.Named(**({"name": "new", "constructor": hidim.sgd} | wrong))


def test_a_colour_left_out_is_a_spare_one_and_spelling_does_not_matter(registered):
    from hidim.plots import colour_of
    from hidim.plots.style import OTHERS

    hidim.register(algorithm=hidim.Named("careful-sgd", hidim.sgd))
    assert colour_of("careful-sgd", index=1) == OTHERS[1]
    assert colour_of("DANA_decaying") == colour_of("dana-decaying")


def test_iterators_and_rows_take_what_they_say():
    at = (step for step in (3, 1))
    assert hidim.predict(PROBLEM, "sgd", at=at).steps.tolist() == [3, 1]
    X = np.eye(4)
    with pytest.raises(ValueError, match="`algorithm` must be a hidim algorithm"):
        hidim.simulate_rows(X, np.ones(4), "sgd", 10)


@pytest.mark.parametrize("name", ["SGD", "half dana", "", "half_dana!", "danadecaying"])
def test_a_taken_or_crooked_name_cannot_be_registered(registered, name):
    with pytest.raises(ValueError, match="`name`"):
        hidim.register(algorithm=hidim.Named(name, hidim.sgd))
    with pytest.raises(ValueError, match=r"hidim\.Named"):
        hidim.register(algorithm=hidim.sgd(0.1))
