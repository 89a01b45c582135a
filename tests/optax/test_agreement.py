"""Every transformation takes the steps of the plain NumPy reference, in every dtype."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim.optax as hx  # noqa: E402
from hidim.algorithms import reference  # noqa: E402
from hidim.algorithms.schedules import Cosine, Forgetting, PowerLaw, Warmup  # noqa: E402

STEPS = 1000
SIZE = 6
LR = 0.01


def ours_and_reference(ours: Callable, theirs: Callable, **shared: Any) -> tuple:
    return ours(LR, **shared), lambda: theirs(LR, **shared)


class SignSGD:
    """The reference's function with the interface of its classes."""

    def __init__(self, lr: float, weight_decay: float) -> None:
        self.lr, self.weight_decay = lr, weight_decay

    def step(self, p: np.ndarray, g: np.ndarray) -> np.ndarray:
        return reference.sign_sgd(p, g, self.lr, self.weight_decay)


DECAY = {"weight_decay": 0.1, "omega": 2.0, "t_0": 50.0}
GENERAL = {
    "gamma_1": PowerLaw(0.5, 0.1),
    "gamma_2": Warmup(100) * Cosine(900, final=0.1),
    "gamma_3": PowerLaw(0.3, 0.6),
    "forgetting": Forgetting(6.0, offset=9.0),
}
CASES: dict[str, Callable[[], tuple]] = {
    "dana_decaying": lambda: ours_and_reference(
        hx.dana_decaying, reference.DANADecaying, c_3=0.7, kappa_3=0.6, delta=6.0, weight_decay=0.1
    ),
    "dana_decaying decoupled": lambda: ours_and_reference(
        hx.dana_decaying,
        reference.DANADecaying,
        weight_decay=0.1,
        decoupled_weight_decay=True,
        initial_step=40,
    ),
    "dana_constant": lambda: ours_and_reference(
        hx.dana_constant, reference.DANAConstant, c_3=2.0, dimension=50
    ),
    "general_momentum": lambda: ours_and_reference(
        hx.general_momentum, reference.GeneralMomentum, weight_decay=0.2, **GENERAL
    ),
    "stochastic_nesterov": lambda: ours_and_reference(
        hx.stochastic_nesterov, reference.StochasticNesterov
    ),
    "accelerated_sgd": lambda: ours_and_reference(
        hx.accelerated_sgd, reference.AcceleratedSGD, kappa=200.0, xi=8.0, weight_decay=0.1
    ),
    "adana": lambda: ours_and_reference(hx.adana, reference.ADANA, **DECAY),
    "adana readme": lambda: ours_and_reference(
        hx.adana,
        reference.ADANA,
        alpha_form="readme",
        alpha_scale=0.5,
        gradient_scale=0.3,
        kappa=0.7,
        initial_step=30,
    ),
    "dana_mk4": lambda: ours_and_reference(
        hx.dana_mk4, reference.DanaMK4, clip=0.5, decay_after=True, **DECAY
    ),
    "dana_star": lambda: ours_and_reference(hx.dana_star, reference.DanaStar, **DECAY),
    "dana_star_mk4": lambda: ours_and_reference(
        hx.dana_star_mk4, reference.DanaStarMK4, clip=0.8, delta=5.0, initial_step=10
    ),
    "log_time_ademamix": lambda: ours_and_reference(
        hx.log_time_ademamix, reference.LogTimeAdEMAMix, initial_step=20, **DECAY
    ),
    "sign_sgd": lambda: ours_and_reference(hx.sign_sgd, SignSGD, weight_decay=0.1),
}


def gradients() -> np.ndarray:
    """Noise whose size and frequency differ by entry, and a drift: (STEPS, SIZE)."""
    rng = np.random.default_rng(4)
    noise = rng.standard_normal((STEPS, SIZE)) * np.logspace(-2, 1, SIZE) + 0.02
    seen = rng.random((STEPS, SIZE)) < np.linspace(0.05, 1.0, SIZE)
    return noise * seen


