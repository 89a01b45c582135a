"""Other people's implementations of changed gradients, on the same gradients."""

import numpy as np
import pytest

import hidim
from hidim.algorithms.gradients import Batch

RNG = np.random.default_rng(0)
FEATURES, RESIDUALS = RNG.standard_normal((3, 8, 5)), RNG.standard_normal((3, 8))
BATCH = Batch(FEATURES, RESIDUALS, np.zeros((3, 5)), 0)


def step(algorithm):
    """What a first step of rate 1 adds to the parameters, (runs, d)."""
    return -algorithm.gradient(BATCH, np.random.default_rng(1))


def test_signs_are_those_of_optax():
    optax = pytest.importorskip("optax")
    rule = optax.sign_sgd(1.0)
    mean = BATCH.mean.astype(np.float32)
    moved, _ = rule.update(mean, rule.init(mean))
    assert np.array_equal(np.asarray(moved), step(hidim.sign_sgd(1.0)))


def test_the_norm_of_the_mean_is_clipped_as_by_optax_and_torch():
    optax, torch = pytest.importorskip("optax"), pytest.importorskip("torch")
    jax = pytest.importorskip("jax")
    ours = step(hidim.clipped(hidim.sgd(1.0), 0.3, kind="batch"))
    rule = optax.chain(optax.clip_by_global_norm(0.3), optax.sgd(1.0))
    step_of_optax = jax.jit(lambda mean: rule.update(mean, rule.init(mean))[0])
    for mean, expected in zip(BATCH.mean, ours, strict=True):
        moved = step_of_optax(mean.astype(np.float32))
        assert np.asarray(moved) == pytest.approx(expected, rel=1e-5)
        theta = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
        theta.grad = torch.tensor(mean)
        torch.nn.utils.clip_grad_norm_([theta], 0.3)
        torch.optim.SGD([theta], lr=1.0).step()
        assert theta.detach().numpy() == pytest.approx(expected, rel=1e-5)


def test_samples_are_clipped_as_by_optax_before_private_noise():
    jax = pytest.importorskip("jax")
    private = pytest.importorskip("optax.contrib").differentially_private_aggregate(0.5, 0.0, 0)
    rule = jax.jit(lambda each: private.update(each, private.init(each[0]))[0])
    ours = step(hidim.clipped(hidim.sgd(1.0), 0.5, kind="norm"))
    for samples, expected in zip(BATCH.samples, ours, strict=True):
        assert -np.asarray(rule(samples.astype(np.float32))) == pytest.approx(expected, rel=1e-5)
