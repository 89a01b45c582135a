"""Optimizers of torch and Optax, run as somebody else's algorithm, meet the theory of ours."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import hidim
from hidim.algorithms import Gradient

LAM = np.arange(1.0, 41) ** -0.3
LEVEL = hidim.Spectrum(LAM, np.full(40, 2.0 / LAM.sum()), 0.5)
NARROW = np.arange(1.0, 17) ** -0.5
MATRIX = hidim.MatrixLeastSquares(
    hidim.Spectrum(NARROW, np.full(16, 2.0 / NARROW.sum()), 1.0), outputs=12
)


@dataclass(frozen=True)
class Torch:
    """An optimizer of torch: every run's parameters, of this shape, are one tensor."""

    make: Any
    shape: tuple[int, ...] = ()
    name: str = "torch"

    def update(self):
        return self

    def start(self, theta):
        import torch

        rows = [theta] if not self.shape else [row.reshape(self.shape) for row in theta]
        held = [torch.nn.Parameter(torch.tensor(row, dtype=torch.float64)) for row in rows]
        return held, self.make(held)

    def step(self, t, theta, g, state):
        import torch

        held, optimizer = state
        rows = [g] if not self.shape else [row.reshape(self.shape) for row in g]
        for one, row in zip(held, rows, strict=True):
            one.grad = torch.tensor(row)
        optimizer.step()
        found = np.stack([one.detach().numpy() for one in held])
        return found.reshape(theta.shape).copy(), state


@dataclass(frozen=True)
class Optax:
    """A transformation of Optax, of each run's parameters, of this shape, by itself."""

    make: Any
    shape: tuple[int, ...] = ()
    name: str = "optax"

    def update(self):
        return self

    def _leaves(self, array):
        import jax.numpy as jnp

        return jnp.asarray(array.reshape(len(array), *self.shape) if self.shape else array)

    def start(self, theta):
        import jax

        optimizer = self.make()

        def step(g, state, p):
            updates, state = optimizer.update(g, state, p)
            return p + updates, state

        return jax.jit(jax.vmap(step)), jax.vmap(optimizer.init)(self._leaves(theta))

    def step(self, t, theta, g, state):
        step, held = state
        found, held = step(self._leaves(g), held, self._leaves(theta))
        return np.array(found, dtype=float).reshape(theta.shape), (step, held)


def met(problem, external, ours, batch, *, steps=(10, 40), runs=48, share=0.02):
    """The run of an external algorithm against the prediction for ours."""
    options = {"at": list(steps), "batch_size": batch}
    run = hidim.simulate(problem, external, runs=runs, seed=3, method="raw", **options)
    curve = hidim.predict(problem, ours, **options)
    assert curve.status == "ok"
    assert np.all(np.abs(curve.risk - run.risk) < 4 * run.stderr + share * curve.excess)
    assert abs(run.risk[-1] / problem.initial_risk - 1) > 0.01  # it moved


