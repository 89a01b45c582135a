"""SGD, signs and polar factors of a matrix: numbers of the page, runs, identities, refusals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, optimize

import hidim
from hidim.algorithms.polar import SignSVD
from hidim.rates.limits import limit_risk
from hidim.simulation.matrix import MatrixBatch
from hidim.systems.base import System
from hidim.systems.builders import system_of
from hidim.systems.matrix_signs import product_norm
from hidim.systems.polar_saturated import PolarFactors, _means

J = np.arange(1.0, 81)
MUON = hidim.sign_svd(0.1, momentum=0.9)


def power(d, exponent):
    return hidim.Spectrum(J[:d] ** -exponent, np.ones(d), 0.0)


def problem(m, d, exponent=1.0, floor=2.0, noise=None, excess=0.5):
    """A spectrum, every mode of which starts with the same error."""
    lam = J[:d] ** -exponent
    rho = np.full(d, 2 * excess / lam.sum())
    return hidim.MatrixLeastSquares(hidim.Spectrum(lam, rho, floor, noise=noise), outputs=m)


# Published numbers, and what they are made of.


@pytest.mark.parametrize(
    ("m", "d", "batch", "exponent", "F", "q"),
    [
        (60, 60, 300, 1.0, {0: 2.167687, 9: 6.123299, 59: 12.052517}, {0: 1.0, 59: 1.0}),
        (60, 60, 20, 1.0, {0: 0.492602, 9: 0.965131, 59: 1.164067}, {0: 0.916003, 59: 0.153799}),
        (80, 40, 200, 1.2, {0: 1.549634, 9: 5.640694, 39: 11.550087}, {0: 1.0}),
        (40, 80, 200, 0.8, {0: 2.065682, 9: 4.190227, 79: 6.062130}, {0: 0.941130, 79: 0.324344}),
    ],
)
def test_drift_factors_are_those_of_the_page(m, d, batch, exponent, F, q):
    found = hidim.muon_drift(power(d, exponent), m, batch)
    np.testing.assert_allclose(found.F[list(F)], list(F.values()), atol=6e-7)
    np.testing.assert_allclose(found.q[list(q)], list(q.values()), atol=5e-7)
    assert found.q.sum() == pytest.approx(min(m, batch, d))


def test_drift_factors_solve_their_equations():
    m, batch, lam = 7, 5, np.array([1.0, 0.4, 0.1])
    counts = np.array([1.0, 2.0, 6.0])
    found = hidim.muon_drift(hidim.Spectrum(lam, np.ones(3), 0.0, counts), m, batch)

    def share(z):
        normal = integrate.quad(
            lambda f: z * f**2 / (1 + z * f**2) * math.exp(-(f**2) / 2), 0, 40, epsabs=1e-12
        )
        return normal[0] * math.sqrt(2 / math.pi)

    def root(t):
        def gap(log_s):
            s = math.exp(log_s)
            tau = counts @ (lam / (1 + s * lam))
            return s * tau - batch * share(max(m - s * tau, 0.0) / t**2 * tau / batch**2)

        return math.exp(optimize.brentq(gap, -30, 20, xtol=1e-10))

    def factor(value):
        part = integrate.quad(
            lambda log_t: (
                math.exp(log_t) * root(math.exp(log_t)) / (1 + value * root(math.exp(log_t)))
            ),
            -9, 9, epsrel=1e-3, limit=40,
        )  # fmt: skip
        return 2 * batch / (math.pi * m) * part[0]

    assert found.F[1] == pytest.approx(factor(0.4), rel=1e-3)  # the integral is cut off
    assert counts @ found.q == pytest.approx(5.0)


def test_large_batches_precondition_by_a_square_root_and_single_samples_not_at_all():
    lam = power(30, 1.0)
    large = hidim.muon_drift(lam, 10**7, 10**5).F
    np.testing.assert_allclose(large, math.sqrt(1e-2) * lam.eigenvalues**-0.5, rtol=1e-3)
    single = hidim.muon_drift(power(80, 0.3), 60, 1)
    expected = math.sqrt(2 / math.pi / (60 * power(80, 0.3).trace))
    np.testing.assert_allclose(single.F, expected, rtol=0.02)
    slopes = [
        np.polyfit(np.log(J[:10]), np.log(hidim.muon_drift(power(60, 1.0), 60, B).F[:10]), 1)[0]
        for B in (300, 60, 20, 3)
    ]
    np.testing.assert_allclose(slopes, [0.450, 0.398, 0.288, 0.077], atol=2e-3)


def test_a_mode_is_preconditioned_from_its_transition_batch_on():
    spectrum = power(60, 1.0)
    batches = hidim.muon_transition(spectrum, 60)
    assert np.all(np.diff(batches) > 0)
    for i in (2, 11, 40):
        q = [hidim.muon_drift(spectrum, 60, math.ceil(batches[i]) + k).q[i] for k in (-1, 0)]
        assert q[0] <= 0.5 <= q[1]
    assert hidim.muon_transition(spectrum, 3)[-1] == math.inf


def test_modes_that_occur_several_times_are_modes_one_by_one():
    lam, counts = np.array([1.0, 0.3, 0.1]), np.array([2, 3, 5])
    many = hidim.Spectrum(np.repeat(lam, counts), np.repeat([0.1, 0.2, 0.1], counts), 0.4)
    few = hidim.Spectrum(lam, counts * np.array([0.1, 0.2, 0.1]), 0.4, counts)
    for algorithm in (
        hidim.sgd(0.01),
        hidim.sign_sgd(1e-3, basis="generic", drift="linear"),
        hidim.sign_sgd(1e-3, basis="diagonal", drift="saturated"),
        hidim.sign_svd(1e-2, drift="linear"),
        hidim.sign_svd(1e-2, drift="saturated"),
    ):
        one, other = (
            hidim.predict(hidim.MatrixLeastSquares(s, 8), algorithm, steps=15, batch_size=6).risk
            for s in (many, few)
        )
        np.testing.assert_allclose(other, one, rtol=1e-9)


# Runs of the raw algorithm.

RUNS = {
    "sgd, B = 1": (problem(10, 20), hidim.sgd(0.01), 1),
    "momentum, B = 4": (problem(10, 20), hidim.sgd_momentum(0.01, 2e-3, 0.1), 4),
    "sgd, B = 32, Laplace": (problem(6, 12, noise=hidim.noise.Laplace(1.0)), hidim.sgd(0.05), 32),
    "signs, B = 1": (problem(20, 20), hidim.sign_sgd(3e-3, basis="diagonal"), 1),
    "signs, B = 4": (problem(30, 15), hidim.sign_sgd(3e-3, basis="diagonal"), 4),
    "signs, generic, B = 4": (problem(12, 40, 0.3), hidim.sign_sgd(2e-3, basis="generic"), 4),
    "svd, B = 1": (problem(20, 30, 0.8), hidim.sign_svd(0.03), 1),
    "svd, B = 4": (problem(30, 15, 0.7), hidim.sign_svd(0.02), 4),
    "svd, B = 32": (problem(12, 30), hidim.sign_svd(hidim.PowerLaw(0.03, 0.2)), 32),
    "svd, B = 32, level": (problem(25, 25, 0.2), hidim.sign_svd(0.02), 32),
}


FAST = {"momentum, B = 4", "signs, B = 4", "svd, B = 1", "svd, B = 32"}


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in RUNS]
)
def test_runs_of_the_raw_algorithm_meet_the_prediction(name):
    matrix, algorithm, batch = RUNS[name]
    options = {"at": [0, 5, 20, 50], "batch_size": batch}
    run = hidim.simulate(matrix, algorithm, runs=40, seed=4, **options)
    curve = hidim.predict(matrix, algorithm, **options)
    assert curve.status == "ok"
    # Both theories of large m and d, at 10 to 30 of each: 2 % of the excess.
    assert np.all(np.abs(curve.risk - run.risk) < 4 * run.stderr + 0.02 * curve.excess)
    assert abs(run.risk[-1] / curve.risk[0] - 1) > 1e-3  # it moved


def svd(drift):
    return hidim.sign_svd(0.01, drift=drift)


def signs(drift):
    return hidim.sign_sgd(2e-3, basis="diagonal", drift=drift)


@pytest.mark.parametrize(
    ("made", "exponent", "batch"),
    [pytest.param(svd, 0.9, 8, marks=pytest.mark.slow), (svd, 1.5, 64), (signs, 0.6, 80)],
)
def test_strong_signals_saturate_as_they_do_in_runs(made, exponent, batch):
    lam = J[:24] ** -exponent
    spectrum = hidim.Spectrum(lam, 2 * lam**0.5 / (lam**1.5).sum(), 0.05)
    matrix, options = hidim.MatrixLeastSquares(spectrum, 24), {"at": [10, 60], "batch_size": batch}
    run = hidim.simulate(matrix, made("auto"), runs=24, seed=1, **options)
    curve = hidim.predict(matrix, made("auto"), **options)
    assert (curve.status, curve.provenance["drift"]) == ("ok", "saturated")
    assert np.all(np.abs(curve.excess - run.excess) < 4 * run.stderr + 0.02 * curve.excess)
    linear = hidim.predict(matrix, made("linear"), **options)
    assert linear.status == "inaccurate"
    assert "too fast" in linear.provenance["caution"]
    assert linear.excess[-1] < 0.98 * run.excess[-1]


def test_small_matrices_and_few_modes_say_so():
    for matrix, batch, said in (
        (problem(6, 30), 8, "one side of this has 6"),
        (problem(30, 30, 1.5), 4, "trace is only"),
    ):
        for drift in ("linear", "saturated"):
            found = hidim.predict(matrix, hidim.sign_svd(0.01, drift=drift), 9, batch_size=batch)
            assert found.status == "inaccurate"
            assert said in found.provenance["caution"]


def test_known_coordinates_are_those_that_signs_see():
    places = np.arange(25.0)
    units = 1.0 + 0.5 * np.sin(1.7 * places)
    K = 0.5 ** np.abs(np.subtract.outer(places, places)) * np.outer(units, units)
    spectrum = hidim.Spectrum.from_covariance(K, 0.2 * np.cos(places**1.5), noise_variance=3.0)
    matrix, options = hidim.MatrixLeastSquares(spectrum, 12), {"at": [10, 40], "batch_size": 4}
    run = hidim.simulate(matrix, hidim.sign_sgd(3e-3), runs=60, seed=3, **options)
    curve = hidim.predict(matrix, hidim.sign_sgd(3e-3), **options)
    assert np.all(np.abs(curve.risk - run.risk) < 4 * run.stderr + 0.02 * curve.excess)


def test_polar_factors_are_polar_factors():
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 3, 5)), rng.standard_normal((2, 3, 7))
    batch = MatrixBatch(left, right, rng.standard_normal((2, 3)), np.zeros((2, 35)), 0)
    np.testing.assert_allclose(batch.mean, batch.samples.mean(axis=1))
    found = SignSVD()(batch, rng).reshape(2, 5, 7)
    # Three samples: three singular values, all of them one.
    sizes = np.linalg.svd(found, compute_uv=False)
    np.testing.assert_allclose(sizes, [[1, 1, 1, 0, 0]] * 2, atol=1e-9)
    inner = np.einsum("rij,rij->r", found, batch.mean.reshape(2, 5, 7))
    nuclear = np.linalg.svd(batch.mean.reshape(2, 5, 7), compute_uv=False).sum(axis=1)
    np.testing.assert_allclose(inner, nuclear)


# Identities.


def test_saturated_factors_without_a_signal_are_the_linear_ones():
    lam, none = J[:40] ** -1.0, np.zeros(40)
    for batch in (1, 20, 300):
        found = PolarFactors(lam, np.ones(40), 60, batch)(none, none)
        expected = hidim.muon_drift(power(40, 1.0), 60, batch).F
        np.testing.assert_allclose(found, expected, rtol=2e-5)  # where log t is cut off


def test_at_large_batches_factors_fall_with_the_root_of_the_signal():
    lam, shares = J[:20] ** -0.5, np.full(20, 1e-5)
    m, batch = 10**4, 10**7
    linear = hidim.muon_drift(power(20, 0.5), m, batch).F
    found = PolarFactors(lam, np.ones(20), m, batch)(lam * shares, shares)
    np.testing.assert_allclose(found, linear / math.sqrt(1 + batch * 1e-5 / m), rtol=2e-3)


def test_slopes_of_the_means_are_slopes():
    Z = np.geomspace(1e-6, 1e6, 60)
    k, slope, own, own_slope = _means(Z)
    near = [_means(Z * math.exp(h)) for h in (1e-4, -1e-4)]
    np.testing.assert_allclose(slope, np.log(near[0][0] / near[1][0]) / 2e-4, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(own_slope, (near[0][2] - near[1][2]) / 2e-4, rtol=1e-2, atol=1e-5)
    assert k[0] == pytest.approx(1.0, abs=1e-5)
    assert own[0] == pytest.approx(2.0, abs=1e-4)


def test_the_risk_stops_where_the_page_says():
    matrix = problem(20, 30, floor=0.4)
    for algorithm, factor in (
        (hidim.sign_svd(0.02, drift="linear"), None),
        (hidim.sign_sgd(2e-3, basis="diagonal", drift="linear"), None),
    ):
        system = system_of(matrix, algorithm, 8)
        if algorithm.name == "sign-svd":
            F, q = hidim.muon_drift(matrix.spectrum, 20, 8)
            factor = 0.02 / 4 * (q / F).sum()
        else:
            roots = np.sqrt(matrix.spectrum.eigenvalues).sum()
            factor = 2e-3 * 20 * roots / (4 * math.sqrt(2 / math.pi) * product_norm(8))
        expected = 0.4 + factor**2 * (1 + math.sqrt(1 + 0.8 / factor**2))
        found = hidim.stability(matrix, algorithm, 1e4, batch_size=8)
        assert found.limit_risk == pytest.approx(expected, rel=1e-6)
        assert limit_risk(system, 0.0, 1.0) == pytest.approx(expected, rel=1e-6)


def test_one_output_with_a_constant_label_feature_is_the_vector_problem_but_for_its_length():
    matrix = problem(1, 12, floor=0.3)
    curve = hidim.predict(matrix, hidim.sgd(0.02), steps=100)
    vector = hidim.predict(matrix.spectrum, hidim.sgd(0.02), steps=100)
    assert curve.risk[-1] > vector.risk[-1]  # a row u x has heavier tails than x
    assert curve.dimension == 12


def linear(name):
    """One of the settings, by the linear drift."""
    matrix, algorithm, batch = RUNS[name]
    if algorithm.gradient is not None:
        algorithm = replace(algorithm, gradient=replace(algorithm.gradient, drift="linear"))
    return matrix, algorithm, batch


BLOCKS = ["momentum, B = 4", "signs, B = 4", "svd, B = 4"]


@pytest.mark.slow  # as tests/agreement does, of plain loops
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_single_steps(name):
    matrix, algorithm, batch = linear(name)
    system = system_of(matrix, algorithm, batch)
    states, orders = System.steps(system, 0, 800, system.start())
    plain = system.readouts(np.arange(801.0), states, orders)["risk"]
    found = hidim.predict(matrix, algorithm, at=[1, 30, 300, 800], batch_size=batch)
    np.testing.assert_allclose(found.risk, plain[[1, 30, 300, 800]], rtol=1e-8)
    assert found.provenance["effort"]["blocks"] >= 2


@pytest.mark.parametrize("name", BLOCKS)
def test_a_hundred_million_steps_take_few_blocks(name):
    matrix, algorithm, batch = linear(name)
    far = hidim.predict(matrix, algorithm, steps=1e8, batch_size=batch)
    assert far.status == ("ok" if "signs" not in name else "inaccurate")  # a little too fast
    assert far.provenance["effort"]["blocks"] <= 60


@pytest.mark.parametrize("drift", ["linear", "saturated"])
def test_what_small_matrices_make_of_a_long_way_down_is_said(drift):
    algorithm = hidim.sign_svd(0.06, drift=drift)

    def told(outputs, last):
        spectrum = hidim.Spectrum(1.0 / np.arange(1.0, 2 * outputs + 1), np.ones(2 * outputs), 0.05)
        matrix = hidim.MatrixLeastSquares(spectrum, outputs=outputs)
        curve = hidim.predict(matrix, algorithm, at=[last], batch_size=16)
        return str(curve.provenance.get("finite_size"))

    assert "way down" not in told(32, 2)
    assert "predicted too low, by up to" in told(32, 80)
    assert "way down" not in told(250, 40 if drift == "linear" else 4)
    if drift == "linear":  # where noise holds the excess the way is forgotten
        assert "way down" not in told(32, 10**6)


# Refusals and cautions.


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.MatrixLeastSquares(power(4, 1.0)), "`outputs` is missing"),
        (lambda: hidim.MatrixLeastSquares(power(4, 1.0), outputs=0), "`outputs`"),
        (lambda: hidim.MatrixLeastSquares([1.0], outputs=2), "`spectrum` must be"),
        (lambda: hidim.muon_drift(power(4, 1.0), batch_size=3), "`outputs` is missing"),
        (lambda: hidim.muon_drift(power(4, 1.0), 3), "`batch_size` is missing"),
        (lambda: hidim.muon_drift(None, 3, 3), "`spectrum`"),
        (lambda: hidim.muon_transition(power(4, 1.0)), "`outputs` is missing"),
        (lambda: hidim.sign_svd(0.1, drift="cubic"), "`drift`"),
        (lambda: hidim.sign_svd(0.1, momentum=1.0), r"`momentum` .* \[0, 1\), got 1"),
        (lambda: hidim.sign_svd(0.1, momentum=0.9, drift="linear"), "hidim.simulate"),
        (lambda: hidim.sign_svd(0.1, nesterov=True), "`nesterov`.*`momentum`"),
        (lambda: hidim.predict(problem(3, 4), hidim.adam(0.1, 0.9, 0.99), 9), "adam is not pred"),
        (lambda: hidim.predict(problem(3, 4), MUON, 9), "not predicted.*hidim.simulate"),
        (lambda: hidim.stability(problem(3, 4), MUON, 9), "not predicted.*hidim.simulate"),
        (lambda: hidim.simulate(power(4, 1.0), MUON, 9), "`outputs`"),
        (lambda: hidim.predict(power(4, 1.0), hidim.sign_svd(0.1), steps=9), "`outputs`"),
        (lambda: hidim.simulate(power(4, 1.0), hidim.sign_svd(0.1), steps=9), "`outputs`"),
        (lambda: hidim.predict(problem(3, 4), hidim.sign_sgd(0.1), steps=9), 'basis="diagonal"'),
        (lambda: hidim.recommend(problem(3, 4), "sgd"), "no rates are recommended"),
        (lambda: hidim.predict(problem(3, 4), "dana-decaying", 9), "no rates are recommended"),
        (
            lambda: hidim.predict(problem(3, 4), hidim.sign_svd(0.1), 9, batch_size=math.inf),
            "`batch_size`=inf",
        ),
        (
            lambda: hidim.simulate(problem(3, 4), hidim.sign_svd(0.1), 9, batch_size=math.inf),
            "`batch_size`=inf",
        ),
        (
            lambda: hidim.predict(
                problem(3, 4, noise=hidim.noise.Cauchy(0.1)), hidim.sign_svd(0.1), 9
            ),
            "Gaussian noise alone",
        ),
        (
            lambda: hidim.predict(problem(3, 4), hidim.clipped(hidim.sgd(0.1), 1.0), 9),
            "not predicted on a matrix",
        ),
        (
            lambda: hidim.predict(
                problem(3, 4, noise=hidim.noise.Cauchy(0.1)), hidim.sgd(0.1), 9
            ),
            "without a variance",
        ),
        (
            lambda: hidim.predict(
                problem(3, 4),
                replace(
                    hidim.sgd_momentum(0.0, 0.1, 0.1), gradient=SignSVD("saturated")
                ),
                9,
            ),
            "without momentum",
        ),
        (
            lambda: hidim.simulate(
                hidim.MatrixLeastSquares(hidim.PLRF(1.0, 0.7, 50), 4), hidim.sgd(0.1), 9
            ),
            "not whole",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused_in_one_line(ask, match):
    with pytest.raises(ValueError, match=match) as caught:
        ask()
    assert "\n" not in str(caught.value)
