"""A schedule means the same in JAX as in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from schedule_examples import BUILT_IN, schedules

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402
from hidim.algorithms import schedules as s  # noqa: E402
from hidim.algorithms.decays import (  # noqa: E402
    ExponentialDecay,
    PolynomialDecay,
    PowerFall,
    PowerTail,
    Rise,
    Tail,
)

SCHEDULES = [
    hidim.Constant(0.3),
    hidim.PowerLaw(2.0, 0.7),
    hidim.Forgetting(8.0),
    hidim.Forgetting(8.0, offset=1.0),
    s.NesterovWeight(0.1),
    s.AverageWeight(2.0),
    s.Complement(s.AverageWeight(2.0)),
    hidim.Warmup(50),
    hidim.Cosine(1000, final=0.1),
    hidim.Cosine(10**12),
    hidim.WSD(1000, warmup=20, decay_fraction=0.3),
    hidim.WSD(1000, decay_fraction=0.5, final=0.01, shape="exponential"),
    hidim.Table((0, 10, 500), (1.0, 0.2, 0.4)),
    hidim.Table((0, 10, 500), (1.0, 0.2, 0.4), interpolation="previous"),
    PolynomialDecay(0.5, 1000, 1.5),
    ExponentialDecay(0.5, 1000, 0.01, start=200),
    *(Tail(200, 1000, 0.1, shape) for shape in ("linear", "cosine", "exponential", "sqrt")),
    PowerTail(200, 1000, 0.1, 2.5),
    Rise(500, 0.04),
    Rise(500, 0.0, "linear"),
    PowerFall(50, 0.5),
    PowerFall(50, 0.5, until=500),
    hidim.CoolDown(1000),
    *(hidim.RiskMatched(0.5, 500, power) for power in (1.0, 2.0, 3.0)),
    0.1 * hidim.Warmup(50) * hidim.Cosine(1000),
]
STEPS = [0, 1, 9, 10, 49, 50, 499, 500, 999, 1000, 5000, 2_000_000]


def all_of(given: list[s.Schedule]) -> Callable[[Any], Any]:
    return lambda t: jnp.stack([hx.as_optax_schedule(schedule)(t) for schedule in given])


def test_compiled_schedules_equal_numpy_and_leave_nothing_to_the_host(x64: None) -> None:
    assert {type(schedule) for schedule in SCHEDULES} == set(BUILT_IN)
    steps = jnp.asarray(STEPS)
    expected = [schedule(STEPS) for schedule in SCHEDULES]
    ours = jax.jit(all_of(SCHEDULES))(steps)
    np.testing.assert_allclose(ours, expected, rtol=1e-14, atol=1e-15)  # float64 rounding
    assert "callback" not in str(jax.make_jaxpr(all_of(SCHEDULES))(steps))


# Few, as a Table of each new length is compiled; x64 holds for all.
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schedules)
def test_any_schedule_equals_numpy(x64: None, schedule: s.Schedule) -> None:
    ours = hx.as_optax_schedule(schedule)(jnp.asarray(STEPS))
    expected = schedule(STEPS)
    # float64: a few roundings, of 1 where a schedule ends in a difference; XLA has no subnormals.
    atol = 1e-300 + 1e-15 * expected.max()
    np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=atol)


class Sawtooth(s.Schedule):
    """A schedule that hidim does not know."""

    def __call__(self, t: Any) -> np.ndarray:
        return np.asarray(t, dtype=np.float64) % 3.0


@dataclass(frozen=True)
class SlowWarmup(hidim.Warmup):
    """A child with a formula of its own."""

    def __call__(self, t: Any) -> np.ndarray:
        return super().__call__(t) ** 2


def test_an_unknown_schedule_is_evaluated_on_the_host() -> None:
    schedule = hx.as_optax_schedule(Sawtooth())
    np.testing.assert_array_equal(jax.jit(schedule)(jnp.arange(5)), [0.0, 1.0, 2.0, 0.0, 1.0])
    np.testing.assert_array_equal(jax.vmap(schedule)(jnp.arange(4)), [0.0, 1.0, 2.0, 0.0])
    for own in (SlowWarmup(4), 0.5 * SlowWarmup(4), s.Complement(SlowWarmup(4))):
        inside = jax.jit(hx.as_optax_schedule(own))(jnp.arange(5))
        np.testing.assert_allclose(inside, own(np.arange(5)), rtol=1e-6)  # float32


@dataclass(frozen=True)
class Ripple(s.Schedule):
    """One's own, written for any array library."""

    period: float

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return 1 + xp.cos(xp.asarray(t, dtype=float) / self.period) ** 2


def test_a_users_formula_for_any_library_leaves_nothing_to_the_host(x64: None) -> None:
    schedule = 0.1 * hidim.Warmup(50) * Ripple(3.0)
    ours, steps = hx.as_optax_schedule(schedule), jnp.asarray(STEPS)
    np.testing.assert_allclose(jax.jit(ours)(steps), schedule(STEPS), rtol=1e-13)
    assert "callback" not in str(jax.make_jaxpr(ours)(steps))
    assert "callback" in str(jax.make_jaxpr(hx.as_optax_schedule(0.5 * SlowWarmup(4)))(steps))


def test_serves_optimizers_of_others_and_injection() -> None:
    rate = hx.as_optax_schedule(hidim.Warmup(10))
    for optimizer in (optax.sgd(rate), optax.inject_hyperparams(optax.sgd)(learning_rate=rate)):
        params = jnp.ones(2)
        updates, _ = jax.jit(optimizer.update)(params, optimizer.init(params), params)
        np.testing.assert_allclose(updates, [-0.1, -0.1], rtol=1e-6)


def test_what_is_no_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="`schedule`"):
        hx.as_optax_schedule("cosine")  # type: ignore[arg-type]


@pytest.mark.parametrize(("made", "name"), [(hx.dana_decaying, "c_3"), (hx.adana, "alpha_scale")])
def test_the_momentum_cools_down_by_a_schedule_in_the_place_of_its_scale(
    made: Callable[..., Any], name: str
) -> None:
    def moved(scale: Any, t: int) -> np.ndarray:
        optimizer = made(0.1, **{name: scale}, initial_step=t)
        p = {"w": jnp.ones(3)}
        found, _ = optimizer.update({"w": jnp.ones(3)}, optimizer.init(p), p)
        return np.asarray(found["w"])

    cooled = hidim.CoolDown(100)
    np.testing.assert_allclose(moved(cooled, 60), moved(float(cooled(60)), 60), rtol=1e-6)
    np.testing.assert_allclose(moved(cooled, 100), moved(0.0, 100), rtol=1e-6)
