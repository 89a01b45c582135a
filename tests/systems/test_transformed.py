"""Changed gradients: published numbers, runs of the raw algorithm, identities and refusals."""

import math

import numpy as np
import pytest
from scipy import special

import hidim
from hidim.problems.noise import Mixture
from hidim.systems.base import System
from hidim.systems.builders import system_of
from hidim.systems.saturated import mean_sign
from hidim.systems.saturated_pairs import SaturatedPairs
from hidim.systems.sign import modes_of
from hidim.systems.sign_drift import SignDrift
from hidim.systems.thresholds import clip_numbers

STUDENT, CAUCHY = hidim.noise.StudentT(3.0, 0.3), hidim.noise.Cauchy(0.3)
WIDE = hidim.noise.StudentT(3.0, 3.0)


def level(noise=None, d=40, floor=0.0):
    """Many modes of nearly one size, none of which holds much of the signal."""
    lam = np.arange(1.0, d + 1) ** -0.3
    return hidim.Spectrum(lam, np.full(d, 2.0 / lam.sum()), floor, noise=noise)


# Published numbers.


@pytest.mark.parametrize(
    ("law", "R", "c", "mu", "nu"),
    [
        (hidim.noise.StudentT(2.2, 1.0), 5.0, 6.499, 0.9215, 11.43),
        (hidim.noise.StudentT(2.2, 1.0), 0.5, 1.819, 0.7069, 1.606),
        (hidim.noise.StudentT(2.2, 1.0), 0.05, 0.8930, 0.5217, 0.5051),
        (hidim.noise.StudentT(2.2, 1.0), 0.005, 0.7563, 0.4757, 0.3820),
    ],
)
def test_clip_numbers_are_those_of_the_page(law, R, c, mu, nu):
    found = clip_numbers(law.mixture, np.array([2 * R]), np.array([c]))
    np.testing.assert_allclose([found[0][0], found[1][0]], [mu, nu], rtol=4e-4)


def test_clip_numbers_of_samples_are_means_over_them():
    law = hidim.noise.Sample((1.5, -0.4, -0.4, 0.1))  # skewed, and not centred
    rng = np.random.default_rng(1)
    e = math.sqrt(0.6) * rng.standard_normal(400_000) - law.draw(rng, (400_000,))
    mu, nu, kappa = (v[0] for v in clip_numbers(law.mixture, np.array([0.6]), np.array([0.8])))
    assert mu == pytest.approx(np.mean(np.abs(e) <= 0.8), abs=4e-3)
    assert nu == pytest.approx(np.mean(np.minimum(e**2, 0.64)), abs=4e-3)
    edge = sum(np.mean(np.abs(e - s) < 0.02) / 0.04 for s in (0.8, -0.8))
    assert kappa == pytest.approx(2 * mu - 2 * 0.8 * edge, abs=3e-2)


@pytest.mark.parametrize(
    ("law", "psi"),
    [
        (hidim.noise.Gaussian(0.3), (1.0, 1.0, 1.0)),
        (STUDENT, (1.0156, 1.1627, 1.4652)),
        (hidim.noise.Laplace(0.3), (1.0055, 1.1063, 1.3991)),
        (hidim.noise.Rademacher(0.3), (0.9949, 0.7469, 0.0022)),
    ],
)
def test_the_drift_of_signs_is_compressed_as_the_page_says(law, psi):
    R = np.array([1.0, 0.1, 0.01])
    found = 0.5 * math.pi * np.sqrt(2 * R + law.variance) * SignDrift(law.mixture, 1)(2 * R)
    np.testing.assert_allclose(found, psi, atol=6e-5)


@pytest.mark.parametrize("batch", [2, 5, 32, 300])
def test_the_drift_at_any_batch_agrees_with_the_closed_form(batch):
    R, gaussian = np.array([1e-3, 0.1, 2.0]), hidim.noise.Gaussian(0.3).mixture
    twice = Mixture(np.full(2, 0.5), np.zeros(2), np.full(2, 0.3))  # the same law, not seen as one
    expected = SignDrift(gaussian, batch)(2 * R)
    np.testing.assert_allclose(SignDrift(twice, batch)(2 * R), expected, rtol=1e-10)