# Compiling is what these tests cost: one case of each shape of rule is fast, the rest slow.
FAST = ("dana_decaying", "adana", "dana_star_mk4", "log_time_ademamix")
FAST_FIRST = [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]


START = np.linspace(-1.0, 1.0, SIZE)


def trained(optimizer: Any, dtype: Any) -> np.ndarray:
    """Parameters after each step: (STEPS, SIZE)."""
    params = jnp.asarray(START, dtype)

    def step(carry: tuple, g: Any) -> tuple:
        params, state = carry
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    run = jax.jit(lambda c, g: jax.lax.scan(step, c, g))
    path = run((params, optimizer.init(params)), jnp.asarray(gradients(), dtype))[1]
    return np.asarray(path.astype(jnp.float64 if dtype == jnp.float64 else jnp.float32), np.float64)


def expected(rule: Any, round_to: Any = None) -> np.ndarray:
    """The reference's path; with `round_to` a 16-bit type, rounded wherever it is stored."""

    def rounded(x: Any) -> np.ndarray:
        return np.asarray(x) if round_to is None else np.asarray(x, round_to).astype(np.float64)

    p = rounded(START)
    path = []
    for g in gradients():
        if round_to is None:
            p = rule.step(p, g)
        else:
            p = rounded(p + rounded(rule.step(p, rounded(g)) - p))
            for name in ("y", "m", "v", "tau", "m_1"):
                if getattr(rule, name, None) is not None:
                    setattr(rule, name, rounded(getattr(rule, name)))
        path.append(p)
    return np.array(path)


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs).max(axis=0))))


@pytest.mark.parametrize("name", CASES)
def test_float64_follows_the_reference_for_1000_steps(name: str, x64: None) -> None:
    optimizer, rule = CASES[name]()
    # 1,000 roundings of at most 1.1e-16 each; random in sign they sum to some 4e-15.
    assert relative_error(trained(optimizer, jnp.float64), expected(rule())) < 2e-14


@pytest.mark.parametrize("name", FAST_FIRST)
def test_float32_follows_the_reference_for_1000_steps(name: str) -> None:
    optimizer, rule = CASES[name]()
    # 1,000 roundings of at most 6e-8 each; random in sign they sum to some 2e-6.
    assert relative_error(trained(optimizer, jnp.float32), expected(rule())) < 1e-5


@pytest.mark.parametrize("name", FAST_FIRST)
def test_bfloat16_is_the_reference_rounded_where_it_is_stored(name: str) -> None:
    if name == "accelerated_sgd":
        pytest.skip("its reference keeps another sequence than y, stored and rounded differently")
    optimizer, rule = CASES[name]()
    ours = trained(optimizer, jnp.bfloat16)
    theirs = expected(rule(), jnp.bfloat16)
    # Arithmetic is float32, so both round the same numbers and part only at near-ties, by one
    # unit in the last place (2^-8 of the value).
    assert relative_error(ours, theirs) < 2 * 2.0**-8
    assert np.mean(ours == theirs) > 0.95


@pytest.mark.parametrize("name", FAST_FIRST)
def test_complex64_is_pairs_of_reals(name: str) -> None:
    optimizer, _ = CASES[name]()
    pairs = gradients().astype(np.float32).reshape(STEPS, -1, 2)
    start = START.astype(np.float32).reshape(-1, 2)

    def run(params: Any, grads: Any) -> Any:
        def step(carry: tuple, g: Any) -> tuple:
            params, state = carry
            updates, state = optimizer.update(g, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.jit(lambda c: jax.lax.scan(step, c, grads))((params, optimizer.init(params)))

    (real, _), _ = run(jnp.asarray(start), jnp.asarray(pairs))
    (both, _), _ = run(
        jax.lax.complex(start[:, 0], start[:, 1]), jax.lax.complex(pairs[..., 0], pairs[..., 1])
    )
    # The same arithmetic; compiled code may fuse it differently, a rounding per step.
    np.testing.assert_allclose(np.stack([both.real, both.imag], 1), real, rtol=2e-5, atol=2e-5)
