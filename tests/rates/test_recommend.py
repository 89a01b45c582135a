"""Recommended rates: what the rule says, the norm they keep, the runs they give."""

import math

import numpy as np
import pytest

import hidim
from hidim.systems.kernel_norm import kernel_norm

NAMES = [
    "sgd",
    "sgd-momentum",
    "accelerated-sgd",
    "dana-constant",
    "dana-decaying",
    "schedule-free-sgd",
    "general-momentum",
]
TIMES = np.concatenate([np.arange(64.0), np.geomspace(64.0, 1e20, 100)])
PROBLEMS = [  # a far wider grid is the slow test below
    hidim.PLRF(alpha, beta, 60, 240)
    for alpha, beta in ((0.25, 0.7), (0.4, 1.5), (0.7, 0.3), (1.0, 1.2), (2.5, 0.3))
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p.alpha},{p.beta}")
def test_norm_keeps_to_one_half_and_runs_stay_below_their_start(problem, name):
    spectrum = problem.spectrum()
    for batch_size in (1, 8):
        algorithm = hidim.recommend(problem, name, batch_size)
        assert kernel_norm(spectrum, algorithm, batch_size, TIMES).max() <= 0.5
        at = [0, 1, 2, 4, 8, 16, 64, 256]
        run = hidim.predict(spectrum, algorithm, batch_size=batch_size, at=at)
        assert run.status == "ok"
        assert run.risk.max() <= run.risk[0] * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.25, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.5])
@pytest.mark.parametrize("beta", [0.25, 0.7, 1.5])
def test_no_recommended_run_ever_rises(alpha, beta):
    problem = hidim.PLRF(alpha, beta, 100, 400)
    spectrum = problem.spectrum(seed=1)  # rates are made for the equivalent, run on a draw
    for batch_size in (1, 2, 4, 8, 64):
        for name in NAMES:
            algorithm = hidim.recommend(problem, name, batch_size)
            run = hidim.predict(spectrum, algorithm, 1e5, batch_size)
            assert run.status == "ok"
            assert run.risk.max() <= run.risk[0] * (1 + 1e-9)


def test_batch_one_gives_the_reference_rule():
    problem = hidim.PLRF(1.0, 0.7, 800, 3200)
    trace = np.sum(np.arange(1, 3201.0) ** -2.0)
    constant = hidim.recommend(problem, "dana-constant")
    decaying = hidim.recommend(problem, "dana-decaying")
    delta = 1 + max(2 + (2 * 0.7 - 1) / 1.0, 2 - 1 / 1.0)
    for algorithm in (constant, decaying, hidim.recommend(problem, "sgd")):
        # The deterministic equivalent's trace is the exact one to 1e-8.
        assert algorithm.gamma_2.constant == pytest.approx(0.375 / trace, rel=1e-7)
    assert constant.gamma_3.constant == pytest.approx(0.1 / (800 * trace), rel=1e-7)
    assert decaying.gamma_3 == hidim.PowerLaw(0.1, 0.5)
    assert decaying.forgetting.delta == pytest.approx(delta)
    assert hidim.recommend(problem, "general-momentum").gamma_3 == decaying.gamma_3


def test_below_the_high_dimensional_line_gamma_3_falls_with_the_dimension():
    algorithm = hidim.recommend(hidim.PLRF(0.4, 0.8, 1000, 4000), "dana-decaying")
    halvings = math.log2(0.1 * 1000**-0.2 / algorithm.gamma_3.scale)
    assert halvings == pytest.approx(round(halvings), abs=1e-9)
    assert 0 <= round(halvings) <= 2
    assert algorithm.gamma_3.t_exponent == pytest.approx(1.25)


def test_sgd_momentum_moves_like_sgd():
    problem = hidim.PLRF(1.0, 0.7, 100)
    momentum = hidim.recommend(problem, "sgd-momentum")
    effective = momentum.gamma_2(0) + momentum.gamma_3(0) / momentum.forgetting(0)
    assert effective == pytest.approx(float(hidim.recommend(problem, "sgd").gamma_2(0)))


def test_larger_batches_are_used():
    problem = hidim.PLRF(0.7, 1.2, 1000)
    rates = [float(hidim.recommend(problem, "sgd", b).gamma_2(0)) for b in (1, 2, 4, 1e6, math.inf)]
    assert rates[1] == pytest.approx(2 * rates[0])
    assert rates[-1] == rates[-2] == 0.375
    decays = [hidim.recommend(problem, "dana-decaying", b).gamma_3.t_exponent for b in (1, 10, 100)]
    # kappa_3 = (1 - kappa_b) / (2 alpha), batch = d^kappa_b
    np.testing.assert_allclose(decays, np.array([3, 2, 1]) / (3 * 1.4))