@pytest.mark.parametrize("law", [STUDENT, CAUCHY, hidim.noise.Rademacher(0.3)])
def test_the_drift_of_a_batch_of_four_is_what_samples_say(law):
    rng, S, B = np.random.default_rng(3), 0.4, 4
    a, rest = rng.standard_normal((2, 400_000, B))
    x = 0.1  # correlation of one coordinate with the residual
    e = math.sqrt(S) * (x * a + math.sqrt(1 - x**2) * rest) - law.draw(rng, a.shape)
    signs = np.sign((e * a).sum(axis=1))
    expected = float(SignDrift(law.mixture, B)(np.array([S]))[0]) * math.sqrt(S) * x
    assert abs(signs.mean() - expected) < 4 / math.sqrt(len(signs)) + 0.01 * expected


def test_the_authors_noisy_curves():
    d = 1000  # the mean of theta*^2 under U(0, 1 / sqrt(d)) is 1 / (3 d)
    spectrum = hidim.Spectrum([1 / (12 * d)], [1 / 3], 0.005 / d, [d])
    for std, expected in (
        (1.0, [0.16669, 0.15177, 0.06774, 0.01149, 0.01045]),
        (1.25, [0.16669, 0.15233, 0.07145, 0.01732, 0.01632]),
        (1.5, [0.16669, 0.15302, 0.07600, 0.02444, 0.02350]),
    ):
        algorithm = hidim.noisy(hidim.sgd(0.05), std, 0.1, start_variance=4.0)
        curve = hidim.predict(spectrum, algorithm, at=[0, 10, 100, 500, 1500])
        np.testing.assert_allclose(curve.risk, expected, atol=6e-6)


# Runs of the raw algorithm.


def of_signs(algorithm, basis="diagonal"):
    return hidim.signed(algorithm, basis=basis)


RATE = 0.25 / level().trace
MOMENTUM = hidim.sgd_momentum(0.5 * RATE, 0.04 * RATE, 0.1)
SIGNS = hidim.sgd_momentum(1e-3, 2e-4, 0.1)
RUNS = {
    "residual": (level(STUDENT), hidim.clipped(hidim.sgd(RATE), 0.6), 1),
    "residual, batch": (level(CAUCHY), hidim.clipped(hidim.sgd(2 * RATE), 0.8), 4),
    "residual, momentum": (level(STUDENT), hidim.clipped(MOMENTUM, 0.6), 4),
    "norm": (level(CAUCHY, 80), hidim.clipped(hidim.sgd(0.5 * RATE), 3.0, kind="norm"), 1),
    "norm, momentum": (level(STUDENT, 80), hidim.clipped(MOMENTUM, 3.0, kind="norm"), 4),
    "sign": (level(STUDENT, 80), hidim.sign_sgd(2e-3, basis="diagonal"), 1),
    "sign, batch": (level(CAUCHY, 80), hidim.sign_sgd(2e-3, basis="diagonal"), 4),
    "sign, B = 32": (
        level(hidim.noise.StudentT(3.0, 3.0), 80),
        hidim.sign_sgd(2e-3, basis="diagonal"),
        32,
    ),
    "sign, generic, B = 32": (level(None, 80, 5.0), hidim.sign_sgd(1e-3, basis="generic"), 32),
    "norm, B = 32": (level(CAUCHY, 80), hidim.clipped(hidim.sgd(2 * RATE), 3.0, kind="norm"), 32),
    "sign, generic": (level(None, 80, 0.2), hidim.sign_sgd(2e-3, basis="generic"), 1),
    "sign, momentum": (level(STUDENT, 80), of_signs(SIGNS), 1),
    "noisy": (level(STUDENT), hidim.noisy(hidim.sgd(RATE), 0.2, 0.05), 1),
    "noisy, momentum": (level(None, 40, 0.1), hidim.noisy(MOMENTUM, 0.2, 0.05), 4),
}
FAST = {
    "residual, momentum", "norm", "norm, B = 32", "sign", "sign, generic, B = 32",
    "sign, momentum", "noisy", "noisy, momentum",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in RUNS]
)
def test_runs_of_the_raw_algorithm_meet_the_prediction(name):
    spectrum, algorithm, batch = RUNS[name]
    options = {"at": [5, 20, 50, 80], "batch_size": batch}
    runs = 160 if batch < 32 else 20
    run = hidim.simulate(spectrum, algorithm, runs=runs, seed=4, **options)
    curve = hidim.predict(spectrum, algorithm, **options)
    assert np.all(np.abs(curve.excess - run.excess) < 4 * run.stderr + 0.01 * curve.excess)
    assert run.excess[-1] < 0.95 * curve.excess[0]  # it moved


