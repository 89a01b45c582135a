"""Every transformation composes with the rest of optax and JAX."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'hidim[optax]'")
optax = pytest.importorskip("optax", reason="optax is not installed: pip install 'hidim[optax]'")

import jax.numpy as jnp  # noqa: E402

import hidim  # noqa: E402
import hidim.optax as hx  # noqa: E402

MAKERS: dict[str, Callable[..., Any]] = {
    "dana_decaying": hx.dana_decaying,
    "dana_constant": hx.dana_constant,
    "general_momentum": hx.general_momentum,
    "stochastic_nesterov": hx.stochastic_nesterov,
    "accelerated_sgd": hx.accelerated_sgd,
    "from_algorithm": lambda lr, **o: hx.from_algorithm(
        hidim.dana_decaying(1.0, 1.0, 0.5, 8.0), lr, **o
    ),
    "adana": hx.adana,
    "dana_mk4": hx.dana_mk4,
    "dana_star": hx.dana_star,
    "dana_star_mk4": hx.dana_star_mk4,
    "log_time_ademamix": hx.log_time_ademamix,
    "sign_sgd": hx.sign_sgd,
}
# One of each shape of state, for properties that the shared core gives to all of them.
KINDS = ("dana_decaying", "dana_star_mk4", "sign_sgd")
KINDS_FIRST = [n if n in KINDS else pytest.param(n, marks=pytest.mark.slow) for n in MAKERS]

PARAMS = {"w": jnp.arange(6.0).reshape(2, 3) - 2.0, "b": jnp.ones(2)}
GRADS = {"w": jnp.cos(jnp.arange(6.0)).reshape(2, 3), "b": jnp.array([0.3, -2.0])}


def steps(
    optimizer: Any, count: int = 3, params: Any = PARAMS, grads: Any = GRADS, jit: bool = False
) -> Any:
    """Parameters and state after `count` updates with the same gradients, eager unless `jit`."""
    state = optimizer.init(params)
    update = jax.jit(optimizer.update) if jit else optimizer.update
    for _ in range(count):
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_close(a: Any, b: Any, rtol: float = 1e-6) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-6), a, b)


@pytest.mark.parametrize("name", KINDS_FIRST)
def test_a_schedule_of_ones_times_the_rate_is_the_rate(name: str) -> None:
    assert_close(steps(MAKERS[name](0.1)), steps(MAKERS[name](lambda t: 0.1 + 0.0 * t)))
    assert_close(steps(MAKERS[name](0.1)), steps(MAKERS[name](hidim.Constant(0.1))))


@pytest.mark.parametrize("name", KINDS)
def test_compiled_and_vectorised_steps_equal_eager_ones(name: str) -> None:
    optimizer = MAKERS[name](0.1)
    stacked = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), (PARAMS, GRADS))

    def two(params: Any, grads: Any) -> Any:
        return steps(optimizer, 2, params, grads)

    (params, state) = jax.jit(jax.vmap(two))(*stacked)
    for i in range(2):
        alone = steps(optimizer, 2, *jax.tree.map(lambda x, i=i: x[i], stacked))
        assert_close(jax.tree.map(lambda x, i=i: x[i], (params, state)), alone)


@pytest.mark.parametrize("name", KINDS_FIRST)
def test_composes_in_chain_multi_transform_and_masked(name: str) -> None:
    make = MAKERS[name]
    alone, _ = steps(make(0.1))

    clipped, _ = steps(optax.chain(optax.clip_by_global_norm(1e9), make(0.1)))
    assert_close(clipped, alone)

    only_b = {"w": False, "b": True}
    hidden, _ = steps(optax.masked(make(0.1), only_b), 2)
    just_b, _ = steps(make(0.1), 2, {"b": PARAMS["b"]}, {"b": GRADS["b"]})
    assert_close(hidden["b"], just_b["b"])
    assert_close(hidden["w"], PARAMS["w"] + 2 * GRADS["w"])  # masked: the gradient passes through

    parts = optax.multi_transform(
        {"ours": make(0.1), "theirs": optax.sgd(0.2)}, {"w": "theirs", "b": "ours"}
    )
    mixed, _ = steps(parts, 2)
    assert_close(mixed["b"], just_b["b"])
    assert_close(mixed["w"], PARAMS["w"] - 0.4 * GRADS["w"])


def test_dana_constant_counts_only_what_it_sees_unless_told() -> None:
    told = hx.dana_constant(0.1, dimension=8)
    assert_close(steps(told)[0], steps(hx.dana_constant(0.1))[0])
    hidden, _ = steps(optax.masked(told, {"w": False, "b": True}))
    assert_close(hidden["b"], steps(told)[0]["b"])


def test_injected_hyperparameters_act_on_the_next_step() -> None:
    optimizer = optax.inject_hyperparams(hx.dana_decaying)(learning_rate=0.1, kappa_3=0.5)
    update = jax.jit(optimizer.update)
    state = optimizer.init(PARAMS)
    first, state = update(GRADS, state, PARAMS)
    state.hyperparams["c_3"] = jnp.asarray(0.0)
    second, state = update(GRADS, state, PARAMS)
    assert_close(first, jax.tree.map(lambda g: -0.2 * g, GRADS))
    assert_close(second, jax.tree.map(lambda g: -0.1 * g, GRADS))


@pytest.mark.parametrize("name", [*KINDS, "dana_constant", "log_time_ademamix"])
def test_injection_changes_nothing_by_itself(name: str) -> None:
    injected = optax.inject_hyperparams(getattr(hx, name))(learning_rate=lambda t: 0.1 / (1.0 + t))
    plain = MAKERS[name](lambda t: 0.1 / (1.0 + t))
    assert_close(steps(injected)[0], steps(plain)[0])


@pytest.mark.parametrize("made", [hx.dana_decaying, hx.adana])
def test_an_injected_cooldown_is_the_number_of_updates_or_refused(made: Any) -> None:
    plain = steps(made(0.1, cooldown=4))[0]
    inject = optax.inject_hyperparams
    assert_close(steps(inject(made)(learning_rate=0.1, cooldown=4), jit=True)[0], plain)
    as_schedule = {"learning_rate": 0.1, "cooldown": hidim.CoolDown(4)}
    static = inject(made, static_args=("cooldown",))(**as_schedule)
    assert_close(steps(static, jit=True)[0], plain)
    for value in (hidim.CoolDown(4), lambda t: 1.0, 4.0):  # whose values are arrays by then
        with pytest.raises(ValueError, match="static_args"):
            steps(inject(made)(learning_rate=0.1, cooldown=value))
    swept = jax.vmap(lambda n: steps(made(0.1, cooldown=n))[0]["b"])(jnp.array([4, 9]))
    assert_close(swept[0], plain["b"])


@pytest.mark.parametrize("name", KINDS_FIRST)
def test_none_and_empty_trees_pass_through(name: str) -> None:
    optimizer = MAKERS[name](0.1, weight_decay=0.1)
    params = {"w": PARAMS["w"], "frozen": None, "empty": jnp.zeros((0, 3)), "none": {}}
    grads = {"w": GRADS["w"], "frozen": None, "empty": jnp.zeros((0, 3)), "none": {}}
    moved, _ = steps(optimizer, 2, params, grads)
    assert moved["frozen"] is None
    assert moved["empty"].shape == (0, 3)
    if name != "dana_constant":  # its dimension is the number of parameters
        assert_close(moved["w"], steps(optimizer, 2)[0]["w"])
    updates, state = optimizer.update({}, optimizer.init({}), {})
    assert updates == {}
    assert state.count == 1


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_gradient_keeps_parameter_and_state(name: str) -> None:
    optimizer = MAKERS[name](0.1)
    _, state = steps(optimizer)
    updates, after = optimizer.update({"w": GRADS["w"], "b": None}, state, PARAMS)
    assert updates["b"] is None
    assert after.count == state.count + 1
    for before_slot, after_slot in zip(state[1:], after[1:], strict=True):
        np.testing.assert_array_equal(before_slot["b"], after_slot["b"])


@pytest.mark.parametrize("name", MAKERS)
def test_state_is_plain_arrays_that_survive_a_checkpoint_bit_for_bit(name: str) -> None:
    optimizer = MAKERS[name](0.1)
    params, state = steps(optimizer, 2)
    stored = pickle.dumps(jax.tree.map(np.asarray, (params, state)))
    assert state.count.dtype == jnp.int32

    def go_on(params: Any, state: Any) -> Any:
        updates, state = optimizer.update(GRADS, state, params)
        return optax.apply_updates(params, updates), state

    loaded_params, loaded_state = pickle.loads(stored)
    jax.tree.map(
        np.testing.assert_array_equal, go_on(params, state), go_on(loaded_params, loaded_state)
    )


@pytest.mark.parametrize("name", KINDS)
def test_sixteen_bit_parameters_with_wide_state(name: str) -> None:
    wide = {} if name == "sign_sgd" else {"mu_dtype": jnp.float32}
    if name == "dana_star_mk4":
        wide["nu_dtype"] = jnp.float32
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), (PARAMS, GRADS))
    params, state = steps(MAKERS[name](0.1, **wide), 3, *half)
    assert all(x.dtype == jnp.bfloat16 for x in jax.tree.leaves(params))
    assert all(x.dtype == jnp.float32 for slot in state[1:] for x in jax.tree.leaves(slot))


def test_the_step_counter_is_exact_beyond_what_bfloat16_can_count() -> None:
    optimizer = hx.dana_decaying(0.1, initial_step=257)
    _, state = steps(optimizer, 1, jnp.ones(2, jnp.bfloat16), jnp.ones(2, jnp.bfloat16))
    assert state.count == 258
    late = optimizer.init(PARAMS)._replace(count=jnp.asarray(2**31 - 1, jnp.int32))
    assert optimizer.update(GRADS, late, PARAMS)[1].count == 2**31 - 1  # stays, does not wrap


@pytest.mark.parametrize("name", ["dana_decaying", "adana"])
@pytest.mark.parametrize("mask", [{"w": True, "b": False}, lambda p: {"w": True, "b": False}])
def test_weight_decay_follows_the_mask(name: str, mask: Any) -> None:
    still = jax.tree.map(jnp.zeros_like, GRADS)
    moved, _ = steps(MAKERS[name](0.1, weight_decay=0.5, mask=mask), 1, PARAMS, still)
    assert_close(moved["b"], PARAMS["b"])
    assert float(jnp.abs(moved["w"] - PARAMS["w"]).max()) > 0.04


def test_weight_decay_without_parameters_says_what_is_missing() -> None:
    optimizer = hx.adana(0.1, weight_decay=0.1)
    with pytest.raises(ValueError, match="`params` must be given"):
        optimizer.update(GRADS, optimizer.init(PARAMS))


def test_accumulated_micro_batches_count_as_one_update() -> None:
    inner = hx.dana_decaying(0.1)
    accumulating = optax.MultiSteps(inner, every_k_schedule=2)
    params, state = steps(accumulating, 6)
    assert state.inner_opt_state.count == 3
    assert_close(params, steps(inner, 3)[0])


def test_a_skipped_nan_gradient_leaves_no_trace() -> None:
    guarded = optax.apply_if_finite(hx.adana(0.1), max_consecutive_errors=3)
    _, state = steps(guarded, 2, jit=True)
    nan = jax.tree.map(lambda g: g * jnp.nan, GRADS)
    updates, after = jax.jit(guarded.update)(nan, state, PARAMS)
    assert after.inner_state.count == 2
    assert_close(updates, jax.tree.map(jnp.zeros_like, GRADS))


def test_projection_holds_every_norm_and_follows_the_inner_direction() -> None:
    inner = hx.dana_decaying(0.05)
    optimizer = hx.normalize_and_project(inner)
    params, _ = steps(optimizer, 5)
    assert_close(jnp.linalg.norm(params["w"]), jnp.linalg.norm(PARAMS["w"]))
    assert_close(params["b"], steps(inner, 5)[0]["b"])  # one dimension: a bias, left free
    once, _ = steps(optimizer, 1)
    free, _ = steps(inner, 1)
    unit = free["w"] / jnp.linalg.norm(free["w"])
    assert_close(once["w"], unit * jnp.linalg.norm(PARAMS["w"]))


def test_projection_follows_its_mask_and_leaves_zero_weights_free() -> None:
    inner = hx.dana_decaying(0.05)
    masked = hx.normalize_and_project(inner, min_dim=1, mask={"w": False, "b": True})
    params, _ = steps(masked, 3)
    assert_close(params["w"], steps(inner, 3)[0]["w"])
    assert_close(jnp.linalg.norm(params["b"]), jnp.linalg.norm(PARAMS["b"]))
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    assert_close(steps(hx.normalize_and_project(inner), 3, zero)[0], steps(inner, 3, zero)[0])


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
import hidim.optax as hx
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
place = lambda x: jax.device_put(x, NamedSharding(mesh, PartitionSpec("x")))
for optimizer in (hx.dana_decaying(0.1), hx.dana_star_mk4(0.1, weight_decay=0.1)):
    def run(params, state, grads):
        for _ in range(3):
            updates, state = optimizer.update(grads, state, params)
            params = params + updates
        return params
    params, grads = jnp.arange(8.0), jnp.cos(jnp.arange(8.0))
    whole = jax.jit(run)(params, optimizer.init(params), grads)
    params, grads = place(params), place(grads)
    state = optimizer.init(params)
    assert state[1].sharding == params.sharding
    shards = jax.jit(run)(params, state, grads)
    assert len(shards.sharding.device_set) == 2
    np.testing.assert_array_equal(whole, shards)
"""