@pytest.mark.parametrize("name", NAMES)
def test_full_batches_need_no_halving_and_descend(name):
    problem = hidim.PLRF(1.0, 0.7, 200)
    algorithm = hidim.recommend(problem, name, math.inf)
    run = hidim.predict(problem, algorithm, batch_size=math.inf, at=[0, 10, 100, 1000])
    assert np.all(np.diff(run.risk) <= 1e-9 * run.risk[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_billion_parameters(name):
    problem = hidim.PLRF(1.0, 0.7, 1e9)
    algorithm = hidim.recommend(problem, name)
    assert kernel_norm(problem.spectrum(), algorithm, 1, TIMES).max() <= 0.5
    assert 0 < float(algorithm.forgetting(1e12)) <= 1


def test_accelerated_sgd_follows_jain():
    spectrum = hidim.Spectrum(np.arange(1, 101.0) ** -2, np.ones(100), 0.0)
    found = hidim.recommend(spectrum, "accelerated-sgd", 2, alpha=1.0, d=100)
    radius = (3 * 1.0 + spectrum.trace) / 2
    q = math.sqrt(radius / 1e-4 * (2 + 1 + 100) / 2)
    root = 3 * math.sqrt(5)
    expected = hidim.accelerated_sgd(
        1 / (5 * radius), 1 / (root * 1e-4 * q), root * q / (1 + root * q), 1 / (9 * q)
    )
    for part in ("gamma_1", "gamma_2", "gamma_3", "forgetting"):
        # 1 - mixing of the written-out formula loses four digits to cancellation.
        assert float(getattr(found, part)(0)) == pytest.approx(
            float(getattr(expected, part)(0)), rel=1e-11
        )
    assert found.name == "accelerated-sgd"
    assert kernel_norm(spectrum, found, 2, 0.0) < 0.1


def test_accelerated_sgd_ignores_directions_without_curvature_and_takes_isotropic_ones():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10))
    spectrum = hidim.Spectrum.from_data(np.hstack([X, X]), X @ np.ones(10))  # half is rounding
    algorithm = hidim.recommend(spectrum, "accelerated-sgd", alpha=1.0, d=20)
    assert float(algorithm.forgetting(0)) > 1e-3
    isotropic = hidim.Spectrum(np.ones(5), np.ones(5), 0.0)
    assert hidim.recommend(isotropic, "accelerated-sgd", alpha=1.0, d=5).gamma_3(0) >= 0


def test_units_of_a_spectrum_do_not_matter():
    lam = np.arange(1, 51.0) ** -1.5
    for name in NAMES:
        small = hidim.Spectrum(lam, np.ones(50), 0.0)
        large = hidim.Spectrum(1e4 * lam, np.ones(50), 0.0)
        one, other = (hidim.recommend(s, name, 4, alpha=0.75, d=50) for s in (small, large))
        assert float(other.gamma_2(9)) == pytest.approx(1e-4 * float(one.gamma_2(9)), rel=1e-9)
        assert float(other.gamma_3(9)) == pytest.approx(1e-4 * float(one.gamma_3(9)), rel=1e-9)


def test_unknown_beta_gives_the_practical_delta():
    spectrum = hidim.Spectrum([1.0, 0.25], [1.0, 1.0], 0.0)
    assert hidim.recommend(spectrum, "dana-decaying", alpha=1.0, d=2).forgetting.delta == 8.0
    known = hidim.recommend(spectrum, "dana-decaying", alpha=1.0, beta=0.7, d=2)
    assert known.forgetting.delta == pytest.approx(3.4)