def test_a_start_at_random_is_run_too():
    spectrum = level(None, 40, 0.1)
    algorithm = hidim.noisy(hidim.sgd(RATE), 0.2, 0.05, start_variance=0.05)
    run = hidim.simulate(spectrum, algorithm, at=[0, 40], runs=200, seed=4)
    curve = hidim.predict(spectrum, algorithm, at=[0, 40])
    assert np.all(np.abs(curve.risk - run.risk) < 4 * run.stderr)


# Identities.


def test_no_clipping_and_no_noise_are_the_algorithm_itself():
    assert hidim.clipped(MOMENTUM, math.inf) == hidim.noisy(MOMENTUM, 0.0) == MOMENTUM
    assert hidim.clipped(MOMENTUM, math.inf, kind="norm") == MOMENTUM
    options = {"steps": 40, "runs": 3, "method": "raw", "seed": 2, "batch_size": 3}
    plain = hidim.simulate(level(floor=0.1), MOMENTUM, **options)
    for kind in ("residual", "norm"):
        far = hidim.simulate(level(floor=0.1), hidim.clipped(MOMENTUM, 1e9, kind), **options)
        assert np.array_equal(far.risk, plain.risk)
    curve = hidim.predict(level(floor=0.1), MOMENTUM, steps=1e4, batch_size=3)
    far = hidim.predict(level(floor=0.1), hidim.clipped(MOMENTUM, 1e9), steps=1e4, batch_size=3)
    np.testing.assert_allclose(far.risk, curve.risk, rtol=1e-8)


def test_plain_gradients_see_the_variance_of_the_noise_alone():
    law = hidim.noise.Laplace(0.2)
    heavy = hidim.predict(level(law), MOMENTUM, steps=1e4)
    plain = hidim.predict(level(floor=0.1), MOMENTUM, steps=1e4)
    np.testing.assert_allclose(heavy.risk, plain.risk, rtol=1e-12)


def test_diagonal_signs_are_sgd_at_a_rate_that_follows_the_risk():
    spectrum, eta = level(floor=0.1), 1e-3
    omega, rho = np.sqrt(spectrum.eigenvalues), np.sqrt(spectrum.eigenvalues) * spectrum.error_sq
    risk = []
    for _ in range(400):
        risk.append(spectrum.risk_floor + 0.5 * omega @ rho)
        rate = eta * (2 / math.pi) / math.sqrt(2 * risk[-1])
        rho = rho - 2 * rate * omega * rho + (math.pi**2 / 4) * rate**2 * omega * 2 * risk[-1]
    algorithm = hidim.sign_sgd(eta, basis="diagonal", drift="linear")
    found = hidim.predict(spectrum, algorithm, at=np.arange(400))
    np.testing.assert_allclose(found.risk, risk, rtol=1e-10)


def test_units_of_the_features_leave_signs_alone():
    small, large = level(floor=0.1), level(floor=0.1)
    large = hidim.Spectrum(4.0 * large.eigenvalues, large.error_sq, 0.4)
    for basis in ("diagonal", "generic"):
        algorithm = hidim.sign_sgd(hidim.PowerLaw(2e-3, 0.3), basis=basis, drift="linear")
        one, other = (hidim.predict(s, algorithm, steps=1e4) for s in (small, large))
        np.testing.assert_allclose(other.risk, 4.0 * one.risk, rtol=1e-7)


@pytest.mark.parametrize("basis", ["diagonal", "generic"])
def test_the_noise_of_signs_adds_up_to_the_root_of_the_diagonal(basis):
    lam, counts = np.array([2.0, 0.5, 0.1]), np.array([2.0, 3.0, 10.0])
    spectrum = hidim.Spectrum(lam, np.ones(3), 0.1, counts)
    noise = modes_of(spectrum, basis).noise
    diagonal = lam if basis == "diagonal" else np.full(3, counts @ lam / 15.0)
    assert noise.sum() == pytest.approx(counts @ np.sqrt(diagonal))


