"""A decay of a whole weight or more is refused where it can be known: when it is made."""

import math
from typing import Any

import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim.optax as hx  # noqa: E402

ADAPTIVE = [hx.adana, hx.dana_mk4, hx.dana_star, hx.dana_star_mk4, hx.log_time_ademamix]
DECOUPLED = [hx.dana_decaying, hx.dana_constant, hx.stochastic_nesterov, hx.accelerated_sgd]


def shrunk(optimizer: Any, steps: int = 12) -> Any:
    """A weight of 1 that has no gradient, after each update."""
    w, seen = jnp.ones(()), []
    state = optimizer.init(w)
    for _ in range(steps):
        updates, state = optimizer.update(jnp.zeros(()), state, w)
        w = optax.apply_updates(w, updates)
        seen.append(float(w))
    return seen


@pytest.mark.parametrize("make", ADAPTIVE)
def test_log_time_decay_of_a_weight_or_more_is_refused(make: Any) -> None:
    for t_0, words in ((0.0, "4 times"), (1.0, "2 times.*3 omega = 12"), (3.0, "all of")):
        with pytest.raises(ValueError, match=rf"`t_0` = {t_0:g} beside omega = 4 would.*{words}"):
            make(1e-3, omega=4.0, t_0=t_0)
    with pytest.raises(ValueError, match="`t_0`"):
        make(1.0, omega=4.0, t_0=6.0, weight_decay=0.5)
    with pytest.raises(ValueError, match="inf times"):
        make(1e-3, omega=4.0, t_0=0.0, clock="jax")
    make(1e-3, omega=4.0, t_0=3.1)
    make(1e-3, omega=4.0, t_0=0.0, initial_step=4)
    make(1e-3, omega=0.0, t_0=0.0, clock="jax")


def test_a_schedule_is_asked_whether_it_warms_up() -> None:
    slow = optax.linear_schedule(0.0, 1e-3, 8)
    assert min(shrunk(hx.adana(slow, omega=4.0, t_0=0.0, peak_lr=1e-3))) > 0
    steep = optax.linear_schedule(0.0, 1e-3, 2)
    with pytest.raises(ValueError, match=r"`t_0` = 0 .* all of a weight in update 3"):
        hx.adana(lambda t: 0.75 * steep(t), omega=4.0, t_0=0.0, peak_lr=1e-3)
    with pytest.raises(ValueError, match="in update 1:"):
        hx.log_time_weight_decay(4.0, t_0=1.0, schedule=lambda t: 0.5 + 0.0 * t)
    hx.log_time_weight_decay(4.0, t_0=1.0, schedule=lambda t: 0.4 + 0.0 * t)


@pytest.mark.parametrize("make", [*DECOUPLED, *ADAPTIVE, hx.sign_sgd])
def test_a_rate_times_a_decoupled_decay_of_one_is_refused(make: Any) -> None:
    options = {"decoupled_weight_decay": True} if make in DECOUPLED else {}
    with pytest.raises(ValueError, match=r"`weight_decay` = 0.5 at a learning rate of 2 would"):
        make(2.0, weight_decay=0.5, **options)
    make(1.9, weight_decay=0.5, **options)
    if make in DECOUPLED:
        make(4.0, weight_decay=0.5)  # part of the loss
    if make in ADAPTIVE:
        with pytest.raises(ValueError, match="`weight_decay`"):
            make(lambda t: 2.0 + 0.0 * t, weight_decay=0.5, peak_lr=2.0)


def test_what_is_traced_passes() -> None:
    optimizer = optax.inject_hyperparams(hx.adana)(1e-3, omega=4.0, t_0=1.0)
    with pytest.raises(ValueError, match="`t_0`"):
        optimizer.init(jnp.ones(()))
    run = jax.vmap(lambda lr: hx.adana(lr, omega=0.5, t_0=1.0).init(jnp.ones(())).count)
    assert run(jnp.array([0.1, math.pi])).tolist() == [0, 0]

    @jax.jit
    def made_inside() -> Any:
        return hx.adana(optax.constant_schedule(1e-3), omega=4.0, t_0=0.0, peak_lr=5e-3).init(
            jnp.ones(())
        )

    assert made_inside().count == 0