@pytest.mark.slow
def test_state_sharded_over_two_devices_equals_one_device() -> None:
    two = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], env=two, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


BAD = [
    (lambda: hx.dana_decaying(-0.1), "learning_rate"),
    (lambda: hx.dana_decaying(0.1, c_3=-1.0), "c_3"),
    (lambda: hx.dana_decaying(0.1, kappa_3=-0.5), "kappa_3"),
    (lambda: hx.dana_decaying(0.1, delta=0.0), "delta"),
    (lambda: hx.dana_decaying(0.1, weight_decay=-1.0), "weight_decay"),
    (lambda: hx.dana_decaying(0.1, initial_step=-1), "initial_step"),
    (lambda: hx.dana_decaying(float("nan")), "learning_rate"),
    (lambda: hx.dana_constant(0.1, dimension=0), "dimension"),
    (lambda: hx.general_momentum(0.1, forgetting=-0.1), "forgetting"),
    (lambda: hx.accelerated_sgd(0.1, kappa=0.0), "kappa"),
    (lambda: hx.accelerated_sgd(0.1, kappa=1.0), "kappa"),
    (lambda: hx.accelerated_sgd(0.1, xi=1.0), "xi"),
    (lambda: hx.dana_decaying(0.1, cooldown=0), "cooldown"),
    (lambda: hx.dana_constant(0.1, cooldown=-3.0), "cooldown"),
    (lambda: hx.general_momentum(0.1, cooldown=2.5), "cooldown"),
    (lambda: hx.adana(0.1, cooldown="late"), "cooldown"),  # type: ignore[arg-type]
    (lambda: hx.dana_star(0.1, cooldown=0), "cooldown"),
    (lambda: hx.adana(0.1, kappa=0.0), "kappa"),
    (lambda: hx.adana(0.1, alpha_form="paper"), "alpha_form"),
    (lambda: hx.adana(0.1, omega=-4.0), "omega"),
    (lambda: hx.adana(lambda t: 0.1, omega=4.0), "peak_lr"),
    (lambda: hx.dana_mk4(0.1, clip=0.0), "clip"),
    (lambda: hx.dana_star(0.1, eps=-1e-8), "eps"),
    (lambda: hx.log_time_ademamix(0.1, betas=(0.9, 1.0)), "betas"),
    (lambda: hx.log_time_weight_decay(omega=-1.0), "omega"),
    (lambda: hx.normalize_and_project("sgd"), "inner"),  # type: ignore[arg-type]
    (lambda: hx.normalize_and_project(optax.sgd(0.1), min_dim=-1), "min_dim"),
    (lambda: hx.from_algorithm("dana-decaying"), "algorithm"),  # type: ignore[arg-type]
    (lambda: hx.sign_sgd("fast"), "learning_rate"),  # type: ignore[arg-type]
    (lambda: hx.adana("0.1"), "learning_rate"),  # type: ignore[arg-type]
    (lambda: hx.adana(0.1, initial_step=2**31), "initial_step"),
    (lambda: hx.dana_decaying(0.1, initial_step=2**40), "initial_step"),
    (lambda: hx.log_time_weight_decay(initial_step=2**31), "initial_step"),
]