def test_full_batches_clip_the_mean_path():
    spectrum, rate = level(STUDENT), 0.3
    found = hidim.predict(
        spectrum, hidim.clipped(hidim.sgd(rate), 0.5), at=np.arange(100), batch_size=math.inf
    )
    r, risk = np.sqrt(spectrum.error_sq), []
    for _ in range(100):
        risk.append(0.5 * spectrum.eigenvalues @ r**2)
        mu = clip_numbers(STUDENT.mixture, np.array([2 * risk[-1]]), np.array([0.5]))[0][0]
        r = r * (1 - rate * mu * spectrum.eigenvalues)
    np.testing.assert_allclose(found.excess, risk, rtol=1e-9)


# Blocks.


BLOCKS = ["residual, momentum", "norm", "sign, batch", "noisy, momentum"]


@pytest.mark.slow  # as tests/agreement does, of plain loops
@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_are_single_steps(name):
    spectrum, algorithm, batch = RUNS[name]
    at = [1, 30, 300, 800]
    system = system_of(spectrum, algorithm, batch)
    states, orders = System.steps(system, 0, 800, system.start())
    plain = system.readouts(np.arange(801.0), states, orders)["risk"][at]
    found = hidim.predict(spectrum, algorithm, at=at, batch_size=batch)
    shown = found.excess + system.floor if spectrum.law.noise == CAUCHY else found.risk
    np.testing.assert_allclose(shown, plain, rtol=1e-8)
    assert found.provenance["effort"]["blocks"] >= 2


@pytest.mark.parametrize("name", BLOCKS)
def test_a_hundred_million_steps_take_few_blocks(name):
    spectrum, algorithm, batch = RUNS[name]
    far = hidim.predict(spectrum, algorithm, steps=1e8, batch_size=batch)
    assert far.status == "ok"
    assert far.provenance["effort"]["blocks"] <= 60


# Refusals and cautions.


def test_noise_without_a_variance_has_an_excess_and_no_risk():
    found = hidim.predict(level(CAUCHY), hidim.clipped(hidim.sgd(RATE), 0.6), steps=10)
    assert np.all(np.isinf(found.risk))
    assert found.risk_floor == math.inf
    assert np.all(np.isfinite(found.excess))
    assert found.excess[-1] < found.excess[0]


