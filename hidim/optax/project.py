"""How is the size of every weight held while its direction is learned?

After each step of any optimizer, every weight is rescaled to the Euclidean norm it had at the
start: p <- p |p_0| / |p|. Where the loss does not depend on a weight's size (a normalisation
follows it) this keeps the effective learning rate from falling as weights grow.
Source: arXiv 2407.01800 (normalize and project).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hidim.optax import _core
from hidim.support.checks import whole


class NormalizeAndProjectState(NamedTuple):
    """`norms` of the weights at the start (0 where free), and the wrapped optimizer's `inner`."""

    norms: Any
    inner: optax.OptState


def normalize_and_project(
    inner: optax.GradientTransformation, min_dim: int = 2, *, mask: Any = None
) -> optax.GradientTransformationExtraArgs:
    """`inner`, with every weight brought back to its initial norm after each step.

    It turns `inner`'s update into the one that lands on the sphere, so nothing that changes
    updates may follow it in a chain. A zero array has no direction and is left to `inner`.

    Args:
        inner: any optax transformation, a chain included.
        min_dim: arrays of fewer dimensions (biases, gains) are not projected.
        mask: tree of booleans, or function of the parameters, saying which of the others to
            project; all by default.

    Raises:
        ValueError: `inner` is no gradient transformation, `min_dim` is no whole number, or
            update() is called without `params`.

    >>> import jax.numpy as jnp, optax
    >>> optimizer = normalize_and_project(optax.sgd(0.1))
    >>> params = jnp.array([[3.0, 4.0]])
    >>> updates, _ = optimizer.update(jnp.ones((1, 2)), optimizer.init(params), params)
    >>> jnp.linalg.norm(params + updates)
    Array(5., dtype=float32)
    """
    if not isinstance(inner, optax.GradientTransformation):
        raise ValueError(
            f"`inner` must be an optax GradientTransformation, got {type(inner).__name__}."
        )
    whole("min_dim", min_dim)
    inner = optax.with_extra_args_support(inner)

    def size(p: Any) -> jax.Array:
        # Zero marks what is left free, as a zero array is: it has no direction to keep.
        return norm(p) if jnp.ndim(p) >= min_dim else jnp.zeros_like(norm(p))

    def init(params: optax.Params) -> NormalizeAndProjectState:
        return NormalizeAndProjectState(jax.tree.map(size, params), inner.init(params))

    def update(
        updates: optax.Updates,
        state: NormalizeAndProjectState,
        params: optax.Params | None = None,
        **extra: Any,
    ) -> tuple[optax.Updates, NormalizeAndProjectState]:
        if params is None:
            raise ValueError(
                "`params` must be given to update(): optimizer.update(grads, state, params)."
            )
        updates, inner_state = inner.update(updates, state.inner, params, **extra)
        (projected,) = _core.map_arrays(
            projecting, 1, updates, params, _core.broadcast_mask(mask, params), state.norms
        )
        return projected, NormalizeAndProjectState(state.norms, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def projecting(u: jax.Array, p: Any, projected: bool, size: jax.Array) -> tuple[jax.Array]:
    """The update that takes `p` to the direction of p + u at norm `size`."""
    if not projected:
        return (u,)
    p = jnp.asarray(p)
    wide = _core.working_dtype(p)
    moved = p.astype(wide) + u.astype(wide)
    length = norm(moved)
    usable = (length > 0) & (size > 0)
    factor = jnp.where(usable, size / jnp.where(usable, length, 1.0), 1.0)
    return ((factor * moved - p.astype(wide)).astype(u.dtype),)


def norm(p: Any) -> jax.Array:
    """Euclidean norm of all entries, in at least float32; complex ones as pairs of reals."""
    p = jnp.asarray(p)
    wide = p.astype(_core.working_dtype(p))
    return jnp.linalg.norm(wide.reshape(-1))
