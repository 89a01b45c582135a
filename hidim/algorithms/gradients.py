"""What is done to the gradients of the samples before an algorithm steps with them?

A gradient makes of the batch of one step what is stepped with in place of its plain mean: signs,
clipped samples, a mean with noise on it. It is data that the algorithm holds,
`Momentum(..., gradient=...)`, and None is the mean. Whatever draws every sample runs it
(`hidim.simulate(..., method="raw")`, `simulate_rows`); a theory knows its own, and everything else
that reads an algorithm of the family asks `plain_gradient` first.
Limits: one residual per sample, so that a sample's gradient is that number times its features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from hidim.support.checks import shown

_A = TypeVar("_A")

REMEDY = 'hidim.simulate(..., method="raw") runs it, and hidim.register(system=) takes a theory.'
IN_TRAINING = (
    "Convert dataclasses.replace(algorithm, gradient=None) and change the gradients as you train; "
    'hidim.simulate(..., method="raw") runs it as it is.'
)


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples of one step, in every run.

    With other weights than the residuals, as clipping of samples needs,
    `dataclasses.replace(batch, residuals=...).mean` is the mean without a copy of the samples.

    Attributes:
        features: (runs, batch, d); the gradient of a sample is its residual times these.
        residuals: (runs, batch), prediction less label.
        theta: (runs, d), the parameters it is taken at; read only.
        t: the step, from 0.
    """

    features: np.ndarray
    residuals: np.ndarray
    theta: np.ndarray
    t: int

    @property
    def samples(self) -> np.ndarray:
        """The gradient of every sample, (runs, batch, d); computed when asked for."""
        return self.residuals[..., None] * self.features

    @property
    def mean(self) -> np.ndarray:
        """The plain gradient, (runs, d); computed when asked for."""
        total = np.einsum("rb,rbd->rd", self.residuals, self.features)
        return np.asarray(total / self.residuals.shape[1])


class Gradient(Protocol):
    """From the samples to what is stepped with: frozen, hashable and printable, as a schedule is.

    Inherit from it, and what holds the algorithm can be saved.

    >>> import hidim
    >>> @dataclass(frozen=True)
    ... class Sign(Gradient):
    ...     name: str = "sign"
    ...     def __call__(self, batch, rng):
    ...         return np.sign(batch.mean)
    >>> signs = hidim.Momentum(0.0, 0.01, 0.0, 1.0, name="sign-sgd", gradient=Sign())
    >>> run = hidim.simulate(hidim.PLRF(1.0, 0.7, d=5, v=20), signs, steps=50, runs=4)
    >>> run.provenance["method"], bool(run.risk[-1] < run.risk[0])
    ('raw', True)
    """

    @property
    def name(self) -> str:
        """Hyphenated name, for labels and refusals."""
        ...

    def __call__(self, batch: Batch, rng: np.random.Generator) -> np.ndarray:
        """What to step with, (runs, d); `rng` is a stream of its own, whatever the samples are."""
        ...


def checked(gradient: Any) -> Gradient | None:
    """`gradient` itself, if it is one or None.

    Raises:
        ValueError: it is neither, or cannot be hashed.
    """
    if gradient is None:
        return None
    named = isinstance(getattr(gradient, "name", None), str)
    if isinstance(gradient, type) or not callable(gradient) or not named:
        raise ValueError(
            "`gradient` must be an object with a `name` that is called with a batch and a "
            f"generator (hidim.algorithms.Gradient), got {shown(gradient)}."
        )
    try:
        hash(gradient)
    except TypeError:
        raise ValueError(
            f"`gradient` {gradient.name!r} must be hashable, as the algorithm that holds it is: "
            "make it a frozen dataclass of numbers and schedules."
        ) from None
    found: Gradient = gradient
    return found


def gradient_of(algorithm: Any) -> Gradient | None:
    """The gradient that an algorithm of anybody steps with; None for the plain mean."""
    return checked(getattr(algorithm, "gradient", None))


def basis_of(algorithm: Any) -> str | None:
    """In which coordinates of a bare spectrum an algorithm or its gradient works, if it says."""
    held: Any = getattr(algorithm, "basis", getattr(gradient_of(algorithm), "basis", None))
    return None if held is None else str(held)


def asks_for_basis(algorithm: Any) -> bool:
    """Whether an algorithm depends on the coordinates and may say in which it works."""
    return hasattr(algorithm, "basis") or hasattr(gradient_of(algorithm), "basis")


def plain_gradient(algorithm: _A, remedy: str = REMEDY) -> _A:
    """`algorithm` itself, if it steps with the plain mean of its batch.

    Raises:
        ValueError: it holds a gradient; `remedy` says what to do then.
    """
    gradient = gradient_of(algorithm)
    if gradient is None:
        return algorithm
    name = getattr(algorithm, "name", type(algorithm).__name__)
    raise ValueError(
        f"`algorithm` {name} steps with the gradient {gradient.name!r}, and here only the plain "
        f"mean of the batch is known. {remedy}"
    )


def changed(gradient: Gradient, batch: Batch, rng: np.random.Generator) -> np.ndarray:
    """What `gradient` makes of the batch, (runs, d), which an update may write into.

    Raises:
        ValueError: it is of another shape, or no real numbers.
    """
    found = np.asarray(gradient(batch, rng))
    if found.shape != batch.theta.shape or found.dtype.kind not in "fiu":
        raise ValueError(
            f"`gradient` {gradient.name!r} must return real numbers of the shape (runs, d) = "
            f"{batch.theta.shape}, got {found.dtype} of {found.shape}."
        )
    # theta is read only, so a gradient that hands it back does not hand over the parameters.
    copied = found.dtype != np.float64 or not found.flags.writeable
    return found.astype(np.float64) if copied else found


def start_of(gradient: Gradient | None, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Parameters before the first step: 0, or random where the gradient says how far about it."""
    variance = float(getattr(gradient, "start_variance", 0.0))
    if variance == 0.0:
        return np.zeros(shape)
    return np.sqrt(variance) * rng.standard_normal(shape)


def read_only(theta: np.ndarray) -> np.ndarray:
    """A view of parameters for a `Batch`."""
    view = theta.view()
    view.flags.writeable = False
    return view