ADAM = hidim.adam(0.1, 0.5, 0.9)
SIGNED = hidim.signed(hidim.sgd(0.1))
MEASURED = hidim.Spectrum.from_data(np.eye(3), [1.0, 2.0, 0.0])
TWO = hidim.Spectrum.from_data(np.eye(3), np.eye(3)[:, :2], rows=False)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda: hidim.clipped(hidim.sgd(0.1), -1.0), "`threshold` must be positive, got -1"),
        (lambda: hidim.clipped(hidim.sgd(0.1), 0.0), "`threshold` must be positive, got 0"),
        (lambda: hidim.clipped(hidim.sgd(0.1), 1.0, "sample"), "`kind`"),
        (lambda: hidim.clipped(hidim.sgd(0.1), "most"), '`threshold` must be a number, .*"best"'),
        (lambda: hidim.clipped(hidim.sgd(0.1), None), '`threshold` must be a number, .*"best"'),
        (lambda: hidim.clipped(hidim.sign_sgd(0.1), 1.0), "`algorithm` sign-sgd"),
        (lambda: hidim.noise.StudentT(3), "`scale` is missing"),
        (lambda: hidim.noise.Cauchy(), "`scale` is missing"),
        (lambda: hidim.clipped(hidim.clipped(hidim.sgd(0.1), 1.0), 2.0), "gradient 'clip'"),
        (lambda: hidim.noisy(hidim.sgd(0.1), -0.1), "`std` must not be negative"),
        (lambda: hidim.noisy(hidim.sgd(0.1), 0.1, -0.1), "`l2` must not be negative"),
        (lambda: hidim.sign_sgd(0.1, basis="both"), "`basis`"),
        (lambda: hidim.sign_sgd(0.1, drift="cubic"), "`drift`"),
        (lambda: hidim.predict(level(), hidim.sign_sgd(0.1), steps=9), 'basis="diagonal"'),
        (
            lambda: hidim.predict(hidim.PLRF(1.0, 0.7, 50), hidim.sign_sgd(0.1), steps=9),
            "draw the problem",
        ),
        (
            lambda: hidim.predict(
                level(), hidim.sign_sgd(0.1, basis="generic"), steps=9, batch_size=math.inf
            ),
            "`batch_size`=inf",
        ),
        (
            lambda: hidim.simulate(
                level(), hidim.clipped(hidim.sgd(0.1), 1.0), steps=9, batch_size=math.inf
            ),
            "`batch_size`=inf",
        ),
        (lambda: hidim.signed(hidim.sign_sgd(0.1)), "Gradients are changed once: give"),
        (lambda: hidim.signed(hidim.clipped(hidim.sgd(0.1), 1.0)), "changed once: give"),
        (lambda: hidim.noisy(hidim.sign_sgd(0.1), 1.0), "Noise goes on plain gradients"),
        (lambda: hidim.predict(level(), ADAM, steps=9), r'hidim.adam\(eta, .*basis="diagonal"'),
        (lambda: hidim.predict(level(), hidim.signum(0.1, 0.9), steps=9), "^signum .*m.signum"),
        (lambda: hidim.predict(level(), SIGNED, steps=9), r"^signed-sgd .* hidim.signed\(alg"),
        (lambda: hidim.simulate(level(), ADAM, steps=9), r"hidim.adam\(eta"),
        (lambda: hidim.predict(MEASURED, ADAM, steps=9), "rows=False"),
        (lambda: hidim.predict(MEASURED, hidim.signum(0.1, 0.9), steps=9), "rows=False"),
        (
            lambda: hidim.predict(hidim.MatrixLeastSquares(MEASURED, 2), hidim.sgd(0.1), steps=9),
            "rows=False",
        ),
        (lambda: hidim.predict(TWO, ADAM, steps=9), "one output and at most 2048 columns, .* 2 "),
        (lambda: hidim.predict(level(CAUCHY), hidim.sgd(0.1), steps=9), "no variance"),
        (
            lambda: hidim.predict(
                hidim.Spectrum.from_data(np.eye(3), [1.0, 2.0, 0.0]),
                hidim.clipped(hidim.sgd(0.1), 1.0),
                steps=9,
            ),
            "rows=False",
        ),
        (
            lambda: hidim.predict(level(CAUCHY), hidim.noisy(hidim.sgd(0.1), 0.1), steps=9),
            "without a variance",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(ask, match):
    with pytest.raises(ValueError, match=match) as caught:
        ask()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [
        *(hidim.clipped(hidim.sgd(0.1), 1.0, kind) for kind in ("residual", "norm", "batch")),
        hidim.sign_sgd(0.1, basis="generic"),
        hidim.adam(0.1, 0.0, 0.0, basis="generic"),
    ],
)
def test_without_curvature_nothing_moves(changed):
    still = hidim.Spectrum([0.0, 0.0], [1.0, 1.0], 0.1)
    assert hidim.predict(still, changed, steps=50).risk == pytest.approx(0.1, rel=1e-15)
    assert set(hidim.simulate(still, changed, steps=5, runs=2, method="raw").risk) == {0.1}


def test_without_curvature_and_noise_signs_of_a_matrix_are_still_bounded():
    still = hidim.MatrixLeastSquares(hidim.Spectrum([0.0], [1.0], 0.0), outputs=3)
    signs = hidim.sign_sgd(0.01, basis="diagonal")
    assert hidim.stability(still, signs, 20, 4).verdict.startswith("cannot diverge")


def test_where_a_theory_is_off_its_curve_says_so():
    steep = hidim.PLRF(1.0, 0.7, d=60, v=240).spectrum(1)
    for signs in (hidim.sign_sgd(1e-3), hidim.sign_sgd(1e-3, basis="diagonal", drift="linear")):
        found = hidim.predict(steep, signs, steps=50)
        assert found.status == "inaccurate"
        assert "linear in the signal" in found.provenance["caution"]
    norms = hidim.predict(steep, hidim.clipped(hidim.sgd(0.1), 1.0, "norm"), steps=50)
    assert norms.status == "inaccurate"
    assert "trace" in norms.provenance["caution"]
    assert hidim.predict(steep, hidim.clipped(hidim.sgd(0.1), 1.0), steps=50).status == "ok"


