"""Laws of label noise: each mixture has the law's moments, tails and samples."""

import math

import numpy as np
import pytest
from scipy import stats

import hidim
from hidim.problems.noise import Law, Mixture
from hidim.simulation.agreement import deviations

LAWS = {
    "gaussian": (hidim.noise.Gaussian(0.3), stats.norm(scale=math.sqrt(0.3))),
    "student": (hidim.noise.StudentT(3.0, 0.3), stats.t(3.0, scale=0.3)),
    "student 2.2": (hidim.noise.StudentT(2.2, 1.0), stats.t(2.2)),
    "cauchy": (hidim.noise.Cauchy(0.5), stats.cauchy(scale=0.5)),
    "laplace": (hidim.noise.Laplace(0.3), stats.laplace(scale=math.sqrt(0.15))),
    "rademacher": (hidim.noise.Rademacher(0.3), None),
    "uniform": (hidim.noise.Uniform(0.3), stats.uniform(-math.sqrt(0.9), 2 * math.sqrt(0.9))),
    "sample": (hidim.noise.Sample((1.0, -0.5, 2.0, 1.0)), None),
}


def blurred(mixture, points, variance):
    """The distribution function of the mixture with N(0, variance) added."""
    wide = mixture.wider(variance)
    z = (points[:, None] - wide.means) / np.sqrt(wide.variances)
    return stats.norm.cdf(z) @ wide.weights


@pytest.mark.parametrize("name", LAWS)
def test_samples_follow_the_mixture(name):
    law, _ = LAWS[name]
    assert isinstance(law, Law)
    assert law.mixture.weights.sum() == pytest.approx(1.0, abs=1e-12)
    rng = np.random.default_rng(0)
    drawn = law.draw(rng, (200, 500)).ravel() + 0.2 * rng.standard_normal(100_000)
    points = np.array([-3.0, -1.0, -0.3, 0.0, 0.2, 0.7, 2.0])
    share = np.mean(drawn[:, None] <= points, axis=0)
    expected = blurred(law.mixture, points, 0.04)
    error = np.sqrt(expected * (1 - expected) / len(drawn)) + 1e-9
    assert np.max(np.abs(share - expected) / error) < 4


@pytest.mark.parametrize("name", [n for n, (_, known) in LAWS.items() if known is not None])
def test_a_mixture_is_the_law_to_the_accuracy_of_its_nodes(name):
    law, known = LAWS[name]
    points = np.array([-40.0, -4.0, -1.0, 0.1, 1.5, 10.0])
    u = (np.arange(20_000) + 0.5) / 20_000
    exact = np.array([np.mean(stats.norm.cdf((p - known.ppf(u)) / 0.5)) for p in points])
    np.testing.assert_allclose(blurred(law.mixture, points, 0.25), exact, atol=2e-5)
    if law.variance < math.inf:
        assert law.variance == pytest.approx(known.var(), rel=1e-12)


def test_variances_are_in_closed_form_and_may_be_infinite():
    assert hidim.noise.StudentT(2.2, 1.0).variance == pytest.approx(11.0)
    assert hidim.noise.StudentT(2.0, 1.0).variance == hidim.noise.Cauchy(1.0).variance == math.inf
    light = hidim.noise.Uniform(0.7).mixture
    assert light.weights @ (light.means**2 + light.variances) == pytest.approx(0.7, rel=1e-12)
    assert hidim.noise.Sample((3.0, -1.0)).variance == 5.0


def test_a_mixture_gets_wider_by_what_is_added():
    wider = Mixture(np.ones(1), np.zeros(1), np.array([0.2])).wider(0.3)
    assert wider.variances.tolist() == [0.5]


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: hidim.noise.StudentT(3.0, 0.0), "`scale` must be positive"),
        (lambda: hidim.noise.StudentT(-1.0, 1.0), "`df` must be positive"),
        (lambda: hidim.noise.Cauchy(-1.0), "`scale` must be positive"),
        (lambda: hidim.noise.Laplace(math.nan), "`variance`"),
        (lambda: hidim.noise.Sample(()), "`values` is empty"),
        (lambda: hidim.noise.Sample((1.0, math.inf)), "`values`"),
        (lambda: hidim.PLRF(1.0, 0.7, 10, noise="cauchy"), "`noise` must be a law of hidim.noise"),
        (lambda: hidim.PLRF(1.0, 0.7, 10, noise=hidim.noise.Cauchy), "`noise` must be a law"),
        (
            lambda: hidim.PLRF(1.0, 0.7, 10, noise_variance=0.1, noise=hidim.noise.Laplace(1.0)),
            "give one of the two",
        ),
    ],
)
def test_what_is_no_law_is_refused_in_one_line(make, match):
    with pytest.raises(ValueError, match=match) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("name", LAWS)
def test_a_spectrum_keeps_its_law_in_files(name, suffix, tmp_path):
    spectrum = hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.1, noise=LAWS[name][0])
    spectrum.save(tmp_path / f"s{suffix}")
    assert hidim.Spectrum.load(tmp_path / f"s{suffix}") == spectrum


@pytest.mark.parametrize("drawn", [True, False])
def test_the_excess_of_runs_without_a_variance_is_that_above_the_floor(drawn):
    problem = hidim.PLRF(0.4, 0.4, 20, 80, noise=hidim.noise.Cauchy(0.1))
    spectrum, run = problem.spectrum(seed=3), hidim.clipped(hidim.sgd(0.1), 0.5)
    measured = hidim.simulate(
        spectrum if drawn else problem, run, at=[0, 60], runs=60, seed=0, problem_seed=3
    )
    predicted = hidim.predict(spectrum, run, at=[0, 60])
    assert measured.excess[0] == pytest.approx(predicted.excess[0], rel=1e-12)
    # The floor of W alone, .26, is thirty standard errors.
    assert abs(deviations(measured, predicted)[1]) < 4
    assert predicted.finite().risk.tolist() == predicted.excess.tolist()