@pytest.mark.parametrize("name", ["adana", "dana_mk4", "dana_star", "log_time_ademamix"])
def test_a_gradient_whose_square_leaves_the_range_moves_its_entry_to_no_nan(name: str) -> None:
    params = {"w": jnp.ones(3)}
    grads = {"w": jnp.array([1e30, 1.0, -1e25])}
    moved, _ = steps(MAKERS[name](0.1), params=params, grads=grads)
    # As in torch: its mean square is infinite from then on, and the entry stands still.
    assert moved["w"][0] == moved["w"][2] == 1.0
    assert np.isfinite(moved["w"][1])
    assert moved["w"][1] != 1.0


@pytest.mark.parametrize("name", KINDS)
def test_small_types_are_widened_where_jax_promotes_none(name: str) -> None:
    for dtype in (jnp.bfloat16, jnp.float8_e4m3fn):
        with jax.numpy_dtype_promotion("strict"):
            p = {"w": jnp.ones(3, dtype)}
            optimizer = MAKERS[name](0.1)
            updates, _ = optimizer.update(p, optimizer.init(p), p)
        assert updates["w"].dtype == dtype
        assert np.isfinite(np.asarray(updates["w"], np.float32)).all()


@pytest.mark.parametrize(("make", "argument"), BAD)
def test_bad_values_are_refused_by_name(make: Callable[[], Any], argument: str) -> None:
    with pytest.raises(ValueError, match=f"`{argument}`"):
        make()