# Coordinates, and signals that are not small.


def correlated(noise=None, noise_variance=0.0, d=60):
    places = np.arange(float(d))
    units = 1.0 + 0.5 * np.sin(1.7 * places)
    K = 0.5 ** np.abs(np.subtract.outer(places, places)) * np.outer(units, units)
    options = {"noise": noise} if noise else {"noise_variance": noise_variance}
    return hidim.Spectrum.from_covariance(K, 0.2 * np.cos(places**1.5), **options)


@pytest.mark.parametrize(
    ("problem", "batch"),
    [
        (correlated(STUDENT), 1),
        pytest.param(correlated(CAUCHY), 4, marks=pytest.mark.slow),
        pytest.param(correlated(noise_variance=0.3), 4, marks=pytest.mark.slow),
        (hidim.PLRF(0.3, 0.5, d=60, v=240, noise_variance=0.3), 1),
        pytest.param(
            hidim.PLRF(0.3, 0.5, d=60, v=240, noise_variance=0.3).spectrum(3),
            1,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_signs_are_predicted_in_the_coordinates_that_a_problem_knows(problem, batch):
    algorithm, options = hidim.sign_sgd(2e-3), {"at": [5, 20, 80], "batch_size": batch}
    run = hidim.simulate(problem, algorithm, runs=120, seed=3, **options)
    curve = hidim.predict(problem, algorithm, seed=3, **options)
    floor = 0.0 if math.isinf(curve.risk_floor) else curve.risk_floor
    seen = run.excess if math.isinf(curve.risk_floor) else run.risk - floor
    assert np.all(np.abs(curve.excess - seen) < 4 * run.stderr + 0.01 * curve.excess)
    assert curve.provenance["drift"] == "linear"


def test_the_noise_in_coordinates_adds_up_to_the_root_of_the_diagonal():
    problem = correlated(STUDENT)
    modes, K = modes_of(problem, None), problem.law.basis.covariance
    root = np.sqrt(np.diag(K))
    signs = 2 / math.pi * np.arcsin(np.clip(K / np.outer(root, root), -1, 1))
    assert modes.noise.sum() == pytest.approx(root.sum())
    assert modes.omega @ modes.noise == pytest.approx(np.sum(K * signs))
    assert 0.5 * modes.omega @ modes.error_sq == pytest.approx(problem.initial_risk)


def test_a_diagonal_covariance_is_the_diagonal_basis():
    K, theta = np.array([1.0, 0.3, 2.0, 0.0]), np.array([0.2, -1.0, 0.5, 1.0])
    known = hidim.Spectrum.from_covariance(np.diag(K), theta, noise_variance=0.5)
    same = hidim.Spectrum.from_covariance(K, theta[:, None], noise_variance=0.5)
    bare = hidim.Spectrum(K, theta**2, 0.25)
    curves = [
        hidim.predict(s, hidim.sign_sgd(0.01, basis=basis, drift=drift), steps=100).risk
        for drift in ("linear", "saturated")
        for s, basis in ((known, None), (same, None), (bare, "diagonal"))
    ]
    np.testing.assert_allclose(curves[:3], [curves[0]] * 3, rtol=1e-12)
    np.testing.assert_allclose(curves[3:], [curves[3]] * 3, rtol=1e-12)
    assert not np.allclose(curves[0], curves[3], rtol=1e-3)


def test_coordinates_stay_with_a_spectrum_in_files(tmp_path):
    for problem in (correlated(STUDENT, d=5), hidim.PLRF(1.0, 0.7, d=5).spectrum(2)):
        for suffix in (".json", ".npz"):
            problem.save(tmp_path / f"s{suffix}")
            back = hidim.Spectrum.load(tmp_path / f"s{suffix}")
            assert back == problem
            assert back.law.basis.known == problem.law.basis.known
    problem.save(tmp_path / "s.csv")  # numbers alone, as of the label
    assert hidim.Spectrum.load(tmp_path / "s.csv").law.basis is None


@pytest.mark.parametrize("batch", [1, 10, pytest.param(100, marks=pytest.mark.slow)])
def test_strong_signals_saturate_as_they_do_in_runs(batch):
    lam = np.arange(1.0, 41) ** -2.0
    spectrum = hidim.Spectrum(lam, np.ones(40), 0.05)
    algorithm = hidim.sign_sgd(2e-3, basis="diagonal")
    options = {"at": [10, 60, 150], "batch_size": batch}
    run = hidim.simulate(spectrum, algorithm, runs=20, seed=1, **options)
    curve = hidim.predict(spectrum, algorithm, **options)
    assert curve.status == "ok"
    assert curve.provenance["drift"] == "saturated"
    assert np.all(np.abs(curve.excess - run.excess) < 4 * run.stderr + 0.01 * curve.excess)
    linear = hidim.predict(
        spectrum, hidim.sign_sgd(2e-3, basis="diagonal", drift="linear"), **options
    )
    assert linear.status == "inaccurate"
    assert abs(linear.excess[-1] / curve.excess[-1] - 1) > 0.01


@pytest.mark.parametrize(
    ("alpha", "batch"), [(1.0, 1), pytest.param(1.0, 4, marks=pytest.mark.slow), (0.4, 32)]
)
def test_strong_signals_saturate_in_any_coordinates(alpha, batch):
    problem = hidim.PLRF(alpha, 0.7, d=30, v=120, noise_variance=0.01).spectrum(1)
    algorithm, options = hidim.sign_sgd(1e-3), {"at": [10, 60, 150], "batch_size": batch}
    run = hidim.simulate(problem, algorithm, runs=24, seed=1, **options)
    found = hidim.predict(problem, hidim.sign_sgd(1e-3, drift="saturated"), **options)
    assert (found.status, found.provenance["drift"]) == ("ok", "saturated")
    assert "multiplications a step, up to" in found.provenance["cost"]
    assert np.all(np.abs(found.excess - run.excess) < 4 * run.stderr + 0.005 * found.excess)
    linear = hidim.predict(problem, algorithm, **options)
    assert linear.status == "inaccurate"
    assert 'drift="saturated"' in linear.provenance["caution"]
    assert abs(linear.excess[-1] / found.excess[-1] - 1) > 0.05


@pytest.mark.parametrize("batch", [1, 6])
def test_pairs_of_unrelated_coordinates_are_coordinates_one_by_one(batch):
    K, theta = np.arange(1.0, 9) ** -2.0, np.full(8, 0.5)
    problem = hidim.Spectrum.from_covariance(K, theta, 0.1)
    eta = hidim.Constant(3e-3)
    pairs = SaturatedPairs(problem, np.diag(K), theta, 0.05, eta, batch)
    states, orders = pairs.steps(0, 200, pairs.start())
    found = pairs.readouts(np.arange(201.0), states, orders)["risk"]
    one = hidim.predict(problem, hidim.sign_sgd(eta), at=np.arange(201), batch_size=batch)
    np.testing.assert_allclose(found, one.risk, rtol=1e-9)


def test_runs_of_single_steps_say_how_far_they_go():
    problem = hidim.PLRF(1.0, 0.7, d=60, v=240).spectrum(1)
    with pytest.raises(ValueError, match=r"up to 4,0.* steps, got 1e\+07") as caught:
        hidim.predict(problem, hidim.sign_sgd(1e-3, drift="saturated"), steps=1e7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 9, 30, 64, 200, 5000])
def test_the_mean_of_a_sign_is_an_incomplete_beta_function(batch):
    x = np.linspace(-1.0, 1.0, 41)
    expected = np.sign(x) * special.betainc(0.5, 0.5 * batch, x**2)
    np.testing.assert_allclose(mean_sign(x, batch), expected, atol=1e-14)


def test_auto_takes_the_linear_drift_where_the_other_has_no_answer():
    problem = level(floor=0.1)
    for algorithm, steps in (
        (hidim.sign_sgd(1e-3, basis="diagonal"), 2e5),
        (hidim.sign_sgd(1e-3, basis="generic"), 10),
        (of_signs(SIGNS), 10),
    ):
        assert hidim.predict(problem, algorithm, steps=steps).provenance["drift"] == "linear"
    for basis, noise in (("generic", None), ("diagonal", STUDENT)):
        algorithm = hidim.sign_sgd(1e-3, basis=basis, drift="saturated")
        with pytest.raises(ValueError, match='`drift`="saturated" needs'):
            hidim.predict(level(noise), algorithm, steps=9)