def test_general_momentum_takes_kappas():
    problem = hidim.PLRF(1.0, 0.7, 1000)
    chosen = hidim.recommend(problem, "general-momentum", kappa_3=0.25)
    assert chosen.gamma_3.t_exponent == 0.25
    # On the line of stability: kappa_2 = 1 - 2 alpha kappa_3 = 1/2.
    assert chosen.gamma_3.scale == pytest.approx(0.1 * 1000**-0.5)
    slow = hidim.recommend(problem, "general-momentum", kappa_1=0.5, kappa_2=1.5, kappa_3=0.0)
    sgd = hidim.recommend(problem, "sgd")
    assert float(slow.gamma_2(0)) == pytest.approx(float(sgd.gamma_2(0)) * 1000**-0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, s: hidim.recommend(p, "stochastic-nesterov"), "diverges for every rate"),
        (lambda p, s: hidim.recommend(p, "dana-decaing"), "Did you mean 'dana-decaying'"),
        (lambda p, s: hidim.recommend(3, "dana-decaying"), "`problem` must be"),
        (lambda p, s: hidim.recommend(p, "sgd", alpha=-1.0), "`alpha` must be positive"),
        (lambda p, s: hidim.recommend(p, "sgd", 0), "`batch_size` must be at least 1"),
        (lambda p, s: hidim.recommend(p, "dana-decaying", kappa_3=0.4), "general-momentum"),
        (
            lambda p, s: hidim.recommend(p, "general-momentum", kappa_2=0.1, kappa_3=0.1),
            "`kappa_2` must be at least",
        ),
        (
            lambda p, s: hidim.recommend(hidim.Spectrum([0.0], [1.0], 0.1), "sgd", alpha=1.0, d=1),
            "no positive eigenvalue",
        ),
        (lambda p, s: hidim.recommend(3, "sgd", alpha=1.0, d=1), "`problem` must be"),
    ],
)
def test_what_has_no_recommendation_is_refused_in_one_line(call, message):
    problem = hidim.PLRF(1.0, 0.7, 50)
    with pytest.raises(ValueError, match=message) as raised:
        call(problem, hidim.Spectrum([1.0], [1.0], 0.0))
    assert "\n" not in str(raised.value)