def test_a_mask_that_is_a_callable_module_is_a_tree_and_not_called():
    @jax.tree_util.register_pytree_node_class
    class Module:
        def __init__(self, weight, bias):
            self.weight, self.bias = weight, bias

        def __call__(self, x):
            raise AssertionError("a mask was called")

        def tree_flatten(self):
            return (self.weight, self.bias), None

        @classmethod
        def tree_unflatten(cls, _, leaves):
            return cls(*leaves)

    params = Module(jnp.ones(3), jnp.ones(3))
    for mask in (Module(True, False), lambda p: Module(True, False)):
        rule = hx.adana(0.1, weight_decay=0.5, mask=mask)
        updates, _ = rule.update(Module(jnp.zeros(3), jnp.zeros(3)), rule.init(params), params)
        assert (updates.weight < 0).all()
        assert (updates.bias == 0).all()


@pytest.mark.parametrize("name", KINDS)
def test_a_state_of_another_optimizer_is_refused_with_the_remedy(name: str) -> None:
    optimizer = MAKERS[name](0.1)
    state = optimizer.init(PARAMS)
    # The fields, in order, are taken from a plain sequence too.
    assert_close(*(optimizer.update(GRADS, s, PARAMS)[0] for s in (state, tuple(state))))
    theirs = optax.scale_by_adam().init(PARAMS)  # three fields, as adana's
    for other in (theirs, (state,), hx.log_time_weight_decay().init(PARAMS), None):
        with pytest.raises(ValueError, match=r"^`state` must be the \w+ that init made[^\n]*$"):
            optimizer.update(GRADS, other, PARAMS)
    with pytest.raises(ValueError, match=r"restore it with a target|\*\*state"):
        optimizer.update(GRADS, state._asdict(), PARAMS)
    with pytest.raises(ValueError, match="it is torch's"):
        optimizer.update(GRADS, {"state": {}, "param_groups": []}, PARAMS)
