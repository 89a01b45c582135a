"""Claims about gradients that are no plain means: what draws every sample runs them as written."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest

import hidim
from hidim.algorithms.gradients import Batch, changed, read_only
from hidim.simulation.raw import Raw
from hidim.simulation.walk import generator
from tests.simulation.gradients import (
    EXAMPLES,
    ClippedMean,
    ClippedResiduals,
    ClippedSamples,
    Noisy,
    Sign,
)
from tests.simulation.test_simulate import HeavyBall

PROBLEM = hidim.PLRF(1.0, 0.7, d=4, v=16, noise_variance=0.2)
ROWS = np.random.default_rng(1).standard_normal((30, 4))
TARGET = ROWS @ [1.0, -2.0, 0.5, 3.0] + 0.1 * ROWS[:, 0] ** 2
DANA = hidim.dana_decaying(0.05, 0.02, 0.5, 4.0)
STEPS, BATCH, RUNS, SEED = 40, 3, 2, 5


def with_gradient(gradient, algorithm=DANA):
    return dataclasses.replace(algorithm, gradient=gradient)


def what_is_stepped_with(gradient, features, residuals, t, noise):
    """The five rules once more, for one run, sample by sample."""
    samples = [e * a for e, a in zip(residuals, features, strict=True)]
    if isinstance(gradient, ClippedResiduals):
        most = 2.0 / math.sqrt(1 + t)
        samples = [max(-most, min(most, e)) * a for e, a in zip(residuals, features, strict=True)]
    if isinstance(gradient, ClippedSamples):
        samples = [s * min(1.0, 1.5 / math.sqrt(s @ s)) for s in samples]
    mean = sum(samples) / len(samples)
    if isinstance(gradient, Sign):
        return np.array([math.copysign(1.0, g) for g in mean])
    if isinstance(gradient, ClippedMean):
        return mean * min(1.0, 0.8 / math.sqrt(mean @ mean))
    return mean + 0.3 * noise if isinstance(gradient, Noisy) else mean


def parameters_after_every_step(gradient, draws, noise):
    """DANA-decaying at those gradients, written out; (features, labels) of every step and run."""
    theta, y = np.zeros((RUNS, 4)), np.zeros((RUNS, 4))
    for t, (features, labels) in enumerate(draws):
        yield theta.copy()
        kicks = noise.standard_normal((RUNS, 4))
        for r in range(RUNS):
            residuals = features[r] @ theta[r] - labels[r]
            g = what_is_stepped_with(gradient, features[r], residuals, t, kicks[r])
            y[r] = (1 - 4.0 / (4.0 + t)) * y[r] + g
            theta[r] = theta[r] - 0.05 * g - 0.02 / math.sqrt(1 + t) * y[r]
    yield theta


@pytest.mark.parametrize("gradient", EXAMPLES, ids=lambda g: g.name)
def test_rows_are_stepped_with_as_the_gradient_says(gradient):
    order = np.random.default_rng(SEED).integers(30, size=(512, RUNS, BATCH))
    draws = [(ROWS[rows], TARGET[rows]) for rows in order[:STEPS]]
    thetas = parameters_after_every_step(gradient, draws, generator(SEED, 0))
    risks = [0.5 * np.mean((ROWS @ t.T - TARGET[:, None]) ** 2, axis=0).mean() for t in thetas]
    run = hidim.simulate_rows(
        ROWS, TARGET, with_gradient(gradient), STEPS, batch_size=BATCH, runs=RUNS, seed=SEED,
        at=range(STEPS + 1),
    )  # fmt: skip
    # The same sums in another order.
    np.testing.assert_allclose(run.risk, risks, rtol=1e-10)


@pytest.mark.parametrize("gradient", EXAMPLES, ids=lambda g: g.name)
def test_samples_are_stepped_with_as_the_gradient_says(gradient):
    j = np.arange(1, 17.0)
    features, target = PROBLEM.draw(SEED) / j[:, None], j**-1.7
    x, noise = (generator(SEED, 0, stream) for stream in (0, 1))
    draws = []
    for _ in range(STEPS):
        rows = x.standard_normal((RUNS, BATCH, 16))
        label_noise = math.sqrt(0.2) * noise.standard_normal((RUNS, BATCH))
        draws.append((rows @ features, rows @ target + label_noise))
    thetas = parameters_after_every_step(gradient, draws, generator(SEED, 0, 3))
    risks = [0.5 * (np.sum((t @ features.T - target) ** 2, axis=1) + 0.2).mean() for t in thetas]
    run = hidim.simulate(
        PROBLEM, with_gradient(gradient), batch_size=BATCH, runs=RUNS, seed=SEED,
        at=range(STEPS + 1),
    )  # fmt: skip
    np.testing.assert_allclose(run.risk, risks, rtol=1e-10)


@pytest.mark.parametrize(
    "gradient",
    [Noisy(0.0), ClippedResiduals(hidim.Constant(1e300)), ClippedSamples(1e9), ClippedMean(1e9)],
    ids=lambda g: g.name,
)
def test_a_gradient_that_changes_nothing_leaves_the_runs_as_they_are(gradient):
    options = {"steps": 60, "batch_size": BATCH, "runs": 3, "seed": 2}
    plain = hidim.simulate(PROBLEM, DANA, method="raw", **options)
    same = hidim.simulate(PROBLEM, with_gradient(gradient), **options)
    # The same samples; only a mean over samples is summed in another order.
    exact = not isinstance(gradient, ClippedSamples)
    np.testing.assert_allclose(same.risk, plain.risk, rtol=0.0 if exact else 1e-12)
    plain = hidim.simulate_rows(ROWS, TARGET, DANA, **options)
    same = hidim.simulate_rows(ROWS, TARGET, with_gradient(gradient), **options)
    np.testing.assert_allclose(same.risk, plain.risk, rtol=1e-12)


def test_a_gradients_noise_depends_on_the_seed_alone(monkeypatch):
    noisy = with_gradient(Noisy(0.5))
    options = {"batch_size": 2, "runs": 3, "seed": 7}
    run = hidim.simulate(PROBLEM, noisy, at=[0, 1, 30, 600], **options)
    other = hidim.simulate(PROBLEM, noisy, at=[600], batch_size=2, runs=3, seed=8, problem_seed=7)
    assert other.risk[0] != run.risk[-1]
    monkeypatch.setattr(Raw, "_DRAW", 1)  # step by step instead of many at once
    again = hidim.simulate(PROBLEM, noisy, at=[600, 30], **options)
    np.testing.assert_allclose(again.risk, run.risk[[3, 2]], rtol=1e-9)


def test_a_run_with_a_gradient_is_raw_by_itself_and_says_so():
    run = hidim.simulate(PROBLEM, with_gradient(Noisy(0.5)), 10, runs=2)
    assert run.provenance["method"] == "raw"
    assert run.provenance["algorithm"]["gradient"] == "Noisy(std=0.5, name='noisy')"
    assert hidim.simulate(PROBLEM, DANA, 10, runs=2).provenance["method"] == "eigenbasis"
    rows = hidim.simulate_rows(ROWS, TARGET, with_gradient(Sign()), 10, runs=2)
    assert rows.provenance["algorithm"]["gradient"] == "Sign(name='sign')"


@dataclass(frozen=True)
class ChangedBall(HeavyBall):
    gradient: hidim.algorithms.Gradient | None = None


def test_an_algorithm_outside_the_family_may_have_a_gradient_too():
    ours = with_gradient(ClippedSamples(1.5), hidim.sgd_momentum(0.0, 0.05, 0.2))
    run, same = (
        hidim.simulate(PROBLEM, one, 60, 3, runs=2)
        for one in (ChangedBall(0.05, 0.8, ClippedSamples(1.5)), ours)
    )
    np.testing.assert_allclose(run.risk, same.risk, rtol=1e-10)


REFUSED = {
    r"'eigenbasis' runs .* not dana-decaying with 'sign'\. Use method=\"raw\"": lambda one: (
        hidim.simulate(PROBLEM, one, 5, method="eigenbasis")
    ),
    r"'sde' runs .* not dana-decaying with 'sign'\. Use method=\"raw\"": lambda one: hidim.simulate(
        PROBLEM, one, 5, method="sde"
    ),
    r"`batch_size`=inf has no samples .*: give a whole number": lambda one: hidim.simulate(
        PROBLEM, one, 5, batch_size=math.inf
    ),
    r"`y` must have one output .* 'sign'.* got 2: run them one by one": lambda one: (
        hidim.simulate_rows(ROWS, ROWS[:, :2], one, 5)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_run_a_gradient_says_what_can(message):
    with pytest.raises(ValueError, match=message) as caught:
        REFUSED[message](with_gradient(Sign()))
    assert "\n" not in str(caught.value)


def test_a_gradient_answers_in_the_shape_of_the_parameters():
    theta = np.ones((2, 3))
    batch = Batch(np.ones((2, 4, 3)), np.ones((2, 4)), read_only(theta), 0)
    np.testing.assert_array_equal(batch.samples.mean(axis=1), batch.mean)

    def answer(value):
        gradient = type("Own", (), {"name": "own", "__call__": lambda self, batch, rng: value})()
        return changed(gradient, batch, np.random.default_rng(0))

    assert answer(np.ones((2, 3), dtype=int)).dtype == np.float64
    kept = answer(batch.theta)
    kept += 1.0  # an update writes into what it is given: never into the parameters
    np.testing.assert_array_equal(theta, 1.0)
    for wrong in (np.ones(3), None, np.ones((2, 3)) * 1j):
        with pytest.raises(ValueError, match=r"`gradient` 'own' must return .* \(2, 3\), got"):
            answer(wrong)


@pytest.mark.parametrize(
    "algorithm", [hidim.sign_sgd(0.1), hidim.adam(0.1, 0.9, 0.99), hidim.signum(0.1, 0.9)]
)
@pytest.mark.parametrize("outputs", [None, 3])
def test_a_basis_that_is_not_known_is_not_made_up(algorithm, outputs):
    bare = hidim.Spectrum([1.0, 0.5], [1.0, 1.0], 0.1)
    problem = bare if outputs is None else hidim.MatrixLeastSquares(bare, outputs)
    with pytest.raises(ValueError, match="which this spectrum does not know"):
        hidim.simulate(problem, algorithm, 5)


def test_rows_without_themselves_know_their_coordinates():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 5))
    y = X @ np.ones(5) + rng.standard_normal(300)
    found = hidim.Spectrum.from_data(X, y, rows=False)
    optimum = np.linalg.lstsq(X, y)[0]
    left = float(np.mean((y - X @ optimum) ** 2))
    known = hidim.Spectrum.from_covariance(X.T @ X / 300, optimum, noise_variance=left)
    for one in (hidim.sign_sgd(0.01), hidim.adam(0.01, 0.9, 0.99)):
        curve, truth = (hidim.predict(s, one, at=[0, 50]) for s in (found, known))
        assert curve.risk == pytest.approx(truth.risk, rel=1e-9)
    # Some columns twice: the least-norm optimum.
    twice = hidim.Spectrum.from_data(np.hstack([X, X]), y, rows=False)
    assert twice.law.basis.optimum == pytest.approx(np.tile(optimum / 2, 2))
    assert hidim.Spectrum.from_data(X, np.stack([y, y], 1), rows=False).law.basis is None