# gamma_2, gamma_3 and the forgetting at step 1, by version 0.1:
# hidim.recommend(hidim.PLRF(alpha, beta, d, v), name, batch_size)
GOLDEN = [
    (1.0, 0.7, 1000, None, 1, "sgd", 0.22797266319529189, 0.0, 1.0),
    (1.0, 0.7, 1000, None, 1, "sgd-momentum", 0.11398633159764594, 0.011398633159764596, 0.1),
    (
        1.0,
        0.7,
        1000,
        None,
        1,
        "accelerated-sgd",
        0.05317329842637753,
        5.79458449209225e-06,
        3.3400237411752933e-06,
    ),
    (
        1.0,
        0.7,
        1000,
        None,
        1,
        "dana-constant",
        0.22797266319529189,
        6.0792710185411174e-05,
        0.7727272727272726,
    ),
    (
        1.0,
        0.7,
        1000,
        None,
        1,
        "dana-decaying",
        0.22797266319529189,
        0.07071067811865477,
        0.7727272727272726,
    ),
    (1.0, 0.7, 1000, None, 1, "schedule-free-sgd", 0.056993165798822965, 0.17097949739646892, 0.5),
    (
        1.0,
        0.7,
        1000,
        None,
        1,
        "general-momentum",
        0.22797266319529189,
        0.07071067811865477,
        0.7727272727272726,
    ),
    (1.0, 0.7, 1000, None, 8, "sgd", 0.375, 0.0, 1.0),
    (1.0, 0.7, 1000, None, 8, "sgd-momentum", 0.1875, 0.018750000000000003, 0.1),
    (
        1.0,
        0.7,
        1000,
        None,
        8,
        "accelerated-sgd",
        0.14325981537963287,
        0.00012493674528642936,
        1.545237375267671e-05,
    ),
    (1.0, 0.7, 1000, None, 8, "dana-constant", 0.375, 0.0008, 0.7727272727272726),
    (1.0, 0.7, 1000, None, 8, "dana-decaying", 0.375, 0.07848642203238106, 0.7727272727272726),
    (1.0, 0.7, 1000, None, 8, "schedule-free-sgd", 0.09374999999999997, 0.28125, 0.5),
    (1.0, 0.7, 1000, None, 8, "general-momentum", 0.375, 0.07848642203238104, 0.7727272727272726),
    (0.4, 0.8, 1000, 4000, 1, "sgd", 0.017179457249513367, 0.0, 1.0),
    (0.4, 0.8, 1000, 4000, 1, "sgd-momentum", 0.008589728624756683, 0.0008589728624756684, 0.1),
    (
        0.4,
        0.8,
        1000,
        4000,
        1,
        "accelerated-sgd",
        0.008337106514241651,
        4.984220116812088e-07,
        8.918785440289166e-05,
    ),
    (
        0.4,
        0.8,
        1000,
        4000,
        1,
        "dana-constant",
        0.017179457249513367,
        4.581188599870232e-06,
        0.8181818181818182,
    ),
    (
        0.4,
        0.8,
        1000,
        4000,
        1,
        "dana-decaying",
        0.017179457249513367,
        0.010561181478904258,
        0.8181818181818182,
    ),
    (0.4, 0.8, 1000, 4000, 1, "schedule-free-sgd", 0.004294864312378341, 0.012884592937135024, 0.5),
    (
        0.4,
        0.8,
        1000,
        4000,
        1,
        "general-momentum",
        0.017179457249513364,
        0.010561181478904258,
        0.8181818181818182,
    ),
    (0.4, 0.8, 1000, 4000, 8, "sgd", 0.13743565799610694, 0.0, 1.0),
    (0.4, 0.8, 1000, 4000, 8, "sgd-momentum", 0.06871782899805347, 0.006871782899805347, 0.1),
    (
        0.4,
        0.8,
        1000,
        4000,
        8,
        "accelerated-sgd",
        0.05071036526036303,
        2.665016486924294e-05,
        0.0006197943669360416,
    ),
    (
        0.4,
        0.8,
        1000,
        4000,
        8,
        "dana-constant",
        0.13743565799610694,
        0.0002931960703916948,
        0.8181818181818182,
    ),
    (
        0.4,
        0.8,
        1000,
        4000,
        8,
        "dana-decaying",
        0.13743565799610694,
        0.05457406807435438,
        0.8181818181818182,
    ),
    (0.4, 0.8, 1000, 4000, 8, "schedule-free-sgd", 0.03435891449902673, 0.1030767434970802, 0.5),
    (
        0.4,
        0.8,
        1000,
        4000,
        8,
        "general-momentum",
        0.13743565799610694,
        0.054574068074354366,
        0.8181818181818182,
    ),
    (2.5, 0.3, 10, 40, 1, "sgd", 0.3616452850529128, 0.0, 1.0),
    (2.5, 0.3, 10, 40, 1, "sgd-momentum", 0.1808226425264564, 0.01808226425264564, 0.1),
    (
        2.5,
        0.3,
        10,
        40,
        1,
        "accelerated-sgd",
        0.04540724069425892,
        0.0004195264916273955,
        3.469264864934103e-05,
    ),
    (
        2.5,
        0.3,
        10,
        40,
        1,
        "dana-constant",
        0.3616452850529128,
        0.009643874268077677,
        0.7395833333333334,
    ),
    (
        2.5,
        0.3,
        10,
        40,
        1,
        "dana-decaying",
        0.3616452850529128,
        0.043527528164806206,
        0.7395833333333334,
    ),
    (2.5, 0.3, 10, 40, 1, "schedule-free-sgd", 0.045205660631614096, 0.1356169818948423, 0.5),
    (
        2.5,
        0.3,
        10,
        40,
        1,
        "general-momentum",
        0.3616452850529128,
        0.043527528164806206,
        0.7395833333333334,
    ),
    (2.5, 0.3, 10, 40, 8, "sgd", 0.375, 0.0, 1.0),
    (2.5, 0.3, 10, 40, 8, "sgd-momentum", 0.1875, 0.018750000000000003, 0.1),
    (
        2.5,
        0.3,
        10,
        40,
        8,
        "accelerated-sgd",
        0.0988180093631631,
        0.004616247020170788,
        0.00011503547130529267,
    ),
    (2.5, 0.3, 10, 40, 8, "dana-constant", 0.375, 0.08000000000000002, 0.7395833333333334),
    (2.5, 0.3, 10, 40, 8, "dana-decaying", 0.375, 0.0986655260742819, 0.7395833333333334),
    (2.5, 0.3, 10, 40, 8, "schedule-free-sgd", 0.09374999999999997, 0.28125, 0.5),
    (2.5, 0.3, 10, 40, 8, "general-momentum", 0.375, 0.0986655260742819, 0.7395833333333334),
]


@pytest.mark.parametrize("row", GOLDEN, ids=lambda r: f"{r[0]}-{r[4]}-{r[5]}")
def test_the_rates_are_those_of_version_0_1(row):
    *problem, batch_size, name, second, third, forgetting = row
    found = hidim.recommend(hidim.PLRF(*problem), name, batch_size)
    values = [float(part(1)) for part in (found.gamma_2, found.gamma_3, found.forgetting)]
    # The trace is a sum over quadrature nodes: some rounding. What accelerated-sgd reads is the
    # highest node, noise in 0.1 as now (docs/log.md): its six rows moved by 1.7e-3 at most.
    tolerance = 2e-3 if name == "accelerated-sgd" else 1e-11
    assert values == pytest.approx([second, third, forgetting], rel=tolerance)