@pytest.mark.parametrize("batch", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_torch_adam(batch):
    torch = pytest.importorskip("torch")

    def make(held):
        return torch.optim.Adam(held, lr=3e-3, betas=(0.8, 0.95), eps=0.0)

    ours = hidim.adam(3e-3, 0.8, 0.95, basis="diagonal", bias_correction=True)
    met(LEVEL, Torch(make), ours, batch)


@pytest.mark.parametrize(
    "coefficients", [(2.0, -1.5, 0.5), pytest.param(None, marks=pytest.mark.slow)]
)
def test_torch_muon(coefficients):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    # Its own five steps of Newton and Schulz leave singular values between .7 and 1.2; with these
    # coefficients and twelve steps they are 1 but for bfloat16.
    more = {"ns_coefficients": coefficients, "ns_steps": 12} if coefficients else {}

    def make(held):
        return torch.optim.Muon(
            held, lr=0.02, weight_decay=0.0, momentum=0.0, nesterov=False, **more
        )

    share = 0.02 if coefficients else 0.05
    met(MATRIX, Torch(make, (12, 16)), hidim.sign_svd(0.02), 8, runs=16, share=share)


@pytest.mark.parametrize("nesterov", [False, True])
def test_torch_muon_with_momentum_is_our_run_of_it(nesterov):
    torch = pytest.importorskip("torch")
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")

    def make(held):
        options = {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 12, "nesterov": nesterov}
        return torch.optim.Muon(held, lr=0.02, weight_decay=0.0, momentum=0.9, **options)

    options = {"at": [10, 40], "batch_size": 8, "runs": 8, "seed": 3}
    theirs = hidim.simulate(MATRIX, Torch(make, (12, 16)), method="raw", **options)
    ours = hidim.simulate(MATRIX, hidim.sign_svd(0.02, momentum=0.9, nesterov=nesterov), **options)
    # The same samples; their iterations are in bfloat16.
    np.testing.assert_allclose(theirs.excess, ours.excess, rtol=0.01)
    plain = hidim.simulate(MATRIX, hidim.sign_svd(0.02), **options)
    assert np.all(np.abs(plain.excess / ours.excess - 1) > 0.02)  # which momentum moves


def test_optax_sign_sgd():
    optax = pytest.importorskip("optax")
    if not hasattr(optax, "sign_sgd"):
        pytest.skip("this optax has no sign_sgd")
    met(LEVEL, Optax(lambda: optax.sign_sgd(3e-3)), hidim.sign_sgd(3e-3, basis="diagonal"), 4)


def test_optax_clip_by_global_norm():
    optax = pytest.importorskip("optax")

    def make():
        return optax.chain(optax.clip_by_global_norm(2.0), optax.sgd(0.02))

    met(LEVEL, Optax(make), hidim.clipped(hidim.sgd(0.02), 2.0, kind="batch"), 4)


@dataclass(frozen=True)
class AdaptiveClip(Gradient):
    """Optax's adaptive clipping: no longer than a share of the parameters' norm."""

    share: float
    name: str = "adaptive-clip"

    def __call__(self, batch, rng):
        import jax.numpy as jnp

        return np.array(_adaptive(self.share)(jnp.asarray(batch.mean), jnp.asarray(batch.theta)))


@cache
def _adaptive(share):
    """Compiled once for all steps."""
    import jax
    import optax

    clip = optax.adaptive_grad_clip(share)
    return jax.jit(jax.vmap(lambda g, p: clip.update(g, clip.init(p), p)[0]))


def test_optax_adaptive_clipping_is_a_threshold_that_follows_the_parameters():
    pytest.importorskip("optax")
    share, seen = 1.5, []

    @dataclass(frozen=True)
    class Watched(AdaptiveClip):
        def __call__(self, batch, rng):
            seen.append(float(np.mean(np.linalg.norm(batch.theta, axis=1))))
            return super().__call__(batch, rng)

    algorithm = replace(hidim.sgd(0.02), gradient=Watched(share))
    options = {"at": [10, 40], "batch_size": 4}
    run = hidim.simulate(LEVEL, algorithm, runs=48, seed=3, **options)
    thresholds = share * np.maximum(seen, 1e-3)  # of parameters near 0 that of 1e-3
    moving = hidim.Table(tuple(range(40)), tuple(thresholds.tolist()))
    curve = hidim.predict(LEVEL, hidim.clipped(hidim.sgd(0.02), moving, kind="batch"), **options)
    assert np.all(np.abs(curve.risk - run.risk) < 4 * run.stderr + 0.02 * curve.excess)
    assert run.excess[-1] < 0.9 * LEVEL.initial_risk


@pytest.mark.slow  # to compile
def test_optax_private_aggregates_are_samples_and_noise():
    contrib = pytest.importorskip("optax.contrib")
    jax = pytest.importorskip("jax")

    private = contrib.differentially_private_aggregate(1e6, 2e-6, 0)

    def one(samples, seed):
        start = private.init(samples[0])
        start = start._replace(**{start._fields[0]: jax.random.key(seed)})
        return private.update(samples, start)[0]

    aggregate = jax.jit(jax.vmap(one))

    @dataclass(frozen=True)
    class Private(Gradient):
        name: str = "private"

        def __call__(self, batch, rng):
            seeds = jax.numpy.asarray(rng.integers(2**31, size=len(batch.theta)))
            return np.array(aggregate(jax.numpy.asarray(batch.samples), seeds), dtype=float)

    # That it clips as ours does: tests/algorithms/test_external.py.
    external = replace(hidim.sgd(0.02), gradient=Private())
    met(LEVEL, external, hidim.noisy(hidim.sgd(0.02), 2.0 / 4), 4, steps=[20], runs=16)


@pytest.mark.slow  # to compile
def test_optax_muon():
    contrib = pytest.importorskip("optax.contrib")
    if not hasattr(contrib, "muon"):
        pytest.skip("this optax has no muon")

    def make():
        return contrib.muon(0.02, ns_coeffs=(2.0, -1.5, 0.5), ns_steps=9, beta=0.0, nesterov=False)

    met(MATRIX, Optax(make, (12, 16)), hidim.sign_svd(0.02), 8, runs=16)
