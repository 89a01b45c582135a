"""How does a rule for one array become an optax transformation for a whole tree?

A rule names its state arrays (slots), its time-varying coefficients, and what one array does:

    direction, *new_slots = rule(g, *slots, coefficients)
    p <- p - direction                   (and weight decay)

Everything else is here once: the update counter, learning-rate schedules, weight decay, state in
other dtypes, missing gradients, complex numbers.

Numbers: coefficients are computed in float32 (float64 under x64) from an integer counter that is
never cast to the parameter's dtype, arrays of 16 bits are widened to float32 for the arithmetic
and rounded once at the end.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from hidim.algorithms.schedules import CoolDown, Schedule
from hidim.optax.schedules import as_optax_schedule
from hidim.support.checks import whole

Coefficients = dict[str, jax.Array]
ArrayRule = Callable[..., tuple[jax.Array, ...]]


def build(
    state_type: type,
    rule: ArrayRule,
    coefficients: Callable[..., Coefficients],
    *,
    learning_rate: optax.ScalarOrSchedule,
    slot_dtypes: Sequence[Any],
    decay: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    decay_mode: str = "before",
    mask: Any = None,
    initial_step: Any = 0,
) -> optax.GradientTransformationExtraArgs:
    """Lift `rule` to trees.

    Args:
        state_type: NamedTuple of `count` followed by one tree per slot.
        rule: `(g, *slots, c) -> (direction, *slots)` on one array, in working precision.
        coefficients: `(t, rate, *slots) -> {name: scalar}`, t the number of updates done, as a
            float, and slots the whole trees (for their sizes).
        learning_rate: number or `schedule(count)`.
        slot_dtypes: dtype of each slot, None for the parameter's own.
        decay: `(t, rate) -> scalar`, the share of the parameter to remove; None for none.
        decay_mode: "before" removes it from the old parameter, "after" from the moved one,
            "gradient" adds it to the gradient (an L2 term of the loss).
        mask: tree of booleans (or a function of the parameters giving one): where to decay.
        initial_step: the value at which the counter of a fresh state starts.
    """

    def init(params: optax.Params) -> Any:
        slots = (jax.tree.map(lambda p, d=dtype: zeros(p, d), params) for dtype in slot_dtypes)
        return state_type(jnp.asarray(initial_step, jnp.int32), *slots)

    def one(c: Coefficients, g: Any, p: Any, decayed: bool, *old: Any) -> tuple[Any, ...]:
        wide = working_dtype(g)
        local = {name: value.astype(real_dtype(wide)) for name, value in c.items()}
        share = local.get("decay")
        out_dtype, g = g.dtype, g.astype(wide)
        if decayed:
            p = p.astype(wide)
        if decayed and decay_mode == "gradient":
            g = g + share * p
        direction, *new = rule(g, *(s.astype(wider(s.dtype, wide)) for s in old), local)
        if decayed and decay_mode == "before":
            direction = direction + share * p
        elif decayed and decay_mode == "after":
            direction = direction + share * (p - direction)
        kept = (n.astype(s.dtype) for n, s in zip(new, old, strict=True))
        return (-direction).astype(out_dtype), *kept

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None, **_: Any
    ) -> tuple[optax.Updates, Any]:
        if decay is not None and params is None:
            raise ValueError(
                "`params` must be given to update() when weight decay is not zero: "
                "optimizer.update(grads, state, params)."
            )
        count, *slots = _checked_state(state_type, state, len(slot_dtypes))
        t, rate = as_float(count), scalar(learning_rate, count)
        c = coefficients(t, rate, *slots) | {"rate": rate}
        decayed = None
        if decay is None:
            params = None
        else:
            c["decay"] = decay(t, rate)
            decayed = broadcast_mask(mask, params)
        new_updates, *new_slots = map_arrays(
            partial(one, c), len(slots) + 1, updates, params, decayed, *slots
        )
        return new_updates, state_type(optax.safe_increment(count), *new_slots)

    return optax.GradientTransformationExtraArgs(init, update)


def _checked_state(state_type: Any, state: Any, slots: int) -> Any:
    """The state, or a plain sequence in its order; that of another optimizer is refused."""
    plain = type(state) in (tuple, list) and len(state) == 1 + slots
    own, found = state_type.__name__, type(state).__name__
    # By name, since a notebook that reloads modules has two classes of it.
    same = found == own and getattr(state, "_fields", None) == state_type._fields
    if same or (plain and not hasattr(state[0], "_fields")):
        return state
    if isinstance(state, dict) and set(state) == set(state_type._fields):
        advice = f"restore it with a target, which init(params) makes, or give {own}(**state)."
    elif isinstance(state, dict) and "param_groups" in state:
        advice = "it is torch's, for hidim.torch; begin with init(params) on the weights."
    else:
        advice = (
            "no state carries over from another optimizer: begin with init(params), after the "
            "change of optimizer, too."
        )
    raise ValueError(f"`state` must be the {own} that init made, got a {found}: {advice}")


def is_number(value: Any) -> bool:
    """Whether `value` is a plain number (schedules, arrays and traced values are not)."""
    return isinstance(value, int | float)


def is_zero(value: Any) -> bool:
    """Whether `value` is a plain zero, so that what it switches on can be left out."""
    return is_number(value) and value == 0


def map_arrays(
    one: Callable[..., tuple[Any, ...]], outputs: int, updates: Any, *trees: Any
) -> list[Any]:
    """Apply `one` to every gradient with its companions; a None gradient keeps its state.

    Trees given as None are absent for every array. The first companions are inputs only, the last
    `outputs - 1` are the state that comes back unchanged where the gradient is None.
    """
    treedef: Any
    leaves, treedef = jax.tree.flatten(updates, is_leaf=lambda x: x is None)
    columns = [
        [None] * len(leaves) if tree is None else treedef.flatten_up_to(tree) for tree in trees
    ]
    rows = []
    for g, *rest in zip(leaves, *columns, strict=True):
        if g is None:
            rows.append((None, *rest[len(rest) - (outputs - 1) :]))
        else:
            rows.append(one(jnp.asarray(g), *rest))
    if not rows:
        rows_by_output: list[tuple[Any, ...]] = [()] * outputs
    else:
        rows_by_output = list(zip(*rows, strict=True))
    return [treedef.unflatten(column) for column in rows_by_output]


def broadcast_mask(mask: Any, params: Any) -> Any:
    """A tree of booleans like `params` from a prefix tree, a function, or None (everywhere)."""
    tree = mask(params) if _is_function(mask) else True if mask is None else mask
    return jax.tree.map(
        lambda m, branch: jax.tree.map(lambda _: bool(m), branch, is_leaf=lambda x: x is None),
        tree,
        params,
    )


def _is_function(mask: Any) -> bool:
    """Whether a mask is to be called; a module that is a tree of booleans may be callable too."""
    return callable(mask) and jax.tree_util.all_leaves([mask])


def zeros(p: Any, dtype: Any = None) -> jax.Array:
    """Zeros like `p` in `dtype`, by default its own, float32 for float16 (squares underflow).

    Complex arrays keep their own dtype.
    """
    own = jnp.asarray(p).dtype
    default = jnp.float32 if own == jnp.float16 else own
    return jnp.zeros_like(p, dtype=default if dtype is None or is_complex(own) else dtype)


def scalar(value: Any, count: jax.Array) -> jax.Array:
    """A number, an optax schedule or a schedule of hidim at `count`, in working precision."""
    if isinstance(value, Schedule):
        return as_optax_schedule(value)(count)
    return as_float(value(count) if callable(value) else value)


def cooldown_at(cooldown: Any, t: jax.Array) -> Any:
    """The factor on the momentum term at `t`: 1 for None, `CoolDown` for a number of updates."""
    if cooldown is None:
        return 1.0
    if callable(cooldown):
        return scalar(cooldown, t)
    # CoolDown depends on t / steps alone, and so also on a number that is traced.
    return scalar(CoolDown(1), t / as_float(cooldown))


def check_cooldown(value: Any) -> None:
    """Refuse what is neither a number of updates nor a schedule.

    As an array a number of updates is of integers: `optax.inject_hyperparams` hands over the value
    of a schedule in its place, and that is no number of updates.
    """
    if isinstance(value, jax.Array) and not jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(
            f"`cooldown` must be an integer where it is an array, got {value.dtype}; a schedule "
            'under optax.inject_hyperparams needs static_args=("cooldown",).'
        )
    if value is not None:
        checked(whole, "cooldown", value, minimum=1)


def as_float(value: Any) -> jax.Array:
    """`value` as float32, or float64 when x64 is enabled."""
    return jnp.asarray(value).astype(jnp.result_type(float))


def is_complex(dtype: Any) -> bool:
    return bool(jnp.issubdtype(dtype, jnp.complexfloating))


def working_dtype(array: jax.Array) -> Any:
    """The dtype for arithmetic on `array`: its own, but at least 32 bits."""
    return wider(array.dtype, jnp.float32)


def wider(first: Any, second: Any) -> Any:
    """That of two dtypes which holds the other's numbers.

    Not JAX's promotion, which knows none from 8 bits and, if it is to be strict, none at all.
    """
    kept = first if jnp.finfo(first).bits > jnp.finfo(second).bits else second
    if is_complex(first) != is_complex(second):
        return jnp.complex128 if jnp.finfo(kept).bits == 64 else jnp.complex64
    return kept


def average_squares(v: jax.Array, g: jax.Array, a: Any) -> jax.Array:
    """v + a (g^2 - v), where a square beyond the range leaves an infinity and not inf - inf."""
    return jnp.where(v == jnp.inf, v, v + a * (g * g - v))


def real_dtype(dtype: Any) -> Any:
    """float32 for complex64, float64 for complex128, real dtypes as they are."""
    return jnp.finfo(dtype).dtype


def on_pairs_of_reals(rule: ArrayRule) -> ArrayRule:
    """Let an elementwise real rule act on the real and imaginary parts on their own."""

    def either(g: jax.Array, *rest: Any) -> tuple[jax.Array, ...]:
        if not is_complex(g.dtype):
            return rule(g, *rest)
        *slots, c = rest
        real = rule(g.real, *(s.real for s in slots), c)
        imaginary = rule(g.imag, *(s.imag for s in slots), c)
        return tuple(jax.lax.complex(a, b) for a, b in zip(real, imaginary, strict=True))

    return either


def check_initial_step(value: Any) -> None:
    """Refuse a first step that no counter of 32 bits could hold."""
    checked(whole, "initial_step", value)
    if not isinstance(value, jax.core.Tracer) and float(value) >= 2**31:
        raise ValueError(f"`initial_step` must be below 2**31, where counts end, got {value!r}.")


def checked(check: Callable[..., Any], name: str, value: Any, **options: Any) -> Any:
    """`value` itself, refused by `check` where it is a number that can be read now.

    Schedules and traced values (from `optax.inject_hyperparams` or `jax.vmap`) pass.
    """
    if isinstance(value, str):
        raise ValueError(f"`{name}` must be a number, got {value!r}.")
    if not callable(value) and not isinstance(value, jax.core.Tracer):
        check(name, value, **options)
    return value