@pytest.mark.parametrize("name", ["sgd", "sgd-momentum", "dana-constant"])
def test_a_kurtosis_acts_like_a_smaller_batch(name):
    heavy = hidim.recommend(hidim.PLRF(1.0, 0.7, 100, kurtosis=8.0), name, 8)
    plain = hidim.recommend(hidim.PLRF(1.0, 0.7, 100), name, 1)
    for part in ("gamma_2", "gamma_3"):
        one, other = (float(getattr(a, part)(5)) for a in (heavy, plain))
        assert one == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kurtosis", [3.0, 50.0])
def test_recommended_rates_of_elliptical_data_hold_and_are_no_smaller_than_need_be(name, kurtosis):
    problem = hidim.PLRF(1.0, 0.7, 100, kurtosis=kurtosis)
    norms = [
        float(np.max(kernel_norm(p.spectrum(), hidim.recommend(p, name), 1, np.arange(1.0, 1e4))))
        for p in (problem, hidim.PLRF(1.0, 0.7, 100))
    ]
    assert norms[0] <= 0.5
    assert norms[0] >= 0.5 * min(norms[1], 0.4)
    curve = hidim.predict(problem, name, at=[0, 1e4])
    assert curve.risk[1] < 0.1 * curve.risk[0]


def test_accelerated_sgd_reads_the_moments_of_elliptical_data():
    kurtosis, batch, d = 3.0, 4, 50
    spectrum = hidim.Spectrum(np.linspace(1.0, 0.2, d), np.ones(d), 0.0, kurtosis=kurtosis)
    found = hidim.recommend(spectrum, "accelerated-sgd", batch, alpha=1.0, d=d)
    # R^2 is the largest eigenvalue of E A^2, A = the batch's mean of x x^T, x = s z with
    # z Gaussian: E |x|^2 x x^T = kurtosis (tr K K + 2 K^2).
    top, trace = 1.0, spectrum.trace
    radius = (kurtosis * (trace * top + 2 * top**2) - top**2) / batch + top**2
    assert float(found.gamma_2(0)) == pytest.approx(1 / (5 * radius), rel=1e-12)


def test_a_law_of_noise_counts_by_its_variance():
    heavy = hidim.PLRF(1.0, 0.7, 50, 200, noise=hidim.noise.Laplace(1.0))
    plain = hidim.PLRF(1.0, 0.7, 50, 200, noise_variance=1.0)
    for name in ("sgd", "dana-decaying"):
        found = hidim.recommend(heavy, name, steps=1e4, seed=3)
        assert found == hidim.recommend(plain, name, steps=1e4, seed=3)
    with pytest.raises(ValueError, match="no variance"):
        hidim.recommend(hidim.PLRF(1.0, 0.7, 50, 200, noise=hidim.noise.Cauchy(1.0)), "sgd")


def test_a_full_batch_on_a_matrix_has_a_best_rate():
    problem = hidim.MatrixLeastSquares(hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.1), outputs=4)
    best = hidim.recommend(problem, "sgd", math.inf, steps=20)
    left = {
        times: hidim.predict(
            problem, best.scheduled(hidim.Constant(times)), at=[20], batch_size=math.inf
        ).risk[0]
        for times in (0.8, 1.0, 1.25)
    }
    assert min(left, key=left.get) == 1.0
    assert hidim.stability(problem, "sgd", 20, math.inf).stable


@pytest.mark.parametrize("name", ["adam", "signum", "sign-sgd", "clipped-sgd", "matrix"])
def test_a_start_at_the_optimum_has_no_best_rate(name):
    there = hidim.Spectrum.from_covariance([1.0, 0.5], [0.0, 0.0], 0.1)
    if name == "matrix":
        there, name = hidim.MatrixLeastSquares(there, outputs=3), "sgd"
    with pytest.raises(ValueError, match="starts at its optimum: there is nothing to learn"):
        hidim.recommend(there, name, steps=100)


@pytest.mark.parametrize("name", ["adam", "signum", "sign-sgd"])
def test_bounded_steps_are_not_searched_for_ever(name):
    problem = hidim.Spectrum.from_covariance([1.0, 0.5], [1.0, 1.0], 0.1)
    with pytest.raises(ValueError, match=f"at most 1e\\+12 where the best rate of {name}"):
        hidim.recommend(problem, name, steps=1e20)
